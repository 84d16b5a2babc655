//! Follows the objects that matter by watch, from a known version on, and writes every revision down.
//!
//! It talks to the cluster itself, never through the gateway, so no fault can blind it. When it
//! could have missed something it says so, and the run has no verdict.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::journal::{Journal, ObjectChange, ObjectRef, RecorderEvent, Revision, SecretValue};
use crate::pki;

/// Why the recorder cannot begin or finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The cluster refused a list.
    #[error("the `{kind}` objects of the cluster cannot be listed")]
    List {
        /// Which kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The watches did not catch up with the cluster in time.
    #[error("the recorder did not see `{missing}` within {}", humantime(*.waited))]
    Behind {
        /// The first object whose last version was not seen.
        missing: String,
        /// How long it waited.
        waited: Duration,
    },
}

/// Watches CompassConnections, Applications and Secrets of one cluster.
#[derive(Debug)]
pub struct Recorder {
    followed: Vec<Followed>,
    seen: Seen,
    // Aborted on drop.
    watches: JoinSet<()>,
}

/// One kind and the way to ask for it.
#[derive(Debug, Clone)]
struct Followed {
    kind: &'static str,
    api: Api<DynamicObject>,
}

impl Recorder {
    /// Lists what is there, opens the watches, and returns when nothing later can be missed.
    ///
    /// `certificate_secrets` (namespace, name) are the Secrets whose revisions must stand in the
    /// journal before that of a CompassConnection that was written after them.
    ///
    /// # Errors
    ///
    /// [`RecorderError::List`] when the cluster does not answer or does not know a kind.
    pub async fn start(
        client: &Client,
        certificate_secrets: &[(String, String)],
        journal: &Journal,
    ) -> Result<Self, RecorderError> {
        let followed = [
            ("compass.kyma-project.io", "v1alpha1", "CompassConnection"),
            ("applicationconnector.kyma-project.io", "v1alpha1", "Application"),
            ("", "v1", "Secret"),
        ]
        .map(|(group, version, kind)| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            Followed { kind, api: Api::all_with(client.clone(), &resource) }
        });
        let writer = Writer {
            journal: journal.clone(),
            seen: Seen::default(),
            salt: rand::random(),
            fence: certificate_secrets
                .iter()
                .map(|(namespace, name)| (Api::namespaced(client.clone(), namespace), name.clone()))
                .collect(),
        };
        let mut watches = JoinSet::new();
        for one in &followed {
            let version = writer.record_existing(one).await?;
            watches.spawn(writer.clone().follow(one.clone(), version));
        }
        journal.record(RecorderEvent::Watching {
            kinds: followed.iter().map(|one| one.kind.to_owned()).collect(),
        });
        Ok(Self { followed: followed.into(), seen: writer.seen, watches })
    }

    /// Waits until the journal holds the last version of every object that is in the cluster now.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Behind`] when that takes longer than `limit`.
    pub async fn settle(&self, limit: Duration) -> Result<(), RecorderError> {
        let deadline = tokio::time::Instant::now() + limit;
        for one in &self.followed {
            let list = one
                .api
                .list(&ListParams::default())
                .await
                .map_err(|source| RecorderError::List { kind: one.kind, source })?;
            let now: BTreeMap<ObjectRef, u64> = list
                .items
                .iter()
                .map(|object| (reference(one.kind, object), version_of(object)))
                .collect();
            let mut missing = None;
            let caught_up = self.seen.wait(|seen| {
                let late = now.iter().find(|(object, version)| seen.get(object) < Some(version));
                // What the watch still believes to exist and the list does not have is a deletion on its way.
                let gone = seen
                    .iter()
                    .find(|(object, version)| {
                        object.kind == one.kind && **version > 0 && !now.contains_key(object)
                    })
                    .map(|(object, _)| object);
                missing = late.map(|(object, _)| object).or(gone).map(|object| object.name.clone());
                missing.is_none()
            });
            if tokio::time::timeout_at(deadline, caught_up).await.is_err() {
                let missing = format!("{} {}", one.kind, missing.unwrap_or_default());
                return Err(RecorderError::Behind { missing, waited: limit });
            }
        }
        Ok(())
    }

    /// Ends the watches.
    pub async fn stop(mut self) {
        self.watches.shutdown().await;
    }
}

/// The last version of each object that stands in the journal; 0 for one that was deleted.
#[derive(Debug, Clone, Default)]
struct Seen {
    versions: Arc<Mutex<BTreeMap<ObjectRef, u64>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Seen {
    fn note(&self, object: ObjectRef, version: u64) {
        self.versions().insert(object, version);
        self.changed.send_replace(());
    }

    async fn wait(&self, mut holds: impl FnMut(&BTreeMap<ObjectRef, u64>) -> bool) {
        let mut changed = self.changed.subscribe();
        while !holds(&self.versions()) {
            // The sender lives in `self`, so waiting ends only with news.
            let _ = changed.changed().await;
        }
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, u64>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a watch needs to write revisions down.
#[derive(Debug, Clone)]
struct Writer {
    journal: Journal,
    seen: Seen,
    /// Keeps digests of Secret values from being guessed outside this run.
    salt: [u8; 32],
    fence: Vec<(Api<Secret>, String)>,
}

impl Writer {
    async fn record_existing(&self, one: &Followed) -> Result<String, RecorderError> {
        let list = one
            .api
            .list(&ListParams::default())
            .await
            .map_err(|source| RecorderError::List { kind: one.kind, source })?;
        for object in list.items {
            self.record(one.kind, ObjectChange::Added, object);
        }
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    /// Follows one kind until its task is aborted or the past is lost.
    async fn follow(self, one: Followed, mut version: String) {
        let params = WatchParams::default();
        let mut failures = 0_u32;
        loop {
            match one.api.watch(&params, &version).await {
                Ok(events) => {
                    pin_mut!(events);
                    while let Some(event) = events.next().await {
                        let (change, object) = match event {
                            Ok(WatchEvent::Added(object)) => (ObjectChange::Added, object),
                            Ok(WatchEvent::Modified(object)) => (ObjectChange::Modified, object),
                            Ok(WatchEvent::Deleted(object)) => (ObjectChange::Deleted, object),
                            Ok(WatchEvent::Bookmark(bookmark)) => {
                                version = bookmark.metadata.resource_version;
                                continue;
                            }
                            Ok(WatchEvent::Error(status)) if status.code == 410 => {
                                return self.lost(
                                    &one,
                                    "the cluster forgot the versions in between (410)",
                                );
                            }
                            // Cut or refused: the next watch goes on where this one ended.
                            Ok(WatchEvent::Error(_)) | Err(_) => break,
                        };
                        failures = 0;
                        version = object.resource_version().unwrap_or_default();
                        if one.kind == "CompassConnection" && change != ObjectChange::Deleted {
                            self.wait_for_secrets().await;
                        }
                        self.record(one.kind, change, object);
                    }
                }
                Err(_) => failures += 1,
            }
            if failures > 100 {
                return self.lost(&one, "the cluster refused 100 watches in a row");
            }
        }
    }

    /// Puts Secrets before the CompassConnection that speaks of them, though two watches bring them.
    async fn wait_for_secrets(&self) {
        for (api, name) in &self.fence {
            let Ok(found) = api.get_metadata_opt(name).await else { continue };
            let object = ObjectRef {
                kind: "Secret".into(),
                namespace: api.namespace().map(Into::into),
                name: name.clone(),
            };
            let version =
                found.and_then(|secret| secret.resource_version()).map_or(0, |text| parse(&text));
            self.seen
                .wait(|seen| match seen.get(&object) {
                    _ if version == 0 => seen.get(&object).is_none_or(|seen| *seen == 0),
                    seen => seen >= Some(&version),
                })
                .await;
        }
    }

    fn record(&self, kind: &'static str, change: ObjectChange, object: DynamicObject) {
        let reference = reference(kind, &object);
        let version = if change == ObjectChange::Deleted { 0 } else { version_of(&object) };
        let resource_version = object.resource_version().unwrap_or_default();
        let uid = object.uid().unwrap_or_default();
        let mut content = serde_json::to_value(object).unwrap_or_default();
        let secret =
            if kind == "Secret" { self.take_values(&mut content) } else { BTreeMap::new() };
        self.journal.record(Revision {
            object: reference.clone(),
            change,
            resource_version,
            uid,
            content,
            secret,
        });
        self.seen.note(reference, version);
    }

    /// Removes the values of a Secret and returns what may be said of them.
    fn take_values(&self, content: &mut Value) -> BTreeMap<String, SecretValue> {
        let Some(fields) = content.as_object_mut() else { return BTreeMap::new() };
        fields.remove("stringData");
        let Some(Value::Object(values)) = fields.remove("data") else { return BTreeMap::new() };
        // The last-applied annotation of `kubectl apply` repeats the values.
        if let Some(Value::Object(annotations)) = content.pointer_mut("/metadata/annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        values
            .into_iter()
            .map(|(key, value)| {
                let value = value.as_str().unwrap_or_default();
                let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, value)
                    .unwrap_or_else(|_| value.as_bytes().to_vec());
                (key, self.describe(&bytes))
            })
            .collect()
    }

    fn describe(&self, value: &[u8]) -> SecretValue {
        self.hide_private_key(value);
        let digest = Sha256::new().chain_update(self.salt).chain_update(value).finalize();
        SecretValue {
            digest: hex::encode(&digest[..8]),
            certificates: pki::certificates_in(value),
            private_key_of: pki::private_key_of(value),
        }
    }

    /// A private key has no place but its Secret (SEC-03, STAT-09): line by line, however it is quoted.
    fn hide_private_key(&self, value: &[u8]) {
        /// Armour and a short last line are no secrets.
        const SHORTEST: usize = 32;
        let text = String::from_utf8_lossy(value);
        if !text.contains("PRIVATE KEY-----") {
            return;
        }
        for line in text.lines().map(str::trim) {
            if line.len() >= SHORTEST && !line.starts_with("-----") {
                self.journal.hide(line);
            }
        }
    }

    fn lost(&self, one: &Followed, reason: &str) {
        self.journal.record(RecorderEvent::Lost { reason: format!("{}: {reason}", one.kind) });
    }
}

fn reference(kind: &str, object: &DynamicObject) -> ObjectRef {
    ObjectRef { kind: kind.into(), namespace: object.namespace(), name: object.name_any() }
}

fn version_of(object: &DynamicObject) -> u64 {
    object.resource_version().map_or(0, |version| parse(&version))
}

/// Resource versions are compared as integers, as clients may since Kubernetes 1.35.
fn parse(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

fn humantime(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::Action;

    #[test]
    fn a_private_key_is_known_as_a_secret_once_it_was_stored() {
        let journal = Journal::new();
        let writer = Writer {
            journal: journal.clone(),
            seen: Seen::default(),
            salt: [0; 32],
            fence: Vec::new(),
        };
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{line}\nQ==\n-----END PRIVATE KEY-----\n");
        let data = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, pem);
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"},
            "data": {"key": data},
        });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        writer.record("Secret", ObjectChange::Added, object);
        journal.record(Action { text: format!("an error that quotes {line}") });
        let text = format!("{:?}", journal.snapshot());
        assert!(!text.contains(line) && text.contains("quotes [hidden]"), "{text}");
    }
}
