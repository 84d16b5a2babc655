//! HTTP/1.1 over TLS with nothing in a request but what the recording has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::bind::Binder;

const AGENT: &str = "golden/1.0";

/// How to reach the server.
pub(crate) struct Wire {
    address: SocketAddr,
    connector: TlsConnector,
    token: String,
}

/// An answer whose body is still coming.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    connection: AbortHandle,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Wire {
    pub(crate) fn new(
        address: SocketAddr,
        ca: &str,
        token: &str,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address,
            connector: TlsConnector::from(Arc::new(config)),
            token: token.to_owned(),
        })
    }

    /// Sends the request of an exchange.
    pub(crate) async fn send(&self, request: &Value, binder: &Binder) -> Result<Answer, String> {
        let path = binder.fill(request["path"].as_str().unwrap_or_default(), true)?;
        let mut headers: Vec<(String, String)> = vec![
            ("user-agent".into(), AGENT.into()),
            ("authorization".into(), format!("Bearer {}", self.token)),
        ];
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            let name = name.to_lowercase();
            headers.retain(|(other, _)| *other != name);
            if let Some(value) = value.as_str() {
                headers.push((name, binder.fill(value, false)?));
            }
        }
        let body = match (request.get("body"), request.get("bodyText"), request.get("bodyBase64")) {
            (Some(body), _, _) => Some(binder.fill_json(body)?.to_string().into_bytes()),
            (_, Some(text), _) => {
                Some(binder.fill(text.as_str().unwrap_or_default(), false)?.into_bytes())
            }
            (_, _, Some(text)) => Some(
                STANDARD
                    .decode(text.as_str().unwrap_or_default())
                    .map_err(|error| error.to_string())?,
            ),
            _ => None,
        };
        let method = request["method"].as_str().unwrap_or_default();
        let mut built =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in &headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            built = built
                .header(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        let request = built
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| error.to_string())?;
        let sent = tokio::time::timeout(Duration::from_secs(60), self.exchange(request)).await;
        sent.map_err(|_| "no answer within 60 s".to_owned())?.map_err(|error| error.to_string())
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = self.connector.connect(name, stream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        let answer = sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            buffer: Vec::new(),
            connection,
        })
    }
}

impl Answer {
    /// The whole body.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, String> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The next line of a stream, or nothing at its end.
    pub(crate) async fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
