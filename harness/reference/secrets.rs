//! The three Secrets of the connection: read the configuration, keep the credentials.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use super::cluster::{Cluster, ClusterError, version};
use super::credentials::{Credentials, CredentialsError, stored_ca};
use super::environment::Environment;
use super::resource::ManagementInfo;

/// Where the credentials are good for; kept with them so that a crash before the CompassConnection
/// is written loses nothing (RES-02).
const CONNECTOR_URL: &str = "compass.kyma-project.io/connector-url";
const DIRECTOR_URL: &str = "compass.kyma-project.io/director-url";
/// Digest of the one-time token that was spent for them, to know a fresh one when there is one.
const PAIRED_WITH: &str = "compass.kyma-project.io/paired-with";

/// The configuration Secret; a key that is missing is empty.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) connector_url: String,
    pub(super) token: String,
    pub(super) runtime_id: String,
    pub(super) tenant: String,
    pub(super) version: u64,
}

/// Why the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigurationError {
    #[error("there is no such Secret")]
    Missing,
    #[error("the Secret cannot be read")]
    Cluster(#[source] ClusterError),
    #[error("`{0}` is no text")]
    NoText(&'static str),
}

/// Why credentials were not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("Failed to preserve client certificate and key in secret")]
    Client(#[source] ClusterError),
    #[error("Failed to preserve CA certificate in secret")]
    Ca(#[source] ClusterError),
}

/// What belongs to credentials but is not in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Provenance {
    pub(super) management_info: ManagementInfo,
    /// Digest of the token, empty when it is not known.
    pub(super) paired_with: String,
}

/// The two certificate Secrets as they are.
pub(super) struct Stored {
    pub(super) credentials: Result<Credentials, CredentialsError>,
    pub(super) provenance: Provenance,
    /// Whether the CA Secret holds a CA.
    pub(super) has_ca: bool,
}

/// The revisions of the watched Secrets that were looked at last; zero for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) configuration: u64,
    pub(super) client: u64,
    pub(super) ca: u64,
}

impl Versions {
    /// Whether one of these is newer than its counterpart.
    pub(super) fn any_newer_than(&self, other: &Self) -> bool {
        self.configuration > other.configuration || self.client > other.client || self.ca > other.ca
    }

    /// Takes the newer one of each.
    pub(super) fn raise(&mut self, other: Self) {
        self.configuration = self.configuration.max(other.configuration);
        self.client = self.client.max(other.client);
        self.ca = self.ca.max(other.ca);
    }
}

/// Tells one token from another without keeping it (SEC-04).
pub(super) fn token_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

impl Cluster {
    /// Reads the configuration Secret, afresh each time (CONN-09, SYNC-11).
    pub(super) async fn configuration(
        &self,
        environment: &Environment,
    ) -> Result<Configuration, ConfigurationError> {
        let secret = self
            .secret(&environment.configuration_secret)
            .await
            .map_err(ConfigurationError::Cluster)?
            .ok_or(ConfigurationError::Missing)?;
        let data = secret.data.as_ref();
        let value = |key: &'static str| {
            let bytes = data.and_then(|data| data.get(key)).map(|value| value.0.clone());
            String::from_utf8(bytes.unwrap_or_default())
                .map_err(|_| ConfigurationError::NoText(key))
        };
        Ok(Configuration {
            connector_url: value("CONNECTOR_URL")?,
            token: value("TOKEN")?,
            runtime_id: value("RUNTIME_ID")?,
            tenant: value("TENANT")?,
            version: version(&secret),
        })
    }

    /// Reads both certificate Secrets.
    pub(super) async fn stored(&self, environment: &Environment) -> Result<Stored, ClusterError> {
        let ca_secret = self.secret(&environment.ca_secret).await?;
        let client_secret = self.secret(&environment.client_secret).await?;
        let ca = ca_secret.as_ref().and_then(|secret| secret.data.as_ref()).and_then(stored_ca);
        let has_ca = ca.is_some();
        let data = client_secret.as_ref().and_then(|secret| secret.data.clone());
        Ok(Stored {
            credentials: Credentials::stored(&data.unwrap_or_default(), ca),
            provenance: client_secret.as_ref().map(provenance).unwrap_or_default(),
            has_ca,
        })
    }

    /// Keeps credentials: first key, certificate and chain in one write (CERT-05), then the CA.
    ///
    /// When the CA cannot be kept, `before` is put back, so that a failed renewal leaves the Secrets
    /// as they were (CERT-07).
    pub(super) async fn store(
        &self,
        environment: &Environment,
        credentials: &Credentials,
        provenance: &Provenance,
        before: Option<&Credentials>,
    ) -> Result<Versions, StoreError> {
        let client = self
            .store_client(environment, credentials, provenance)
            .await
            .map_err(StoreError::Client)?;
        match self.store_ca(environment, credentials).await {
            Ok(ca) => Ok(Versions { configuration: 0, client, ca }),
            Err(error) => {
                if let Some(before) = before {
                    let restored = self.store_client(environment, before, provenance).await;
                    if let Err(error) = restored {
                        let error = super::chain::chain(&error);
                        tracing::warn!(error, "the old client certificate could not be put back");
                    }
                }
                Err(StoreError::Ca(error))
            }
        }
    }

    /// Keeps key, certificate and chain.
    pub(super) async fn store_client(
        &self,
        environment: &Environment,
        credentials: &Credentials,
        provenance: &Provenance,
    ) -> Result<u64, ClusterError> {
        let annotations = BTreeMap::from([
            (CONNECTOR_URL.into(), provenance.management_info.connector_url.clone()),
            (DIRECTOR_URL.into(), provenance.management_info.director_url.clone()),
            (PAIRED_WITH.into(), provenance.paired_with.clone()),
        ]);
        self.put_secret(&environment.client_secret, &credentials.client_secret(), &annotations)
            .await
    }

    /// Keeps the CA certificate, when it is known.
    pub(super) async fn store_ca(
        &self,
        environment: &Environment,
        credentials: &Credentials,
    ) -> Result<u64, ClusterError> {
        let data: BTreeMap<String, ByteString> = match credentials.ca_secret() {
            Some(data) => data,
            None => return Ok(0),
        };
        self.put_secret(&environment.ca_secret, &data, &BTreeMap::new()).await
    }
}

fn provenance(secret: &Secret) -> Provenance {
    let note = |key: &str| secret.annotations().get(key).cloned().unwrap_or_default();
    Provenance {
        management_info: ManagementInfo {
            connector_url: note(CONNECTOR_URL),
            director_url: note(DIRECTOR_URL),
        },
        paired_with: note(PAIRED_WITH),
    }
}
