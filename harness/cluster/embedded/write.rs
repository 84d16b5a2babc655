//! What create, update and patch have in common: loading, checking, storing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::Api;
use super::builtin;
use super::events;
use super::fields::Author;
use super::kinds::Resource;
use super::meta;
use super::request::{Call, Target};
use super::schema;
use super::status::{Cause, Status};
use super::store::{State, Stored, Writer};
use super::typed::Node;

/// The outcome of a write.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) code: u16,
    pub(super) object: Value,
    /// The same object as it was stored, when it was.
    pub(super) stored: Option<Arc<Stored>>,
}

impl Written {
    /// Something that was not stored: a dry run, or the last state of what is gone.
    pub(super) fn unstored(code: u16, object: Value) -> Self {
        Self { code, object, stored: None }
    }
}

/// A stored object as a resource shows it, with kind and apiVersion.
pub(super) fn load(resource: &Resource, stored: &Stored) -> Value {
    let mut value = stored.value();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), json!(resource.api_version()));
        map.insert("kind".into(), json!(resource.kind));
    }
    events::from_stored(resource, &mut value);
    if let Some(custom) = resource.custom()
        && let Value::Object(map) = &mut value
    {
        // Reads fill in defaults that came after the object was written.
        let mut unknown = Vec::new();
        schema::shape(&custom.schema, map, &mut unknown);
    }
    value
}

/// How objects of a resource are merged.
pub(super) fn node(resource: &Resource) -> &Node {
    match (resource.custom(), resource.builtin()) {
        (Some(custom), _) => &custom.node,
        (None, Some(t)) => t.node(),
        (None, None) => &Node::Untyped,
    }
}

/// The empty object of a kind: what a create is compared with.
pub(super) fn empty(resource: &Resource) -> Value {
    let mut value =
        resource.builtin().map_or_else(|| json!({ "metadata": {} }), super::typed::Type::zero);
    value["apiVersion"] = json!(resource.api_version());
    value["kind"] = json!(resource.kind);
    value
}

/// Who writes a request.
pub(super) fn author(call: &Call, target: &Target) -> Author {
    let resource = &target.resource;
    let ignored = match target.subresource.as_str() {
        "status" if resource.custom().is_some() => Err("status"),
        "status" => Ok(vec!["spec"]),
        "scale" => Err("spec"),
        _ if resource.has("status") => Ok(vec!["status"]),
        _ => Ok(Vec::new()),
    };
    Author {
        manager: call.manager(),
        api_version: resource.api_version(),
        subresource: target.subresource.clone(),
        now: meta::now(),
        ignored,
    }
}

/// Refuses creates in namespaces that are not there, or are going.
pub(super) fn admit(state: &State, target: &Target, name: &str) -> Result<(), Status> {
    let resource = &target.resource;
    if target.namespace.is_empty() {
        return Ok(());
    }
    let found = state.get("/namespaces", &target.namespace);
    let Some(found) = found else {
        return Err(Status::namespace_not_found(&target.namespace));
    };
    let namespace = found.value();
    if !meta::is_terminating(&namespace) {
        return Ok(());
    }
    let text = format!(
        "unable to create new content in namespace {} because it is being terminated",
        target.namespace
    );
    let message = format!("{} \"{name}\" is forbidden: {text}", resource.qualified());
    let mut details = super::status::named(name, &resource.group, &resource.plural);
    details["causes"] = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {} is being terminated", target.namespace),
        "field": "metadata.namespace",
    }]);
    Err(Status::forbidden(message, details))
}

/// Checks an object against the rules of its kind or its schema.
pub(super) fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(custom) = resource.custom() else {
        return builtin::validate(resource, object, old);
    };
    let mut causes = Vec::new();
    schema::validate_object(&custom.schema, object, old, &mut causes);
    schema::list_types(&custom.schema, object, "", &mut causes);
    causes
}

/// A 422 when there are causes.
pub(super) fn refuse(resource: &Resource, object: &Value, causes: &[Cause]) -> Result<(), Status> {
    if causes.is_empty() {
        return Ok(());
    }
    let kind = object["kind"].as_str().unwrap_or(&resource.kind);
    // Inside kube-apiserver there is one kind of Event, the core one.
    let group = if resource.is("events.k8s.io", "events") { "" } else { &resource.group };
    Err(Status::invalid(kind, group, meta::text(object, "name"), causes))
}

/// The kind of a custom resource's body must be the right one.
pub(super) fn check_custom_kind(resource: &Resource, object: &Value) -> Result<(), Status> {
    if resource.custom().is_none() || object["kind"] == resource.kind {
        return Ok(());
    }
    let cause = Cause::invalid("kind", &object["kind"], format!("must be {}", resource.kind));
    refuse(resource, object, &[cause])
}

/// Stores a new state and shows it.
pub(super) fn put(
    writer: &Writer<'_>,
    resource: &Resource,
    key: &str,
    mut object: Value,
    code: u16,
) -> Written {
    events::to_stored(resource, &mut object);
    let kept: Vec<(String, Value)> = ["apiVersion", "kind"]
        .into_iter()
        .filter_map(|key| object.as_object_mut().and_then(|map| map.remove_entry(key)))
        .collect();
    let stored = writer.put_mut(&resource.collection, key, &mut object);
    if let Some(map) = object.as_object_mut() {
        map.extend(kept);
    }
    events::from_stored(resource, &mut object);
    Written { code, object, stored: Some(stored) }
}

/// The name and namespace of a body must be those of the URL.
pub(super) fn check_address(target: &Target, object: &mut Value) -> Result<(), Status> {
    let resource = &target.resource;
    let given = meta::text(object, "namespace").to_owned();
    if !resource.namespaced {
        meta::of(object).remove("namespace");
    } else if given.is_empty() {
        meta::of(object).insert("namespace".into(), json!(target.namespace));
    } else if given != target.namespace {
        let text =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(text));
    }
    Ok(())
}

/// The name of a body must be that of the URL.
pub(super) fn check_name(target: &Target, object: &Value) -> Result<(), Status> {
    let (name, wanted) = (meta::text(object, "name"), &target.name);
    if name.is_empty() {
        let text = format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        );
        return Err(Status::bad_request(text));
    }
    if name != *wanted {
        let text = format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        );
        return Err(Status::bad_request(text));
    }
    Ok(())
}

/// What follows a write: definitions are brought to life or taken down.
pub(super) fn follow(api: &Api, resource: &Resource) {
    if super::definitions::concerns(resource) {
        super::definitions::settle(api);
    }
}
