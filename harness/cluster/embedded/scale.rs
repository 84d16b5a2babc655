//! The scale subresource: replicas of whatever has them.

use serde_json::{Value, json};

use super::api::Api;
use super::decode;
use super::fields;
use super::json::{Parsed, parse};
use super::kinds::{Resource, unlisted};
use super::meta;
use super::negotiate::media_type;
use super::patch;
use super::request::{Call, Strictness, Target, WriteOptions};
use super::status::{Cause, Status};
use super::store::Stored;
use super::update::replace;
use super::write::{self, Written};

/// The kind of the subresource.
pub(super) fn kind() -> &'static Resource {
    static RESOURCE: std::sync::OnceLock<Resource> = std::sync::OnceLock::new();
    RESOURCE.get_or_init(|| unlisted("autoscaling", "v1", "Scale"))
}

/// Where an object keeps its replicas: in spec, in status, and its selector.
fn paths(resource: &Resource) -> (Vec<String>, Vec<String>, Option<Vec<String>>) {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    match resource.custom().and_then(|custom| custom.scale.as_ref()) {
        Some(scale) => (scale.spec.clone(), scale.status.clone(), scale.selector.clone()),
        None => (path("spec.replicas"), path("status.replicas"), None),
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

fn load(target: &Target, api: &Api) -> Result<(std::sync::Arc<Stored>, Value), Status> {
    let resource = &target.resource;
    let stored = api
        .store()
        .get(&resource.collection, &target.key())
        .ok_or_else(|| Status::not_found(resource, &target.name))?;
    let object = write::load(resource, &stored);
    Ok((stored, object))
}

/// The Scale of an object.
fn scale_of(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let (spec, status, selector) = paths(resource);
    let replicas = match at(object, &spec).and_then(Value::as_i64) {
        Some(replicas) => replicas,
        None if resource.custom().is_some() => {
            let path = format!(".{}", spec.join("."));
            let name = meta::text(object, "name");
            let text = format!(
                "the spec replicas field {path:?} does not exist in {} {name:?}",
                resource.qualified()
            );
            return Err(Status::internal_error(text));
        }
        None => 0,
    };
    let meta_object = &object["metadata"];
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta_object.get(key) {
            metadata[key] = value.clone();
        }
    }
    let current = at(object, &status).and_then(Value::as_i64).unwrap_or(0);
    let mut shown = json!({ "replicas": current });
    let selector = match selector {
        Some(path) => at(object, &path).and_then(Value::as_str).map(str::to_owned),
        None => object["spec"]["selector"]["matchLabels"].as_object().map(|labels| {
            let parts: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            parts.join(",")
        }),
    };
    if let Some(selector) = selector.filter(|text| !text.is_empty()) {
        shown["selector"] = json!(selector);
    }
    let spec = if replicas == 0 { json!({}) } else { json!({ "replicas": replicas }) };
    Ok(
        json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": shown }),
    )
}

/// GET.
pub(super) fn get(api: &Api, target: &Target) -> Result<Value, Status> {
    let (_, object) = load(target, api)?;
    scale_of(&target.resource, &object)
}

/// PUT.
pub(super) fn update(api: &Api, call: &Call, target: &Target) -> Result<Written, Status> {
    let options = WriteOptions::read(call, "UpdateOptions", false)?;
    let scale = decode::body(call, kind(), options.strictness)?;
    write::check_name(target, &scale)?;
    set(api, call, target, &options, |_| Ok(scale.clone()))
}

/// PATCH.
pub(super) fn patch(api: &Api, call: &Call, target: &Target) -> Result<Written, Status> {
    let options = WriteOptions::read(call, "PatchOptions", false)?;
    let body = parse(&call.body)
        .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let media = media_type(call).to_owned();
    set(api, call, target, &options, |current| {
        let mut scale = current.clone();
        match media.as_str() {
            "application/json-patch+json" => {
                let operations = body.value.as_array().map_or(&[][..], Vec::as_slice);
                patch::json_patch(&mut scale, operations).map_err(|()| Status::unprocessable())?;
            }
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                patch::merge_patch(&mut scale, &body.value);
            }
            _ => {
                return Err(Status::unsupported_media(
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                ));
            }
        }
        let shown = scale.clone();
        let refuse = |text: String| decode::refuse_patch(&shown, &text);
        let parsed = Parsed { value: scale, duplicates: Vec::new() };
        decode::normalise(call, kind(), parsed, Strictness::Warn, &refuse)
    })
}

/// Writes the replicas of a Scale into its object.
fn set(
    api: &Api,
    call: &Call,
    target: &Target,
    options: &WriteOptions,
    change: impl Fn(&Value) -> Result<Value, Status>,
) -> Result<Written, Status> {
    let resource = &target.resource;
    let writer = api.store().write();
    let (stored, old) = load(target, api)?;
    let scale = change(&scale_of(resource, &old)?)?;
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let text = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &json!(replicas), text);
        return Err(Status::invalid("Scale", "autoscaling", &target.name, &[cause]));
    }
    let mut new = old.clone();
    let (path, ..) = paths(resource);
    let mut slot = &mut new;
    for key in &path {
        if !slot.is_object() {
            *slot = json!({});
        }
        slot = &mut slot[key];
    }
    *slot = json!(replicas);
    let version = meta::text(&scale, "resourceVersion").to_owned();
    if version.is_empty() {
        meta::of(&mut new).insert("resourceVersion".into(), json!(stored.revision.to_string()));
    } else {
        meta::of(&mut new).insert("resourceVersion".into(), json!(version));
    }
    let mut author = write::author(call, target);
    author.ignored = Ok(vec!["status"]);
    fields::update(write::node(resource), &old, &mut new, &author, false);
    let main = Target { subresource: String::new(), ..target.clone() };
    let written = replace(&writer, call, &main, &stored, &old, new, options.dry_run)?;
    Ok(Written::unstored(200, scale_of(resource, &written.object)?))
}
