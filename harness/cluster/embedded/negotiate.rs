//! Content negotiation: what the client accepts, and what its body is.

use super::kinds::Resource;
use super::request::Call;
use super::status::Status;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// As what an object is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Whole,
    Table,
    Partial,
    PartialList,
}

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) format: Format,
    pub(super) view: View,
    /// `v1beta1` views carry that version.
    pub(super) beta: bool,
}

impl Accepted {
    pub(super) const JSON: Self = Self { format: Format::Json, view: View::Whole, beta: false };

    pub(super) fn content_type(self, stream: bool) -> &'static str {
        match (self.format, stream) {
            (Format::Json, _) => "application/json",
            (Format::Yaml, _) => "application/yaml",
            (Format::Protobuf, false) => "application/vnd.kubernetes.protobuf",
            (Format::Protobuf, true) => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

const OFFERED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Walks the Accept header in order; the first entry that can be given wins.
pub(super) fn accepted(call: &Call, resource: &Resource) -> Result<Accepted, Status> {
    let header = accept(call);
    if header.trim().is_empty() {
        return Ok(Accepted::JSON);
    }
    let custom = resource.custom().is_some();
    let mut seen_known = false;
    let mut entries: Vec<(f32, &str)> =
        header.split(',').map(|entry| (quality(entry), entry.trim())).collect();
    // Stable: equal weights keep their order.
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, entry) in entries {
        let mut parts = entry.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default() {
            "*/*" | "application/json" => Format::Json,
            "application/yaml" => Format::Yaml,
            "application/vnd.kubernetes.protobuf" => Format::Protobuf,
            _ => continue,
        };
        let (mut kind, mut group, mut version) = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("as", value)) => kind = value,
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                _ => {}
            }
        }
        seen_known = true;
        let known = group == "meta.k8s.io" && matches!(version, "v1" | "v1beta1");
        let view = match kind {
            "" => View::Whole,
            "Table" if known => View::Table,
            "PartialObjectMetadata" if known => View::Partial,
            "PartialObjectMetadataList" if known => View::PartialList,
            _ => continue,
        };
        if format == Format::Protobuf && custom && view == View::Whole {
            continue;
        }
        return Ok(Accepted { format, view, beta: version == "v1beta1" });
    }
    if custom || seen_known {
        return Err(Status::not_acceptable(format!(
            "only the following media types are accepted: {OFFERED}"
        )));
    }
    let streams =
        ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    let more = if call.query.flag("watch") { streams } else { "" };
    let message = format!("406: Not Acceptable\n\nAvailable representations: {OFFERED}{more}");
    Err(Status::not_acceptable(message).with_details(serde_json::json!({})))
}

/// The format of failures: whatever was asked for, as far as it can be given.
pub(super) fn of_failure(call: &Call) -> Format {
    for entry in accept(call).split(',') {
        match entry.split(';').next().unwrap_or_default().trim() {
            "*/*" | "application/json" => return Format::Json,
            "application/yaml" => return Format::Yaml,
            "application/vnd.kubernetes.protobuf" => return Format::Protobuf,
            _ => {}
        }
    }
    Format::Json
}

fn accept(call: &Call) -> String {
    let values: Vec<&str> =
        call.headers.get_all("accept").iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn quality(entry: &str) -> f32 {
    let q = entry.split(';').find_map(|part| part.trim().strip_prefix("q="));
    q.and_then(|text| text.parse().ok()).unwrap_or(1.0)
}

/// The format of a body; no Content-Type at all is JSON.
pub(super) fn body_format(call: &Call) -> Result<Format, Status> {
    match media_type(call) {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(Status::unsupported_media(OFFERED)),
    }
}

/// The media type of the body, without parameters.
pub(super) fn media_type(call: &Call) -> &str {
    call.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
}
