//! The edge of Compass: what ingress, hydrators and tenant mapping do before a server is reached.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde::Deserialize;

use super::caller::{
    CLIENT_CERTIFICATE_HASH, CLIENT_CERTIFICATE_ISSUER, CLIENT_ID_FROM_CERTIFICATE,
    CLIENT_ID_FROM_TOKEN, Caller, Consumer, Flow, STRIPPED, SUBJECT_FROM_CERTIFICATE,
};
use super::graphql::{Documents, HttpRequest, root_fields};
use super::landscape::{Client, Landscape, Standing, TenantMapping};
use super::server::Backends;
use crate::gateway::{Admission, Incoming, Reception, Subject};
use crate::journal::Peer;

/// Longer bodies are refused (Envoy, 2 MiB).
const LONGEST_BODY: usize = 2 * 1024 * 1024;

/// What stands at one of the two doors of Compass.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) flow: Flow,
    pub(super) landscape: Landscape,
    pub(super) backends: std::sync::Arc<Backends>,
}

impl Reception for Edge {
    fn describe(&self, incoming: Incoming<'_>) -> Subject {
        let peer = peer_of(incoming.parts.uri.path());
        let operations = match self.documents(peer) {
            Some(documents) => root_fields(documents, graphql_request(incoming)),
            None => Vec::new(),
        };
        let identity = match self.flow {
            Flow::OneTimeToken => self.landscape.token_standing(token_of(incoming).as_deref()),
            Flow::Certificate => self.landscape.certificate_standing(incoming.certificate),
        }
        .identity;
        Subject { peer, operations, kubernetes: None, identity }
    }

    fn admit(&self, incoming: Incoming<'_>, subject: &Subject) -> Admission {
        if incoming.body.len() > LONGEST_BODY {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "Payload Too Large");
        }
        match subject.peer {
            Peer::Connector => {}
            Peer::Director if self.flow == Flow::Certificate => {}
            // At the host with server TLS only, the Director is for users with a token of theirs.
            Peer::Director => {
                return oathkeeper(StatusCode::UNAUTHORIZED, "Access credentials are invalid");
            }
            Peer::Kubernetes | Peer::Nobody => return answer(StatusCode::NOT_FOUND, "", ""),
        }
        if !matches!(incoming.parts.method, Method::GET | Method::POST) {
            return oathkeeper(StatusCode::NOT_FOUND, "Requested url does not match any rules");
        }
        let standing = match self.flow {
            Flow::OneTimeToken => self.landscape.spend_token(token_of(incoming).as_deref()),
            Flow::Certificate => self.landscape.certificate_standing(incoming.certificate),
        };
        let mut set = HeaderMap::new();
        if let Some(client) = &standing.client {
            self.name_client(client, incoming, &mut set);
        }
        self.caller(standing, incoming).write(&mut set);
        let query = incoming.parts.uri.query();
        let to = self.backends.uri(subject.peer, query);
        Admission::Forward { to, remove: STRIPPED.to_vec(), set }
    }

    fn errors(&self, _subject: &Subject, _status: u16, body: &[u8]) -> Vec<String> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            errors: Vec<Message>,
        }
        #[derive(Deserialize)]
        struct Message {
            #[serde(default)]
            message: String,
        }
        let answer: Result<Answer, _> = serde_json::from_slice(body);
        let errors = answer.map(|answer| answer.errors).unwrap_or_default();
        errors.into_iter().map(|error| error.message).collect()
    }
}

impl Edge {
    fn documents(&self, peer: Peer) -> Option<&Documents> {
        match peer {
            Peer::Connector => Some(&self.backends.connector_documents),
            Peer::Director => Some(&self.backends.director_documents),
            Peer::Kubernetes | Peer::Nobody => None,
        }
    }

    /// The headers by which Compass's servers know a client.
    fn name_client(&self, client: &Client, incoming: Incoming<'_>, set: &mut HeaderMap) {
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let id = value(&client.id.to_string());
        match self.flow {
            Flow::OneTimeToken => {
                set.insert(CLIENT_ID_FROM_TOKEN, id);
            }
            Flow::Certificate => {
                self.landscape.drop_stored_token(client);
                let fingerprint = incoming.certificate.map(|shown| &*shown.fingerprint);
                set.insert(CLIENT_ID_FROM_CERTIFICATE, id);
                set.insert(CLIENT_CERTIFICATE_HASH, value(fingerprint.unwrap_or_default()));
                set.insert(
                    SUBJECT_FROM_CERTIFICATE,
                    value(&self.landscape.subject_text(client.id)),
                );
                set.insert(CLIENT_CERTIFICATE_ISSUER, HeaderValue::from_static("connector"));
            }
        }
    }

    /// Tenant mapping: who the client is in the tenant that it asks for.
    fn caller(&self, standing: Standing, incoming: Incoming<'_>) -> Caller {
        let mut caller = Caller {
            identity: standing.identity,
            flow: self.flow,
            consumer: None,
            tenant: None,
            foreign_tenant: None,
        };
        let Some(client) = standing.client else { return caller };
        let header = incoming.parts.headers.get("tenant");
        let asked = header.map(|tenant| String::from_utf8_lossy(tenant.as_bytes()));
        match self.landscape.map_tenant(&client, asked.as_deref()) {
            TenantMapping::Own(tenant) => {
                caller.consumer = Some(Consumer::of(&client));
                caller.tenant = Some(tenant);
            }
            TenantMapping::Foreign(tenant) => {
                caller.consumer = Some(Consumer::of(&client));
                caller.foreign_tenant = Some(tenant);
            }
            TenantMapping::Unknown => {}
        }
        caller
    }
}

fn peer_of(path: &str) -> Peer {
    match path {
        "/connector/graphql" => Peer::Connector,
        "/director/graphql" => Peer::Director,
        _ => Peer::Nobody,
    }
}

/// The token of a request: in the header, or else in the query.
fn token_of(incoming: Incoming<'_>) -> Option<String> {
    let header = incoming.parts.headers.get("connector-token");
    if let Some(header) = header.filter(|header| !header.is_empty()) {
        return Some(String::from_utf8_lossy(header.as_bytes()).into_owned());
    }
    let in_query = incoming.parts.uri.query().and_then(|query| {
        // Only the query is of interest; the base is never seen.
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).ok()?;
        url.query_pairs().find(|(key, _)| key == "token").map(|(_, token)| token.into_owned())
    });
    in_query.or_else(|| header.map(|_| String::new()))
}

fn graphql_request<'a>(incoming: Incoming<'a>) -> HttpRequest<'a> {
    let content_type = incoming.parts.headers.get(header::CONTENT_TYPE);
    HttpRequest {
        method: &incoming.parts.method,
        query: incoming.parts.uri.query(),
        content_type: content_type.and_then(|value| value.to_str().ok()),
        body: incoming.body,
    }
}

/// An answer of Oathkeeper, which stands behind the ingress.
fn oathkeeper(status: StatusCode, message: &str) -> Admission {
    let body = serde_json::json!({"error": {
        "code": status.as_u16(),
        "status": status.canonical_reason(),
        "message": message,
    }});
    answer(status, "application/json", &body.to_string())
}

fn answer(status: StatusCode, content_type: &'static str, body: &str) -> Admission {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = status;
    if !content_type.is_empty() {
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    Admission::Answer(response)
}

/// The URI of a path at a server behind.
pub(super) fn behind(authority: &str, query: Option<&str>) -> Uri {
    let path = match query {
        Some(query) => format!("/graphql?{query}"),
        None => "/graphql".into(),
    };
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .expect("the query was part of a URI already")
}
