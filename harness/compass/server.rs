//! Compass as a whole: starts the servers, hands out what stands at the doors, stops.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use wiremock::MockServer;

use super::caller::Flow;
use super::edge::{Edge, HydratorEdge};
use super::front::{Behind, Front};
use super::landscape::{ADMINISTRATOR, Landscape, LandscapeError, LandscapeFile};
use super::servers::Servers;
use crate::gateway::Reception;
use crate::journal::Journal;
use crate::pki::{Authority, AuthorityError, ClientIdentity, ExternalAuthority};

/// Why Compass does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no authority to sign with.
    #[error("there is no authority for client certificates")]
    Authority(#[source] AuthorityError),
    /// The landscape is impossible.
    #[error("the landscape is impossible")]
    Landscape(#[source] LandscapeError),
    /// There is no port to listen on.
    #[error("the servers of Compass cannot listen on loopback")]
    Listen(#[source] io::Error),
}

/// Compass: a landscape, the servers over it, and what stands at its doors.
///
/// Agents meet it through a gateway that asks the receptions. As long as nobody has mounted a mock,
/// a request is answered in this process without a second hop. The servers also listen on loopback
/// in plain HTTP ([`url`](Self::url)), for probes, for the hydrators' clients and for mocks. All of
/// it ends when this is dropped.
pub struct Compass {
    landscape: Landscape,
    behind: Arc<Behind>,
    front: Arc<Front>,
    external: ExternalAuthority,
    client_ca: CertificateDer<'static>,
}

impl fmt::Debug for Compass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Compass")
            .field("landscape", &self.landscape)
            .field("listens", &self.front.address)
            .finish_non_exhaustive()
    }
}

impl Compass {
    /// Starts Compass with an authority of its own.
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is no authority or the file contradicts itself.
    pub async fn start(file: &LandscapeFile, journal: Journal) -> Result<Self, StartError> {
        let longest = Duration::try_from(file.certificates.valid_for).unwrap_or_default();
        let authority = if file.certificates.attach_root {
            Authority::generate_intermediate(longest).await
        } else {
            Authority::generate(longest).await
        };
        let authority = authority.map_err(StartError::Authority)?;
        Self::start_with(file, Arc::new(authority), journal).await
    }

    /// Starts Compass with an authority that may be shared: making one is most of the start.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the file contradicts itself.
    pub async fn start_with(
        file: &LandscapeFile,
        authority: Arc<Authority>,
        journal: Journal,
    ) -> Result<Self, StartError> {
        let client_ca = authority.trust_anchor().clone();
        let landscape = Landscape::new(file, authority, journal).map_err(StartError::Landscape)?;
        let behind = Arc::new(Behind::start(Servers::new(landscape.clone())).await);
        let front = Front::start(Arc::clone(&behind)).await.map_err(StartError::Listen)?;
        let external = ExternalAuthority::generate().map_err(StartError::Authority)?;
        Ok(Self { landscape, behind, front: Arc::new(front), external, client_ca })
    }

    /// What Connector and Director know.
    #[must_use]
    pub fn landscape(&self) -> &Landscape {
        &self.landscape
    }

    /// Mount mocks here to script what the Connector answers; from then on, every request to it is
    /// shown to them first.
    #[must_use]
    pub fn connector(&self) -> &MockServer {
        self.behind.connector.server()
    }

    /// Mount mocks here to script what the Director answers; from then on, every request to it is
    /// shown to them first.
    #[must_use]
    pub fn director(&self) -> &MockServer {
        self.behind.director.server()
    }

    /// Where the servers listen in plain HTTP: `/connector`, `/director`, `/hydrators` and
    /// `/oauth2/token` are below it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.front.address)
    }

    /// What stands at the door with server TLS only (`compass-gateway.`).
    #[must_use]
    pub fn token_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::OneTimeToken)
    }

    /// What stands at the door with mutual TLS (`compass-gateway-mtls.`).
    #[must_use]
    pub fn certificate_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::Certificate)
    }

    /// What stands at the door for certificates of the external authority
    /// (`compass-gateway-sap-mtls.`): administrators come in here.
    #[must_use]
    pub fn external_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::ExternalCertificate)
    }

    /// What stands at the doors for OAuth clients: the token endpoint (`oauth2.`), and the Director
    /// with a bearer token (`compass-gateway-auth-oauth.`). Both need server TLS only.
    #[must_use]
    pub fn oauth_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::OAuth)
    }

    /// What stands at a door for the hydrators (`/hydrators/v1/tokens/resolve` and so on).
    #[must_use]
    pub fn hydrator_reception(&self) -> Arc<dyn Reception> {
        Arc::new(HydratorEdge(Arc::clone(&self.behind)))
    }

    /// The authority whose certificates clients must show at the certificate door, from the start.
    #[must_use]
    pub fn client_ca(&self) -> &CertificateDer<'static> {
        &self.client_ca
    }

    /// The authority whose certificates clients must show at the external door.
    #[must_use]
    pub fn external_ca(&self) -> &CertificateDer<'static> {
        self.external.certificate()
    }

    /// Makes a key and a certificate for an administrator, with the subject of Compass's own tests.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub fn issue_administrator(&self) -> Result<ClientIdentity, AuthorityError> {
        self.external.issue(&ADMINISTRATOR)
    }

    /// Makes a key and a certificate with this subject, one `KEY=value` an attribute.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub fn issue_external(&self, subject: &[&str]) -> Result<ClientIdentity, AuthorityError> {
        self.external.issue(subject)
    }

    /// Checks what was expected of mounted mocks, as wiremock does, and stops.
    ///
    /// # Panics
    ///
    /// When a mounted mock was not called as often as was expected of it.
    pub async fn stop(self) {
        self.behind.connector.verify().await;
        self.behind.director.verify().await;
    }

    fn edge(&self, flow: Flow) -> Arc<dyn Reception> {
        let (behind, front) = (Arc::clone(&self.behind), Arc::clone(&self.front));
        Arc::new(Edge { flow, behind, front })
    }
}
