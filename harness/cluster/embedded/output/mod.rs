//! Answers: objects, lists, tables and failures in the form that the client accepts.

mod frames;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::{Value, json};

use super::kinds::Resource;
use super::list::Page;
use super::negotiate::{self, Accepted, Format, View};
use super::request::Call;
use super::status::Status;
use super::store::Stored;
use super::table::{self, Include};
use super::typed;
use super::write::{self, Written};
pub(super) use frames::{bookmark, event_frame, frame, is_shared, raw_frame};

/// What goes over the wire.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub(super) type Answer = Response<Body>;

/// Bodies above this are compressed for clients that want it.
const GZIP_FROM: usize = 128 << 10;

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// An answer with the headers that every answer has.
pub(super) fn respond(call: &Call, code: u16, content_type: &str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let audit =
        call.header("audit-id").map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    set("audit-id", &audit);
    set("cache-control", "no-cache, private");
    set("content-type", content_type);
    set("x-kubernetes-pf-flowschema-uid", "6f3a1c9e-0000-4000-8000-000000000001");
    set("x-kubernetes-pf-prioritylevel-uid", "6f3a1c9e-0000-4000-8000-000000000002");
    if content_type.starts_with("text/plain") {
        set("x-content-type-options", "nosniff");
    }
    let warnings = call.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for text in warnings.iter() {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            answer.headers_mut().append("warning", value);
        }
    }
    answer
}

/// Plain text.
pub(super) fn text(call: &Call, code: u16, text: &str) -> Answer {
    respond(call, code, "text/plain; charset=utf-8", full(text.to_owned()))
}

/// The third kind of 404: nobody serves such a path.
pub(super) fn nowhere(call: &Call) -> Answer {
    text(call, 404, "404 page not found\n")
}

/// JSON that is no object of a kind.
pub(super) fn document(call: &Call, code: u16, content_type: &str, value: &Value) -> Answer {
    respond(call, code, content_type, full(json_bytes(call, value)))
}

/// Legacy discovery and other untyped objects, by what the client accepts.
pub(super) fn untyped(call: &Call, code: u16, value: &Value) -> Answer {
    match negotiate::of_failure(call) {
        Format::Protobuf => {
            let body = envelope(value, Vec::new());
            respond(call, code, "application/vnd.kubernetes.protobuf", full(body))
        }
        Format::Yaml => respond(call, code, "application/yaml", full(yaml(value))),
        Format::Json => document(call, code, "application/json", value),
    }
}

/// A failure.
pub(super) fn failure(call: &Call, status: &Status) -> Answer {
    let value = status.value();
    let mut answer = match negotiate::of_failure(call) {
        Format::Protobuf => respond(
            call,
            status.code,
            "application/vnd.kubernetes.protobuf",
            full(protobuf_status(&value)),
        ),
        Format::Yaml => respond(call, status.code, "application/yaml", full(yaml(&value))),
        Format::Json => document(call, status.code, "application/json", &value),
    };
    if status.code == 504 || status.code == 429 {
        answer.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    if call.method == http::Method::HEAD {
        *answer.body_mut() = full(Bytes::new());
    }
    answer
}

fn protobuf_status(value: &Value) -> Vec<u8> {
    let raw = typed::find("io.k8s.apimachinery.pkg.apis.meta.v1.Status")
        .map(|t| typed::encode_message(t, value));
    envelope(value, raw.unwrap_or_default())
}

/// Whether JSON is to be indented: where it was asked for, or where a person reads it.
fn is_pretty(call: &Call) -> bool {
    let agent = call.header("user-agent").unwrap_or_default();
    let person = ["curl/", "Wget/", "Mozilla/"].iter().any(|prefix| agent.starts_with(prefix));
    call.query.get("pretty").map_or(person, |value| !matches!(value, "0" | "false"))
}

fn json_bytes(call: &Call, value: &Value) -> Vec<u8> {
    let written =
        if is_pretty(call) { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    let mut bytes = written.expect("a JSON value is always written");
    bytes.push(b'\n');
    bytes
}

fn yaml(value: &Value) -> Vec<u8> {
    serde_saphyr::to_string(value).unwrap_or_default().into_bytes()
}

/// The protobuf envelope of an object.
fn envelope(value: &Value, raw: Vec<u8>) -> Vec<u8> {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let mut meta = Vec::new();
    typed::put_bytes(1, text("apiVersion").as_bytes(), &mut meta);
    typed::put_bytes(2, text("kind").as_bytes(), &mut meta);
    let mut out = b"k8s\0".to_vec();
    typed::put_bytes(1, &meta, &mut out);
    typed::put_bytes(2, &raw, &mut out);
    typed::put_bytes(3, b"", &mut out);
    typed::put_bytes(4, b"", &mut out);
    out
}

/// One object, as the client wants to see it.
pub(super) fn object(
    call: &Call,
    resource: &Resource,
    accepted: Accepted,
    code: u16,
    value: &Value,
) -> Result<Answer, Status> {
    let is_status = value["kind"] == "Status" && value["apiVersion"] == "v1";
    if is_status {
        return Ok(match accepted.format {
            Format::Protobuf => respond(
                call,
                code,
                "application/vnd.kubernetes.protobuf",
                full(protobuf_status(value)),
            ),
            Format::Yaml => respond(call, code, "application/yaml", full(yaml(value))),
            Format::Json => document(call, code, "application/json", value),
        });
    }
    let shown = match accepted.view {
        View::Whole => return Ok(finish(call, resource, accepted, code, value)),
        View::Table => {
            let include = Include::read(call)?;
            let version = value["metadata"]["resourceVersion"].clone();
            table::table(
                resource,
                std::slice::from_ref(value),
                include,
                accepted.beta,
                json!({ "resourceVersion": version }),
            )
        }
        View::Partial => partial(value, accepted.beta),
        View::PartialList => {
            let text = format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                go_type(resource, "")
            );
            return Err(Status::not_acceptable(text));
        }
    };
    Ok(finish(call, resource, accepted, code, &shown))
}

/// A Go type, which two messages name.
fn go_type(resource: &Resource, suffix: &str) -> String {
    match resource.custom() {
        Some(_) => format!("*unstructured.Unstructured{suffix}"),
        None => {
            format!("*{}.{}{suffix}", super::decode::go_package(&resource.group), resource.kind)
        }
    }
}

fn partial(value: &Value, beta: bool) -> Value {
    let version = if beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" };
    json!({ "kind": "PartialObjectMetadata", "apiVersion": version, "metadata": value["metadata"] })
}

/// Writes a value in the format of the client.
fn finish(
    call: &Call,
    resource: &Resource,
    accepted: Accepted,
    code: u16,
    value: &Value,
) -> Answer {
    let bytes = match accepted.format {
        Format::Json => json_bytes(call, value),
        Format::Yaml => yaml(value),
        Format::Protobuf => match protobuf(resource, value) {
            Some(bytes) => bytes,
            None => return compressed(call, code, "application/json", json_bytes(call, value)),
        },
    };
    compressed(call, code, accepted.content_type(false), bytes)
}

fn compressed(call: &Call, code: u16, content_type: &str, bytes: Vec<u8>) -> Answer {
    let wanted = call
        .header("accept-encoding")
        .is_some_and(|list| list.split(',').any(|one| one.trim().starts_with("gzip")));
    if wanted && bytes.len() > GZIP_FROM {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if encoder.write_all(&bytes).is_ok()
            && let Ok(small) = encoder.finish()
        {
            let mut answer = respond(call, code, content_type, full(small));
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            return answer;
        }
    }
    respond(call, code, content_type, full(bytes))
}

/// The protobuf form of an object, a list or a partial one; tables have none.
fn protobuf(resource: &Resource, value: &Value) -> Option<Vec<u8>> {
    let kind = value["kind"].as_str()?;
    let meta = |name: &str| typed::find(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"));
    let item = match kind {
        "PartialObjectMetadata" | "PartialObjectMetadataList" => meta("PartialObjectMetadata")?,
        _ if kind == resource.kind || kind == resource.list_kind => resource.builtin()?,
        _ => {
            let (group, version) = value["apiVersion"].as_str()?.split_once('/')?;
            typed::find(&super::kinds::type_name(group, version, kind))?
        }
    };
    let raw = if let Some(items) = value["items"].as_array() {
        let mut raw = Vec::new();
        typed::put_bytes(
            1,
            &typed::encode_message(meta("ListMeta")?, &value["metadata"]),
            &mut raw,
        );
        for one in items {
            typed::put_bytes(2, &typed::encode_message(item, one), &mut raw);
        }
        raw
    } else {
        typed::encode_message(item, value)
    };
    Some(envelope(value, raw))
}

/// A list, as the client wants to see it.
pub(super) fn list(
    call: &Call,
    resource: &Resource,
    accepted: Accepted,
    page: &Page,
) -> Result<Answer, Status> {
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if let Some(token) = &page.token {
        metadata["continue"] = json!(token);
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    let load = || -> Vec<Value> {
        page.items.iter().map(|item| write::load(resource, &item.stored)).collect()
    };
    match accepted.view {
        View::Partial => {
            let text = format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({})",
                go_type(resource, "List")
            );
            return Err(Status::not_acceptable(text));
        }
        View::Table => {
            let include = Include::read(call)?;
            let table = table::table(resource, &load(), include, accepted.beta, metadata);
            return Ok(finish(call, resource, accepted, 200, &table));
        }
        View::PartialList => {
            let version = if accepted.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" };
            let items: Vec<Value> =
                load().iter().map(|object| partial(object, accepted.beta)).collect();
            let list = json!({ "kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": metadata, "items": items });
            return Ok(finish(call, resource, accepted, 200, &list));
        }
        View::Whole => {}
    }
    if resource.custom().is_some() && metadata.get("continue").is_none() {
        metadata["continue"] = json!("");
    }
    if is_plain(call, resource, accepted) {
        return Ok(compressed(
            call,
            200,
            "application/json",
            direct_list(resource, page, &metadata),
        ));
    }
    let mut items = load();
    if resource.custom().is_none() {
        for map in items.iter_mut().filter_map(Value::as_object_mut) {
            map.remove("kind");
            map.remove("apiVersion");
        }
    }
    let list = json!({
        "kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata, "items": items,
    });
    Ok(finish(call, resource, accepted, 200, &list))
}

/// Whether objects can go out as they are stored.
fn is_direct(resource: &Resource) -> bool {
    match resource.custom() {
        Some(custom) => !custom.fill_on_read,
        None => resource.group != "events.k8s.io",
    }
}

/// A list written from the stored texts.
fn direct_list(resource: &Resource, page: &Page, metadata: &Value) -> Vec<u8> {
    let size: usize = page.items.iter().map(|item| item.stored.text.len() + 80).sum();
    let mut out = String::with_capacity(256);
    let _ = write!(
        out,
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
        json!(resource.list_kind),
        json!(resource.api_version())
    );
    let mut out = out.into_bytes();
    out.reserve(size);
    let prefix = resource.custom().map(|_| resource.head());
    for (index, item) in page.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match &prefix {
            Some(prefix) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(&item.stored.text[1..]);
            }
            None => out.extend_from_slice(&item.stored.text),
        }
    }
    out.extend_from_slice(b"]}\n");
    out
}

/// An object straight from the store, for the plain case.
pub(super) fn stored(
    call: &Call,
    resource: &Resource,
    accepted: Accepted,
    stored: &Stored,
) -> Result<Answer, Status> {
    if is_plain(call, resource, accepted) {
        return Ok(compressed(call, 200, "application/json", direct(resource, stored)));
    }
    object(call, resource, accepted, 200, &write::load(resource, stored))
}

/// What a write has come to.
pub(super) fn written(
    call: &Call,
    resource: &Resource,
    accepted: Accepted,
    written: &Written,
) -> Result<Answer, Status> {
    match &written.stored {
        Some(stored) if is_plain(call, resource, accepted) => {
            Ok(compressed(call, written.code, "application/json", direct(resource, stored)))
        }
        _ => object(call, resource, accepted, written.code, &written.object),
    }
}

/// Whether an object can go out as it is stored: JSON, whole, not for a person.
fn is_plain(call: &Call, resource: &Resource, accepted: Accepted) -> bool {
    accepted == Accepted::JSON && is_direct(resource) && !is_pretty(call)
}

fn direct(resource: &Resource, stored: &Stored) -> Vec<u8> {
    let mut out = resource.head().to_vec();
    out.reserve(stored.text.len());
    out.extend_from_slice(&stored.text[1..]);
    out.push(b'\n');
    out
}

/// The head of a watch.
pub(super) fn stream(call: &Call, accepted: Accepted, body: Body) -> Answer {
    respond(call, 200, accepted.content_type(true), body)
}

/// Marks an answer as one that may be cached by everybody.
pub(super) fn public(answer: &mut Answer, etag: &str) {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    tag(answer, etag);
}

/// Sets the ETag.
pub(super) fn tag(answer: &mut Answer, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        answer.headers_mut().insert("etag", value);
    }
}

/// Nothing changed.
pub(super) fn not_modified(call: &Call, etag: &str) -> Answer {
    let mut answer = respond(call, 304, "application/json", full(Bytes::new()));
    answer.headers_mut().remove(CONTENT_TYPE);
    tag(&mut answer, etag);
    answer
}

/// A body from bytes that are written already.
pub(super) fn bytes(call: &Call, code: u16, content_type: &str, bytes: Vec<u8>) -> Answer {
    compressed(call, code, content_type, bytes)
}
