//! What the controller manager does for clients: garbage collection by owner references, and the end of namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::{self, Api};
use super::delete::{self, Options};
use super::kinds::{Resource, builtins};
use super::meta;
use super::store::{Found, Stored};
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
            () = api::ended(&mut stop) => return,
        }
        tokio::time::sleep(PAUSE).await;
        revisions.borrow_and_update();
        if collector.look(&api) {
            collector.collect(&api);
        }
        end_namespaces(&api);
    }
}

/// A collection and a key.
type Place = (Arc<str>, Arc<str>);

/// An object that owns, is owned, or waits for those that it owns.
#[derive(Debug, Clone)]
struct Node {
    resource: Arc<Resource>,
    key: Arc<str>,
    uid: String,
    namespace: String,
    owners: Vec<(String, bool)>,
    foreground: bool,
    orphan: bool,
}

#[derive(Debug, Default)]
struct Collector {
    /// How far the log of each collection was read.
    cursors: BTreeMap<Arc<str>, u64>,
    /// Who lives, and where.
    living: BTreeMap<String, Arc<Node>>,
    /// The uid of what is at a place.
    places: BTreeMap<Place, String>,
    /// Uids of objects that have owners or wait for their dependents.
    bound: BTreeSet<String>,
}

fn resources(api: &Api) -> Vec<Arc<Resource>> {
    let mut all: BTreeMap<Arc<str>, Arc<Resource>> = BTreeMap::new();
    let builtins = builtins().resources.values().flat_map(BTreeMap::values);
    for resource in builtins.filter(|resource| !resource.traits.review) {
        all.entry(Arc::clone(&resource.collection)).or_insert_with(|| Arc::clone(resource));
    }
    for resource in api.custom().values().flat_map(BTreeMap::values).flat_map(BTreeMap::values) {
        all.entry(Arc::clone(&resource.collection)).or_insert_with(|| Arc::clone(resource));
    }
    all.into_values().collect()
}

impl Collector {
    /// Takes in what has happened since the last round; tells whether something may have to be collected.
    fn look(&mut self, api: &Api) -> bool {
        let resources = resources(api);
        let mut concerned = false;
        let known: BTreeSet<&Arc<str>> =
            resources.iter().map(|resource| &resource.collection).collect();
        let gone: Vec<Arc<str>> =
            self.cursors.keys().filter(|one| !known.contains(one)).cloned().collect();
        for collection in gone {
            self.cursors.remove(&collection);
            concerned |= self.forget_collection(&collection);
        }
        for resource in &resources {
            let Some(feed) = api.store().read().feed(&resource.collection) else { continue };
            let from = self.cursors.get(&resource.collection).copied();
            let found = from.map(|from| feed.after(from, usize::MAX));
            match found {
                Some(Found::Events(events)) => {
                    for event in events {
                        self.cursors.insert(Arc::clone(&resource.collection), event.revision);
                        concerned |= self.note(resource, &event.key, event.new.as_ref());
                    }
                }
                Some(Found::End) => {}
                // Never looked at, or the log has moved on: everything is looked at.
                None | Some(Found::TooOld(_)) => {
                    self.forget_collection(&resource.collection);
                    concerned = true;
                    let (revision, objects): (u64, Vec<_>) = {
                        let state = api.store().read();
                        let all = state.range(&resource.collection, "", None);
                        (
                            state.revision,
                            all.map(|(key, stored)| (Arc::clone(key), Arc::clone(stored)))
                                .collect(),
                        )
                    };
                    for (key, stored) in objects {
                        self.note(resource, &key, Some(&stored));
                    }
                    self.cursors.insert(Arc::clone(&resource.collection), revision);
                }
            }
        }
        concerned
    }

    fn forget_collection(&mut self, collection: &Arc<str>) -> bool {
        let places: Vec<Place> =
            self.places.keys().filter(|(own, _)| own == collection).cloned().collect();
        for place in &places {
            self.forget(place);
        }
        !places.is_empty()
    }

    fn forget(&mut self, place: &Place) -> bool {
        let Some(uid) = self.places.remove(place) else { return false };
        self.living.remove(&uid);
        self.bound.remove(&uid);
        true
    }

    /// Notes a new state; tells whether it may have to be acted upon.
    fn note(
        &mut self,
        resource: &Arc<Resource>,
        key: &Arc<str>,
        new: Option<&Arc<Stored>>,
    ) -> bool {
        let place = (Arc::clone(&resource.collection), Arc::clone(key));
        let Some(new) = new else {
            // The death of an owner concerns only those that have one.
            return self.forget(&place) && !self.bound.is_empty();
        };
        let node = node(resource, key, &new.value());
        if self.places.get(&place).is_some_and(|uid| *uid != node.uid) {
            self.forget(&place);
        }
        let concerned = !node.owners.is_empty() || node.foreground || node.orphan;
        if concerned {
            self.bound.insert(node.uid.clone());
        } else {
            self.bound.remove(&node.uid);
        }
        self.places.insert(place, node.uid.clone());
        self.living.insert(node.uid.clone(), Arc::new(node));
        concerned
    }

    fn collect(&self, api: &Api) {
        let bound: Vec<&Arc<Node>> =
            self.bound.iter().filter_map(|uid| self.living.get(uid)).collect();
        let mut dependents: BTreeMap<&str, Vec<(&Arc<Node>, bool)>> = BTreeMap::new();
        for node in &bound {
            for (owner, blocks) in &node.owners {
                dependents.entry(owner).or_default().push((node, *blocks));
            }
        }
        for node in &bound {
            let own = dependents.get(node.uid.as_str()).map_or(&[][..], Vec::as_slice);
            if node.orphan {
                for (dependent, _) in own {
                    release(api, dependent, &node.uid);
                }
                finish(api, node, "orphan");
            } else if node.foreground {
                for (dependent, _) in own {
                    remove(api, dependent, "Foreground");
                }
                if !own.iter().any(|(_, blocks)| *blocks) {
                    finish(api, node, "foregroundDeletion");
                }
            } else if !node.owners.is_empty()
                && !node.owners.iter().any(|(owner, _)| self.lives(node, owner))
            {
                remove(api, node, "Background");
            }
        }
    }

    /// Whether an owner is there, where the dependent can have it: cluster-wide or in the same namespace.
    fn lives(&self, node: &Node, owner: &str) -> bool {
        self.living
            .get(owner)
            .is_some_and(|owner| owner.namespace.is_empty() || owner.namespace == node.namespace)
    }
}

fn node(resource: &Arc<Resource>, key: &Arc<str>, object: &Value) -> Node {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let terminating = meta::is_terminating(object);
    let finalizers = meta::finalizers(object);
    Node {
        resource: Arc::clone(resource),
        key: Arc::clone(key),
        uid: meta::text(object, "uid").to_owned(),
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
    // An object that has gone in the meantime, or is another one now, is not ours to delete.
    let options = Options::of(policy, &node.uid);
    let removed = delete::remove(api, &writer, &node.resource, &node.key, &options);
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
    if meta::text(&object, "uid") != node.uid {
        return;
    }
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
    if left.len() < meta::finalizers(&object).len() {
        meta::of(&mut object).insert("finalizers".into(), left.into());
        writer.put(&node.resource.collection, &node.key, object);
    }
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
                // What has a finalizer stays for now; the next write makes another round.
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
