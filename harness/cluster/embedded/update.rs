//! PUT, and what PUT and PATCH do to a stored object.

use serde_json::{Value, json};

use super::api::Api;
use super::builtin;
use super::create::store_new;
use super::decode;
use super::fields;
use super::meta;
use super::request::{Call, Target, WriteOptions};
use super::status::{Cause, Status};
use super::store::{Stored, Writer};
use super::write::{self, Written};

/// Replaces an object with a body.
pub(super) fn update(api: &Api, call: &Call, target: &Target) -> Result<Written, Status> {
    let options = WriteOptions::read(call, "UpdateOptions", false)?;
    let resource = &target.resource;
    let mut object = decode::body(call, resource, options.strictness)?;
    write::check_address(target, &mut object)?;
    write::check_name(target, &object)?;
    let author = write::author(call, target);
    let node = write::node(resource);
    let writer = api.store().write();
    let Some(stored) = writer.get(&resource.collection, &target.key()) else {
        if !resource.traits.create_on_update || !target.subresource.is_empty() {
            return Err(Status::not_found(resource, &target.name));
        }
        meta::of(&mut object).remove("resourceVersion");
        fields::update(node, &write::empty(resource), &mut object, &author, true);
        return store_new(&writer, call, target, object, options.dry_run);
    };
    let old = write::load(resource, &stored);
    check_uid(target, &old, &object)?;
    fields::update(node, &old, &mut object, &author, false);
    let written = replace(&writer, call, target, &stored, &old, object, options.dry_run)?;
    drop(writer);
    if !options.dry_run {
        write::follow(api, resource);
    }
    Ok(written)
}

/// A uid in the body of a PUT is a precondition.
fn check_uid(target: &Target, old: &Value, new: &Value) -> Result<(), Status> {
    let (given, stored) = (meta::text(new, "uid"), meta::text(old, "uid"));
    if given.is_empty() || given == stored {
        return Ok(());
    }
    let resource = &target.resource;
    let group =
        if resource.custom().is_some() { format!("{}/", resource.group) } else { String::new() };
    let path = format!("/registry/{group}{}/{}", resource.plural, target.key());
    let text = format!(
        "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {stored}"
    );
    Err(Status::conflict(resource, &target.name, &text))
}

/// Checks the version, prepares, checks and stores a changed object; nothing is written when nothing changed.
pub(super) fn replace(
    writer: &Writer<'_>,
    call: &Call,
    target: &Target,
    stored: &Stored,
    old: &Value,
    mut new: Value,
    dry_run: bool,
) -> Result<Written, Status> {
    let resource = &target.resource;
    match meta::version(&new)? {
        None if resource.traits.version_required => {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            return Err(Status::invalid(&resource.plural, &resource.group, &target.name, &[cause]));
        }
        Some(version) if version != stored.revision => {
            return Err(Status::modified(resource, &target.name));
        }
        _ => {}
    }
    for warning in meta::warnings(resource, &mut new, Some(old)) {
        call.warn(warning);
    }
    builtin::prepare_update(resource, old, &mut new, &target.subresource);
    meta::prepare_update(resource, old, &mut new);
    let mut causes = meta::validate_update(resource, old, &new);
    causes.extend(write::validate(resource, &new, Some(old)));
    write::refuse(resource, &new, &causes)?;
    if let Some(warning) = builtin::warnings(resource, &new) {
        call.warn(warning);
    }
    meta::of(&mut new).insert("resourceVersion".into(), json!(stored.revision.to_string()));
    if without_times(old) == without_times(&new) {
        return Ok(Written { code: 200, object: old.clone() });
    }
    if dry_run {
        return Ok(Written { code: 200, object: new });
    }
    if is_finished(resource, old, &new) {
        writer.delete(&resource.collection, &target.key());
        return Ok(Written { code: 200, object: new });
    }
    let stored = write::put(writer, resource, &target.key(), new);
    Ok(Written { code: 200, object: write::load(resource, &stored) })
}

/// Whether this write took the last thing away that held a dying object.
fn is_finished(resource: &super::kinds::Resource, old: &Value, new: &Value) -> bool {
    if !meta::is_terminating(old) || !meta::finalizers(new).is_empty() {
        return false;
    }
    if resource.is("", "namespaces") {
        return new["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    }
    // A graceful deletion is not over before its time.
    new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// The object without the times of its managed fields: what counts as a change.
fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(entries) = object["metadata"].get_mut("managedFields").and_then(Value::as_array_mut)
    {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        entries.sort_by_key(ToString::to_string);
    }
    object
}
