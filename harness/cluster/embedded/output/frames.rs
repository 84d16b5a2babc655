//! The frames of a watch.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::kinds::Resource;
use super::super::negotiate::{Accepted, Format, View};
use super::super::store::{Event, Stored};
use super::super::table::{self, Include};
use super::super::typed;
use super::super::write;
use super::{is_direct, partial, protobuf, protobuf_status};

/// One frame of a watch with an object.
pub(in super::super) fn frame(
    resource: &Resource,
    accepted: Accepted,
    include: Include,
    kind: &str,
    stored: &Stored,
    first: bool,
) -> Bytes {
    if accepted == Accepted::JSON && is_direct(resource) {
        return plain(resource, kind, stored);
    }
    let value = write::load(resource, stored);
    let shown = match accepted.view {
        View::Whole => value,
        View::Partial | View::PartialList => partial(&value, accepted.beta),
        View::Table => {
            let version = value["metadata"]["resourceVersion"].clone();
            let meta = json!({ "resourceVersion": version });
            let mut table =
                table::table(resource, std::slice::from_ref(&value), include, accepted.beta, meta);
            if !first {
                table["columnDefinitions"] = Value::Null;
            }
            table
        }
    };
    raw_frame(accepted, kind, &shown, Some(resource))
}

/// The frame of an event for a watch that selects nothing, written once for all of them.
pub(in super::super) fn event_frame(
    resource: &Resource,
    kind: &str,
    event: &Event,
    stored: &Stored,
) -> Bytes {
    let (head, frame) =
        event.frame.get_or_init(|| (resource.head().to_vec(), plain(resource, kind, stored)));
    // Another version of the same resource has a head of its own.
    if head == resource.head() { frame.clone() } else { plain(resource, kind, stored) }
}

/// A frame from the stored text.
fn plain(resource: &Resource, kind: &str, stored: &Stored) -> Bytes {
    let mut out = Vec::with_capacity(stored.text.len() + 160);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(resource.head());
    out.extend_from_slice(&stored.text[1..]);
    out.extend_from_slice(b"}\n");
    out.into()
}

/// Whether the frames of a watch can be shared with others.
pub(in super::super) fn is_shared(resource: &Resource, accepted: Accepted) -> bool {
    accepted == Accepted::JSON && is_direct(resource)
}

/// A bookmark: nothing but kind, apiVersion and a version.
pub(in super::super) fn bookmark(
    resource: &Resource,
    accepted: Accepted,
    metadata: Value,
) -> Bytes {
    let meta_version = if accepted.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" };
    let mut object = match accepted.view {
        View::Whole => json!({ "kind": resource.kind, "apiVersion": resource.api_version() }),
        View::Table => {
            json!({ "kind": "Table", "apiVersion": meta_version, "columnDefinitions": null, "rows": [] })
        }
        View::Partial | View::PartialList => {
            json!({ "kind": "PartialObjectMetadata", "apiVersion": meta_version })
        }
    };
    if accepted.view == View::Table {
        let partial = json!({ "kind": "PartialObjectMetadata", "apiVersion": meta_version, "metadata": metadata });
        object["rows"] = json!([{ "cells": table::empty_cells(resource), "object": partial }]);
        object["metadata"] = json!({ "resourceVersion": metadata["resourceVersion"] });
    } else {
        object["metadata"] = metadata;
        if accepted.view == View::Whole
            && let Some(t) = resource.builtin()
            && let (Value::Object(map), Value::Object(zero)) = (&mut object, t.zero())
        {
            // Go shows the fields that are never left out.
            for (key, value) in zero {
                map.entry(key).or_insert(value);
            }
        }
    }
    raw_frame(accepted, "BOOKMARK", &object, Some(resource))
}

/// A frame of any object.
pub(in super::super) fn raw_frame(
    accepted: Accepted,
    kind: &str,
    object: &Value,
    resource: Option<&Resource>,
) -> Bytes {
    if accepted.format == Format::Protobuf {
        let raw = match resource.and_then(|resource| protobuf(resource, object)) {
            Some(bytes) => bytes,
            None => protobuf_status(object),
        };
        let (mut event, mut extension) = (Vec::new(), Vec::new());
        typed::put_bytes(1, &raw, &mut extension);
        typed::put_bytes(1, kind.as_bytes(), &mut event);
        typed::put_bytes(2, &extension, &mut event);
        let mut out = u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        out.extend_from_slice(&event);
        return out.into();
    }
    let mut out = json!({ "type": kind, "object": object }).to_string();
    out.push('\n');
    out.into()
}
