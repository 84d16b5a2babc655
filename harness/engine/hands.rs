//! Other hands in the cluster: what a scenario does to objects itself, past the gateway.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::access::Access;
use crate::agent::{AgentFile, ConfigurationValue, SecretName, Secrets};
use crate::scenario::words::{Flag, ObjectWord};

/// Who we are to the cluster.
const FIELD_MANAGER: &str = "compass-harness";
/// The name that agents give their CompassConnection.
pub(super) const CONNECTION: &str = "compass-connection";

/// Writes to the cluster as somebody else than the agent.
#[derive(Clone)]
pub struct Hands {
    client: Client,
    connections: Api<DynamicObject>,
    secrets: Secrets,
}

/// The cluster refused.
#[derive(Debug, thiserror::Error)]
#[error("`{object}` cannot be {done}")]
pub struct HandsError {
    object: String,
    done: &'static str,
    #[source]
    source: kube::Error,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl Hands {
    pub(super) fn new(client: Client, agent: &AgentFile) -> Self {
        let kind =
            GroupVersionKind::gvk("compass.kyma-project.io", "v1alpha1", "CompassConnection");
        let connections = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        Self { client, connections, secrets: agent.spec.secrets.clone() }
    }

    /// Makes the agent's namespaces and its configuration Secret.
    pub(super) async fn configure(&self, access: &Access, token: &str) -> Result<(), HandsError> {
        let configuration = &self.secrets.agent_configuration;
        let names =
            [&self.secrets.client_certificate, &self.secrets.ca_certificate, &configuration.name];
        for name in names {
            self.ensure_namespace(&name.namespace).await?;
        }
        let data = configuration.keys.iter().map(|(key, value)| {
            let text = match value {
                ConfigurationValue::ConnectorUrl => access.compass.token_connector.clone(),
                ConfigurationValue::Token => token.to_owned(),
                ConfigurationValue::RuntimeId => access.runtime_id.clone(),
                ConfigurationValue::Tenant => access.tenant.clone(),
            };
            (key.clone(), ByteString(text.into_bytes()))
        });
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(configuration.name.name.clone()),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..Secret::default()
        };
        let created =
            self.secret_api(&configuration.name).create(&PostParams::default(), &secret).await;
        created.map(drop).map_err(|source| failed(&configuration.name, "created", source))
    }

    /// Puts a token where the agent reads it.
    pub(super) async fn hand_over(&self, token: String) -> Result<(), HandsError> {
        let configuration = &self.secrets.agent_configuration;
        let keys =
            configuration.keys.iter().filter(|(_, value)| **value == ConfigurationValue::Token);
        let data: BTreeMap<_, _> =
            keys.map(|(key, _)| (key.clone(), ByteString(token.clone().into_bytes()))).collect();
        let patch = Patch::Merge(json!({ "data": data }));
        let api = self.secret_api(&configuration.name);
        let patched =
            api.patch(&configuration.name.name, &PatchParams::apply(FIELD_MANAGER), &patch).await;
        patched.map(drop).map_err(|source| failed(&configuration.name, "changed", source))
    }

    /// Sets flags in the CompassConnection.
    ///
    /// # Errors
    ///
    /// [`HandsError`] when the cluster refuses, for example because there is none.
    pub async fn ask(&self, flags: &[Flag]) -> Result<(), HandsError> {
        let spec: BTreeMap<_, _> = flags.iter().map(|flag| (flag.field(), true)).collect();
        self.patch_connection(json!({ "spec": spec })).await
    }

    /// Sets labels and annotations of the CompassConnection.
    pub(super) async fn mark(
        &self,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), HandsError> {
        self.patch_connection(
            json!({ "metadata": { "labels": labels, "annotations": annotations } }),
        )
        .await
    }

    /// Deletes an object; one that is not there is an error, since the step would have done nothing.
    pub(super) async fn delete(&self, object: ObjectWord) -> Result<(), HandsError> {
        let parameters = DeleteParams::default();
        let secret = match object {
            ObjectWord::CompassConnection => {
                let deleted = self.connections.delete(CONNECTION, &parameters).await;
                return deleted.map(drop).map_err(|source| failed(CONNECTION, "deleted", source));
            }
            ObjectWord::ClientCertificate => &self.secrets.client_certificate,
            ObjectWord::CaCertificate => &self.secrets.ca_certificate,
            ObjectWord::AgentConfiguration => &self.secrets.agent_configuration.name,
        };
        let deleted = self.secret_api(secret).delete(&secret.name, &parameters).await;
        deleted.map(drop).map_err(|source| failed(secret, "deleted", source))
    }

    async fn patch_connection(&self, patch: Value) -> Result<(), HandsError> {
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let patched = self.connections.patch(CONNECTION, &parameters, &Patch::Merge(patch)).await;
        patched.map(drop).map_err(|source| failed(CONNECTION, "changed", source))
    }

    async fn ensure_namespace(&self, name: &str) -> Result<(), HandsError> {
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        match Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created.map(drop).map_err(|source| failed(name, "created", source)),
        }
    }

    fn secret_api(&self, name: &SecretName) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &name.namespace)
    }
}

fn failed(object: impl ToString, done: &'static str, source: kube::Error) -> HandsError {
    HandsError { object: object.to_string(), done, source }
}
