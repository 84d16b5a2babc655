//! The edge of Compass: what ingress, hydrators and tenant mapping do before a server is reached.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::Deserialize;

use super::caller::{
    CLIENT_CERTIFICATE_HASH, CLIENT_CERTIFICATE_ISSUER, CLIENT_ID_FROM_CERTIFICATE,
    CLIENT_ID_FROM_TOKEN, Caller, Consumer, Flow, STRIPPED, SUBJECT_FROM_CERTIFICATE,
};
use super::front::{Behind, Front, KEY, LONGEST_BODY};
use super::graphql::{Documents, HttpRequest, root_fields};
use super::landscape::{Client, Standing, TenantMapping};
use super::oauth::bearer_of;
use super::servers::{Asked, Backend, with_type};
use crate::gateway::{Admission, Incoming, Reception, Subject};
use crate::journal::{Identity, Peer};

/// What stands at one of the doors of Compass.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) flow: Flow,
    pub(super) behind: Arc<Behind>,
    pub(super) front: Arc<Front>,
}

impl Reception for Edge {
    fn describe(&self, incoming: Incoming<'_>) -> Subject {
        let peer = match Backend::of(incoming.parts.uri.path()) {
            Some((Backend::Connector, "/graphql")) => Peer::Connector,
            Some((Backend::Director, "/graphql")) => Peer::Director,
            _ => Peer::Nobody,
        };
        let operations = match self.documents(peer) {
            Some(documents) => root_fields(documents, graphql_request(incoming)),
            None => Vec::new(),
        };
        let identity = self.identity(incoming);
        Subject { peer, operations, kubernetes: None, identity }
    }

    fn admit(&self, incoming: Incoming<'_>, subject: &Subject) -> Admission {
        if incoming.body.len() > LONGEST_BODY {
            let text = "Payload Too Large";
            return Admission::Answer(with_type(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", text));
        }
        let found = Backend::of(incoming.parts.uri.path());
        let Some((backend, path)) = found.filter(|(backend, path)| self.leads_to(*backend, path))
        else {
            return Admission::Answer(with_type(StatusCode::NOT_FOUND, "", ""));
        };
        if backend == Backend::TokenEndpoint {
            return self.pass(backend, path, incoming, &incoming.parts.headers, None);
        }
        // At the host with server TLS only, the Director is for users with a token of theirs.
        let nobody = matches!(subject.identity, Identity::Bearer { client_id: None })
            || (self.flow == Flow::OneTimeToken && backend == Backend::Director);
        if nobody {
            return oathkeeper(StatusCode::UNAUTHORIZED, "Access credentials are invalid");
        }
        let method = &incoming.parts.method;
        let options = *method == Method::OPTIONS && self.flow == Flow::OAuth;
        if !matches!(*method, Method::GET | Method::POST) && !options {
            return oathkeeper(StatusCode::NOT_FOUND, "Requested url does not match any rules");
        }
        let mut set = HeaderMap::new();
        let caller = self.caller(incoming, &mut set);
        if self.behind.script(backend).is_some() {
            caller.write(&mut set);
            if let Ok(key) = HeaderValue::from_str(&self.behind.key) {
                set.insert(KEY, key);
            }
            let path = incoming.parts.uri.path_and_query().map_or("/", |there| there.as_str());
            return Admission::Forward {
                to: self.front.uri(path),
                remove: stripped().collect(),
                set,
            };
        }
        let mut headers = incoming.parts.headers.clone();
        for name in STRIPPED {
            headers.remove(name);
        }
        headers.extend(set);
        self.pass(backend, path, incoming, &headers, Some(&caller))
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
        // Errors come first in an answer, so one without them is not read through.
        if !body.starts_with(b"{\"errors\"") {
            return Vec::new();
        }
        let answer: Result<Answer, _> = serde_json::from_slice(body);
        let errors = answer.map(|answer| answer.errors).unwrap_or_default();
        errors.into_iter().map(|error| error.message).collect()
    }
}

impl Edge {
    fn documents(&self, peer: Peer) -> Option<&Documents> {
        match peer {
            Peer::Connector => Some(&self.behind.servers.connector),
            Peer::Director => Some(&self.behind.servers.director),
            Peer::Kubernetes | Peer::Nobody => None,
        }
    }

    /// The routes of this door.
    fn leads_to(&self, backend: Backend, path: &str) -> bool {
        match (self.flow, backend) {
            (Flow::OneTimeToken | Flow::Certificate, Backend::Connector | Backend::Director)
            | (Flow::ExternalCertificate | Flow::OAuth, Backend::Director) => path == "/graphql",
            (Flow::OAuth, Backend::TokenEndpoint) => true,
            _ => false,
        }
    }

    /// Gives the request to the server behind, which is in this process.
    fn pass(
        &self,
        backend: Backend,
        path: &str,
        incoming: Incoming<'_>,
        headers: &HeaderMap,
        caller: Option<&Caller>,
    ) -> Admission {
        let (method, query) = (&incoming.parts.method, incoming.parts.uri.query());
        let asked = Asked { method, path, query, headers, body: incoming.body, caller };
        Admission::Reply(self.behind.servers.answer(backend, asked))
    }

    /// Who asks; nothing is spent.
    fn identity(&self, incoming: Incoming<'_>) -> Identity {
        let landscape = &self.behind.servers.landscape;
        match self.flow {
            Flow::OneTimeToken => landscape.token_standing(token_in(incoming).as_deref()).identity,
            Flow::Certificate => landscape.certificate_standing(incoming.certificate).identity,
            Flow::ExternalCertificate => landscape.external_standing(incoming.certificate),
            Flow::OAuth if incoming.parts.uri.path() == "/oauth2/token" => Identity::None,
            Flow::OAuth => {
                let bearer = bearer_of(&incoming.parts.headers);
                let bearer = bearer.and_then(|text| landscape.bearer(text));
                Identity::Bearer { client_id: bearer.map(|bearer| bearer.client.to_string()) }
            }
        }
    }

    /// Tenant mapping: who the client is in the tenant that it asks for. A token is spent here, and
    /// the headers by which Compass's servers know a client are set.
    fn caller(&self, incoming: Incoming<'_>, set: &mut HeaderMap) -> Caller {
        let landscape = &self.behind.servers.landscape;
        let mut caller = Caller {
            identity: Identity::None,
            flow: self.flow,
            consumer: None,
            tenant: None,
            foreign_tenant: None,
            granted: None,
        };
        let standing = match self.flow {
            Flow::OneTimeToken => landscape.spend_token(token_in(incoming).as_deref()),
            Flow::Certificate => landscape.certificate_standing(incoming.certificate),
            Flow::ExternalCertificate | Flow::OAuth => {
                Standing { identity: self.identity(incoming), client: None }
            }
        };
        caller.identity = standing.identity;
        let header = incoming.parts.headers.get("tenant");
        let asked = header.map(|tenant| String::from_utf8_lossy(tenant.as_bytes()));
        let asked = asked.as_deref().filter(|tenant| !tenant.is_empty());
        if let Some(client) = standing.client {
            self.name_client(&client, incoming, set);
            match landscape.map_tenant(&client, asked) {
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
            return caller;
        }
        // Whoever belongs to no tenant is in the one that the header names.
        if caller.identity == Identity::Administrator {
            caller.consumer = Some(Consumer::Administrator);
        } else if self.flow == Flow::OAuth
            && let Some(bearer) =
                bearer_of(&incoming.parts.headers).and_then(|text| landscape.bearer(text))
        {
            caller.consumer = Some(Consumer::IntegrationSystem(bearer.system));
            caller.granted = Some(bearer.scopes);
        }
        if caller.consumer.is_some()
            && let Some(tenant) = asked
        {
            let known = landscape.has_tenant(tenant);
            let place = if known { &mut caller.tenant } else { &mut caller.foreign_tenant };
            *place = Some(tenant.into());
        }
        caller
    }

    /// The headers by which Compass's servers know a client.
    fn name_client(&self, client: &Client, incoming: Incoming<'_>, set: &mut HeaderMap) {
        let landscape = &self.behind.servers.landscape;
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let id = value(&client.id.to_string());
        match self.flow {
            Flow::OneTimeToken => {
                set.insert(CLIENT_ID_FROM_TOKEN, id);
            }
            Flow::Certificate | Flow::ExternalCertificate | Flow::OAuth => {
                landscape.drop_stored_token(client);
                let fingerprint = incoming.certificate.map(|shown| &*shown.fingerprint);
                set.insert(CLIENT_ID_FROM_CERTIFICATE, id);
                set.insert(CLIENT_CERTIFICATE_HASH, value(fingerprint.unwrap_or_default()));
                set.insert(SUBJECT_FROM_CERTIFICATE, value(&landscape.subject_text(client.id)));
                set.insert(CLIENT_CERTIFICATE_ISSUER, HeaderValue::from_static("connector"));
            }
        }
    }
}

/// The hydrators behind a door of their own.
#[derive(Debug)]
pub(super) struct HydratorEdge(pub(super) Arc<Behind>);

impl Reception for HydratorEdge {
    fn describe(&self, _incoming: Incoming<'_>) -> Subject {
        let (operations, identity) = (Vec::new(), Identity::None);
        Subject { peer: Peer::Nobody, operations, kubernetes: None, identity }
    }

    fn admit(&self, incoming: Incoming<'_>, _subject: &Subject) -> Admission {
        let Some((Backend::Hydrator, path)) = Backend::of(incoming.parts.uri.path()) else {
            return Admission::Answer(with_type(StatusCode::NOT_FOUND, "", ""));
        };
        let asked = Asked {
            method: &incoming.parts.method,
            path,
            query: incoming.parts.uri.query(),
            headers: &incoming.parts.headers,
            body: incoming.body,
            caller: None,
        };
        Admission::Reply(self.0.servers.answer(Backend::Hydrator, asked))
    }

    fn errors(&self, _subject: &Subject, _status: u16, _body: &[u8]) -> Vec<String> {
        Vec::new()
    }
}

/// What clients may not say of themselves.
fn stripped() -> impl Iterator<Item = HeaderName> {
    STRIPPED.into_iter().chain([KEY])
}

fn token_in(incoming: Incoming<'_>) -> Option<String> {
    token_of(&incoming.parts.headers, incoming.parts.uri.query())
}

/// The token of a request: in the header, or else in the query.
pub(super) fn token_of(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let header = headers.get("connector-token");
    if let Some(header) = header.filter(|header| !header.is_empty()) {
        return Some(String::from_utf8_lossy(header.as_bytes()).into_owned());
    }
    let in_query = query.and_then(|query| {
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
    let answer: Response<Bytes> = with_type(status, "application/json", body.to_string());
    Admission::Answer(answer)
}
