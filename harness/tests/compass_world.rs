//! Compass without a gateway: requests go through the receptions, as a door would send them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compass_harness::compass::{Addresses, Compass, LandscapeFile};
use compass_harness::gateway::{Admission, Incoming, Reception, Subject};
use compass_harness::journal::{CertificateFacts, ClientCertificate, Identity, Journal};
use compass_harness::pki::{Authority, certificates_in};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// Making an RSA key takes longer than all the rest, so all tests share one.
pub(crate) static AUTHORITY: LazyLock<Arc<Authority>> = LazyLock::new(|| {
    Arc::new(Authority::generate_blocking(Duration::from_secs(60)).expect("an authority"))
});
pub(crate) static KEY: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"));

pub(crate) struct World {
    pub(crate) compass: Compass,
    pub(crate) journal: Journal,
    http: reqwest::Client,
}

/// What a client sees of an answer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) subject: Subject,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The value of `data` of an answer without errors.
    pub(crate) fn data(&self) -> Value {
        let body = self.json();
        assert_eq!(body.get("errors"), None, "{body}");
        assert_eq!(self.status, 200);
        body["data"].clone()
    }

    pub(crate) fn first_error(&self) -> Value {
        self.json()["errors"][0].clone()
    }

    pub(crate) fn message(&self) -> String {
        self.first_error()["message"].as_str().expect("a message").into()
    }
}

/// How a request proves who it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proof<'a> {
    Nothing,
    Token(&'a str),
    Certificate(&'a ClientCertificate),
    /// A certificate of the external authority.
    External(&'a ClientCertificate),
    Bearer(&'a str),
}

pub(crate) async fn world(yaml: &str) -> World {
    let file: LandscapeFile = serde_saphyr::from_str(yaml).expect("a landscape");
    let journal = Journal::new();
    let compass = Compass::start_with(&file, Arc::clone(&AUTHORITY), journal.clone())
        .await
        .expect("Compass starts");
    compass.landscape().set_addresses(Addresses {
        token_connector: "https://compass-gateway.example/connector/graphql".into(),
        connector: "https://compass-gateway-mtls.example/connector/graphql".into(),
        director: "https://compass-gateway-mtls.example/director/graphql".into(),
    });
    World { compass, journal, http: reqwest::Client::new() }
}

impl World {
    pub(crate) fn token(&self) -> String {
        let landscape = self.compass.landscape();
        landscape.issue_token(landscape.runtime_id()).expect("a token")
    }

    /// Sends a request as a door would: described, admitted, forwarded.
    pub(crate) async fn send(&self, request: http::Request<Bytes>, proof: Proof<'_>) -> Seen {
        let (mut parts, body) = request.into_parts();
        let mut certificate = None;
        let reception: Arc<dyn Reception> = match proof {
            Proof::Nothing => self.compass.token_reception(),
            Proof::Token(token) => {
                parts.headers.insert("Connector-Token", token.parse().expect("a header value"));
                self.compass.token_reception()
            }
            Proof::Certificate(shown) => {
                certificate = Some(shown);
                self.compass.certificate_reception()
            }
            Proof::External(shown) => {
                certificate = Some(shown);
                self.compass.external_reception()
            }
            Proof::Bearer(token) => {
                let value = format!("Bearer {token}").parse().expect("a header value");
                parts.headers.insert("Authorization", value);
                self.compass.oauth_reception()
            }
        };
        let incoming = Incoming { certificate, parts: &parts, body: &body };
        let subject = reception.describe(incoming);
        match reception.admit(incoming, &subject) {
            Admission::Answer(answer) | Admission::Reply(answer) => Seen {
                status: answer.status().as_u16(),
                text: String::from_utf8_lossy(answer.body()).into_owned(),
                subject,
            },
            Admission::Forward { to, remove, set } => {
                let mut headers = parts.headers.clone();
                for name in remove {
                    headers.remove(name);
                }
                headers.extend(set);
                let request =
                    self.http.request(parts.method, to.to_string()).headers(headers).body(body);
                let answer = request.send().await.expect("an answer");
                let status = answer.status().as_u16();
                Seen { status, text: answer.text().await.expect("a body"), subject }
            }
        }
    }

    pub(crate) async fn connector(&self, query: &str, proof: Proof<'_>) -> Seen {
        self.send(post("/connector/graphql", query), proof).await
    }

    pub(crate) async fn director(&self, query: &str, certificate: &ClientCertificate) -> Seen {
        self.send(post("/director/graphql", query), Proof::Certificate(certificate)).await
    }

    pub(crate) async fn director_as(
        &self,
        tenant: &str,
        query: &str,
        certificate: &ClientCertificate,
    ) -> Seen {
        let mut request = post("/director/graphql", query);
        request.headers_mut().insert("Tenant", tenant.parse().expect("a header value"));
        self.send(request, Proof::Certificate(certificate)).await
    }

    /// Asks the Director at the door that belongs to the proof, in a tenant.
    pub(crate) async fn ask(&self, query: &str, tenant: &str, proof: Proof<'_>) -> Seen {
        let mut request = post("/director/graphql", query);
        request.headers_mut().insert("Tenant", tenant.parse().expect("a header value"));
        self.send(request, proof).await
    }

    pub(crate) async fn configuration(&self, proof: Proof<'_>) -> Value {
        self.connector(CONFIGURATION, proof).await.data()["result"].clone()
    }

    pub(crate) async fn sign(&self, csr: &str, proof: Proof<'_>) -> Seen {
        let query = format!(
            "mutation {{ result: signCertificateSigningRequest(csr: \"{csr}\") {{ certificateChain caCertificate clientCertificate }} }}"
        );
        self.connector(&query, proof).await
    }

    /// Goes the whole way of an agent: token, configuration, CSR, certificate.
    pub(crate) async fn paired(&self) -> ClientCertificate {
        self.paired_with(&self.token()).await
    }

    pub(crate) async fn paired_with(&self, token: &str) -> ClientCertificate {
        let configuration = self.configuration(Proof::Token(token)).await;
        let token = configuration["token"]["token"].as_str().expect("a token");
        let csr = csr(&configuration);
        let signed = self.sign(&csr, Proof::Token(token)).await.data();
        shown(&signed["result"], &configuration)
    }
}

pub(crate) const CONFIGURATION: &str = "query { result: configuration { token { token } certificateSigningRequestInfo { subject keyAlgorithm } managementPlaneInfo { directorURL certificateSecuredConnectorURL } } }";

pub(crate) fn post(path: &str, query: &str) -> http::Request<Bytes> {
    let body = json!({"query": query, "variables": null}).to_string();
    http::Request::post(path)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("Accept", "application/json; charset=utf-8")
        .body(body.into())
        .expect("a request")
}

/// Subject attributes of a configuration, in their order.
pub(crate) fn subject_of(configuration: &Value) -> Vec<(String, String)> {
    let subject = configuration["certificateSigningRequestInfo"]["subject"].as_str();
    let parts = subject.expect("a subject").split(',');
    let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.into(), value.into()));
    parts.map(|part| pair(part).expect("KEY=value")).collect()
}

/// A CSR as agents make it, in the form that goes over the wire.
pub(crate) fn csr(configuration: &Value) -> String {
    wire(&csr_der(&subject_of(configuration), &KEY))
}

pub(crate) fn csr_der(subject: &[(String, String)], key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (name, value) in subject {
        let kind = match &**name {
            "C" => DnType::CountryName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "L" => DnType::LocalityName,
            "ST" => DnType::StateOrProvinceName,
            _ => DnType::CommonName,
        };
        params.distinguished_name.push(kind, value.as_str());
    }
    params.serialize_request(key).expect("a request").der().to_vec()
}

pub(crate) fn wire(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines = Vec::from_iter(body.as_bytes().chunks(64).map(String::from_utf8_lossy)).join("\n");
    STANDARD.encode(format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n"
    ))
}

pub(crate) fn pem(field: &Value) -> Vec<u8> {
    STANDARD.decode(field.as_str().expect("a text")).expect("base64")
}

pub(crate) fn facts(field: &Value) -> Vec<CertificateFacts> {
    certificates_in(&pem(field))
}

/// The certificate as a door sees it in a handshake.
pub(crate) fn shown(result: &Value, configuration: &Value) -> ClientCertificate {
    let facts = facts(&result["clientCertificate"]).remove(0);
    let subject = subject_of(configuration);
    ClientCertificate {
        fingerprint: facts.fingerprint,
        common_name: subject.last().expect("a common name").1.clone(),
        not_after: facts.not_after,
        chain_length: 2,
        subject: subject.iter().map(|(key, value)| format!("{key}={value}")).collect(),
    }
}

pub(crate) fn refused_token(number: Option<u32>, reason: &str) -> Identity {
    Identity::RefusedToken { number, reason: reason.into() }
}

/// The administrator's certificate as a door sees it.
pub(crate) fn administrator() -> ClientCertificate {
    let subject = [
        "C=DE",
        "L=local",
        "O=SAP SE",
        "OU=Region",
        "OU=SAP Cloud Platform Clients",
        "OU=f8075207-1478-4a80-bd26-24a4785a2bfd",
        "CN=compass",
    ];
    ClientCertificate {
        fingerprint: "00".repeat(32),
        common_name: "compass".into(),
        not_after: jiff::Timestamp::MAX,
        chain_length: 1,
        subject: subject.map(String::from).to_vec(),
    }
}
