//! The labels of a runtime that may be written, and how a refusal reads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::error::DirectorError;
use super::{Director, database_id};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};

/// Longest key of a label.
const LONGEST_KEY: usize = 256;

/// A label as an operation returns it.
pub(super) struct LabelObject {
    key: String,
    value: Value,
}

impl Object for LabelObject {
    fn type_name(&self) -> &'static str {
        "Label"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "key" => Resolved::text(&self.key),
            "value" => Resolved::Json(Cow::Borrowed(&self.value)),
            other => return Err(unknown_field(other)),
        })
    }
}

/// `setRuntimeLabel`
pub(super) fn set_runtime_label(
    director: &Director<'_>,
    field: &Field,
) -> Result<LabelObject, DirectorError> {
    let (key, value) = given_label(field)?;
    let runtime = existing_runtime(director, field)?;
    if is_protected(key) {
        let reason = format!("could not set unmodifiable label with key {key}");
        return Err(DirectorError::invalid_data(&reason));
    }
    if key == "scenarios" {
        return Err(DirectorError::internal("label with key scenarios cannot be set explicitly"));
    }
    let set = director.landscape.set_runtime_label(runtime, key, value.clone());
    set.map_err(|_| no_such_runtime(field))?;
    Ok(LabelObject { key: key.into(), value })
}

/// `setApplicationLabel`
pub(super) fn set_application_label(
    director: &Director<'_>,
    field: &Field,
) -> Result<LabelObject, DirectorError> {
    let (key, value) = given_label(field)?;
    let tenant = director.tenant()?;
    let id = database_id(field.text("applicationID"))?;
    if director.landscape.application(tenant, id).is_none() {
        let id = field.text("applicationID");
        let reason = format!("Application with ID {id} doesn't exist");
        return Err(DirectorError::internal(&reason));
    }
    if key == "scenarios" {
        return Err(DirectorError::internal("label with key scenarios cannot be set explicitly"));
    }
    director.landscape.set_application_label(tenant, id, key, value.clone())?;
    Ok(LabelObject { key: key.into(), value })
}

/// Formations are joined by `assignFormation` and in no other way.
pub(super) fn refuse_scenarios(labels: &BTreeMap<String, Value>) -> Result<(), DirectorError> {
    if labels.contains_key("scenarios") {
        return Err(DirectorError::internal("label with key scenarios cannot be set explicitly"));
    }
    Ok(())
}

/// Key and value of a label that is to be set.
fn given_label(field: &Field) -> Result<(&str, Value), DirectorError> {
    let key = field.text("key");
    let value = field.arguments.get("value").cloned().unwrap_or_default();
    let wrong_key = wrong_key(key).map(|reason| ("key", reason));
    let wrong_value = is_blank(&value).then_some(("value", "cannot be blank"));
    let wrong = Vec::from_iter(wrong_key.into_iter().chain(wrong_value));
    if !wrong.is_empty() {
        return Err(DirectorError::invalid_input("LabelInput", &wrong));
    }
    Ok((key, value))
}

/// `deleteRuntimeLabel`
pub(super) fn delete_runtime_label(
    director: &Director<'_>,
    field: &Field,
) -> Result<LabelObject, DirectorError> {
    let key = field.text("key");
    let runtime = existing_runtime(director, field)?;
    if is_protected(key) {
        let reason = format!("could not delete unmodifiable label with key {key}");
        return Err(DirectorError::invalid_data(&reason));
    }
    if key == "scenarios" {
        return Err(DirectorError::internal(
            "label with key scenarios cannot be deleted explicitly",
        ));
    }
    let taken = director.landscape.take_runtime_label(runtime, key);
    let value = taken.map_err(|_| no_such_runtime(field))?;
    let value = value.ok_or_else(|| DirectorError::not_found("runtimeLabel"))?;
    Ok(LabelObject { key: key.into(), value })
}

/// Whether a label is kept from what is read: eventing of other runtimes.
pub(super) fn is_hidden(key: &str) -> bool {
    key.ends_with("_defaultEventing")
}

/// Whether a label may not be written from outside.
pub(super) fn is_protected(key: &str) -> bool {
    is_hidden(key) || matches!(key, "xsappnameCMPClone" | "runtimeType" | "CMPSaaSAppName")
}

fn existing_runtime(director: &Director<'_>, field: &Field) -> Result<Uuid, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("runtimeID"))?;
    let found = director.landscape.runtime(tenant, id);
    found.map(|runtime| runtime.id).ok_or_else(|| no_such_runtime(field))
}

fn no_such_runtime(field: &Field) -> DirectorError {
    let id = field.text("runtimeID");
    DirectorError::internal(&format!("Runtime with ID {id} doesn't exist"))
}

/// The reasons are ozzo-validation's, which the Director's inputs are checked with.
pub(super) fn wrong_key(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("cannot be blank")
    } else if key.chars().count() > LONGEST_KEY {
        Some("the length must be no more than 256")
    } else if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Some("must be in a valid format")
    } else {
        None
    }
}

/// What ozzo-validation takes for no value: Go's zero values.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
