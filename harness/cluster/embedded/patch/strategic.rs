//! Strategic merge patch: lists of built-in types are merged by their keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::typed::{Field, Shape, Type, find};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Lays a strategic merge patch over an object of a built-in type. The error is the text of kube-apiserver.
pub(in super::super) fn strategic_merge(
    t: &'static Type,
    target: &mut Value,
    patch: &Value,
) -> Result<(), String> {
    let Value::Object(patch) = patch else {
        return Err("strategic merge patch is no object".into());
    };
    let Value::Object(map) = target else { return Ok(()) };
    merge_maps(Some(t), map, patch, "")
}

fn merge_maps(
    t: Option<&'static Type>,
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    strategy: &str,
) -> Result<(), String> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) => match directive.as_str() {
            "replace" => {
                *target = patch
                    .iter()
                    .filter(|(key, _)| *key != DIRECTIVE)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                return Ok(());
            }
            "delete" => {
                target.clear();
                return Ok(());
            }
            "merge" => {}
            other => return Err(format!("unknown patch type: {other} in map: {}", go_map(patch))),
        },
        Some(other) => {
            return Err(format!("unknown patch type: {other} in map: {}", go_map(patch)));
        }
    }
    if (strategy.contains("retainKeys") || patch.contains_key(RETAIN))
        && let Some(Value::Array(keep)) = patch.get(RETAIN)
    {
        target.retain(|key, _| keep.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(field), value) {
                let gone: BTreeSet<String> = gone.iter().map(Value::to_string).collect();
                list.retain(|one| !gone.contains(&one.to_string()));
            }
            continue;
        }
        if value.is_null() {
            target.remove(key);
            continue;
        }
        let field = t.and_then(|t| t.field(key)).map(|(field, _)| field);
        match value {
            Value::Object(inner) => {
                let nested = field.and_then(|field| match &field.shape {
                    Shape::Struct(name) => find(name),
                    _ => None,
                });
                let strategy = field.map_or("", |field| field.strategy.as_str());
                let slot = target.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() || strategy == "replace" {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(map) = slot {
                    merge_maps(nested, map, inner, strategy)?;
                }
            }
            Value::Array(list) => {
                let old = match target.remove(key) {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                let order = patch.get(&format!("{ORDER}{key}")).and_then(Value::as_array);
                target.insert(key.clone(), Value::Array(merge_list(field, old, list, order)?));
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
    // An order may be given for a list that the patch does not touch otherwise.
    for (key, value) in patch {
        if let (Some(name), Value::Array(order)) = (key.strip_prefix(ORDER), value)
            && !patch.contains_key(name)
            && let Some(Value::Array(list)) = target.get_mut(name)
        {
            let merge_key =
                t.and_then(|t| t.field(name)).map_or("", |(field, _)| field.merge_key.as_str());
            *list = reorder(std::mem::take(list), order, merge_key);
        }
    }
    Ok(())
}

/// One list, by the strategy of its field.
fn merge_list(
    field: Option<&'static Field>,
    old: Vec<Value>,
    patch: &[Value],
    order: Option<&Vec<Value>>,
) -> Result<Vec<Value>, String> {
    let merges = field.is_some_and(|field| field.strategy.split(',').any(|one| one == "merge"));
    let new = match field {
        Some(field) if merges && field.merge_key.is_empty() => merge_values(old, patch),
        Some(field) if merges => {
            let element = match &field.shape {
                Shape::List(element) => match &**element {
                    Shape::Struct(name) => find(name),
                    _ => None,
                },
                _ => None,
            };
            merge_elements(element, &field.merge_key, old, patch)?
        }
        _ => patch.iter().filter(|one| one.get(DIRECTIVE).is_none()).cloned().collect(),
    };
    let merge_key = field.map_or("", |field| field.merge_key.as_str());
    Ok(match order {
        Some(order) => reorder(new, order, merge_key),
        None => new,
    })
}

/// Lists of plain values: what the patch has comes in front.
fn merge_values(old: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    patch.iter().cloned().chain(old).filter(|value| seen.insert(value.to_string())).collect()
}

/// A map as Go prints it.
fn go_map(map: &Map<String, Value>) -> String {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => go_map(map),
        other => other.to_string(),
    };
    let pairs: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}:{}", one(value))).collect();
    format!("map[{}]", pairs.join(" "))
}

/// Lists of structs: matched by key; what is new comes in front.
fn merge_elements(
    t: Option<&'static Type>,
    key: &str,
    old: Vec<Value>,
    patch: &[Value],
) -> Result<Vec<Value>, String> {
    if patch.iter().any(|one| one.get(DIRECTIVE).is_some_and(|d| d == "replace")) {
        let kept = patch.iter().filter(|one| one.get(DIRECTIVE).is_none_or(|d| d != "replace"));
        return Ok(kept.cloned().collect());
    }
    let id = |value: &Value| value.get(key).map(Value::to_string);
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (at, value) in old.iter().enumerate() {
        if let Some(id) = id(value) {
            places.entry(id).or_insert(at);
        }
    }
    let mut old: Vec<Option<Value>> = old.into_iter().map(Some).collect();
    let mut fresh = Vec::new();
    for value in patch {
        let Value::Object(inner) = value else {
            return Err(format!("expected an object in a list merged by {key}"));
        };
        let Some(id) = id(value) else {
            return Err(format!(
                "map: {} does not contain declared merge key: {key}",
                go_map(inner)
            ));
        };
        let found = places.get(&id).and_then(|at| old.get_mut(*at));
        match inner.get(DIRECTIVE).and_then(Value::as_str) {
            Some("delete") => {
                if let Some(slot) = found {
                    *slot = None;
                }
                continue;
            }
            None | Some("merge") => {}
            Some(other) => {
                return Err(format!("unknown patch type: {other} in map: {}", go_map(inner)));
            }
        }
        match found {
            Some(Some(Value::Object(map))) => merge_maps(t, map, inner, "")?,
            _ => {
                let mut map = Map::new();
                merge_maps(t, &mut map, inner, "")?;
                fresh.push(Value::Object(map));
            }
        }
    }
    fresh.extend(old.into_iter().flatten());
    Ok(fresh)
}

/// Puts the named elements into the given order; others keep their place between them.
fn reorder(list: Vec<Value>, order: &[Value], merge_key: &str) -> Vec<Value> {
    let id = |value: &Value| match merge_key {
        "" => value.to_string(),
        key => value.get(key).unwrap_or(&Value::Null).to_string(),
    };
    let wanted: BTreeMap<String, usize> =
        order.iter().enumerate().map(|(at, value)| (id(value), at)).rev().collect();
    let (mut named, others): (Vec<_>, Vec<_>) =
        list.into_iter().enumerate().partition(|(_, value)| wanted.contains_key(&id(value)));
    named.sort_by_key(|(_, value)| wanted.get(&id(value)).copied());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    let mut out = Vec::new();
    loop {
        match (named.peek(), others.peek()) {
            (Some((a, _)), Some((b, _))) => {
                let next = if a < b { named.next() } else { others.next() };
                out.extend(next.map(|(_, value)| value));
            }
            (Some(_), None) => out.extend(named.next().map(|(_, value)| value)),
            (None, Some(_)) => out.extend(others.next().map(|(_, value)| value)),
            (None, None) => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(patch: Value) -> Result<Value, String> {
        let t = find("io.k8s.api.core.v1.Pod").expect("in the table");
        let mut pod = json!({ "metadata": { "finalizers": ["a/b"] }, "spec": { "containers": [
            { "name": "a", "image": "1", "env": [{ "name": "X", "value": "1" }] }, { "name": "b", "image": "1" } ] } });
        strategic_merge(t, &mut pod, &patch)?;
        Ok(pod)
    }

    #[test]
    fn elements_are_merged_by_key_and_new_ones_come_in_front() {
        let pod = pod(
            json!({ "spec": { "containers": [{ "name": "c", "image": "9" }, { "name": "a", "image": "2" }] } }),
        );
        let containers = pod.expect("merges")["spec"]["containers"].clone();
        let names: Vec<_> = containers
            .as_array()
            .expect("a list")
            .iter()
            .map(|c| (c["name"].clone(), c["image"].clone()))
            .collect();
        assert_eq!(
            names,
            [(json!("c"), json!("9")), (json!("a"), json!("2")), (json!("b"), json!("1"))]
        );
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let gone = pod(json!({ "spec": { "containers": [{ "name": "a", "$patch": "delete" }] } }))
            .expect("merges");
        assert_eq!(gone["spec"]["containers"], json!([{ "name": "b", "image": "1" }]));
        let only =
            pod(json!({ "spec": { "containers": [{ "name": "z" }, { "$patch": "replace" }] } }))
                .expect("merges");
        assert_eq!(only["spec"]["containers"], json!([{ "name": "z" }]));
        let none = pod(json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a/b"] } }))
            .expect("merges");
        assert_eq!(none["metadata"]["finalizers"], json!([]));
        assert!(pod(json!({ "spec": { "$patch": "explode" } })).is_err());
    }
}
