//! The real behaviour of every server of Compass, from a request to its answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::caller::Caller;
use super::graphql::{Documents, HttpAnswer, HttpRequest};
use super::landscape::Landscape;
use super::{connector, director, hydrator, oauth};

/// What stands at `/` of a GraphQL server.
const PLAYGROUND: &str = "<!doctype html><title>GraphQL playground</title>\
     <p>POST your queries to <code>graphql</code> on this path.</p>\n";

/// One of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Connector,
    Director,
    Hydrator,
    TokenEndpoint,
}

impl Backend {
    /// The server that a path leads to, and the path there.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        let below = |prefix: &str| path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
        if path == "/oauth2/token" {
            return Some((Self::TokenEndpoint, path));
        }
        below("/connector")
            .map(|rest| (Self::Connector, rest))
            .or_else(|| below("/director").map(|rest| (Self::Director, rest)))
            .or_else(|| below("/hydrators").map(|rest| (Self::Hydrator, rest)))
    }
}

/// A request as it reaches a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The path at the server.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// Who asks; nobody when the request did not come through a door.
    pub(super) caller: Option<&'a Caller>,
}

/// All servers over one landscape.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) landscape: Landscape,
    pub(super) connector: Documents,
    pub(super) director: Documents,
}

impl Servers {
    pub(super) fn new(landscape: Landscape) -> Self {
        Self { landscape, connector: connector::documents(), director: director::documents() }
    }

    /// What a server answers.
    pub(super) fn answer(&self, backend: Backend, asked: Asked<'_>) -> Response<Bytes> {
        let landscape = &self.landscape;
        match (backend, asked.path) {
            (Backend::TokenEndpoint, _) => oauth::token(landscape, asked),
            (Backend::Hydrator, _) => hydrator::respond(landscape, asked),
            (Backend::Connector, "/graphql") => {
                graphql(connector::respond(landscape, &self.connector, asked))
            }
            (Backend::Director, "/graphql") => {
                graphql(director::respond(landscape, &self.director, asked))
            }
            (_, "/") => with_type(StatusCode::OK, "text/html; charset=UTF-8", PLAYGROUND),
            (_, "/healthz" | "/readyz" | "/livez") => {
                with_type(StatusCode::OK, "text/plain; charset=utf-8", "ok")
            }
            _ => with_type(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "404 page not found\n",
            ),
        }
    }
}

impl<'a> From<Asked<'a>> for HttpRequest<'a> {
    fn from(asked: Asked<'a>) -> Self {
        let content_type = asked.headers.get(header::CONTENT_TYPE);
        HttpRequest {
            method: asked.method,
            query: asked.query,
            content_type: content_type.and_then(|value| value.to_str().ok()),
            body: asked.body,
        }
    }
}

fn graphql(answer: HttpAnswer) -> Response<Bytes> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let empty = answer.body.is_empty();
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() = status;
    let (name, value) = match (status, empty) {
        (StatusCode::OK, true) => (header::ALLOW, "OPTIONS, GET, POST"),
        (_, true) => return response,
        (_, false) => (header::CONTENT_TYPE, "application/json"),
    };
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// An answer with this content type; without one when it is empty.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<String>,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.into()));
    *response.status_mut() = status;
    if !content_type.is_empty() {
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
