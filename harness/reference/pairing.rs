//! Pairing: from a one-time token to a connection that stands and is reported.

use jiff::Timestamp;
use tokio::time::Instant;

use super::agent::{Agent, Held, IdentityError, Round};
use super::chain::chain;
use super::cluster::ClusterError;
use super::compass_client::{ClientError, CompassClient, Trace};
use super::connector::{self, ConnectorError};
use super::credentials::{Credentials, CredentialsError};
use super::csr::{self, CsrError};
use super::maintenance::MaintenanceError;
use super::resource::State;
use super::secrets::{
    Configuration, ConfigurationError, Provenance, StoreError, Stored, token_digest,
};
use super::status::{Certificate, whole_seconds};

/// Credentials that are good but not reported yet.
#[derive(Debug, Clone)]
pub(super) struct Paired {
    credentials: Credentials,
    provenance: Provenance,
    at: Timestamp,
    stored: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum PairingError {
    #[error("Failed to read Connection config from {name} Secret")]
    Configuration {
        name: String,
        #[source]
        source: ConfigurationError,
    },
    #[error("Failed to check whether credentials exist")]
    Check(#[source] ClusterError),
    #[error("Failed to establish connection. Connector URL is empty")]
    NoUrl,
    #[error("Failed to establish connection. Token is empty")]
    NoToken,
    #[error("Failed to prepare Token-secured Connector client")]
    Client(#[source] ClientError),
    #[error("Failed to fetch configuration")]
    Fetch(#[source] ConnectorError),
    #[error("Failed to generate CSR")]
    Csr(#[source] CsrError),
    #[error("Failed to sign CSR")]
    Sign(#[source] ConnectorError),
    #[error("Failed to parse certification response to credentials")]
    Credentials(#[source] CredentialsError),
    #[error("Failed to preserve certificate")]
    Store(#[source] StoreError),
    #[error("Failed to use the new certificate")]
    Identity(#[source] IdentityError),
    #[error("the one-time token is used up, and the stored certificate is of no use either")]
    Adopt(#[source] MaintenanceError),
    #[error("the one-time token is used up, a fresh one is needed")]
    Spent,
}

impl Agent {
    /// Establishes the connection and reports it. True when it stands and is reported.
    pub(super) async fn establish(&mut self, round: &mut Round) -> bool {
        let result = match self.memory.paired.take() {
            // RES-02, K8S-07: what Compass has given once is not asked for again.
            Some(paired) => Ok(paired),
            None => self.pair(&mut round.trace).await,
        };
        let critical = self.critical.enter();
        let result = match result {
            Ok(paired) => self.keep(paired).await,
            Err(error) => Err(error),
        };
        let reported = match result {
            Ok(held) => self.report_connected(round, held).await,
            Err(error) => {
                // A token that is used up is not tried again, and saying so once is enough.
                let quiet = matches!(error, PairingError::Spent)
                    && round.status.connection_state == Some(State::ConnectionFailed);
                if !quiet {
                    let text = self.pairing_error(&error, &round.trace);
                    tracing::warn!(error = text, "no connection to Compass");
                    round.status.connection_failed(Timestamp::now(), text);
                    self.report(round).await;
                }
                false
            }
        };
        drop(critical);
        reported
    }

    /// CONN-01: `Connected` is a revision of its own, and comes before anything of the Director.
    pub(super) async fn report_connected(&mut self, round: &mut Round, held: Held) -> bool {
        round.status.connected(held.certificate.acquired, held.certificate);
        // CONN-05: both URLs that the Connector returned, and those are used.
        round.management_info = Some(held.provenance.management_info.clone());
        let paired = Paired {
            credentials: held.credentials.clone(),
            provenance: held.provenance.clone(),
            at: held.certificate.acquired,
            stored: true,
        };
        if self.report(round).await {
            self.memory.was_established = true;
            self.memory.held = Some(held);
            true
        } else {
            self.memory.paired = Some(paired);
            false
        }
    }

    /// From token to credentials, or from credentials that an earlier run left behind.
    async fn pair(&mut self, trace: &mut Trace) -> Result<Paired, PairingError> {
        let configuration = self.connection_configuration().await?;
        *trace = Trace::new(&self.memory.runtime_id);
        if configuration.connector_url.is_empty() {
            return Err(PairingError::NoUrl);
        }
        if configuration.token.is_empty() {
            return Err(PairingError::NoToken);
        }
        let digest = token_digest(&configuration.token);
        // A Secret that cannot even be read could not keep what the token buys.
        let stored = self.cluster.stored(&self.environment).await.map_err(PairingError::Check)?;
        if !self.memory.was_established && stored.provenance.paired_with == digest {
            return self.adopt(trace, stored).await;
        }
        // CONN-02: each token is used once.
        if self.memory.spent.as_deref() == Some(&digest) {
            return Err(PairingError::Spent);
        }
        self.pair_with_token(trace, &configuration, digest).await
    }

    async fn connection_configuration(&mut self) -> Result<Configuration, PairingError> {
        let name = &self.environment.configuration_secret;
        let configuration = self
            .cluster
            .configuration(&self.environment)
            .await
            .map_err(|source| PairingError::Configuration { name: name.to_string(), source })?;
        self.memory.versions.configuration = configuration.version;
        if !configuration.runtime_id.is_empty() {
            self.memory.runtime_id.clone_from(&configuration.runtime_id);
        }
        Ok(configuration)
    }

    /// CONN-02: `configuration` with the Secret's token, the CSR with the token that it returned.
    async fn pair_with_token(
        &mut self,
        trace: &mut Trace,
        configuration: &Configuration,
        digest: String,
    ) -> Result<Paired, PairingError> {
        let client = CompassClient::new(&self.environment, None).map_err(PairingError::Client)?;
        let url = &configuration.connector_url;
        // From here on a token is gone, so a stop waits for what it buys (RES-01).
        let _critical = self.critical.enter();
        self.schedule.last_attempt = Some(Instant::now());
        let token = Some(configuration.token.as_str());
        let answer = connector::configuration(&client, trace, url, token)
            .await
            .map_err(PairingError::Fetch)?;
        let token = answer.token().map_err(PairingError::Fetch)?;
        self.memory.spent = Some(digest.clone());
        let info = answer.signing().map_err(PairingError::Fetch)?;
        let csr = csr::new(&info.subject, &info.key_algorithm).await.map_err(PairingError::Csr)?;
        let signed = connector::sign(&client, trace, url, Some(token), &csr.encoded)
            .await
            .map_err(PairingError::Sign)?;
        let at = whole_seconds(Timestamp::now());
        let credentials =
            Credentials::received(csr.key, &signed, at).map_err(PairingError::Credentials)?;
        let management_info = answer.management_info;
        let provenance = Provenance { management_info, paired_with: digest };
        Ok(Paired { credentials, provenance, at, stored: false })
    }

    /// RES-02: a run that was killed between storing the credentials and reporting them has spent
    /// the token; what it stored is good.
    async fn adopt(&mut self, trace: &mut Trace, stored: Stored) -> Result<Paired, PairingError> {
        let Stored { credentials, mut provenance, has_ca } = stored;
        let credentials = credentials.map_err(|error| {
            PairingError::Adopt(MaintenanceError::Identity(IdentityError::Credentials(error)))
        })?;
        let at = whole_seconds(Timestamp::now());
        let certificate = first_certificate(&credentials, at);
        let held = Held::new(&self.environment, credentials, certificate, provenance.clone())
            .map_err(|error| PairingError::Adopt(MaintenanceError::Identity(error)))?;
        self.schedule.last_attempt = Some(Instant::now());
        let url = &provenance.management_info.connector_url;
        let answer = connector::configuration(&held.client, trace, url, None)
            .await
            .map_err(|error| PairingError::Adopt(MaintenanceError::Query(error)))?;
        provenance.management_info = answer.management_info;
        Ok(Paired { credentials: held.credentials, provenance, at, stored: has_ca })
    }

    /// CONN-04: the Secrets come before the CompassConnection says `Connected`.
    async fn keep(&mut self, mut paired: Paired) -> Result<Held, PairingError> {
        let Paired { credentials, provenance, at, .. } = &paired;
        let certificate = first_certificate(credentials, *at);
        let held =
            Held::new(&self.environment, credentials.clone(), certificate, provenance.clone())
                .map_err(PairingError::Identity)?;
        if !paired.stored {
            match self.cluster.store(&self.environment, credentials, provenance, None).await {
                Ok(versions) => {
                    self.memory.versions.client = versions.client;
                    self.memory.versions.ca = versions.ca;
                    paired.stored = true;
                }
                Err(error) => {
                    self.memory.paired = Some(paired);
                    return Err(PairingError::Store(error));
                }
            }
        }
        Ok(held)
    }

    fn pairing_error(&self, error: &PairingError, trace: &Trace) -> String {
        let text = match error {
            PairingError::Store(_) => return chain(error),
            PairingError::Configuration { .. } => chain(error),
            _ => format!("x-request-id: {} failed: {}", trace.request_id, chain(error)),
        };
        let token_gone = matches!(
            error,
            PairingError::Csr(_) | PairingError::Sign(_) | PairingError::Credentials(_)
        );
        let advice =
            if token_gone { "; the one-time token is used up, a fresh one is needed" } else { "" };
        format!("Failed to retrieve certificate: {text}{advice}")
    }

    /// CERT-11: a fresh token in place of a certificate that is of no use any more. None when there
    /// is no fresh one.
    pub(super) async fn pair_again(
        &mut self,
        trace: &mut Trace,
    ) -> Option<Result<Held, PairingError>> {
        let configuration = self.connection_configuration().await.ok()?;
        let Configuration { connector_url, token, .. } = &configuration;
        let digest = token_digest(token);
        let known = [&self.memory.paired_with, &self.memory.spent, &self.memory.refused];
        if connector_url.is_empty() || token.is_empty() || known.contains(&&Some(digest.clone())) {
            return None;
        }
        let result = match self.pair_with_token(trace, &configuration, digest.clone()).await {
            Ok(paired) => self.keep(paired).await,
            Err(error) => Err(error),
        };
        if let Err(PairingError::Fetch(error)) = &result
            && error.refuses_us()
        {
            self.memory.refused = Some(digest);
        }
        Some(result)
    }
}

/// What is reported of the first certificate after pairing.
fn first_certificate(credentials: &Credentials, acquired: Timestamp) -> Certificate {
    let Credentials { not_before, not_after, .. } = *credentials;
    Certificate { not_before, not_after, acquired, renewed: None }
}
