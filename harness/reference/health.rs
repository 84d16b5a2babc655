//! The health endpoint: says that the process is alive, whatever Compass and the cluster do.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Probes at a time; a flood of connections costs no more than this.
const CONNECTIONS: usize = 64;
/// Pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers probes until it is dropped (RES-06). A port that is taken is no reason not to work.
pub(super) async fn serve(port: u16) {
    // A kubelet probes from outside; a port that nobody was told is nobody's business outside.
    let address = if port == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let listener = match TcpListener::bind(SocketAddr::from((address, port))).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(port, %error, "the health endpoint cannot be opened");
            return std::future::pending().await;
        }
    };
    answer_at(listener).await;
}

async fn answer_at(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream));
                }
                // Out of file descriptors, say: it passes, and must not be a hot loop meanwhile.
                Err(error) => {
                    tracing::debug!(%error, "a probe was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(stream: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let (status, body) = match request.uri().path() {
            "/healthz" => (StatusCode::OK, "ok"),
            _ => (StatusCode::NOT_FOUND, ""),
        };
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // A probe that breaks off is the prober's affair.
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{request} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn a_probe_is_answered_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let probes = async {
            // A prober that says nothing must not keep the others from their answer.
            let _silent = TcpStream::connect(address).await.expect("it listens");
            for method in ["GET", "POST"] {
                let answer = ask(address, &format!("{method} /healthz")).await;
                assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
            }
            let answer = ask(address, "GET /metrics").await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        };
        tokio::select! {
            () = answer_at(listener) => panic!("it answers as long as it lives"),
            () = probes => {}
        }
    }
}
