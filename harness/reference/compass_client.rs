//! GraphQL over HTTPS to Compass: one call, its time, its size, and what went wrong.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::environment::Environment;

/// Media type of requests and answers, spelt as the known agent does.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest wait for one answer.
const CALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// RES-03: all waiting for Compass in one round, with some room below the 60 s that are allowed.
const ROUND: Duration = Duration::from_secs(55);

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the CA file `{path}` cannot be used")]
    CaFile {
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("there is no CA to trust")]
    NoCa,
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("HTTP cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// Why a call gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("`{0}` is no URL that Compass can be reached at")]
    Url(String),
    #[error("`{0}` holds a character that no HTTP header can carry")]
    Header(&'static str),
    #[error("no answer within {} s", .0.as_secs())]
    TimeOut(Duration),
    #[error("Compass was not reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the answer broke off")]
    BrokeOff(#[source] reqwest::Error),
    #[error("graphql: server returned a non-200 status code: {0}")]
    Status(u16),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("decoding response")]
    Decode(#[source] serde_json::Error),
    #[error("graphql: {0}")]
    Graphql(String),
    #[error("received nil response")]
    Nil,
}

impl CallError {
    /// Whether Compass says that it does not know us, as far as a client can tell: an HTTP status,
    /// or a TLS alert, which with TLS 1.3 arrives when the connection seems to be up already.
    pub(super) fn refuses_us(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 400 | 401 | 403),
            Self::Unreachable(error) | Self::BrokeOff(error) => alerted(error),
            _ => false,
        }
    }
}

fn alerted(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let tls = inner.map_or_else(
            || error.downcast_ref::<rustls::Error>(),
            |inner| inner.downcast_ref::<rustls::Error>(),
        );
        if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What all calls of one round share.
#[derive(Debug)]
pub(super) struct Trace {
    /// Value of `X-Request-Id`.
    pub(super) request_id: String,
    left: Duration,
}

impl Trace {
    pub(super) fn new(runtime_id: &str) -> Self {
        let uuid = uuid::Uuid::new_v4();
        let request_id =
            if runtime_id.is_empty() { uuid.to_string() } else { format!("{runtime_id}_{uuid}") };
        Self { request_id, left: ROUND }
    }
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) url: &'a str,
    /// Name, value, and whether it is a secret.
    pub(super) header: Option<(HeaderName, &'a str, bool)>,
    /// The GraphQL document.
    pub(super) query: &'a str,
    /// Longest answer in bytes.
    pub(super) limit: usize,
}

/// A way to Compass with one identity, or with none; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct CompassClient {
    tls: ClientConfig,
    http: Arc<Mutex<reqwest::Client>>,
    plain_allowed: bool,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    errors: Option<Vec<GraphqlError>>,
}

#[derive(Deserialize)]
struct GraphqlError {
    #[serde(default)]
    message: String,
}

impl CompassClient {
    pub(super) fn new(
        environment: &Environment,
        identity: Option<Arc<CertifiedKey>>,
    ) -> Result<Self, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // SEC-02: this is what rustls has: TLS 1.2 and 1.3.
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)?;
        // SEC-01: a server that our CAs do not vouch for gets nothing, unless told otherwise.
        let builder = if environment.skip_compass_tls_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        } else {
            builder.with_root_certificates(roots(environment)?)
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(identity),
            )),
        };
        config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
        let http = connections(config.clone()).map_err(ClientError::Http)?;
        Ok(Self {
            tls: config,
            http: Arc::new(Mutex::new(http)),
            plain_allowed: environment.skip_compass_tls_verify,
        })
    }

    /// Asks and decodes `data`.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        trace: &mut Trace,
        call: Call<'_>,
    ) -> Result<T, CallError> {
        let request = self.request(trace, &call)?;
        let limit = CALL.min(trace.left);
        let started = Instant::now();
        let exchange = tokio::time::timeout(limit, exchange(request, call.limit)).await;
        trace.left = trace.left.saturating_sub(started.elapsed());
        let exchange = exchange.unwrap_or(Err(CallError::TimeOut(limit)));
        if exchange.is_err() {
            self.reconnect();
        }
        let (status, body) = exchange?;
        decode(status, &body)
    }

    /// RES-05: a connection that has gone silent would be used again and again by HTTP/2, so a new
    /// one is opened after a failure.
    fn reconnect(&self) {
        if let Ok(new) = connections(self.tls.clone()) {
            *self.http.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    fn request(
        &self,
        trace: &Trace,
        call: &Call<'_>,
    ) -> Result<reqwest::RequestBuilder, CallError> {
        let url = reqwest::Url::parse(call.url)
            .ok()
            .filter(|url| url.scheme() == "https" || self.plain_allowed && url.scheme() == "http")
            .ok_or_else(|| CallError::Url(call.url.into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        let request_id = HeaderValue::from_str(&trace.request_id);
        headers.insert(REQUEST_ID, request_id.map_err(|_| CallError::Header("RUNTIME_ID"))?);
        if let Some((name, value, secret)) = &call.header {
            let what = if *secret { "TOKEN" } else { "TENANT" };
            let mut value = HeaderValue::from_str(value).map_err(|_| CallError::Header(what))?;
            // SEC-04: not even a trace of the HTTP library may print it.
            value.set_sensitive(*secret);
            headers.insert(name, value);
        }
        let body = json!({"query": call.query, "variables": null}).to_string();
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(http.post(url).headers(headers).body(body))
    }
}

fn connections(tls: ClientConfig) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT)
        .no_proxy()
        // SEC-05: a redirect is a failure, so nothing is ever sent to another host.
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

async fn exchange(
    request: reqwest::RequestBuilder,
    limit: usize,
) -> Result<(StatusCode, Vec<u8>), CallError> {
    let mut response = request.send().await.map_err(|error| {
        if error.is_timeout() { CallError::TimeOut(CONNECT) } else { CallError::Unreachable(error) }
    })?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CallError::BrokeOff)? {
        // CONN-14: an endless body costs no more memory than this.
        if body.len() + chunk.len() > limit {
            return Err(CallError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

/// `data`, or the reason why there is none that can be used.
fn decode<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, CallError> {
    // CONN-16: a status that is no success is a failure, however good the body looks.
    if !status.is_success() {
        return Err(CallError::Status(status.as_u16()));
    }
    // Errors come first: with them, `data` may be cut in a way that does not decode at all.
    let errors = serde_json::from_slice::<Answer<serde::de::IgnoredAny>>(body)
        .map_err(CallError::Decode)?
        .errors;
    // SYNC-05: data beside errors is partial, so it is not used.
    if let Some(error) = errors.and_then(|errors| errors.into_iter().next()) {
        return Err(CallError::Graphql(error.message));
    }
    let answer = serde_json::from_slice::<Answer<T>>(body).map_err(CallError::Decode)?;
    answer.data.ok_or(CallError::Nil)
}

/// The CAs that may vouch for Compass, read anew for each client so that a changed file counts.
fn roots(environment: &Environment) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match &environment.ssl_cert_file {
        Some(path) => {
            let error = |source| ClientError::CaFile { path: path.clone(), source };
            for certificate in CertificateDer::pem_file_iter(path).map_err(error)? {
                roots.add_parsable_certificates([certificate.map_err(error)?]);
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
    }
    if roots.is_empty() { Err(ClientError::NoCa) } else { Ok(roots) }
}

/// `APP_SKIP_COMPASS_TLS_VERIFY`: believes any server, but checks that it holds its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn decoded(status: u16, body: &str) -> Result<Value, CallError> {
        decode(StatusCode::from_u16(status).expect("a status"), body.as_bytes())
    }

    #[test]
    fn a_good_answer_is_its_data() {
        assert_eq!(decoded(200, r#"{"data":{"a":1}}"#).expect("good"), json!({"a": 1}));
        assert_eq!(decoded(200, r#"{"data":{"a":1},"errors":[]}"#).expect("good"), json!({"a": 1}));
    }

    #[test]
    fn a_bad_status_is_a_failure_with_any_body() {
        for body in [r#"{"data":{"a":1}}"#, "{}", "", "<html>"] {
            let error = decoded(500, body).expect_err("a bad status");
            assert_eq!(error.to_string(), "graphql: server returned a non-200 status code: 500");
        }
        assert!(matches!(decoded(302, "{}"), Err(CallError::Status(302))));
    }

    #[test]
    fn errors_beside_data_are_a_failure() {
        let error = decoded(200, r#"{"data":{"a":1},"errors":[{"message":"no"},{}]}"#);
        assert_eq!(error.expect_err("an error").to_string(), "graphql: no");
    }

    #[test]
    fn nothing_is_never_a_success() {
        for body in ["{}", r#"{"data":null}"#, r#"{"error":"x"}"#] {
            assert!(matches!(decoded(200, body), Err(CallError::Nil)), "{body}");
        }
        for body in ["", "null", "<html>", "[1]", r#"{"data":"#, "\u{feff}{}"] {
            assert!(matches!(decoded(200, body), Err(CallError::Decode(_))), "{body}");
        }
    }

    #[test]
    fn plain_http_and_odd_header_values_are_refused_before_anything_is_sent() {
        let environment = Environment::read(|_| None).expect("defaults");
        let environment = Environment { skip_compass_tls_verify: true, ..environment };
        let mut client = CompassClient::new(&environment, None).expect("a client");
        client.plain_allowed = false;
        let trace = Trace::new("runtime");
        let call = |url, value| Call {
            url,
            header: Some((HeaderName::from_static("tenant"), value, false)),
            query: "{}",
            limit: 1,
        };
        let refused = |url, value| client.request(&trace, &call(url, value)).err();
        assert!(matches!(refused("http://host", "t"), Some(CallError::Url(_))));
        assert!(matches!(refused("", "t"), Some(CallError::Url(_))));
        assert!(matches!(refused("https://host", "t\n"), Some(CallError::Header("TENANT"))));
        assert!(refused("https://host", "t").is_none());
    }
}
