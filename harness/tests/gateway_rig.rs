//! A gateway with certificates of its own, a server behind it, and clients in front.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compass_harness::fault::{self, Armed, Faults, Place};
use compass_harness::gateway::{
    Admission, ClientCertificates, DoorPlan, Gateway, Incoming, KubernetesReception, Reception,
    ServerIdentity, Subject,
};
use compass_harness::journal::{
    Answer, Door, Event, FaultEvent, Handshake, HandshakeOutcome, Identity, Journal, Peer, Request,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come in time"),
    }
}

/// What is left of the body of an answer.
pub(crate) async fn rest(answer: &mut reqwest::Response) -> reqwest::Result<String> {
    let mut rest = Vec::new();
    while let Some(chunk) = soon("the end of an answer", answer.chunk()).await? {
        rest.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&rest).into_owned())
}

/// All the words of an error, its causes included.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// An authority.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    fn sign(&self, params: &CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    pub(crate) fn server(&self) -> ServerIdentity {
        let names = ["localhost", "compass-gateway.kyma.example.com", "127.0.0.1"];
        let mut params = CertificateParams::new(names.map(String::from)).expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = self.sign(&params);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerIdentity { chain: vec![certificate.der().clone()], key }
    }

    /// Certificate, authority and key of a client, in PEM.
    pub(crate) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client-1");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let (certificate, key) = self.sign(&params);
        format!("{}{}{}", certificate.pem(), self.pem(), key.serialize_pem())
    }
}

/// A watch as the server behind sees it.
pub(crate) struct Watch {
    pub(crate) frames: mpsc::Sender<Bytes>,
}

impl Watch {
    pub(crate) async fn send(&self, frame: &str) {
        self.frames.send(Bytes::from(frame.to_owned())).await.expect("the watch is open");
    }
}

/// A server behind the doors: plain HTTP/1.1.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) watches: Mutex<mpsc::Receiver<Watch>>,
    /// Ends with the test.
    pub(crate) _tasks: JoinSet<()>,
}

type Frames = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;
type Reply = Response<Either<Full<Bytes>, StreamBody<Frames>>>;

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (opened, watches) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("an option");
                let opened = opened.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| reply(request, opened.clone()));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, watches: Mutex::new(watches), _tasks: tasks }
    }

    pub(crate) async fn next_watch(&self) -> Watch {
        soon("a watch", async { self.watches.lock().await.recv().await }).await.expect("a watch")
    }
}

async fn reply(
    request: http::Request<hyper::body::Incoming>,
    opened: mpsc::Sender<Watch>,
) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let json = |status: u16, value: Value| {
        let reply = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("connection", "keep-alive")
            .body(Either::Left(Full::new(Bytes::from(value.to_string()))));
        Ok(reply.expect("an answer"))
    };
    if parts.uri.query().unwrap_or_default().contains("watch=") {
        let (frames, queue) = mpsc::channel(4);
        let _ = opened.send(Watch { frames }).await;
        let frames = futures::stream::unfold(queue, |mut queue| async {
            queue.recv().await.map(|frame| (Ok(Frame::data(frame)), queue))
        });
        let reply = Response::builder()
            .header("content-type", "application/json")
            .body(Either::Right(StreamBody::new(frames.boxed())));
        return Ok(reply.expect("an answer"));
    }
    match parts.uri.path() {
        "/graphql" => {
            let result = json!({"token": {"token": "t"}, "list": [{"name": "a"}]});
            json(200, json!({"data": {"result": result}}))
        }
        "/graphql-errors" => {
            json(200, json!({"errors": [{"message": "no such runtime"}], "data": null}))
        }
        "/large" => json(200, json!({"data": "x".repeat(3 * 1024 * 1024)})),
        path if path.starts_with("/api") => match parts.method {
            Method::GET => {
                json(200, json!({"kind": "Secret", "metadata": {"resourceVersion": "7"}}))
            }
            Method::DELETE => {
                let message = "secrets \"a\" not found";
                json(404, json!({"kind": "Status", "message": message, "code": 404}))
            }
            _ => json(201, json!({"kind": "Secret", "metadata": {"resourceVersion": "8"}})),
        },
        path => {
            let headers: Vec<(String, String)> = parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
                .collect();
            let seen = json!({
                "method": parts.method.as_str(),
                "path": path,
                "query": parts.uri.query(),
                "headers": headers,
                "body": String::from_utf8_lossy(&body[..body.len().min(100)]),
                "bytes": body.len(),
            });
            json(200, seen)
        }
    }
}

/// A reception that knows a little of Compass: peers by path, operations by a header.
pub(crate) struct Front {
    pub(crate) backend: SocketAddr,
}

impl Reception for Front {
    fn describe(&self, incoming: Incoming<'_>) -> Subject {
        let path = incoming.parts.uri.path();
        let peer = match path {
            path if path.starts_with("/connector") => Peer::Connector,
            path if path.starts_with("/director") => Peer::Director,
            _ => Peer::Nobody,
        };
        let operations = incoming.parts.headers.get("x-operations");
        let operations = operations.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operations = operations.split(',').filter(|name| !name.is_empty());
        Subject {
            peer,
            operations: operations.map(str::to_owned).collect(),
            kubernetes: None,
            identity: match incoming.certificate {
                Some(_) => Identity::Certificate { number: 1 },
                None => Identity::None,
            },
        }
    }

    fn admit(&self, incoming: Incoming<'_>, subject: &Subject) -> Admission {
        if subject.peer == Peer::Nobody {
            let answer = Response::builder().status(StatusCode::NOT_FOUND).body(Bytes::new());
            return Admission::Answer(answer.expect("an answer"));
        }
        let path = incoming.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = path.trim_start_matches("/connector").trim_start_matches("/director");
        let to = Uri::try_from(format!("http://{}{path}", self.backend)).expect("a URI");
        let mut set = HeaderMap::new();
        if let Some(certificate) = incoming.certificate {
            set.insert("client-id", certificate.common_name.parse().expect("a value"));
        }
        Admission::Forward { to, remove: vec!["x-forged".parse().expect("a name")], set }
    }

    fn errors(&self, _subject: &Subject, _status: u16, body: &[u8]) -> Vec<String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| error["message"].as_str().map(str::to_owned)).collect()
    }
}

/// Everything a test needs.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) backend: Backend,
    pub(crate) servers: Authority,
    pub(crate) clients: Authority,
}

impl Rig {
    /// The four listeners that a world has.
    pub(crate) async fn open() -> Self {
        Self::open_before(Backend::start().await).await
    }

    pub(crate) async fn open_before(backend: Backend) -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let journal = Journal::new();
        let faults = Faults::new(journal.clone());
        let front: Arc<dyn Reception> = Arc::new(Front { backend: backend.address });
        let server = Uri::try_from(format!("http://{}", backend.address)).expect("a URI");
        let kubernetes: Arc<dyn Reception> = Arc::new(KubernetesReception::new(server));
        let plan = |door, address: &str| {
            let reception = if door == Door::Kubernetes { &kubernetes } else { &front };
            let mut plan = DoorPlan::new(door, address, servers.server(), Arc::clone(reception));
            if door == Door::Certificate {
                let roots = vec![clients.0.as_ref().der().clone()];
                plan.clients = ClientCertificates::Required { roots };
            }
            plan
        };
        let plans = vec![
            plan(Door::Token, "token"),
            plan(Door::Certificate, "connector"),
            plan(Door::Certificate, "director"),
            plan(Door::Kubernetes, "kubernetes"),
        ];
        let gateway = Gateway::open(plans, journal.clone(), faults.clone()).expect("open");
        Self { gateway, journal, faults, backend, servers, clients }
    }

    pub(crate) fn at(&self, address: &str) -> SocketAddr {
        self.gateway.address(address).expect("there is such a listener")
    }

    pub(crate) fn url(&self, address: &str, path: &str) -> String {
        format!("https://localhost:{}{path}", self.at(address).port())
    }

    /// A client that trusts our servers.
    pub(crate) fn builder(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.servers.pem().as_bytes()).expect("PEM");
        reqwest::Client::builder()
            .tls_certs_only([root])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        self.builder().build().expect("a client")
    }

    /// One that speaks HTTP/1.1 only.
    pub(crate) fn http1_client(&self) -> reqwest::Client {
        self.builder().http1_only().build().expect("a client")
    }

    /// One that shows a certificate.
    pub(crate) fn client_with(&self, pem: &str) -> reqwest::Client {
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity");
        self.builder().identity(identity).build().expect("a client")
    }

    /// What a TLS client without ALPN needs, with a certificate in PEM if it is to show one.
    pub(crate) fn tls_config(&self, certificate: Option<&str>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.servers.0.as_ref().der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some(pem) => {
                let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
                config.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        Arc::new(config)
    }

    /// A bare TLS connection, for what no HTTP client would send.
    pub(crate) async fn tls(&self, address: &str) -> TlsStream<TcpStream> {
        self.tls_with(address, self.tls_config(None)).await
    }

    pub(crate) async fn tls_with(
        &self,
        address: &str,
        config: Arc<rustls::ClientConfig>,
    ) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.at(address)).await.expect("connected");
        let name = "localhost".try_into().expect("a name");
        TlsConnector::from(config).connect(name, stream).await.expect("a handshake")
    }

    /// Runs curl against a listener; gives its exit code, what it wrote and what it complained of.
    pub(crate) async fn curl(&self, arguments: &[&str], url: &str) -> (i32, String, String) {
        let ca = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(ca.path(), self.servers.pem()).expect("written");
        let curl = tokio::process::Command::new("curl")
            .args(["-sS", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(ca.path())
            .args(arguments)
            .arg(url)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = soon("the end of curl", curl).await.expect("curl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Arms a fault given as in a scenario: `at`, `fault`, `only`, and the fault's own keys.
    pub(crate) fn inject(&self, id: &str, mut words: Value) {
        let words = words.as_object_mut().expect("an object");
        let at = words.remove("at").expect("`at`");
        let name = words.remove("fault").expect("`fault`");
        let only = words.remove("only").unwrap_or_else(|| json!({}));
        let parsed = fault::read(name.as_str().expect("a name"), Value::Object(words.clone()))
            .expect("parameters")
            .expect("there is such a fault");
        let at = Place::from(at.as_str().expect("a place").to_owned());
        let only = serde_json::from_value(only).expect("a narrowing");
        self.faults.arm(Armed::new(id.into(), parsed, at, only).expect("it can fire"));
    }

    fn recorded<T>(&self, pick: impl FnMut(Event) -> Option<T>) -> Vec<T> {
        self.journal.snapshot().iter().map(|entry| entry.event.clone()).filter_map(pick).collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.recorded(Some)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.recorded(|event| if let Event::Request(it) = event { Some(it) } else { None })
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.recorded(|event| if let Event::Answer(it) = event { Some(it) } else { None })
    }

    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.recorded(|event| if let Event::Handshake(it) = event { Some(it) } else { None })
    }

    /// Waits for the first entry, from the start of the run, that this finds.
    pub(crate) async fn entry<T>(
        &self,
        what: &str,
        mut find: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let mut reader = self.journal.reader();
        let found = async {
            loop {
                for entry in reader.next_batch().await {
                    if let Some(found) = find(&entry.event) {
                        return found;
                    }
                }
            }
        };
        soon(what, found).await
    }

    /// Waits until a fault has fired so many times.
    pub(crate) async fn fired(&self, id: &str, times: usize) {
        let mut seen = 0;
        self.entry("the firing of a fault", |event| match event {
            Event::Fault(FaultEvent::Fired { id: fired, .. }) if fired == id => {
                seen += 1;
                (seen == times).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// The reason of the first failed handshake.
    pub(crate) async fn failed_handshake(&self) -> String {
        self.entry("a failed handshake", |event| match event {
            Event::Handshake(Handshake {
                outcome: HandshakeOutcome::Failed { reason }, ..
            }) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The first answer that has no status.
    pub(crate) async fn no_answer(&self) -> Answer {
        self.entry("an answer without status", |event| match event {
            Event::Answer(answer) if answer.status.is_none() => Some(answer.clone()),
            _ => None,
        })
        .await
    }
}
