//! Connector and Director as `wiremock` servers, with the edge in front of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Uri, header};
use rustls_pki_types::CertificateDer;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::caller::Flow;
use super::edge::{Edge, behind};
use super::graphql::{Documents, HttpAnswer, HttpRequest};
use super::landscape::{Landscape, LandscapeError, LandscapeFile};
use super::{connector, director};
use crate::gateway::Reception;
use crate::journal::{Journal, Peer};
use crate::pki::{Authority, AuthorityError};

/// The real behaviour gives way to every mock that somebody mounts.
const LAST_PRIORITY: u8 = u8::MAX;

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
}

/// Compass: a landscape, the Connector and the Director over it, and what stands at its doors.
///
/// Both servers listen on loopback, in plain HTTP, and believe the headers of the edge; agents meet
/// them through a gateway that asks [`token_reception`](Self::token_reception) and
/// [`certificate_reception`](Self::certificate_reception). The servers end when this is dropped.
pub struct Compass {
    landscape: Landscape,
    backends: Arc<Backends>,
    connector: MockServer,
    director: MockServer,
}

/// Where the servers are and what they have read.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) connector_documents: Documents,
    pub(super) director_documents: Documents,
    connector: String,
    director: String,
}

impl fmt::Debug for Compass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Compass")
            .field("landscape", &self.landscape)
            .field("connector", &self.backends.connector)
            .field("director", &self.backends.director)
            .finish()
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
        let authority = Authority::generate(longest).await.map_err(StartError::Authority)?;
        Self::start_with(file, Arc::new(authority), journal).await
    }

    /// Starts Compass with an authority that may be shared: making one is most of the start.
    ///
    /// # Errors
    ///
    /// [`StartError::Landscape`] when the file contradicts itself.
    pub async fn start_with(
        file: &LandscapeFile,
        authority: Arc<Authority>,
        journal: Journal,
    ) -> Result<Self, StartError> {
        let landscape = Landscape::new(file, authority, journal).map_err(StartError::Landscape)?;
        // Requests are in the journal; wiremock would keep them a second time.
        let server = || MockServer::builder().disable_request_recording().start();
        let (connector, director) = tokio::join!(server(), server());
        let backends = Arc::new(Backends {
            connector_documents: connector::documents(),
            director_documents: director::documents(),
            connector: connector.address().to_string(),
            director: director.address().to_string(),
        });
        for (server, peer) in [(&connector, Peer::Connector), (&director, Peer::Director)] {
            let responder =
                Responder { peer, landscape: landscape.clone(), backends: Arc::clone(&backends) };
            Mock::given(any())
                .respond_with(responder)
                .with_priority(LAST_PRIORITY)
                .named("Compass itself")
                .mount(server)
                .await;
        }
        Ok(Self { landscape, backends, connector, director })
    }

    /// What Connector and Director know.
    #[must_use]
    pub fn landscape(&self) -> &Landscape {
        &self.landscape
    }

    /// The Connector; mount mocks on it to script what it answers.
    #[must_use]
    pub fn connector(&self) -> &MockServer {
        &self.connector
    }

    /// The Director; mount mocks on it to script what it answers.
    #[must_use]
    pub fn director(&self) -> &MockServer {
        &self.director
    }

    /// What stands at the door with server TLS only.
    #[must_use]
    pub fn token_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::OneTimeToken)
    }

    /// What stands at the door with mutual TLS.
    #[must_use]
    pub fn certificate_reception(&self) -> Arc<dyn Reception> {
        self.edge(Flow::Certificate)
    }

    /// The authority whose certificates clients must show at the certificate door.
    #[must_use]
    pub fn client_ca(&self) -> &CertificateDer<'static> {
        self.landscape.authority().certificate()
    }

    /// Stops both servers and checks what was expected of mounted mocks, as wiremock does.
    ///
    /// # Panics
    ///
    /// When a mounted mock was not called as often as was expected of it.
    pub async fn stop(self) {
        self.connector.verify().await;
        self.director.verify().await;
    }

    fn edge(&self, flow: Flow) -> Arc<dyn Reception> {
        Arc::new(Edge {
            flow,
            landscape: self.landscape.clone(),
            backends: Arc::clone(&self.backends),
        })
    }
}

impl Backends {
    /// Where a request goes on behind the edge.
    pub(super) fn uri(&self, peer: Peer, query: Option<&str>) -> Uri {
        let authority = match peer {
            Peer::Director => &self.director,
            Peer::Connector | Peer::Kubernetes | Peer::Nobody => &self.connector,
        };
        behind(authority, query)
    }
}

/// The real behaviour of one of the servers.
struct Responder {
    peer: Peer,
    landscape: Landscape,
    backends: Arc<Backends>,
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        match request.url.path() {
            "/graphql" => {}
            "/healthz" | "/readyz" => return ResponseTemplate::new(200).set_body_string("ok"),
            _ => return ResponseTemplate::new(404),
        }
        let content_type = request.headers.get(header::CONTENT_TYPE);
        let query = HttpRequest {
            method: &request.method,
            query: request.url.query(),
            content_type: content_type.and_then(|value| value.to_str().ok()),
            body: &request.body,
        };
        let HttpAnswer { status, body } = match self.peer {
            Peer::Director => director::respond(
                &self.landscape,
                &self.backends.director_documents,
                &request.headers,
                query,
            ),
            Peer::Connector | Peer::Kubernetes | Peer::Nobody => connector::respond(
                &self.landscape,
                &self.backends.connector_documents,
                &request.headers,
                query,
            ),
        };
        let response = ResponseTemplate::new(status);
        match (status, body.is_empty()) {
            (200, true) => response.insert_header("Allow", "OPTIONS, GET, POST"),
            (_, true) => response,
            (_, false) => response.set_body_raw(body, "application/json"),
        }
    }
}
