//! PUT, and what PUT and PATCH do to a stored object.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::Api;
use super::builtin;
use super::create::store_new;
use super::decode;
use super::escalation;
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
    escalation::check(api, &call.user, resource, &object)?;
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
    stored: &Arc<Stored>,
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
    if is_same(old, &new) {
        return Ok(Written { code: 200, object: old.clone(), stored: Some(Arc::clone(stored)) });
    }
    if dry_run {
        return Ok(Written::unstored(200, new));
    }
    if is_finished(resource, old, &new) {
        writer.delete(&resource.collection, &target.key());
        return Ok(Written::unstored(200, new));
    }
    Ok(write::put(writer, resource, &target.key(), new, 200))
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

/// Whether nothing has changed but the times of managed fields.
fn is_same(old: &Value, new: &Value) -> bool {
    let fields = |object: &Value| object.as_object().map_or(0, serde_json::Map::len);
    if fields(old) != fields(new) || fields(&old["metadata"]) != fields(&new["metadata"]) {
        return false;
    }
    let rest = old.as_object().into_iter().flatten().filter(|(key, _)| *key != "metadata");
    let meta = old["metadata"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "managedFields");
    rest.into_iter().all(|(key, value)| new.get(key) == Some(value))
        && meta.into_iter().all(|(key, value)| new["metadata"].get(key) == Some(value))
        && same_managers(&old["metadata"]["managedFields"], &new["metadata"]["managedFields"])
}

/// Whether two lists of managed fields have the same entries, in any order and at any time.
fn same_managers(old: &Value, new: &Value) -> bool {
    let (old, new) = (
        old.as_array().map_or(&[][..], Vec::as_slice),
        new.as_array().map_or(&[][..], Vec::as_slice),
    );
    let keys = ["manager", "operation", "apiVersion", "subresource", "fieldsType", "fieldsV1"];
    let same = |a: &Value, b: &Value| keys.iter().all(|key| a.get(key) == b.get(key));
    old.len() == new.len() && old.iter().all(|a| new.iter().any(|b| same(a, b)))
}
