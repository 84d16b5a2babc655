//! POST to a collection.

use serde_json::{Value, json};

use super::api::Api;
use super::builtin;
use super::decode;
use super::escalation;
use super::fields;
use super::meta;
use super::request::{Call, Target, WriteOptions, key};
use super::status::{Status, named};
use super::store::Writer;
use super::write::{self, Written};

/// How often a generated name is tried when it is taken.
const TRIES: usize = 8;

/// Creates an object from a body.
pub(super) fn create(api: &Api, call: &Call, target: &Target) -> Result<Written, Status> {
    let options = WriteOptions::read(call, "CreateOptions", false)?;
    let mut object = decode::body(call, &target.resource, options.strictness)?;
    write::check_address(target, &mut object)?;
    // Not the client's to set, so not the client's to own.
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        meta::of(&mut object).remove(key);
    }
    escalation::check(api, &call.user, &target.resource, &object)?;
    let author = write::author(call, target);
    let node = write::node(&target.resource);
    fields::update(node, &write::empty(&target.resource), &mut object, &author, true);
    let writer = api.store().write();
    let written = store_new(&writer, call, target, object, options.dry_run)?;
    drop(writer);
    if !options.dry_run {
        write::follow(api, &target.resource);
    }
    Ok(written)
}

/// Admits, prepares, checks and stores a new object.
pub(super) fn store_new(
    writer: &Writer<'_>,
    call: &Call,
    target: &Target,
    mut object: Value,
    dry_run: bool,
) -> Result<Written, Status> {
    let resource = &target.resource;
    let given = meta::text(&object, "name").to_owned();
    {
        let state = writer.read();
        write::admit(&state, target, &given)?;
    }
    if resource.custom().is_some_and(|custom| custom.terminating) {
        let text = "create not allowed while custom resource definition is terminating";
        let message = format!("{} \"{given}\" is forbidden: {text}", resource.qualified());
        return Err(Status::forbidden(message, named(&given, &resource.group, &resource.plural)));
    }
    let version = meta::text(&object, "resourceVersion").to_owned();
    for warning in meta::warnings(resource, &mut object, None) {
        call.warn(warning);
    }
    meta::prepare_create(resource, &mut object);
    builtin::prepare_create(resource, &mut object);
    write::check_custom_kind(resource, &object)?;
    let mut causes = meta::validate_create(resource, &object);
    causes.extend(write::validate(resource, &object, None));
    write::refuse(resource, &object, &causes)?;
    if let Some(warning) = builtin::warnings(resource, &object) {
        call.warn(warning);
    }
    if !version.is_empty() && version != "0" {
        return Err(Status::internal("resourceVersion should not be set on objects to be created"));
    }
    meta::of(&mut object).remove("resourceVersion");
    let mut name = meta::text(&object, "name").to_owned();
    let taken = |name: &str| writer.get(&resource.collection, &key(&target.namespace, name));
    if given.is_empty() {
        for _ in 1..TRIES {
            if taken(&name).is_none() {
                break;
            }
            name = meta::generate(meta::text(&object, "generateName"));
            meta::of(&mut object).insert("name".into(), json!(name));
        }
    }
    if let Some(existing) = taken(&name) {
        let terminating = meta::is_terminating(&existing.value());
        return Err(Status::already_exists(resource, &name, terminating));
    }
    if dry_run {
        return Ok(Written::unstored(201, object));
    }
    Ok(write::put(writer, resource, &key(&target.namespace, &name), object, 201))
}
