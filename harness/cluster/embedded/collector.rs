//! What the controller manager does for clients: garbage collection by owner references, and the end of namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::Api;
use super::delete::{self, Options};
use super::kinds::{Resource, builtins};
use super::meta;
use super::write;

/// Writes come in bursts; a round waits this long for the burst to end.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until the server stops.
pub(super) async fn run(api: Arc<Api>) {
    let mut stop = api.stopped();
    let mut revisions = api.store().revisions();
    let mut collector = Collector::default();
    loop {
        tokio::select! {
            changed = revisions.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = super::api::ended(&mut stop) => return,
        }
        tokio::time::sleep(PAUSE).await;
        revisions.borrow_and_update();
        collector.round(&api);
    }
}

/// An object as garbage collection sees it.
#[derive(Debug)]
struct Node {
    resource: Arc<Resource>,
    key: Arc<str>,
    namespace: String,
    owners: Vec<(String, bool)>,
    foreground: bool,
    orphan: bool,
}

/// A collection and a key.
type Place = (Arc<str>, Arc<str>);
/// The revision that was looked at, the uid, and what matters of the object.
type Seen = (u64, String, Arc<Node>);

#[derive(Debug, Default)]
struct Collector {
    /// What was parsed last time, by collection and key: revision and node.
    seen: BTreeMap<Place, Seen>,
}

fn resources(api: &Api) -> Vec<Arc<Resource>> {
    let mut all: BTreeMap<Arc<str>, Arc<Resource>> = BTreeMap::new();
    for resource in builtins()
        .resources
        .values()
        .flat_map(BTreeMap::values)
        .filter(|resource| !resource.traits.review)
    {
        all.entry(Arc::clone(&resource.collection)).or_insert_with(|| Arc::clone(resource));
    }
    for resource in api.custom().values().flat_map(BTreeMap::values).flat_map(BTreeMap::values) {
        all.entry(Arc::clone(&resource.collection)).or_insert_with(|| Arc::clone(resource));
    }
    all.into_values().collect()
}

impl Collector {
    fn round(&mut self, api: &Api) {
        self.look(api);
        self.collect(api);
        end_namespaces(api);
    }

    /// Takes in what has changed since the last round.
    fn look(&mut self, api: &Api) {
        let mut seen = BTreeMap::new();
        for resource in resources(api) {
            let objects: Vec<(Arc<str>, Arc<super::store::Stored>)> = {
                let state = api.store().read();
                state
                    .range(&resource.collection, "", None)
                    .map(|(key, stored)| (Arc::clone(key), Arc::clone(stored)))
                    .collect()
            };
            for (key, stored) in objects {
                let id = (Arc::clone(&resource.collection), Arc::clone(&key));
                let entry = match self.seen.remove(&id) {
                    Some(known) if known.0 == stored.revision => known,
                    _ => {
                        let object = stored.value();
                        let uid = meta::text(&object, "uid").to_owned();
                        (stored.revision, uid, Arc::new(node(&resource, &key, &object)))
                    }
                };
                seen.insert(id, entry);
            }
        }
        self.seen = seen;
    }

    fn collect(&self, api: &Api) {
        let uids: BTreeMap<&str, &Arc<Node>> =
            self.seen.values().map(|(_, uid, node)| (uid.as_str(), node)).collect();
        let mut dependents: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
        for (_, uid, node) in self.seen.values() {
            for (owner, blocks) in &node.owners {
                dependents.entry(owner).or_default().push((uid, *blocks));
            }
        }
        let mut touched = BTreeSet::new();
        for (_, uid, node) in self.seen.values() {
            let own = dependents.get(uid.as_str()).map_or(&[][..], Vec::as_slice);
            if node.orphan {
                for (dependent, _) in own {
                    if let Some(found) = uids.get(dependent) {
                        release(api, found, uid);
                    }
                }
                finish(api, node, "orphan");
                touched.insert(uid.as_str());
            } else if node.foreground {
                for (dependent, _) in own {
                    if let Some(found) = uids.get(dependent) {
                        remove(api, found, "Foreground");
                    }
                }
                if !own.iter().any(|(_, blocks)| *blocks) {
                    finish(api, node, "foregroundDeletion");
                }
                touched.insert(uid.as_str());
            }
        }
        for (_, uid, node) in self.seen.values() {
            let orphaned = !node.owners.is_empty()
                && !node.owners.iter().any(|(owner, _)| lives(&uids, node, owner));
            if orphaned && !touched.contains(uid.as_str()) {
                remove(api, node, "Background");
            }
        }
    }
}

/// Whether an owner is there, where the dependent can have it: cluster-wide or in the same namespace.
fn lives(uids: &BTreeMap<&str, &Arc<Node>>, node: &Node, owner: &str) -> bool {
    uids.get(owner)
        .is_some_and(|owner| owner.namespace.is_empty() || owner.namespace == node.namespace)
}

fn node(resource: &Arc<Resource>, key: &Arc<str>, object: &Value) -> Node {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let terminating = meta::is_terminating(object);
    let finalizers = meta::finalizers(object);
    Node {
        resource: Arc::clone(resource),
        key: Arc::clone(key),
        namespace: meta::text(object, "namespace").to_owned(),
        owners: owners
            .filter_map(|owner| {
                owner["uid"]
                    .as_str()
                    .map(|uid| (uid.to_owned(), owner["blockOwnerDeletion"] == true))
            })
            .collect(),
        foreground: terminating && finalizers.contains(&"foregroundDeletion"),
        orphan: terminating && finalizers.contains(&"orphan"),
    }
}

fn remove(api: &Api, node: &Node, policy: &str) {
    let writer = api.store().write();
    // An object that has gone in the meantime needs no deletion.
    let removed =
        delete::remove(api, &writer, &node.resource, &node.key, &Options::with_policy(policy));
    drop(writer);
    if removed.is_ok() {
        write::follow(api, &node.resource);
    }
}

/// Takes an owner off a dependent.
fn release(api: &Api, node: &Node, owner: &str) {
    let writer = api.store().write();
    let Some(stored) = writer.get(&node.resource.collection, &node.key) else { return };
    let mut object = stored.value();
    let meta = meta::of(&mut object);
    if let Some(list) = meta.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        list.retain(|one| one["uid"] != owner);
        if list.is_empty() {
            meta.remove("ownerReferences");
        }
        writer.put(&node.resource.collection, &node.key, object);
    }
}

/// Takes a finalizer off, and the object away when that was the last one.
fn finish(api: &Api, node: &Node, finalizer: &str) {
    let writer = api.store().write();
    let Some(stored) = writer.get(&node.resource.collection, &node.key) else { return };
    let mut object = stored.value();
    let left: Vec<String> = meta::finalizers(&object)
        .into_iter()
        .filter(|one| *one != finalizer)
        .map(str::to_owned)
        .collect();
    if left.is_empty() {
        writer.delete(&node.resource.collection, &node.key);
        drop(writer);
        write::follow(api, &node.resource);
        return;
    }
    meta::of(&mut object).insert("finalizers".into(), left.into());
    writer.put(&node.resource.collection, &node.key, object);
}

/// Empties namespaces that are going, and lets them go when they are empty.
fn end_namespaces(api: &Api) {
    let ending: Vec<String> = {
        let state = api.store().read();
        let all = state.range("/namespaces", "", None);
        all.filter(|(_, stored)| meta::is_terminating(&stored.value()))
            .map(|(key, _)| key.to_string())
            .collect()
    };
    for namespace in ending {
        let prefix = format!("{namespace}/");
        let mut left = 0;
        for resource in resources(api).iter().filter(|resource| resource.namespaced) {
            let keys: Vec<Arc<str>> = api
                .store()
                .read()
                .range(&resource.collection, &prefix, None)
                .map(|(key, _)| Arc::clone(key))
                .collect();
            for key in keys {
                let writer = api.store().write();
                let _ = delete::remove(
                    api,
                    &writer,
                    resource,
                    &key,
                    &Options::with_policy("Background"),
                );
                left += usize::from(writer.get(&resource.collection, &key).is_some());
            }
            write::follow(api, resource);
        }
        if left > 0 {
            continue;
        }
        let writer = api.store().write();
        let collection: Arc<str> = "/namespaces".into();
        let Some(stored) = writer.get(&collection, &namespace) else { continue };
        let mut object = stored.value();
        if meta::finalizers(&object).is_empty() {
            writer.delete(&collection, &namespace);
        } else if object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty()) {
            object["spec"] = serde_json::json!({});
            writer.put(&collection, &namespace, object);
        }
    }
}
