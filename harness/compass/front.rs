//! The servers of Compass in plain HTTP on loopback: for mocks, probes and the hydrators' clients.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::caller::{Caller, STRIPPED};
use super::script::Script;
use super::servers::{Asked, Backend, Servers};

/// Longer bodies are refused (Envoy, 2 MiB).
pub(super) const LONGEST_BODY: usize = 2 * 1024 * 1024;

/// Proves that a request has come through a door, so that its identity headers are ours.
pub(super) const KEY: HeaderName = HeaderName::from_static("harness-key");

/// The servers and the mocks that go before them.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) servers: Servers,
    pub(super) connector: Script,
    pub(super) director: Script,
    pub(super) key: String,
}

impl Behind {
    pub(super) async fn start(servers: Servers) -> Self {
        let (connector, director) = tokio::join!(Script::start(), Script::start());
        Self { servers, connector, director, key: Uuid::new_v4().to_string() }
    }

    /// The mocks of a server, if there may be some.
    pub(super) fn script(&self, backend: Backend) -> Option<&Script> {
        let script = match backend {
            Backend::Connector => &self.connector,
            Backend::Director => &self.director,
            Backend::Hydrator | Backend::TokenEndpoint => return None,
        };
        script.in_use().then_some(script)
    }
}

/// The listener; dropping it ends every connection.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Front {
    pub(super) async fn start(behind: Arc<Behind>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, behind));
        Ok(Self { address, _tasks: tasks })
    }

    /// Where a request goes that came to this path and query of a door.
    pub(super) fn uri(&self, path_and_query: &str) -> Uri {
        Uri::builder()
            .scheme("http")
            .authority(self.address.to_string())
            .path_and_query(path_and_query)
            .build()
            .expect("path and query were part of a URI already")
    }
}

async fn accept(listener: TcpListener, behind: Arc<Behind>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection was lost before it was accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let behind = Arc::clone(&behind);
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| {
                let behind = Arc::clone(&behind);
                async move { Ok::<_, Infallible>(answer(&behind, request).await) }
            });
            // How a client leaves is its own business.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(behind: &Behind, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let empty = |status| {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = status;
        response
    };
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let key = parts.headers.remove(KEY);
    let uri = parts.uri.clone();
    let Some((backend, path)) = Backend::of(uri.path()) else {
        return empty(StatusCode::NOT_FOUND);
    };
    // The others are asked about such headers, and know nobody by them.
    let knows_callers = matches!(backend, Backend::Connector | Backend::Director);
    if knows_callers && key.is_none_or(|key| key != behind.key) {
        for name in STRIPPED {
            parts.headers.remove(name);
        }
    }
    if let Some(script) = behind.script(backend) {
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let there = format!("{path}{query}");
        if let Some(response) = script.ask(&parts, &there, body.clone()).await {
            return response.map(Full::new);
        }
    }
    let caller = Caller::read(&parts.headers);
    let asked = Asked {
        method: &parts.method,
        path,
        query: uri.query(),
        headers: &parts.headers,
        body: &body,
        caller: caller.as_ref(),
    };
    behind.servers.answer(backend, asked).map(Full::new)
}
