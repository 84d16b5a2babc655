//! The socket: TLS, HTTP/1.1 and HTTP/2, bodies with a limit.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming as HyperBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::api::{self, Api, Incoming};
use super::output::Answer;
use super::request::User;
use super::status::Status;

/// kube-apiserver's limit of a body.
const MOST_BODY: usize = 3 << 20;
/// What of a larger body is read and thrown away, so that the client gets to read the answer.
const MOST_DRAINED: usize = 16 << 20;
/// How long the pieces of a request may take.
const HEADER_TIME: Duration = Duration::from_secs(30);
const BODY_TIME: Duration = Duration::from_secs(60);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The pause after a connection that could not be accepted.
const BREATH: Duration = Duration::from_millis(20);
/// How long connections have to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Tasks that a connection starts for its streams; they end with the server.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(async move { drop(future.await) });
    }
}

/// Accepts until the server stops; connections and their streams are this future's own.
pub(super) async fn accept(listener: TcpListener, tls: Arc<rustls::ServerConfig>, api: Arc<Api>) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    let tasks = Tasks::default();
    let mut stop = api.stopped();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // One that failed before it was accepted, or no more open files: the next try must not spin.
                    tokio::time::sleep(BREATH).await;
                    continue;
                };
                connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&api), tasks.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = api::ended(&mut stop) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} })
        .await;
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, api: Arc<Api>, tasks: Tasks) {
    let _ = stream.set_nodelay(true);
    let mut first = [0; 1];
    let peeked = tokio::time::timeout(HANDSHAKE_TIME, stream.peek(&mut first)).await;
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    // A TLS handshake starts with this byte; a plain request with a letter.
    if first[0] != 0x16 {
        let mut stream = stream;
        let text =
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
        return;
    }
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await else {
        return;
    };
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(|c| User::from_certificate(c));
    let mut stop = api.stopped();
    let service = service_fn(move |request: http::Request<HyperBody>| {
        let (api, certificate) = (Arc::clone(&api), certificate.clone());
        async move { Ok::<Answer, Infallible>(handle(&api, request, certificate).await) }
    });
    let mut builder = auto::Builder::new(tasks);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(250);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => return,
        () = api::ended(&mut stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn handle(
    api: &Arc<Api>,
    request: http::Request<HyperBody>,
    certificate: Option<User>,
) -> Answer {
    let (parts, body) = request.into_parts();
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        certificate,
    };
    api::answer(api, incoming, read(body)).await
}

/// Reads a body up to the limit.
async fn read(body: HyperBody) -> Result<Bytes, Status> {
    match tokio::time::timeout(BODY_TIME, collect(body)).await {
        Ok(read) => read,
        Err(_) => Err(Status::bad_request("request body was not received in time")),
    }
}

async fn collect(mut body: HyperBody) -> Result<Bytes, Status> {
    let mut out = BytesMut::new();
    let mut drained = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Status::bad_request("unexpected EOF"))?;
        let Ok(data) = frame.into_data() else { continue };
        if drained > 0 || out.len() + data.len() > MOST_BODY {
            drained += data.len();
            if drained > MOST_DRAINED {
                break;
            }
            continue;
        }
        if out.is_empty() && body.size_hint_is_exact(data.len()) {
            return Ok(data);
        }
        out.extend_from_slice(&data);
    }
    if drained > 0 {
        return Err(Status::too_large(format!("Request entity too large: limit is {MOST_BODY}")));
    }
    Ok(out.freeze())
}

/// Whether a first piece is the whole.
trait Whole {
    fn size_hint_is_exact(&self, read: usize) -> bool;
}

impl Whole for HyperBody {
    fn size_hint_is_exact(&self, read: usize) -> bool {
        use hyper::body::Body as _;
        read > 0 && self.is_end_stream()
    }
}
