//! Calls of the Kubernetes API with a time limit, repeated where that is safe and promising.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, PostParams};
use kube::{Client, ResourceExt};

use super::environment::ObjectName;
use super::resource::{self, NAME};

/// Longest wait for one answer. A server that hangs must not hang the agent (K8S-02).
const CALL: Duration = Duration::from_secs(15);
/// How often a call is tried that failed for no lasting reason.
const TRIES: u32 = 4;
/// First pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a write is tried against other writers.
const CONFLICTS: u32 = 20;

/// Why the cluster did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClusterError {
    #[error("{message}")]
    Refused { code: u16, message: String },
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TimeOut(Duration),
    #[error("the API server was not reached")]
    Unreachable(#[source] Box<kube::Error>),
    #[error("the object kept changing while it was written")]
    Contended,
}

impl ClusterError {
    pub(super) fn is_code(&self, expected: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == expected)
    }

    fn passes(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code >= 500 || *code == 429,
            Self::Unreachable(_) => true,
            // It took long enough already.
            Self::TimeOut(_) | Self::Contended => false,
        }
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Self::Refused { code: status.code, message: status.message }
            }
            error => Self::Unreachable(Box::new(error)),
        }
    }
}

/// One call, tried again when the reason of its failure may pass by itself.
///
/// The call is boxed, as the compiler cannot see through a closure's future that borrows that it may
/// move between threads.
pub(super) async fn calling<'a, T>(
    call: impl Fn() -> BoxFuture<'a, kube::Result<T>>,
) -> Result<T, ClusterError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match once(call()).await {
            Err(error) if error.passes() => tokio::time::sleep(pause).await,
            result => return result,
        }
        pause *= 2;
    }
    once(call()).await
}

/// One call, not repeated.
async fn once<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(ClusterError::TimeOut(CALL)),
    }
}

/// `metadata.resourceVersion` as the number that it is (Kubernetes: comparable since 1.35).
pub(super) fn version<K: kube::Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The objects that the connection lives in.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Cluster")
    }
}

impl Cluster {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn connections(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource::compass_connections())
    }

    pub(super) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A Secret, or none when there is none.
    pub(super) async fn secret(&self, name: &ObjectName) -> Result<Option<Secret>, ClusterError> {
        let api = self.secrets(&name.namespace);
        calling(|| api.get_opt(&name.name).boxed()).await
    }

    /// The CompassConnection as it is now, not as a watch saw it.
    pub(super) async fn connection(&self) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.connections();
        calling(|| api.get_opt(NAME).boxed()).await
    }

    /// Puts values into a Secret in one write, and leaves everything else in it as it is.
    ///
    /// Returns the version that it has then.
    pub(super) async fn put_secret(
        &self,
        name: &ObjectName,
        data: &BTreeMap<String, ByteString>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<u64, ClusterError> {
        let api = self.secrets(&name.namespace);
        for _ in 0..CONFLICTS {
            let found = self.secret(name).await?;
            let exists = found.is_some();
            let mut secret = found.unwrap_or_default();
            secret.metadata.name = Some(name.name.clone());
            secret.metadata.namespace = Some(name.namespace.clone());
            secret.data.get_or_insert_default().extend(data.clone());
            secret.annotations_mut().extend(annotations.clone());
            let parameters = PostParams::default();
            let written = if exists {
                calling(|| api.replace(&name.name, &parameters, &secret).boxed()).await
            } else {
                calling(|| api.create(&parameters, &secret).boxed()).await
            };
            match written {
                // Somebody wrote, made or removed it between the read and the write.
                Err(error) if error.is_code(409) || exists && error.is_code(404) => {}
                result => return result.map(|secret| version(&secret)),
            }
        }
        Err(ClusterError::Contended)
    }

    /// Writes the CompassConnection: `change` is applied to `base`, and after a conflict to the
    /// newest revision, so that neither side's change is lost (K8S-01) and nobody else is asked
    /// for anything again (K8S-07).
    ///
    /// Returns the object as it is then; none when it is gone or another one stands in its place.
    pub(super) async fn put_connection(
        &self,
        base: Option<DynamicObject>,
        change: impl Fn(&mut DynamicObject),
    ) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.connections();
        let parameters = PostParams::default();
        let uid = base.as_ref().and_then(ResourceExt::uid);
        let mut known = base;
        for _ in 0..CONFLICTS {
            let exists = known.is_some();
            let before = known.unwrap_or_else(resource::blank);
            let mut after = before.clone();
            change(&mut after);
            // STAT-11: what changes nothing is not written.
            if exists && after.data == before.data {
                return Ok(Some(before));
            }
            let written = if exists {
                calling(|| api.replace(NAME, &parameters, &after).boxed()).await
            } else {
                calling(|| api.create(&parameters, &after).boxed()).await
            };
            match written {
                Err(error) if error.is_code(409) => {}
                Err(error) if exists && error.is_code(404) => return Ok(None),
                result => return result.map(Some),
            }
            known = self.connection().await?;
            let replaced = known.as_ref().is_none_or(|found| found.uid() != uid);
            if uid.is_some() && replaced {
                return Ok(None);
            }
        }
        Err(ClusterError::Contended)
    }
}
