//! Tables: what `kubectl get` prints.

mod cells;
mod columns;

use serde_json::{Value, json};

use super::custom::Column;
use super::kinds::Resource;
use super::request::Call;
use super::status::Status;
use cells::{builtin_cell, custom_cell};
use columns::columns;

/// What of the object a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Metadata,
    Object,
    None,
}

impl Include {
    pub(super) fn read(call: &Call) -> Result<Self, Status> {
        match call.query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => {
                Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}")))
            }
        }
    }
}

/// A table of objects.
pub(super) fn table(
    resource: &Resource,
    objects: &[Value],
    include: Include,
    beta: bool,
    metadata: Value,
) -> Value {
    let columns = columns(resource);
    let version = if beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" };
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let shown = match include {
                Include::Object => object.clone(),
                Include::None => Value::Null,
                Include::Metadata => {
                    json!({ "kind": "PartialObjectMetadata", "apiVersion": version, "metadata": object["metadata"] })
                }
            };
            json!({ "cells": cells(resource, &columns, object), "object": shown })
        })
        .collect();
    json!({ "kind": "Table", "apiVersion": version, "metadata": metadata, "columnDefinitions": definitions, "rows": rows })
}

/// The cells of the empty object, which a bookmark in a table shows.
pub(super) fn empty_cells(resource: &Resource) -> Vec<Value> {
    let empty = super::write::empty(resource);
    cells(resource, &columns(resource), &empty)
}

fn cells(resource: &Resource, columns: &[Column], object: &Value) -> Vec<Value> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match resource.custom() {
        Some(_) => {
            let own = columns.iter().skip(1).map(|column| custom_cell(column, object));
            std::iter::once(json!(name)).chain(own).collect()
        }
        None => columns.iter().map(|column| builtin_cell(&column.path, object)).collect(),
    }
}
