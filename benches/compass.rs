//! Connector and Director behind their doors, each beside its limit: a bare server of the same
//! libraries that returns the same bytes, a bare TLS server, and `openssl speed`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compass_harness::compass::{Compass, LandscapeFile};
use compass_harness::fault::Faults;
use compass_harness::gateway::{
    Admission, ClientCertificates, DoorPlan, Gateway, Incoming, ServerIdentity,
};
use compass_harness::journal::{Door, Journal};
use compass_harness::pki::{
    Authority, CertificateTerms, ExpectedSubject, ServerAuthority, ServerTerms,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming as Arriving;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// What agents send, word for word but for the ids.
const AGENTS_QUERY: &str = include_str!("../fixtures/compass/agents-query.graphql");
const SHOP: &str = include_str!("../fixtures/landscapes/shop.yaml");
/// Connections that are kept at the same time.
const CONNECTIONS: usize = 4;

/// All benches of this subject.
pub(crate) fn define(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let stage = runtime.block_on(Stage::new());
    queries(criterion, &runtime, &stage);
    handshakes(criterion, &runtime, &stage);
    signatures(criterion);
    listings(criterion, &runtime);
    runtime.block_on(stage.gateway.stop());
}

fn queries(criterion: &mut Criterion, runtime: &Runtime, stage: &Stage) {
    let id = stage.compass.landscape().runtime_id().to_string();
    let small = format!("{{ runtime(id: \"{id}\") {{ labels }} }}");
    let mut group = criterion.benchmark_group("compass queries over kept mTLS connections");
    group.sample_size(20).throughput(Throughput::Elements(1));
    for (name, query) in [("labels", small), ("agent", AGENTS_QUERY.replace("RUNTIME_ID", &id))] {
        let body = Bytes::from(json!({"query": query, "variables": null}).to_string());
        let answer = runtime.block_on(async {
            let mut one = stage.connect(stage.door).await;
            send(&mut one, body.clone()).await
        });
        assert!(answer.starts_with(b"{\"data\":{\"runtime\":{\"labels\""));
        for (server, address) in [
            ("gateway", stage.door),
            ("limit, a bare server", runtime.block_on(stage.bare(answer))),
        ] {
            let mut connections = runtime.block_on(async {
                let mut all = Vec::new();
                for _ in 0..CONNECTIONS {
                    all.push(stage.connect(address).await);
                }
                all
            });
            group.bench_function(BenchmarkId::new(server, name), |bencher| {
                bencher.iter_custom(|count| {
                    let kept = std::mem::take(&mut connections);
                    let (took, kept) = runtime.block_on(all_queries(kept, &body, count));
                    connections = kept;
                    took
                });
            });
        }
    }
    group.finish();
}

async fn all_queries(
    connections: Vec<SendRequest<Full<Bytes>>>,
    body: &Bytes,
    count: u64,
) -> (Duration, Vec<SendRequest<Full<Bytes>>>) {
    let each = count.div_ceil(CONNECTIONS as u64);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let body = body.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                send(&mut connection, body.clone()).await;
            }
            connection
        });
    }
    let kept = tasks.join_all().await;
    let done = each * CONNECTIONS as u64;
    (begun.elapsed().mul_f64(count as f64 / done as f64), kept)
}

async fn send(connection: &mut SendRequest<Full<Bytes>>, body: Bytes) -> Bytes {
    let request = http::Request::post("/director/graphql")
        .header("host", "localhost")
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::new(body))
        .expect("a request");
    let answer = connection.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.expect("a body").to_bytes()
}

fn handshakes(criterion: &mut Criterion, runtime: &Runtime, stage: &Stage) {
    let mut group = criterion.benchmark_group("compass full handshakes with a client certificate");
    group.sample_size(20).throughput(Throughput::Elements(1));
    let bare = runtime.block_on(stage.bare(Bytes::new()));
    for (server, address) in [("gateway", stage.door), ("limit, a bare server", bare)] {
        group.bench_function(server, |bencher| {
            bencher.iter_custom(|count| {
                let begun = Instant::now();
                runtime.block_on(async {
                    for _ in 0..count {
                        drop(stage.shake(address).await);
                    }
                });
                begun.elapsed()
            });
        });
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compass CSRs signed");
    group.sample_size(20).throughput(Throughput::Elements(1));
    let authority = Authority::generate_blocking(Duration::from_secs(60)).expect("an authority");
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let csr = csr_of(&subject("client"), &key);
    let terms = CertificateTerms {
        subject: ExpectedSubject {
            common_name: "client".into(),
            country: "DE".into(),
            organization: "Org".into(),
            organizational_unit: "OrgUnit".into(),
            locality: "locality".into(),
            province: "province".into(),
        },
        not_before: jiff::SignedDuration::ZERO,
        validity: Duration::from_secs(40),
    };
    group.bench_function("connector", |bencher| {
        bencher.iter(|| authority.sign(&csr, &terms).expect("signed"));
    });
    // By the clock, as above; the figure stands for as many rounds as are asked for.
    let output =
        Command::new("openssl").args(["speed", "-elapsed", "-seconds", "2", "rsa2048"]).output();
    let text = String::from_utf8(output.expect("openssl is installed").stdout).expect("text");
    let row = text.lines().rfind(|line| line.starts_with("rsa")).expect("a row of figures");
    let seconds = row.split_whitespace().find_map(|word| word.strip_suffix('s')?.parse().ok());
    let one = Duration::from_secs_f64(seconds.expect("seconds for one signature"));
    group.bench_function("limit, openssl speed", |bencher| {
        bencher.iter_custom(|count| one.mul_f64(count as f64));
    });
    group.finish();
}

fn listings(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("compass applicationsForRuntime");
    group.sample_size(10);
    for count in [100, 1000, 10_000] {
        let yaml = include_str!("../fixtures/landscapes/ten-thousand.yaml");
        let yaml = yaml.replace("generate: 10000", &format!("generate: {count}"));
        let (compass, certificate) = runtime.block_on(async {
            let file: LandscapeFile = serde_saphyr::from_str(&yaml).expect("a landscape");
            let compass = Compass::start(&file, Journal::new()).await.expect("Compass starts");
            let certificate = compass.issue_administrator().expect("issued").chain.remove(0);
            (compass, certificate)
        });
        let landscape = compass.landscape();
        let id = landscape.runtime_id().to_string();
        let query = AGENTS_QUERY
            .replace("RUNTIME_ID\") {\n\t\tdata", "RUNTIME_ID\", first: 10000) {\n\t\tdata");
        let query = query.replace("RUNTIME_ID", &id);
        let (parts, body) = http::Request::post("/director/graphql")
            .header("content-type", "application/json")
            .header("tenant", landscape.tenant())
            .body(Bytes::from(json!({"query": query}).to_string()))
            .expect("a request")
            .into_parts();
        let shown = shown(&certificate);
        let incoming = Incoming { certificate: Some(&shown), parts: &parts, body: &body };
        let reception = compass.external_reception();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let subject = reception.describe(incoming);
                match reception.admit(incoming, &subject) {
                    Admission::Reply(answer) => {
                        assert!(answer.body().starts_with(b"{\"data\":{\"runtime\":{"));
                        answer
                    }
                    other => panic!("no reply: {other:?}"),
                }
            });
        });
    }
    group.finish();
}

/// The administrator's certificate as a door sees it.
fn shown(certificate: &CertificateDer<'_>) -> compass_harness::journal::ClientCertificate {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).expect("a certificate");
    compass_harness::journal::ClientCertificate {
        fingerprint: "00".repeat(32),
        common_name: "compass".into(),
        not_after: jiff::Timestamp::MAX,
        chain_length: 1,
        subject: parsed.subject().to_string().split(", ").map(str::to_owned).collect(),
    }
}

/// Compass behind one door, and a client with a certificate.
struct Stage {
    compass: Compass,
    gateway: Gateway,
    door: SocketAddr,
    server: Arc<ServerConfig>,
    connector: TlsConnector,
    servers: std::sync::Mutex<JoinSet<()>>,
}

impl Stage {
    async fn new() -> Self {
        let file: LandscapeFile = serde_saphyr::from_str(SHOP).expect("a landscape");
        let journal = Journal::new();
        let compass = Compass::start(&file, journal.clone()).await.expect("Compass starts");
        let authority = ServerAuthority::generate().expect("an authority");
        let identity = authority.issue(&ServerTerms::good(["localhost"])).expect("issued");
        let identity = ServerIdentity { chain: identity.chain, key: identity.key };
        let roots = vec![compass.client_ca().clone()];
        let plan =
            |name: &str, reception| DoorPlan::new(Door::Token, name, identity.clone(), reception);
        let plans = vec![
            plan("token", compass.token_reception()),
            DoorPlan {
                door: Door::Certificate,
                clients: ClientCertificates::Required { roots: roots.clone() },
                ..plan("mtls", compass.certificate_reception())
            },
        ];
        let faults = Faults::new(journal.clone());
        let gateway = Gateway::open(plans, journal, faults).expect("the doors open");
        let door = gateway.address("mtls").expect("a door");
        let token_door = gateway.address("token").expect("a door");
        let (chain, key) = pair(&compass, token_door, &authority).await;
        let connector = TlsConnector::from(Arc::new(client_config(&authority, Some((chain, key)))));
        let server = bare_config(&identity, &roots);
        Self { compass, gateway, door, server, connector, servers: Default::default() }
    }

    /// A server of the same libraries that reads a request and returns these bytes.
    async fn bare(&self, answer: Bytes) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        self.servers.lock().expect("no panic").spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("an option");
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: http::Request<Arriving>| {
                        let answer = answer.clone();
                        async move {
                            let _ = request.into_body().collect().await;
                            let answer = http::Response::builder()
                                .header("content-type", "application/json")
                                .body(Full::new(answer));
                            Ok::<_, Infallible>(answer.expect("an answer"))
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    async fn shake(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let name = ServerName::try_from("localhost").expect("a name");
        self.connector.connect(name, stream).await.expect("a handshake")
    }

    async fn connect(&self, address: SocketAddr) -> SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.shake(address).await);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.expect("a connection");
        self.servers.lock().expect("no panic").spawn(async move {
            let _ = connection.await;
        });
        sender
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn bare_config(identity: &ServerIdentity, roots: &[CertificateDer<'static>]) -> Arc<ServerConfig> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let verifier = WebPkiClientVerifier::builder_with_provider(store.into(), provider());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .expect("an identity");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

type ClientChain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_config(authority: &ServerAuthority, identity: Option<ClientChain>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("an identity"),
        None => builder.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// Goes the way of an agent to its certificate.
async fn pair(compass: &Compass, door: SocketAddr, authority: &ServerAuthority) -> ClientChain {
    let landscape = compass.landscape();
    let token = landscape.issue_token(landscape.runtime_id()).expect("a token");
    let connector = TlsConnector::from(Arc::new(client_config(authority, None)));
    let ask = async |token: &str, query: &str| -> Value {
        let stream = TcpStream::connect(door).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, stream).await.expect("a handshake");
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.expect("a connection");
        let request = http::Request::post("/connector/graphql")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("connector-token", token)
            .body(Full::new(Bytes::from(json!({"query": query}).to_string())))
            .expect("a request");
        let exchange = async {
            let answer = sender.send_request(request).await.expect("an answer");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            serde_json::from_slice(&body).expect("JSON")
        };
        tokio::select! {
            answer = exchange => answer,
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    };
    let configuration =
        "{ configuration { token { token } certificateSigningRequestInfo { subject } } }";
    let answer = ask(&token, configuration).await["data"]["configuration"].take();
    let text = answer["certificateSigningRequestInfo"]["subject"].as_str().expect("a subject");
    let client = text.rsplit_once("CN=").expect("a common name").1;
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let csr = csr_of(&subject(client), &key);
    let pem = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        STANDARD.encode(csr)
    );
    let sign = format!(
        "mutation {{ signCertificateSigningRequest(csr: \"{}\") {{ certificateChain }} }}",
        STANDARD.encode(pem)
    );
    let answer = ask(answer["token"]["token"].as_str().expect("a token"), &sign).await;
    let chain = answer["data"]["signCertificateSigningRequest"]["certificateChain"].as_str();
    let chain = STANDARD.decode(chain.expect("a chain")).expect("base64");
    let chain = CertificateDer::pem_slice_iter(&chain).map(|one| one.expect("PEM")).collect();
    (chain, PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
}

fn subject(client: &str) -> [(DnType, &str); 6] {
    [
        (DnType::OrganizationName, "Org"),
        (DnType::OrganizationalUnitName, "OrgUnit"),
        (DnType::LocalityName, "locality"),
        (DnType::StateOrProvinceName, "province"),
        (DnType::CountryName, "DE"),
        (DnType::CommonName, client),
    ]
}

fn csr_of(subject: &[(DnType, &str)], key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.serialize_request(key).expect("a request").der().to_vec()
}
