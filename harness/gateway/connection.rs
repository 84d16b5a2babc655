//! One connection from accept to end: faults below TLS, the handshake, HTTP, the orderly stop.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use super::doors::Door;
use super::exchange::Exchange;
use super::handshake::{self, Established};
use super::line::{Line, Wire};
use super::tasks::Tasks;
use crate::fault::{ConnectionAct, Ending};
use crate::journal::HandshakeOutcome;

/// As many as kube-apiserver allows.
const CONCURRENT_STREAMS: u32 = 250;
/// As much as Envoy allows, rounded.
const HEADER_BYTES: u32 = 64 * 1024;

/// Serves a connection until either side ends it.
pub(super) async fn serve(door: Arc<Door>, number: u64, stream: TcpStream, line: Arc<Line>) {
    let wire = Wire::new(stream, Arc::clone(&line));
    tokio::select! {
        () = talk(&door, number, wire, &line) => {}
        () = line.ended() => {}
    }
    line.part().await;
}

async fn talk(door: &Arc<Door>, number: u64, wire: Wire, line: &Arc<Line>) {
    let established = tokio::select! {
        established = establish(door, number, wire, line) => established,
        () = door.stopping.cancelled() => None,
    };
    if let Some(established) = established {
        speak(door, number, established, line).await;
    }
}

async fn establish(door: &Door, number: u64, wire: Wire, line: &Line) -> Option<Established> {
    if let Some(firing) = door.faults.on_connection(door.connection_facts(number)) {
        match firing.act {
            ConnectionAct::End(ending) => {
                let how = match ending {
                    Ending::Reset => "reset",
                    Ending::Close => "closed",
                };
                let reason = format!("fault `{}` {how} the connection at once", firing.id);
                handshake::record(door, number, HandshakeOutcome::Failed { reason });
                line.end(ending);
                return None;
            }
            ConnectionAct::Stall(hold) => line.halt(firing.hold().lasting(hold)),
        }
    }
    handshake::shake(door, number, wire, line).await
}

async fn speak(door: &Arc<Door>, number: u64, established: Established, line: &Arc<Line>) {
    let exchange = Arc::new(Exchange {
        door: Arc::clone(door),
        connection: number,
        certificate: established.certificate,
        line: Arc::clone(line),
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let exchange = Arc::clone(&exchange);
        async move { Ok::<_, Infallible>(exchange.answer(request).await) }
    });
    // The exchanges of HTTP/2 run beside the connection, and no longer than it.
    let tasks = Tasks::default();
    let mut builder = auto::Builder::new(tasks.spawner());
    builder.http1().header_read_timeout(None).timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .max_header_list_size(HEADER_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(established.stream), service));
    tokio::select! {
        // What ends a connection is the client's business; the exchanges have recorded theirs.
        _ = connection.as_mut() => return,
        () = door.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
