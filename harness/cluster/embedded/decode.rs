//! Bodies into objects: parsed, checked against their kind, unknown fields told, defaults filled in.

use serde_json::{Map, Value, json};

use super::builtin;
use super::json::{Parsed, parse, parse_yaml};
use super::kinds::{Resource, Source};
use super::negotiate::{Format, body_format};
use super::request::{Call, Strictness};
use super::schema;
use super::status::{Cause, Status};
use super::typed;

const TYPE_META: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// Reads the body of a POST or PUT.
pub(super) fn body(
    call: &Call,
    resource: &Resource,
    strictness: Strictness,
) -> Result<Value, Status> {
    let unrecognized = |problem: &str| {
        let body = summary(&call.body);
        let kind = &resource.kind;
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {problem} ({body})"
        ))
    };
    let format = body_format(call)?;
    let mut parsed = match format {
        Format::Json => parse(&call.body).map_err(|error| {
            unrecognized(&format!("couldn't get version/kind; json parse error: {error}"))
        })?,
        Format::Yaml => parse_yaml(&call.body).map_err(|error| {
            unrecognized(&format!("couldn't get version/kind; json parse error: {error}"))
        })?,
        Format::Protobuf if resource.custom().is_some() => {
            return Err(Status::unsupported_media("application/json, application/yaml"));
        }
        Format::Protobuf => Parsed {
            value: protobuf(&call.body, resource).map_err(|e| unrecognized(&e))?,
            duplicates: Vec::new(),
        },
    };
    if parsed.value.is_null() && resource.builtin().is_some() {
        parsed.value = json!({});
    }
    if !parsed.value.is_object() {
        let found = match &parsed.value {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Null => "null",
            _ => "number",
        };
        let text = format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}");
        return Err(unrecognized(&format!("couldn't get version/kind; json parse error: {text}")));
    }
    check_kind(call, resource, &parsed.value, strictness).map_err(|refused| match refused {
        Refused::Unrecognized(text) => unrecognized(&text),
        Refused::Status(status) => *status,
    })?;
    let kind = parsed.value["kind"].as_str().unwrap_or(&resource.kind).to_owned();
    let refuse = |text: String| {
        let version = &resource.version;
        let target = &resource.kind;
        Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {target}: {text}"
        ))
    };
    normalise(call, resource, parsed, strictness, &refuse)
}

enum Refused {
    Unrecognized(String),
    Status(Box<Status>),
}

/// Checks `kind` and `apiVersion` of a body.
fn check_kind(
    call: &Call,
    resource: &Resource,
    object: &Value,
    strictness: Strictness,
) -> Result<(), Refused> {
    let refuse = |status: Status| Refused::Status(Box::new(status));
    for key in ["kind", "apiVersion"] {
        if let Some(found) = object.get(key).filter(|value| !value.is_string() && !value.is_null())
        {
            let found = if found.is_number() { "number" } else { "object" };
            let text = format!(
                "json: cannot unmarshal {found} into Go struct field .{key} of type string"
            );
            return Err(Refused::Unrecognized(format!(
                "couldn't get version/kind; json parse error: {text}"
            )));
        }
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let expected = resource.api_version();
    match &resource.source {
        Source::Custom(_) => {
            if kind.is_empty() {
                let text = String::from_utf8_lossy(&call.body);
                return Err(Refused::Unrecognized(format!("Object 'Kind' is missing in '{text}'")));
            }
            if version != expected {
                if !version.is_empty() && strictness == Strictness::Warn {
                    for key in object.as_object().into_iter().flat_map(Map::keys) {
                        if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                            call.warn(format!("unknown field {key:?}"));
                        }
                    }
                }
                let text = format!(
                    "the API version in the data ({version}) does not match the expected API version ({expected})"
                );
                return Err(refuse(Status::bad_request(text)));
            }
        }
        Source::Builtin(_) => {
            let kind_given = if kind.is_empty() { &resource.kind } else { kind };
            let version_given = if version.is_empty() { &expected } else { version };
            if kind_given == resource.kind && *version_given == expected {
                return Ok(());
            }
            let (group, short) = version_given.split_once('/').unwrap_or(("", version_given));
            let known = typed::find(&super::kinds::type_name(
                group,
                short,
                kind_given.trim_end_matches("List"),
            ))
            .is_some();
            let text = if known {
                let own = go_package(&resource.group);
                format!(
                    "converting ({short}.{kind_given}) to ({own}.{}): unknown conversion",
                    resource.kind
                )
            } else {
                format!(
                    "no kind \"{kind_given}\" is registered for version \"{version_given}\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
                )
            };
            let target = &resource.kind;
            return Err(refuse(Status::bad_request(format!(
                "{kind_given} in version \"{short}\" cannot be handled as a {target}: {text}"
            ))));
        }
    }
    Ok(())
}

/// The Go package of a group's internal types.
pub(super) fn go_package(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) }
}

/// Brings an object into the form of its kind. `refuse` words what does not fit.
pub(super) fn normalise(
    call: &Call,
    resource: &Resource,
    parsed: Parsed,
    strictness: Strictness,
    refuse: &dyn Fn(String) -> Status,
) -> Result<Value, Status> {
    let mut unknown = Vec::new();
    let mut object = match &resource.source {
        Source::Builtin(t) => {
            let decoded = typed::decode(t, &parsed.value).map_err(refuse)?;
            unknown = decoded.unknown;
            decoded.value
        }
        Source::Custom(custom) => {
            let Value::Object(mut object) = parsed.value else {
                return Err(refuse("not an object".into()));
            };
            let meta = object.remove("metadata").unwrap_or_else(|| json!({}));
            let meta = metadata(&meta, &mut unknown).map_err(refuse)?;
            object.insert("metadata".into(), meta);
            schema::shape(&custom.schema, &mut object, &mut unknown);
            Value::Object(object)
        }
    };
    let mut problems: Vec<String> =
        parsed.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    unknown.sort();
    problems.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    match strictness {
        Strictness::Ignore => {}
        Strictness::Warn => problems.into_iter().for_each(|problem| call.warn(problem)),
        Strictness::Strict if problems.is_empty() => {}
        Strictness::Strict => {
            return Err(refuse(format!("strict decoding error: {}", problems.join(", "))));
        }
    }
    if let Some(map) = object.as_object_mut() {
        map.insert(
            "kind".into(),
            map.get("kind")
                .filter(|kind| kind.is_string())
                .cloned()
                .unwrap_or_else(|| json!(resource.kind)),
        );
        map.insert("apiVersion".into(), json!(resource.api_version()));
        let meta = map.entry("metadata").or_insert_with(|| json!({}));
        if !meta.is_object() {
            *meta = json!({});
        }
    }
    builtin::fill(resource, &mut object);
    Ok(object)
}

/// Metadata of a custom resource, by the type that every object's metadata has.
fn metadata(value: &Value, unknown: &mut Vec<String>) -> Result<Value, String> {
    let Some(t) = typed::find(typed::OBJECT_META) else { return Ok(value.clone()) };
    if !value.is_object() && !value.is_null() {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type v1.ObjectMeta",
            if value.is_string() { "string" } else { "array" }
        ));
    }
    let decoded = typed::decode(t, value)?;
    unknown.extend(decoded.unknown.into_iter().map(|path| format!("metadata.{path}")));
    Ok(decoded.value)
}

/// The object in a protobuf envelope.
pub(super) fn protobuf(body: &[u8], resource: &Resource) -> Result<Value, String> {
    let t = resource.builtin().ok_or("no protobuf form")?;
    let (api_version, kind, raw) = envelope(body)?;
    let mut value = if kind == resource.kind || kind.is_empty() {
        typed::decode_message(t, raw)?
    } else {
        json!({})
    };
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), json!(api_version));
        map.insert("kind".into(), json!(kind));
    }
    Ok(value)
}

/// The parts of a protobuf envelope: apiVersion, kind, message.
pub(super) fn envelope(body: &[u8]) -> Result<(String, String, &[u8]), String> {
    let Some(rest) = body.strip_prefix(b"k8s\0") else {
        let text = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        return Err(text.into());
    };
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = typed::Reader::new(rest);
    while let Some((number, bytes)) = reader.next_bytes()? {
        match number {
            1 => {
                let mut inner = typed::Reader::new(bytes);
                while let Some((number, bytes)) = inner.next_bytes()? {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    match number {
                        1 => api_version = text,
                        2 => kind = text,
                        _ => {}
                    }
                }
            }
            2 => raw = bytes,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

/// The start of a body, as messages show it.
fn summary(body: &[u8]) -> String {
    const MOST: usize = 30;
    let (shown, more) = if body.len() > MOST { (&body[..MOST], " ...") } else { (body, "") };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => format!("{}{more}", hex::encode(shown)),
    }
}

/// A patch whose result does not fit its kind.
pub(super) fn refuse_patch(object: &Value, text: &str) -> Status {
    let cause = Cause::invalid("patch", &Value::String(object.to_string()), text);
    Status::invalid("", "", "", &[cause])
}
