//! Merges an applied configuration into an object, and takes away what is no longer applied.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::typed::Node;
use super::{Form, Set, child, element, element_key, form};

/// The object with the configuration laid over it.
pub(super) fn merge(node: &Node, live: Option<&Value>, applied: &Value) -> Value {
    let Some(live) = live else { return applied.clone() };
    match (form(node, Some(live), Some(applied)), live, applied) {
        (Form::Map, Value::Object(left), Value::Object(right)) => {
            let mut out: Map<String, Value> = left.clone();
            for (key, value) in right {
                let (inner, _) = child(node, key);
                let merged = merge(inner, left.get(key), value);
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Form::List, Value::Array(left), Value::Array(right)) => {
            Value::Array(merge_lists(node, left, right))
        }
        _ => applied.clone(),
    }
}

/// Elements of both lists: those of the configuration in its order, the others where they were.
fn merge_lists(node: &Node, left: &[Value], right: &[Value]) -> Vec<Value> {
    let key = |value: &Value| element_key(node, value).unwrap_or_default();
    let (left_keys, right_keys): (Vec<_>, Vec<_>) =
        (left.iter().map(key).collect(), right.iter().map(key).collect());
    let in_left: BTreeMap<&String, usize> =
        left_keys.iter().enumerate().map(|(at, key)| (key, at)).rev().collect();
    let in_right: BTreeSet<&String> = right_keys.iter().collect();
    let mut shared = right_keys.iter().filter(|key| in_left.contains_key(key));
    let mut next = shared.next();
    let mut done: BTreeSet<&String> = BTreeSet::new();
    let (mut l, mut r) = (0, 0);
    let mut out = Vec::new();
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            if left_keys[l] == right_keys[r] {
                done.insert(&left_keys[l]);
                out.push(merge(element(node), Some(&left[l]), &right[r]));
                l += 1;
                r += 1;
                next = shared.next();
                continue;
            }
            if in_right.contains(&left_keys[l]) && next.is_some_and(|next| *next != left_keys[l]) {
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            if !in_right.contains(&left_keys[l]) {
                out.push(left[l].clone());
                l += 1;
                continue;
            }
            if done.contains(&left_keys[l]) {
                l += 1;
                continue;
            }
        }
        if r < right.len() {
            let at = in_left.get(&right_keys[r]).copied();
            done.insert(&right_keys[r]);
            out.push(merge(element(node), at.map(|at| &left[at]), &right[r]));
            if next == Some(&right_keys[r]) {
                next = shared.next();
            }
            r += 1;
        } else {
            // What is left on the left is in the configuration and was merged with it.
            l += 1;
        }
    }
    out
}

/// Removes what is in `gone` and in nobody's `kept`.
pub(super) fn prune(node: &Node, value: &mut Value, gone: &Set, kept: &Set) {
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for name in keys {
                let key = format!("f:{name}");
                let Some(gone) = gone.children.get(&key) else { continue };
                let (inner, _) = child(node, &name);
                let kept = kept.children.get(&key);
                let empty = Set::default();
                if let Some(value) = map.get_mut(&name) {
                    let was_empty = is_empty(value);
                    prune(inner, value, gone, kept.unwrap_or(&empty));
                    // A struct that was only there for its fields goes with them.
                    let dangling = !was_empty && is_empty(value) && !gone.children.is_empty();
                    if kept.is_none_or(Set::is_empty) && (gone.member || dangling) {
                        map.remove(&name);
                    }
                }
            }
        }
        Value::Array(list) => {
            let empty = Set::default();
            list.retain_mut(|value| {
                let Some(key) = element_key(node, value) else { return true };
                let Some(gone) = gone.children.get(&key) else { return true };
                let kept = kept.children.get(&key);
                prune(element(node), value, gone, kept.unwrap_or(&empty));
                !(gone.member && kept.is_none_or(Set::is_empty))
            });
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
