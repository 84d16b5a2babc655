//! PATCH of any type.

use serde_json::Value;

use super::api::Api;
use super::create::store_new;
use super::decode;
use super::escalation;
use super::fields::{self, Refusal};
use super::json::{Parsed, parse, parse_yaml};
use super::kinds::Resource;
use super::meta;
use super::negotiate::media_type;
use super::patch;
use super::rbac;
use super::request::{Call, Strictness, Target, WriteOptions};
use super::status::{Cause, Status};
use super::update::replace;
use super::write::{self, Written};

/// Operations of a JSON patch at most.
const MOST_OPERATIONS: usize = 10_000;

enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

fn kind(call: &Call, resource: &Resource) -> Result<Kind, Status> {
    let custom = resource.custom().is_some();
    match media_type(call) {
        "application/json-patch+json" => Ok(Kind::Json),
        "application/merge-patch+json" => Ok(Kind::Merge),
        "application/strategic-merge-patch+json" if !custom => Ok(Kind::Strategic),
        "application/apply-patch+yaml" => Ok(Kind::Apply),
        _ if custom => Err(Status::unsupported_media(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Status::unsupported_media(
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml, application/apply-patch+cbor",
        )),
    }
}

/// Patches an object; apply creates it when it is missing.
pub(super) fn patch(api: &Api, call: &Call, target: &Target) -> Result<Written, Status> {
    let resource = &target.resource;
    let kind = kind(call, resource)?;
    let options = WriteOptions::read(call, "PatchOptions", matches!(kind, Kind::Apply))?;
    let body = read(&kind, call)?;
    let written = if matches!(kind, Kind::Apply) {
        apply(api, call, target, &options, &body)?
    } else {
        let writer = api.store().write();
        let stored = writer
            .get(&resource.collection, &target.key())
            .ok_or_else(|| Status::not_found(resource, &target.name))?;
        let old = write::load(resource, &stored);
        let mut patched = change(&kind, resource, &old, &body)?;
        if !patched.is_object() {
            patched = Value::Object(serde_json::Map::new());
        }
        let again = || change(&kind, resource, &old, &body).unwrap_or_default();
        let object = finish(call, target, patched, &body.duplicates, options.strictness, &again)?;
        escalation::check(api, &call.user, resource, &object)?;
        let mut object = object;
        let author = write::author(call, target);
        fields::update(write::node(resource), &old, &mut object, &author, false);
        replace(&writer, call, target, &stored, &old, object, options.dry_run)?
    };
    if !options.dry_run {
        write::follow(api, resource);
    }
    Ok(written)
}

/// Reads the body of a patch.
fn read(kind: &Kind, call: &Call) -> Result<Parsed, Status> {
    let parsed = match kind {
        Kind::Apply => {
            return parse_yaml(&call.body)
                .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")));
        }
        _ => parse(&call.body),
    };
    let prefix = if matches!(kind, Kind::Strategic) { "" } else { "error decoding patch: " };
    let parsed = parsed.map_err(|error| Status::bad_request(format!("{prefix}{error}")))?;
    let go = |value: &Value| match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Null => "null",
    };
    match (kind, &parsed.value) {
        (Kind::Json, Value::Array(list)) if list.len() > MOST_OPERATIONS => {
            let text = format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                list.len()
            );
            Err(Status::too_large(text))
        }
        (Kind::Json, Value::Array(_) | Value::Null) => Ok(parsed),
        (Kind::Json, other) => {
            let text = format!(
                "json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                go(other)
            );
            Err(Status::bad_request(format!("error decoding patch: {text}")))
        }
        (_, Value::Object(_)) => Ok(parsed),
        (Kind::Merge, Value::Null) => Err(Status::bad_request("Invalid JSON Patch")),
        (_, other) => {
            let text = format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                go(other)
            );
            Err(Status::bad_request(format!("error decoding patch: {text}")))
        }
    }
}

/// Applies a patch to the stored object.
fn change(kind: &Kind, resource: &Resource, old: &Value, body: &Parsed) -> Result<Value, Status> {
    let mut object = old.clone();
    match kind {
        Kind::Json => {
            let operations = body.value.as_array().map_or(&[][..], Vec::as_slice);
            patch::json_patch(&mut object, operations).map_err(|()| Status::unprocessable())?;
        }
        Kind::Merge => patch::merge_patch(&mut object, &body.value),
        Kind::Strategic => {
            if let Some(t) = resource.builtin() {
                patch::strategic_merge(t, &mut object, &body.value).map_err(Status::internal)?;
            }
        }
        Kind::Apply => {}
    }
    Ok(object)
}

/// Brings a patched object into form, and checks that it is still the same one; `again` makes it once more.
fn finish(
    call: &Call,
    target: &Target,
    patched: Value,
    duplicates: &[String],
    strictness: Strictness,
    again: &dyn Fn() -> Value,
) -> Result<Value, Status> {
    let resource = &target.resource;
    let (version, kind) = (patched["apiVersion"].clone(), patched["kind"].clone());
    if resource.custom().is_some() {
        let own = resource.api_version();
        if version != *own {
            if strictness == Strictness::Warn {
                for key in patched.as_object().into_iter().flatten().map(|(key, _)| key) {
                    if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                        call.warn(format!("unknown field {key:?}"));
                    }
                }
            }
            let cause = Cause::invalid("apiVersion", &version, format!("must be {own}"));
            return Err(Status::invalid(&resource.kind, &resource.group, &target.name, &[cause]));
        }
        if kind != *resource.kind {
            let cause = Cause::invalid("kind", &kind, format!("must be {}", resource.kind));
            let given = kind.as_str().unwrap_or_default();
            return Err(Status::invalid(given, &resource.group, &target.name, &[cause]));
        }
    } else if kind != *resource.kind || version != *resource.api_version() {
        let (kind, version) =
            (kind.as_str().unwrap_or_default(), version.as_str().unwrap_or_default());
        let text = format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
        );
        return Err(Status::bad_request(text));
    }
    let parsed = Parsed { value: patched, duplicates: duplicates.to_vec() };
    // The message quotes the whole object, which is made once more for it.
    let refuse = |text: String| decode::refuse_patch(&again(), &text);
    let mut object = decode::normalise(call, resource, parsed, strictness, &refuse)?;
    write::check_address(target, &mut object)?;
    write::check_name(target, &object)?;
    Ok(object)
}

/// Server-side apply.
fn apply(
    api: &Api,
    call: &Call,
    target: &Target,
    options: &WriteOptions,
    body: &Parsed,
) -> Result<Written, Status> {
    let resource = &target.resource;
    let mut configuration = body.value.clone();
    if !configuration.is_object() {
        return Err(Status::bad_request("error decoding YAML: not an object"));
    }
    let (version, kind) = (configuration["apiVersion"].as_str(), configuration["kind"].as_str());
    if kind != Some(&resource.kind) || version != Some(&resource.api_version()) {
        let shown = format!("{}, Kind={}", version.unwrap_or_default(), kind.unwrap_or_default());
        return Err(Status::bad_request(format!("invalid object type: {shown}")));
    }
    if configuration["metadata"]
        .get("managedFields")
        .is_some_and(|list| list.as_array().is_some_and(|l| !l.is_empty()))
    {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    if !meta::text(&configuration, "name").is_empty() {
        write::check_name(target, &configuration)?;
    }
    let given = meta::text(&configuration, "namespace");
    if resource.namespaced && !given.is_empty() && given != target.namespace {
        let text =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(text));
    }
    let namespace = given.to_owned();
    let asked_version = meta::version(&configuration)?;
    meta::of(&mut configuration).remove("resourceVersion");
    let author = write::author(call, target);
    let writer = api.store().write();
    let stored = writer.get(&resource.collection, &target.key());
    let old = stored.as_ref().map(|stored| write::load(resource, stored));
    if old.is_none() {
        // An object that is there lends its name to a configuration without one.
        write::check_name(target, &configuration)?;
        if !target.subresource.is_empty() {
            return Err(Status::not_found(resource, &target.name));
        }
        let attributes = rbac::Attributes {
            verb: "create".into(),
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            namespace: target.namespace.clone(),
            ..rbac::Attributes::default()
        };
        rbac::authorize(api, &call.user, &attributes)?;
    }
    let node = write::node(resource);
    let empty = write::empty(resource);
    let applied = fields::apply(node, old.as_ref(), &empty, &configuration, &author, options.force).map_err(|refusal| {
        match refusal {
            Refusal::Conflicts { message, causes } => Status::apply_conflicts(message, causes),
            Refusal::Untyped(text) => {
                let (name, group, version, kind) = (&target.name, &resource.group, &resource.version, &resource.kind);
                Status::internal(format!(
                    "failed to create typed patch object ({namespace}/{name}; {group}/{version}, Kind={kind}): {text}"
                ))
            }
        }
    })?;
    let shown = applied.clone();
    let refuse = |text: String| decode::refuse_patch(&shown, &text);
    let parsed = Parsed { value: applied, duplicates: Vec::new() };
    let mut object = decode::normalise(call, resource, parsed, options.strictness, &refuse)?;
    write::check_address(target, &mut object)?;
    escalation::check(api, &call.user, resource, &object)?;
    match (stored, old) {
        (Some(stored), Some(old)) => {
            let version = asked_version
                .map_or_else(|| stored.revision.to_string(), |version| version.to_string());
            meta::of(&mut object).insert("resourceVersion".into(), version.into());
            replace(&writer, call, target, &stored, &old, object, options.dry_run)
        }
        _ => {
            meta::of(&mut object).remove("resourceVersion");
            store_new(&writer, call, target, object, options.dry_run)
        }
    }
}
