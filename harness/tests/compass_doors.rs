//! Compass behind a real gateway: TLS, client certificates, kept connections, faults.

use compass_harness::compass::{Addresses, Compass, DEFAULT_TENANT, LandscapeFile};
use compass_harness::fault::{self, Armed, Faults, Place};
use compass_harness::gateway::{ClientCertificates, DoorPlan, Gateway, Reception, ServerIdentity};
use compass_harness::journal::{Answer, Door, Event, Journal};
use compass_harness::pki::{Authority, ServerAuthority, ServerTerms};
use reqwest::{Certificate, Identity};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use crate::compass_world::*;

/// Compass with four doors, as a landscape has them.
struct Doors {
    compass: Compass,
    gateway: Gateway,
    faults: Faults,
    journal: Journal,
    ca: String,
}

impl Doors {
    async fn open(yaml: &str) -> Self {
        Self::open_with(yaml, Arc::clone(&AUTHORITY), &[]).await
    }

    /// Opens the doors to clients of other authorities too.
    async fn open_with(yaml: &str, authority: Arc<Authority>, others: &[&Authority]) -> Self {
        let file: LandscapeFile = serde_saphyr::from_str(yaml).expect("a landscape");
        let journal = Journal::new();
        let faults = Faults::new(journal.clone());
        let compass =
            Compass::start_with(&file, authority, journal.clone()).await.expect("Compass starts");
        let server_authority = ServerAuthority::generate().expect("an authority");
        let identity = server_authority.issue(&ServerTerms::good(["localhost"])).expect("issued");
        let identity = ServerIdentity { chain: identity.chain, key: identity.key };
        let plan = |address: &str,
                    reception: Arc<dyn Reception>,
                    roots: Option<Vec<CertificateDer<'static>>>| {
            let door = if roots.is_some() { Door::Certificate } else { Door::Token };
            let clients = roots.map_or(ClientCertificates::NotAsked, |roots| {
                ClientCertificates::Required { roots }
            });
            DoorPlan { clients, ..DoorPlan::new(door, address, identity.clone(), reception) }
        };
        let others = others.iter().map(|other| other.trust_anchor());
        let client_roots = std::iter::once(compass.client_ca()).chain(others).cloned().collect();
        let plans = vec![
            plan("token", compass.token_reception(), None),
            plan("mtls", compass.certificate_reception(), Some(client_roots)),
            plan(
                "sap-mtls",
                compass.external_reception(),
                Some(vec![compass.external_ca().clone()]),
            ),
            plan("oauth", compass.oauth_reception(), None),
        ];
        let gateway =
            Gateway::open(plans, journal.clone(), faults.clone()).expect("the doors open");
        let doors = Self { compass, gateway, faults, journal, ca: server_authority.ca_pem() };
        doors.compass.landscape().set_addresses(Addresses {
            token_connector: doors.url("token", "/connector/graphql"),
            connector: doors.url("mtls", "/connector/graphql"),
            director: doors.url("mtls", "/director/graphql"),
        });
        doors.compass.landscape().set_token_endpoint(doors.url("oauth", "/oauth2/token"));
        doors
    }

    fn url(&self, door: &str, path: &str) -> String {
        let port = self.gateway.address(door).expect("a door").port();
        format!("https://localhost:{port}{path}")
    }

    fn client(&self, identity: Option<&str>) -> reqwest::Client {
        let ca = Certificate::from_pem(self.ca.as_bytes()).expect("a CA");
        let builder = reqwest::Client::builder().tls_backend_rustls().tls_certs_only([ca]);
        let builder = match identity {
            Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).expect("an identity")),
            None => builder,
        };
        builder.timeout(Duration::from_secs(20)).build().expect("a client")
    }

    async fn paired(&self, token: &str) -> String {
        let client = self.client(None);
        let url = self.url("token", "/connector/graphql");
        let answer = query(&client, &url, CONFIGURATION, &[("Connector-Token", token)]).await;
        let configuration = &answer.1["data"]["result"];
        let sign = format!(
            "mutation {{ result: signCertificateSigningRequest(csr: \"{}\") {{ certificateChain }} }}",
            csr(configuration)
        );
        let token = configuration["token"]["token"].as_str().expect("a token");
        let answer = query(&client, &url, &sign, &[("Connector-Token", token)]).await.1;
        let chain = pem(&answer["data"]["result"]["certificateChain"]);
        format!("{}{}", String::from_utf8(chain).expect("text"), KEY.serialize_pem())
    }

    fn token(&self) -> String {
        let landscape = self.compass.landscape();
        landscape.issue_token(landscape.runtime_id()).expect("a token")
    }
}

async fn query(
    client: &reqwest::Client,
    url: &str,
    query: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let mut request = client.post(url).json(&json!({"query": query, "variables": null}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_pairs_reads_and_is_revoked_on_the_connection_that_it_keeps() {
    let doors = Doors::open("applications: [{ name: orders }]").await;
    let identity = doors.paired(&doors.token()).await;
    let client = doors.client(Some(&identity));
    let (connector, director) =
        (doors.url("mtls", "/connector/graphql"), doors.url("mtls", "/director/graphql"));
    let runtime = doors.compass.landscape().runtime_id();
    let read =
        format!("{{ applicationsForRuntime(runtimeID: \"{runtime}\") {{ data {{ name }} }} }}");
    let (status, answer) = query(&client, &director, &read, &[]).await;
    assert_eq!(
        (status, &answer["data"]["applicationsForRuntime"]["data"][0]["name"]),
        (200, &json!("mp-orders"))
    );
    let forged =
        [("Client-Id-From-Certificate", "x"), ("Harness-Key", "x"), ("Harness-Caller", "{}")];
    assert_eq!(query(&client, &director, &read, &forged).await.0, 200);
    let revoke = "mutation { result: revokeCertificate }";
    assert_eq!(query(&client, &connector, revoke, &[]).await.1["data"]["result"], true);
    assert_eq!(query(&client, &connector, CONFIGURATION, &[]).await, (400, Value::Null));
    let (status, answer) = query(&client, &director, &read, &[]).await;
    assert_eq!((status, &answer["errors"][0]["extensions"]["error_code"]), (200, &json!(23)));
    // All of it went over one handshake, so it is the request that is refused.
    let handshakes = doors.journal.snapshot().iter().filter(|entry| {
        matches!(&entry.event, Event::Handshake(handshake) if handshake.address == "mtls")
    }).count();
    assert_eq!(handshakes, 1);
    doors.gateway.stop().await;
    doors.compass.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_of_the_right_authority_there_is_no_connection() {
    let doors = Doors::open("{}").await;
    let own = doors.paired(&doors.token()).await;
    let admin = doors.compass.issue_administrator().expect("issued");
    let admin = format!("{}{}", admin.chain_pem(), admin.key_pem());
    for (door, identity) in
        [("mtls", None), ("mtls", Some(&admin)), ("sap-mtls", None), ("sap-mtls", Some(&own))]
    {
        let client = doors.client(identity.map(String::as_str));
        let request = client.post(doors.url(door, "/director/graphql")).body("{}");
        request.send().await.expect_err("no connection");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_and_oauth_clients_come_in_by_their_doors() {
    let doors = Doors::open("{}").await;
    let admin = doors.compass.issue_administrator().expect("issued");
    let admin = doors.client(Some(&format!("{}{}", admin.chain_pem(), admin.key_pem())));
    let director = doors.url("sap-mtls", "/director/graphql");
    let tenant = [("Tenant", DEFAULT_TENANT)];
    let send = async |operation: String| {
        let (status, answer) = query(&admin, &director, &operation, &tenant).await;
        assert_eq!((status, answer.get("errors")), (200, None), "{answer}");
        answer["data"]["result"].clone()
    };
    let system =
        send("mutation { result: registerIntegrationSystem(in: { name: \"s\" }) { id } }".into())
            .await;
    let credentials = send(format!(
        "mutation {{ result: requestClientCredentialsForIntegrationSystem(id: {}) {{ id auth {{ credential {{ ...on OAuthCredentialData {{ clientId clientSecret url }} }} }} }} }}",
        system["id"]
    ))
    .await;
    let credential = &credentials["auth"]["credential"];
    let text = |key: &str| credential[key].as_str().expect("a text");
    let bare = doors.client(None);
    let answer = bare
        .post(text("url"))
        .basic_auth(text("clientId"), Some(text("clientSecret")))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&scope=runtime%3Awrite")
        .send()
        .await
        .expect("an answer");
    let token: Value = answer.json().await.expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let oauth = doors.url("oauth", "/director/graphql");
    let headers = [("Authorization", &*bearer), tenant[0]];
    let register = "mutation { result: registerRuntime(in: { name: \"r\" }) { id labels(key: \"runtimeType\") } }";
    let (_, answer) = query(&bare, &oauth, register, &headers).await;
    assert_eq!(answer["data"]["result"]["labels"], json!({"runtimeType": "kyma"}));
    let (status, answer) = query(&bare, &oauth, register, &tenant).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(401)));
    let token = send(format!(
        "mutation {{ result: requestOneTimeTokenForRuntime(id: {}) {{ token }} }}",
        answer_id(
            &send("mutation { result: registerRuntime(in: { name: \"q\" }) { id } }".into()).await
        )
    ))
    .await;
    doors.paired(token["token"].as_str().expect("a token")).await;
    let journal = format!("{:?}", doors.journal.snapshot());
    for secret in [text("clientSecret"), &bearer[7..], token["token"].as_str().expect("a token")] {
        assert!(!journal.contains(secret));
    }
}

fn answer_id(answer: &Value) -> &Value {
    &answer["id"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_meet_answers_that_are_made_in_this_process() {
    let doors = Doors::open("{}").await;
    let words = json!({"path": "result.token", "as": "null"});
    let fault = fault::read("graphql.field", words).expect("parameters").expect("known");
    let only = serde_json::from_value(json!({"operation": "configuration", "next": 1}));
    let armed =
        Armed::new("lost".into(), fault, Place::from("connector".to_owned()), only.expect("keys"));
    doors.faults.arm(armed.expect("it can fire"));
    let client = doors.client(None);
    let url = doors.url("token", "/connector/graphql");
    let token = doors.token();
    let (_, answer) = query(&client, &url, CONFIGURATION, &[("Connector-Token", &token)]).await;
    assert_eq!(answer["data"]["result"]["token"], Value::Null);
    let blamed = doors.journal.snapshot().iter().find_map(|entry| match &entry.event {
        Event::Answer(Answer { fault, .. }) => fault.clone(),
        _ => None,
    });
    assert_eq!(blamed.as_deref(), Some("lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_below_a_root_gives_chains_of_three() {
    let authority = Authority::generate_intermediate(Duration::from_secs(60)).await;
    let doors = Doors::open_with("{}", Arc::new(authority.expect("an authority")), &[]).await;
    let identity = doors.paired(&doors.token()).await;
    assert_eq!(identity.matches("BEGIN CERTIFICATE").count(), 3);
    let client = doors.client(Some(&identity));
    let director = doors.url("mtls", "/director/graphql");
    assert_eq!(query(&client, &director, "{ __typename }", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_signs_after_a_rotation_and_old_certificates_stay_good() {
    let next = Authority::generate(Duration::from_secs(60)).await.expect("an authority");
    let doors = Doors::open_with("{}", Arc::clone(&AUTHORITY), &[&next]).await;
    let old = doors.paired(&doors.token()).await;
    doors.compass.landscape().rotate_authority(Arc::new(next));
    let new = doors.paired(&doors.token()).await;
    let issuer = |identity: &str| {
        let all = compass_harness::pki::certificates_in(identity.as_bytes());
        all.last().expect("an authority").fingerprint.clone()
    };
    assert_ne!(issuer(&old), issuer(&new));
    let director = doors.url("mtls", "/director/graphql");
    for identity in [old, new] {
        let client = doors.client(Some(&identity));
        assert_eq!(query(&client, &director, "{ __typename }", &[]).await.0, 200);
    }
}
