//! Maintenance: the connection is kept up with a certificate, and the certificate is renewed.

use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::agent::{Agent, Held, IdentityError, Round};
use super::chain::chain;
use super::cluster::ClusterError;
use super::connector::{self, Configuration, ConnectorError};
use super::credentials::{Credentials, CredentialsError};
use super::csr::{self, CsrError};
use super::resource::Status;
use super::secrets::{Provenance, StoreError, Stored};
use super::status::{Certificate, whole_seconds};

/// Why a connection could not be kept up.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaintenanceError {
    #[error("Failed to check whether credentials exist")]
    Check(#[source] ClusterError),
    #[error("Failed to connect to Compass Connector")]
    Identity(#[source] IdentityError),
    #[error(
        "Failed to connect to Compass Connector: \
         Failed to query Connection Configuration while checking connection"
    )]
    Query(#[source] ConnectorError),
    #[error(
        "Failed to connect to Compass Connector: Failed to create CSR while renewing connection"
    )]
    Csr(#[source] CsrError),
    #[error("Failed to connect to Compass Connector: Failed to sign CSR while renewing connection")]
    Sign(#[source] ConnectorError),
    #[error(
        "Failed to connect to Compass Connector: \
         Failed to parse certification response to credentials while renewing connection"
    )]
    Credentials(#[source] CredentialsError),
    #[error("Failed to preserve certificate")]
    Store(#[source] StoreError),
}

impl MaintenanceError {
    /// Whether the certificate itself is the trouble: there is none, or Compass refuses it.
    fn is_about_us(&self) -> bool {
        match self {
            Self::Identity(IdentityError::Credentials(_)) => true,
            Self::Query(error) | Self::Sign(error) => error.refuses_us(),
            _ => false,
        }
    }
}

impl Agent {
    /// Keeps an established connection up and renews the certificate when it is time.
    ///
    /// True when the connection stands; the report of that is left to the end of the round.
    pub(super) async fn maintain(&mut self, round: &mut Round) -> bool {
        let error = match self.try_maintain(round).await {
            Ok(certificate) => {
                round.status.maintained(Timestamp::now(), certificate);
                return true;
            }
            Err(error) => error,
        };
        let at = Timestamp::now();
        let expired = self.memory.held.as_ref().is_some_and(|held| held.credentials.expired(at));
        let mut text = format!("Error while trying to maintain connection: {}", chain(&error));
        tracing::warn!(error = text, "the connection to Compass is in trouble");
        // CERT-11: a dead certificate and a fresh token are a reason to pair again.
        if expired || error.is_about_us() {
            let _critical = self.critical.enter();
            match self.pair_again(&mut round.trace).await {
                Some(Ok(held)) => return self.report_connected(round, held).await,
                Some(Err(error)) => {
                    text = format!("{text}; pairing again failed: {}", chain(&error));
                }
                None => {}
            }
        }
        // CERT-07, CERT-10: it is said, and nothing else is touched.
        round.status.maintenance_failed(at, text);
        self.report(round).await;
        false
    }

    async fn try_maintain(&mut self, round: &mut Round) -> Result<Certificate, MaintenanceError> {
        let held = self.hold(&round.status).await?;
        let urls = round.urls();
        self.schedule.last_attempt = Some(Instant::now());
        // CERT-04, SEC-05: over mTLS, without a token.
        let answer =
            connector::configuration(&held.client, &mut round.trace, &urls.connector_url, None)
                .await
                .map_err(MaintenanceError::Query)?;
        // SYNC-12, SYNC-13: new URLs are used from now on, and recorded.
        if answer.management_info != urls {
            round.management_info = Some(answer.management_info.clone());
        }
        let Credentials { not_before, not_after, .. } = held.credentials;
        let due = self.timing.renewal_due(not_before, not_after, Timestamp::now());
        let lacks_ca = held.credentials.ca.is_none();
        // CERT-01, CERT-02: when it is time and not earlier, unless somebody asks (CERT-03), or
        // there is no other way to the CA certificate (CERT-14).
        if due || round.refresh_asked() || lacks_ca {
            return self.renew(round, &held, &answer).boxed().await;
        }
        Ok(held.certificate)
    }

    /// The identity to use: the one in memory or the one in the Secret, and both the same again.
    async fn hold(&mut self, status: &Status) -> Result<Held, MaintenanceError> {
        let Stored { credentials, provenance, has_ca, .. } =
            self.cluster.stored(&self.environment).await.map_err(MaintenanceError::Check)?;
        if !provenance.paired_with.is_empty() {
            self.memory.paired_with = Some(provenance.paired_with.clone());
        }
        let Some(mut held) = self.memory.held.clone() else {
            // CONN-12: a restart goes on with what is stored. CERT-15: nothing usable is an error.
            let credentials = credentials
                .map_err(|error| MaintenanceError::Identity(IdentityError::Credentials(error)))?;
            return self.take(status, credentials, provenance);
        };
        match credentials {
            Ok(credentials) if credentials.same_identity(&held.credentials) => {}
            // Somebody else renewed: the newer one is used and reported (STAT-07).
            Ok(credentials) if credentials.not_before > held.credentials.not_before => {
                return self.take(status, credentials, provenance);
            }
            // CERT-15: what was deleted or spoilt is put back.
            _ => {
                let client = self
                    .cluster
                    .store_client(&self.environment, &held.credentials, &held.provenance)
                    .await
                    .map_err(|error| MaintenanceError::Store(StoreError::Client(error)))?;
                self.memory.versions.client = client;
            }
        }
        // CERT-14
        if !has_ca && held.credentials.ca.is_some() {
            let ca = self
                .cluster
                .store_ca(&self.environment, &held.credentials)
                .await
                .map_err(|error| MaintenanceError::Store(StoreError::Ca(error)))?;
            self.memory.versions.ca = ca;
        }
        held.provenance.paired_with =
            self.memory.paired_with.clone().unwrap_or(held.provenance.paired_with);
        Ok(held)
    }

    /// Goes on with stored credentials.
    fn take(
        &mut self,
        status: &Status,
        credentials: Credentials,
        provenance: Provenance,
    ) -> Result<Held, MaintenanceError> {
        let certificate = stored_certificate(status, &credentials, Timestamp::now());
        let held = Held::new(&self.environment, credentials, certificate, provenance)
            .map_err(MaintenanceError::Identity)?;
        self.memory.held = Some(held.clone());
        Ok(held)
    }

    /// A new key and a new certificate for it, over mTLS with the present one (CERT-04, SEC-07).
    async fn renew(
        &mut self,
        round: &mut Round,
        held: &Held,
        answer: &Configuration,
    ) -> Result<Certificate, MaintenanceError> {
        let info = answer.signing().map_err(MaintenanceError::Query)?;
        let csr =
            csr::new(&info.subject, &info.key_algorithm).await.map_err(MaintenanceError::Csr)?;
        // A certificate that is handed out is to be kept, so a stop waits for that (RES-01).
        let _critical = self.critical.enter();
        let url = &answer.management_info.connector_url;
        let signed = connector::sign(&held.client, &mut round.trace, url, None, &csr.encoded)
            .await
            .map_err(MaintenanceError::Sign)?;
        let acquired = whole_seconds(Timestamp::now());
        // CERT-17: what does not hold together is not used.
        let credentials = Credentials::received(csr.key, &signed, acquired)
            .map_err(MaintenanceError::Credentials)?;
        let Credentials { not_before, not_after, .. } = credentials;
        let certificate = Certificate { not_before, not_after, acquired, renewed: Some(acquired) };
        let provenance = Provenance {
            management_info: answer.management_info.clone(),
            paired_with: held.provenance.paired_with.clone(),
        };
        let renewed =
            Held::new(&self.environment, credentials.clone(), certificate, provenance.clone())
                .map_err(MaintenanceError::Identity)?;
        // CERT-18: only what is stored is renewed.
        let versions = self
            .cluster
            .store(&self.environment, &credentials, &provenance, Some(&held.credentials))
            .await
            .map_err(MaintenanceError::Store)?;
        self.memory.versions.client = versions.client;
        self.memory.versions.ca = versions.ca;
        self.memory.held = Some(renewed);
        tracing::info!(%not_after, "the certificate was renewed");
        // CERT-03, CERT-20: it is reported at once, whatever the Director is about to do.
        round.done.refresh = true;
        round.status.renewed(certificate);
        self.report(round).await;
        Ok(certificate)
    }
}

/// What is to be reported of a certificate found in the Secret.
fn stored_certificate(status: &Status, credentials: &Credentials, now: Timestamp) -> Certificate {
    let Credentials { not_before, not_after, .. } = *credentials;
    let connection = &status.connection_status;
    let reported = &connection.certificate_status;
    if (reported.not_before, reported.not_after) == (Some(not_before), Some(not_after)) {
        let acquired = reported.acquired.unwrap_or(not_before);
        return Certificate { not_before, not_after, acquired, renewed: connection.renewed };
    }
    // RES-02: a renewal was stored and the agent ended before it could say so.
    let acquired = whole_seconds(now);
    Certificate { not_before, not_after, acquired, renewed: Some(acquired) }
}
