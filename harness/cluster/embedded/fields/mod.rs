//! Who owns which field: field sets, what changed between two objects, and `metadata.managedFields`.
//!
//! This is structured-merge-diff as kube-apiserver uses it.

mod apply;
mod compare;
mod managers;
mod merge;
mod set;

pub(super) use apply::{Refusal, apply};
pub(super) use compare::{changes, members};
pub(super) use managers::{Author, update};
pub(super) use set::Set;

use serde_json::{Map, Value};

use super::typed::Node;

/// Keys of managed fields that kube-apiserver never tracks.
const UNTRACKED: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

/// Removes from a set what is never tracked.
fn strip(set: &mut Set) {
    set.children.remove("f:apiVersion");
    set.children.remove("f:kind");
    if let Some(meta) = set.children.get_mut("f:metadata") {
        meta.member = false;
        for key in UNTRACKED {
            meta.children.remove(key);
        }
        if meta.is_empty() {
            set.children.remove("f:metadata");
        }
    }
}

/// The part of a path that stands for one element of a list: `v:` and its value, or `k:` and its keys.
fn element_key(node: &Node, element: &Value) -> Option<String> {
    match node {
        Node::Set => Some(format!("v:{element}")),
        Node::Keyed { keys, .. } => {
            let mut found = Map::new();
            for (key, default) in keys {
                if let Some(value) = element.get(key).or(default.as_ref()) {
                    found.insert(key.clone(), value.clone());
                }
            }
            if found.is_empty() { None } else { Some(format!("k:{}", Value::Object(found))) }
        }
        _ => None,
    }
}

/// How the value under a key of a map is merged, and whether the key is a declared field.
fn child<'a>(node: &'a Node, key: &str) -> (&'a Node, bool) {
    match node {
        Node::Struct { fields, rest } => match (fields.get(key), rest) {
            (Some(field), _) => (field.resolve(), true),
            (None, Some(rest)) => (rest.resolve(), false),
            (None, None) => (&Node::Untyped, false),
        },
        Node::Map(element) => (element.resolve(), false),
        _ => (&Node::Untyped, false),
    }
}

/// How an element of a list is merged.
fn element(node: &Node) -> &Node {
    match node {
        Node::Keyed { element, .. } => element.resolve(),
        _ => &Node::Scalar,
    }
}

/// What a value is to its node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Leaf,
    Map,
    List,
}

fn form(node: &Node, left: Option<&Value>, right: Option<&Value>) -> Form {
    let like = |check: fn(&Value) -> bool| {
        [left, right].into_iter().flatten().all(|value| value.is_null() || check(value))
    };
    match node {
        Node::Struct { .. } | Node::Map(_) if like(Value::is_object) => Form::Map,
        Node::Set | Node::Keyed { .. } if like(Value::is_array) => Form::List,
        Node::Untyped if like(Value::is_object) => Form::Map,
        _ => Form::Leaf,
    }
}
