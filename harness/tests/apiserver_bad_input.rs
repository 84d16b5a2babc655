//! What clients do wrong on the wire: each gets kube-apiserver's answer, and the server goes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use compass_harness::cluster::embedded::Server;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Tls = TlsStream<TcpStream>;

/// One deadline for whatever a test waits for.
const SOON: Duration = Duration::from_secs(30);

async fn connect(server: &Server) -> Result<Tls, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address: SocketAddr = server.address();
    let stream = TcpStream::connect(address).await?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(ServerName::IpAddress(address.ip().into()), stream)
        .await?)
}

/// The head of a request, with the administrator's token.
fn head(server: &Server, line: &str, length: usize) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
        server.token()
    )
}

/// Sends a request and reads everything until the server closes: status and JSON body.
async fn ask(
    server: &Server,
    line: &str,
    body: &[u8],
) -> Result<(u16, Value), Box<dyn std::error::Error>> {
    let mut stream = connect(server).await?;
    stream.write_all(head(server, line, body.len()).as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    // A connection that is closed without the end of TLS has still said everything.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).ok_or("no status line")?.parse()?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body.trim()).unwrap_or_default()))
}

async fn still_answers(server: &Server) -> Outcome {
    let (status, _) = ask(server, "GET /api/v1/namespaces/default", b"").await?;
    assert_eq!(status, 200);
    Ok(())
}

#[tokio::test]
async fn plain_http_on_the_port_is_told_so() -> Outcome {
    let server = Server::start().await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await??;
    assert!(answer.contains("Client sent an HTTP request to an HTTPS server."), "{answer}");
    still_answers(&server).await
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_with_its_limit() -> Outcome {
    let server = Server::start().await?;
    let (status, body) =
        ask(&server, "POST /api/v1/namespaces/default/configmaps", &vec![b'x'; 10 << 20]).await?;
    assert_eq!(status, 413);
    assert_eq!(body["message"], "Request entity too large: limit is 3145728");
    still_answers(&server).await
}

#[tokio::test]
async fn malformed_bodies_and_queries_get_the_real_servers_words() -> Outcome {
    let server = Server::start().await?;
    let maps = "/api/v1/namespaces/default/configmaps";
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let post = format!("POST {maps}");
    for (line, body, status, words) in [
        (post.clone(), "{\"kind\":", 400, "unexpected end of JSON input"),
        (
            post.clone(),
            "\u{0}\u{1}",
            400,
            "invalid character '\\x00' looking for beginning of value",
        ),
        (post, deep.as_str(), 400, "couldn't get version/kind; json parse error"),
        (
            format!("GET {maps}?labelSelector=a%20in%20(b"),
            "",
            400,
            "found '', expected: ',' or ')'",
        ),
        (
            format!("GET {maps}?limit=many"),
            "",
            400,
            "strconv.ParseInt: parsing \"many\": invalid syntax",
        ),
        (
            format!("GET {maps}?resourceVersion=-1"),
            "",
            400,
            "strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (format!("GET {maps}?continue=%00"), "", 400, "invalid continue token"),
    ] {
        let (found, answer) = ask(&server, &line, body.as_bytes()).await?;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(found, status, "{line}: {answer}");
        assert!(message.contains(words), "{line}: {message}");
    }
    let (status, _) = ask(&server, &format!("GET {maps}?nobody=knows&&=&%"), b"").await?;
    assert_eq!(status, 200, "unknown parameters are ignored");
    still_answers(&server).await
}

#[tokio::test]
async fn half_a_request_holds_nobody_up() -> Outcome {
    let server = Server::start().await?;
    let mut held = Vec::new();
    for part in [
        "",
        "GET /api",
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut stream = connect(&server).await?;
        stream.write_all(part.as_bytes()).await?;
        held.push(stream);
    }
    let mut garbage = connect(&server).await?;
    garbage.write_all(&[0xff; 4096]).await?;
    still_answers(&server).await?;
    tokio::time::timeout(SOON, server.stop()).await?;
    Ok(())
}

#[tokio::test]
async fn a_thousand_idle_connections_leave_room_for_others() -> Outcome {
    let server = Server::start().await?;
    let mut idle = Vec::new();
    for number in 0..1000 {
        // Most say nothing at all; some have shaken hands.
        if number % 20 == 0 {
            drop(connect(&server).await?.into_inner().0);
        } else {
            idle.push(TcpStream::connect(server.address()).await?);
        }
    }
    still_answers(&server).await?;
    drop(idle);
    still_answers(&server).await
}

#[tokio::test]
async fn a_watcher_that_stops_reading_is_told_that_it_is_too_late() -> Outcome {
    let server = Server::start().await?;
    let (_, list) = ask(&server, "GET /api/v1/namespaces/default/configmaps", b"").await?;
    let version =
        list["metadata"]["resourceVersion"].as_str().ok_or("a list has a version")?.to_owned();
    let mut watcher = connect(&server).await?;
    let line =
        format!("GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion={version}");
    watcher.write_all(head(&server, &line, 0).as_bytes()).await?;
    let mut start = [0; 15];
    watcher.read_exact(&mut start).await?;
    // It does not read any more, while more is written than the log keeps and its socket holds.
    let body = |value: u32| {
        let filler = "x".repeat(900_000);
        format!("{{\"metadata\":{{\"name\":\"large\"}},\"data\":{{\"k\":\"{filler}{value}\"}}}}")
    };
    let (status, _) =
        ask(&server, "POST /api/v1/namespaces/default/configmaps", body(0).as_bytes()).await?;
    assert_eq!(status, 201);
    for value in 1..80 {
        let (status, _) =
            ask(&server, "PUT /api/v1/namespaces/default/configmaps/large", body(value).as_bytes())
                .await?;
        assert_eq!(status, 200);
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, watcher.read_to_end(&mut rest)).await?;
    let tail = String::from_utf8_lossy(&rest[rest.len().saturating_sub(600)..]).into_owned();
    assert!(tail.contains("\"type\":\"ERROR\"") && tail.contains("\"code\":410"), "{tail}");
    assert!(rest.len() < 80 * 900_000, "what was written after the log had moved on is not sent");
    still_answers(&server).await
}

#[tokio::test]
async fn open_watches_end_when_the_server_stops() -> Outcome {
    let server = Server::start().await?;
    let mut watcher = connect(&server).await?;
    watcher.write_all(head(&server, "GET /api/v1/namespaces?watch=1", 0).as_bytes()).await?;
    let mut start = [0; 15];
    watcher.read_exact(&mut start).await?;
    tokio::time::timeout(Duration::from_secs(3), server.stop()).await?;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, watcher.read_to_end(&mut rest)).await?;
    assert!(String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "the stream ends as a whole");
    Ok(())
}
