//! What changed between two objects, field by field, and which fields one object has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::typed::Node;
use super::{Form, Set, child, element, element_key, form};

/// The difference of two objects.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    pub(super) added: Set,
    pub(super) removed: Set,
    pub(super) modified: Set,
}

/// Compares two objects.
pub(in super::super) fn changes(node: &Node, old: &Value, new: &Value) -> Changes {
    let mut changes = Changes::default();
    compare(node.resolve(), Some(old), Some(new), &Path::Root, &mut changes);
    changes
}

/// The fields that an object has.
pub(in super::super) fn members(node: &Node, value: &Value) -> Set {
    let mut set = Set::default();
    collect(node.resolve(), value, &Path::Root, &mut set);
    set
}

enum Path<'a> {
    Root,
    At(&'a Self, &'a str),
}

impl Path<'_> {
    fn insert_into(&self, set: &mut Set) {
        let mut keys = Vec::new();
        let mut at = self;
        while let Path::At(parent, key) = at {
            keys.push(*key);
            at = parent;
        }
        set.insert(keys.into_iter().rev());
    }
}

fn compare(
    node: &Node,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &Path<'_>,
    out: &mut Changes,
) {
    let leaf = match form(node, old, new) {
        Form::Leaf => true,
        Form::Map => {
            let (left, right) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let empty =
                left.is_none_or(|map| map.is_empty()) && right.is_none_or(|map| map.is_empty());
            if !empty {
                let keys = left.into_iter().flat_map(|map| map.keys());
                let more = right.into_iter().flat_map(|map| map.keys());
                let more = more.filter(|key| !left.is_some_and(|map| map.contains_key(*key)));
                for key in keys.chain(more) {
                    let (inner, _) = child(node, key);
                    let (old, new) =
                        (left.and_then(|map| map.get(key)), right.and_then(|map| map.get(key)));
                    if old != new {
                        compare(inner, old, new, &Path::At(path, &format!("f:{key}")), out);
                    }
                }
            }
            empty
        }
        Form::List => {
            let (left, right) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            let empty = left.is_none_or(Vec::is_empty) && right.is_none_or(Vec::is_empty);
            if !empty {
                let mut pairs: BTreeMap<String, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
                for value in left.into_iter().flatten() {
                    if let Some(key) = element_key(node, value) {
                        pairs.entry(key).or_default().0 = Some(value);
                    }
                }
                for value in right.into_iter().flatten() {
                    if let Some(key) = element_key(node, value) {
                        pairs.entry(key).or_default().1 = Some(value);
                    }
                }
                for (key, (old, new)) in &pairs {
                    if old != new {
                        compare(element(node), *old, *new, &Path::At(path, key), out);
                    }
                }
            }
            empty
        }
    };
    match (old, new) {
        (None, Some(_)) => path.insert_into(&mut out.added),
        (Some(_), None) => path.insert_into(&mut out.removed),
        (Some(old), Some(new)) if leaf && old != new => path.insert_into(&mut out.modified),
        _ => {}
    }
}

fn collect(node: &Node, value: &Value, path: &Path<'_>, set: &mut Set) {
    match (form(node, Some(value), None), value) {
        (Form::Map, Value::Object(map)) if !map.is_empty() => {
            for (key, value) in map {
                let (inner, declared) = child(node, key);
                let text = format!("f:{key}");
                let path = Path::At(path, &text);
                collect(inner, value, &path, set);
                if !declared {
                    path.insert_into(set);
                }
            }
        }
        (Form::List, Value::Array(list)) if !list.is_empty() => {
            for value in list {
                if let Some(key) = element_key(node, value) {
                    let path = Path::At(path, &key);
                    collect(element(node), value, &path, set);
                    path.insert_into(set);
                }
            }
        }
        _ => path.insert_into(set),
    }
}
