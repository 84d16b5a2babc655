//! Events: one store, seen as `v1` and as `events.k8s.io/v1`.

use serde_json::{Value, json};

use super::kinds::Resource;

/// Names of one field in `v1` and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Turns the stored form (`v1`) into what the resource shows.
pub(super) fn from_stored(resource: &Resource, object: &mut Value) {
    if resource.is("events.k8s.io", "events") {
        rename(object, |(core, new)| (core, new));
        complete(object, "deprecated");
    }
}

/// Turns what the resource shows into the stored form.
pub(super) fn to_stored(resource: &Resource, object: &mut Value) {
    if resource.is("events.k8s.io", "events") {
        rename(object, |(core, new)| (new, core));
        complete(object, "");
    }
}

fn rename(
    object: &mut Value,
    pair: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = object.as_object_mut() else { return };
    for names in NAMES {
        let (from, to) = pair(names);
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// Empty values that one view shows and the other leaves out.
fn complete(object: &mut Value, prefix: &str) {
    let Some(map) = object.as_object_mut() else { return };
    if prefix.is_empty() {
        for (key, value) in [
            ("involvedObject", json!({})),
            ("source", json!({})),
            ("firstTimestamp", Value::Null),
            ("lastTimestamp", Value::Null),
            ("eventTime", Value::Null),
            ("reportingComponent", json!("")),
            ("reportingInstance", json!("")),
        ] {
            map.entry(key).or_insert(value);
        }
        return;
    }
    for (key, value) in [
        ("regarding", json!({})),
        ("deprecatedSource", json!({})),
        ("deprecatedFirstTimestamp", Value::Null),
        ("deprecatedLastTimestamp", Value::Null),
        ("eventTime", Value::Null),
    ] {
        map.entry(key).or_insert(value);
    }
    map.retain(|key, value| {
        !(matches!(
            key.as_str(),
            "reportingController" | "reportingInstance" | "note" | "reason" | "type"
        ) && value == "")
    });
}
