//! Brings CustomResourceDefinitions to life: names accepted, established, served; and takes them down again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::api::Api;
use super::custom::{self, Versions};
use super::delete::{self, Options};
use super::fields::{self, Author};
use super::kinds::{Resource, builtin};
use super::meta;
use super::store::Writer;

const GROUP: &str = "apiextensions.k8s.io";
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn resource() -> &'static Arc<Resource> {
    builtin(GROUP, "customresourcedefinitions")
}

/// Whether writes to this resource need [`settle`] afterwards.
pub(super) fn concerns(resource: &Resource) -> bool {
    resource.is(GROUP, "customresourcedefinitions")
        || resource.custom().is_some_and(|custom| custom.terminating)
}

/// Puts the finalizer and the condition on a CRD that is being deleted.
pub(super) fn mark(object: &mut Value) {
    let meta = meta::of(object);
    let list = meta.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|one| one == CLEANUP)
    {
        list.push(json!(CLEANUP));
    }
    let message =
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    condition(object, "Terminating", "True", "InstanceDeletionPending", message);
}

/// Does what is to be done for the definitions until nothing is left.
pub(super) fn settle(api: &Api) {
    let writer = api.store().write();
    loop {
        let definitions: Vec<(Arc<str>, Value)> = {
            let state = writer.read();
            state
                .range(&resource().collection, "", None)
                .map(|(key, stored)| (Arc::clone(key), stored.value()))
                .collect()
        };
        let mut changed = false;
        for (key, definition) in &definitions {
            changed |= if meta::is_terminating(definition) {
                take_down(api, &writer, key, definition)
            } else {
                establish(&writer, key, definition, &definitions)
            };
        }
        serve(api, &writer);
        if !changed {
            return;
        }
    }
}

/// Accepts names that nobody else in the group has, and establishes the definition.
fn establish(
    writer: &Writer<'_>,
    key: &str,
    definition: &Value,
    all: &[(Arc<str>, Value)],
) -> bool {
    let mut new = definition.clone();
    let (accepted, conflict) = names(definition, all);
    new["status"]["acceptedNames"] = accepted;
    match conflict {
        None => {
            condition(&mut new, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
            let text = "the initial names have been accepted";
            condition(&mut new, "Established", "True", "InitialNamesAccepted", text);
        }
        Some((reason, message)) => {
            condition(&mut new, "NamesAccepted", "False", reason, &message);
            let established = conditions(definition)
                .iter()
                .any(|c| c["type"] == "Established" && c["status"] == "True");
            if !established {
                condition(
                    &mut new,
                    "Established",
                    "False",
                    "NotAccepted",
                    "not all names are accepted",
                );
            }
        }
    }
    if new["status"] == definition["status"] {
        return false;
    }
    store(writer, key, definition, new);
    true
}

/// The names that can be accepted, and the last one that cannot.
fn names(definition: &Value, all: &[(Arc<str>, Value)]) -> (Value, Option<(&'static str, String)>) {
    let wanted = &definition["spec"]["names"];
    let (mut words, mut kinds): (Vec<&Value>, Vec<&Value>) = (Vec::new(), Vec::new());
    for (_, other) in all {
        let same_group = other["spec"]["group"] == definition["spec"]["group"];
        if !same_group || other["metadata"]["uid"] == definition["metadata"]["uid"] {
            continue;
        }
        let taken = &other["status"]["acceptedNames"];
        words.extend([&taken["plural"], &taken["singular"]]);
        words.extend(taken["shortNames"].as_array().into_iter().flatten());
        kinds.extend([&taken["kind"], &taken["listKind"]]);
    }
    let mut accepted = definition["status"]["acceptedNames"].clone();
    let mut conflict = None;
    let empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
    let single = [
        ("plural", &words, "PluralConflict"),
        ("singular", &words, "SingularConflict"),
        ("shortNames", &words, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ];
    for (key, taken, reason) in single {
        let given: Vec<&Value> = match &wanted[key] {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        };
        match given.iter().find(|name| !empty(name) && taken.contains(name)) {
            Some(name) => conflict = Some((reason, format!("{name} is already in use"))),
            None => match wanted.get(key) {
                Some(value) => accepted[key] = value.clone(),
                None => drop(accepted.as_object_mut().map(|map| map.remove(key))),
            },
        }
    }
    match wanted.get("categories") {
        Some(list) => accepted["categories"] = list.clone(),
        None => drop(accepted.as_object_mut().map(|map| map.remove("categories"))),
    }
    (accepted, conflict)
}

/// Deletes the instances of a definition, and the definition when none is left.
fn take_down(api: &Api, writer: &Writer<'_>, key: &str, definition: &Value) -> bool {
    if !meta::finalizers(definition).contains(&CLEANUP) {
        return false;
    }
    let pending = conditions(definition)
        .iter()
        .any(|c| c["type"] == "Terminating" && c["reason"] == "InstanceDeletionPending");
    if pending {
        let mut new = definition.clone();
        let message = "CustomResource deletion is in progress";
        condition(&mut new, "Terminating", "True", "InstanceDeletionInProgress", message);
        store(writer, key, definition, new);
    }
    let instances = custom::resources(definition).into_iter().next().map(Arc::new);
    let left = instances.as_ref().map_or(0, |resource| {
        let keys: Vec<Arc<str>> = writer
            .read()
            .range(&resource.collection, "", None)
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in keys {
            // What is already going stays until its finalizers are gone.
            let _ = delete::remove(api, writer, resource, &key, &Options::default());
        }
        writer.read().count(&resource.collection)
    });
    if left > 0 {
        return pending;
    }
    let Some(stored) = writer.get(&resource().collection, key) else { return false };
    let mut last = stored.value();
    let message = "removed all instances";
    condition(&mut last, "Terminating", "False", "InstanceDeletionCompleted", message);
    let meta = meta::of(&mut last);
    if let Some(list) = meta.get_mut("finalizers").and_then(Value::as_array_mut) {
        list.retain(|one| one != CLEANUP);
    }
    if meta::finalizers(&last).is_empty() {
        writer.delete(&resource().collection, key);
        if let Some(instances) = &instances {
            writer.close(&instances.collection);
        }
    } else {
        writer.put(&resource().collection, key, last);
    }
    true
}

/// Serves what is established.
fn serve(api: &Api, writer: &Writer<'_>) {
    let mut groups: BTreeMap<String, Versions> = BTreeMap::new();
    let definitions: Vec<Value> = writer
        .read()
        .range(&resource().collection, "", None)
        .map(|(_, stored)| stored.value())
        .collect();
    for definition in &definitions {
        if !conditions(definition)
            .iter()
            .any(|c| c["type"] == "Established" && c["status"] == "True")
        {
            continue;
        }
        for resource in custom::resources(definition) {
            writer.open(&resource.collection);
            let versions = groups.entry(resource.group.clone()).or_default();
            versions
                .entry(resource.version.clone())
                .or_default()
                .insert(resource.plural.clone(), Arc::new(resource));
        }
    }
    api.serve(groups);
}

/// Writes a new status, owned by the server itself.
fn store(writer: &Writer<'_>, key: &str, old: &Value, mut new: Value) {
    if let Some(t) = resource().builtin() {
        let author = Author {
            manager: "kube-apiserver".into(),
            api_version: resource().api_version(),
            subresource: "status".into(),
            now: meta::now(),
            ignored: Err("status"),
        };
        fields::update(t.node(), old, &mut new, &author, false);
    }
    writer.put(&resource().collection, key, new);
}

fn conditions(definition: &Value) -> Vec<Value> {
    definition["status"]["conditions"].as_array().cloned().unwrap_or_default()
}

/// Sets a condition; its time moves only when its status does.
fn condition(definition: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let mut list = conditions(definition);
    let time = meta::now();
    match list.iter_mut().find(|c| c["type"] == kind) {
        Some(found) => {
            if found["status"] != status {
                found["lastTransitionTime"] = json!(time);
            }
            found["status"] = json!(status);
            found["reason"] = json!(reason);
            found["message"] = json!(message);
        }
        None => list.push(json!({
            "type": kind, "status": status, "lastTransitionTime": time, "reason": reason, "message": message,
        })),
    }
    definition["status"]["conditions"] = Value::Array(list);
}
