//! Signing and the transport of the Connector.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compass_harness::compass::matchers;
use compass_harness::journal::{CertificateEvent, Event, Identity};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use wiremock::Mock;

use crate::compass_world::*;

const P: &str = "Error while signing Certificate Signing Request: ";

#[tokio::test]
async fn each_wrong_csr_has_its_message_in_the_order_of_the_checks() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let configuration = world.configuration(Proof::Certificate(&certificate)).await;
    let subject = subject_of(&configuration);
    let changed = |name: &str, value: Option<&str>| {
        let mut subject = subject.clone();
        match value {
            Some(value) => {
                subject
                    .iter_mut()
                    .filter(|(key, _)| key == name)
                    .for_each(|(_, old)| *old = value.into());
            }
            None => subject.retain(|(key, _)| key != name),
        }
        wire(&csr_der(&subject, &KEY))
    };
    let good = csr_der(&subject, &KEY);
    let mut forged = good.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    let not_base64 = "Error while decoding Certificate Signing Request: Error while parsing base64 content. Incorrect value provided.";
    let cases = [
        ("%", not_base64.to_owned()),
        ("QQ", not_base64.to_owned()),
        ("", format!("{P}Error while decoding pem block.")),
        ("wrongCSR", format!("{P}Error while decoding pem block.")),
        (&*wire(b"hello"), format!("{P}Error while parsing CSR: asn1: ")),
        (&*wire(&forged), format!("{P}CSR signature invalid: crypto/rsa: verification error")),
        (&*changed("CN", Some("other")), format!("{P}CSR: Invalid common name provided.")),
        (&*changed("CN", None), format!("{P}CSR: Invalid common name provided.")),
        (&*changed("C", None), format!("{P}CSR: No country provided.")),
        (&*changed("C", Some("FR")), format!("{P}CSR: Invalid country provided.")),
        (&*changed("O", None), format!("{P}CSR: No organization provided.")),
        (&*changed("O", Some("x")), format!("{P}CSR: Invalid organization provided.")),
        (&*changed("OU", None), format!("{P}CSR: No organizational unit provided.")),
        (&*changed("OU", Some("x")), format!("{P}CSR: Invalid organizational unit provided.")),
        (&*changed("L", None), format!("{P}CSR: No locality provided.")),
        (&*changed("L", Some("x")), format!("{P}CSR: Invalid locality provided.")),
        (&*changed("ST", None), format!("{P}CSR: No province provided.")),
        (&*changed("ST", Some("x")), format!("{P}CSR: Invalid province provided.")),
    ];
    for (csr, expected) in cases {
        let message = world.sign(csr, Proof::Certificate(&certificate)).await.message();
        assert!(message.starts_with(&expected), "expected {expected}, observed {message}");
    }
}

#[tokio::test]
async fn the_label_of_the_pem_block_and_line_ends_in_base64_do_not_matter() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let configuration = world.configuration(Proof::Certificate(&certificate)).await;
    let pem = String::from_utf8(pem(&json!(csr(&configuration)))).expect("text");
    let relabelled = STANDARD.encode(pem.replace("CERTIFICATE REQUEST", "ANYTHING"));
    world.sign(&relabelled, Proof::Certificate(&certificate)).await.data();
    let folded = STANDARD
        .encode(&pem)
        .as_bytes()
        .chunks(76)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join("\\n");
    world.sign(&folded, Proof::Certificate(&certificate)).await.data();
}

#[tokio::test]
async fn an_elliptic_key_passes_the_checks_and_gets_no_certificate() {
    let world = world("{}").await;
    let configuration = world.configuration(Proof::Token(&world.token())).await;
    let token = configuration["token"]["token"].as_str().expect("a token");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let csr = wire(&csr_der(&subject_of(&configuration), &key));
    let message = world.sign(&csr, Proof::Token(token)).await.message();
    assert!(message.starts_with(&format!("{P}Error while creating certificate: ")), "{message}");
}

#[tokio::test]
async fn issuing_is_in_the_journal_with_what_a_judge_needs() {
    let world =
        world("certificates: { validFor: 40s, subject: { country: PL, locality: Kraków } }").await;
    let certificate = world.paired().await;
    let journal = world.journal.snapshot();
    let issued = journal.iter().find_map(|entry| match &entry.event {
        Event::Certificate(event) => Some(event.clone()),
        _ => None,
    });
    let Some(CertificateEvent::Issued { number, facts, to, key_algorithm, key_bits, subject }) =
        issued
    else {
        panic!("no certificate was issued")
    };
    assert_eq!((number, &*key_algorithm, key_bits), (1, "RSA", 2048));
    assert_eq!(to, Identity::Token { number: 2 });
    assert_eq!(facts.fingerprint, certificate.fingerprint);
    assert_eq!(facts.not_after.duration_since(facts.not_before).as_secs(), 40);
    let client = format!("CN={}", certificate.common_name);
    assert_eq!(subject, ["O=Org", "OU=OrgUnit", "L=Kraków", "ST=province", "C=PL", &*client]);
}

#[tokio::test]
async fn revoking_needs_a_certificate() {
    let world = world("{}").await;
    let seen = world
        .connector("mutation { result: revokeCertificate }", Proof::Token(&world.token()))
        .await;
    assert!(
        seen.message().starts_with("Failed to authenticate with certificate: "),
        "{}",
        seen.message()
    );
}

#[tokio::test]
async fn a_request_by_certificate_takes_the_stored_token_away() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let configuration = world.configuration(Proof::Certificate(&certificate)).await;
    let token = configuration["token"]["token"].as_str().expect("a token");
    world.configuration(Proof::Certificate(&certificate)).await;
    assert_eq!(world.connector(CONFIGURATION, Proof::Token(token)).await.status, 400);
    // A token made by an operator belongs to another client id and stays good.
    let fresh = world.token();
    world.configuration(Proof::Certificate(&certificate)).await;
    world.configuration(Proof::Token(&fresh)).await;
}

#[tokio::test]
async fn a_burnt_token_is_a_used_one() {
    let world = world("{}").await;
    let token = world.token();
    world.compass.landscape().burn_tokens(world.compass.landscape().runtime_id());
    let seen = world.connector(CONFIGURATION, Proof::Token(&token)).await;
    assert_eq!((seen.status, seen.subject.identity), (400, refused_token(Some(1), "used")));
}

#[tokio::test]
async fn a_removed_runtime_leaves_its_certificates_without_a_client() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let landscape = world.compass.landscape();
    landscape.remove_runtime(landscape.runtime_id()).expect("removed");
    let seen = world.connector(CONFIGURATION, Proof::Certificate(&certificate)).await;
    assert_eq!((seen.status, &*seen.text), (400, ""));
    let reason = Identity::RefusedCertificate { number: Some(1), reason: "no such client".into() };
    assert_eq!(seen.subject.identity, reason);
}

#[tokio::test]
async fn every_way_to_misuse_the_transport_has_its_status() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let send = async |request: http::Request<Bytes>| {
        let seen = world.send(request, Proof::Certificate(&certificate)).await;
        (seen.status, seen.json())
    };
    let with_body = |body: &str| {
        http::Request::post("/connector/graphql")
            .header("Content-Type", "application/json")
            .body(Bytes::from(body.to_owned()))
            .expect("a request")
    };
    let plain = |message: &str| json!({"errors": [{"message": message}], "data": null});

    let mut request = post("/connector/graphql", CONFIGURATION);
    request.headers_mut().insert("Content-Type", "text/plain".parse().expect("a value"));
    assert_eq!(send(request).await, (400, plain("transport not supported")));

    for body in
        ["hello", "", "[]", "{\"query\": 1}", "{\"query\": \"{ __typename }\", \"variables\": []}"]
    {
        let (status, answer) = send(with_body(body)).await;
        assert_eq!(status, 400, "{body}");
        assert!(
            answer["errors"][0]["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("json request body could not be decoded: ")),
            "{answer}"
        );
        assert_eq!(answer["data"], Value::Null);
    }
    // Only the first value is read.
    assert_eq!(send(with_body("{\"query\": \"{ __typename }\"} trailing")).await.0, 200);

    for (query, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ unknown }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "mutation { signCertificateSigningRequest { caCertificate } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("query($x: Int!) { configuration { token { token } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query a { __typename } query b { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ("", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let (status, answer) = send(post("/connector/graphql", query)).await;
        assert_eq!(
            (status, answer["errors"][0]["extensions"]["code"].as_str()),
            (422, Some(code)),
            "{query}: {answer}"
        );
        assert_eq!(answer["data"], Value::Null);
    }
    let (_, answer) = send(post("/connector/graphql", "{\n  unknown\n}")).await;
    assert_eq!(
        answer["errors"][0],
        json!({
            "message": "Cannot query field \"unknown\" on type \"Query\".",
            "locations": [{"line": 2, "column": 3}],
            "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
        })
    );

    let get = |query: &str| {
        http::Request::get(format!("/connector/graphql?query={query}"))
            .body(Bytes::new())
            .expect("a request")
    };
    assert_eq!(
        send(get("%7B__typename%7D")).await,
        (200, json!({"data": {"__typename": "Query"}}))
    );
    assert_eq!(
        send(get("mutation%7BrevokeCertificate%7D")).await,
        (406, plain("GET requests only allow query operations"))
    );
}

#[tokio::test]
async fn introspection_and_operation_names_work() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let query = "{ __schema { queryType { fields { name type { kind ofType { name } } } } mutationType { fields { name } } } }";
    let data = world.connector(query, Proof::Certificate(&certificate)).await.data();
    assert_eq!(
        data["__schema"],
        json!({
            "queryType": {"fields": [{"name": "configuration", "type": {"kind": "NON_NULL", "ofType": {"name": "Configuration"}}}]},
            "mutationType": {"fields": [{"name": "signCertificateSigningRequest"}, {"name": "revokeCertificate"}]},
        })
    );
    let body = json!({
        "query": "query a { x: __typename } query b($s: Boolean!) { y: __typename @include(if: $s) }",
        "operationName": "b",
        "variables": {"s": true},
    });
    let request = http::Request::post("/connector/graphql")
        .header("Content-Type", "application/json")
        .body(Bytes::from(body.to_string()))
        .expect("a request");
    let seen = world.send(request, Proof::Certificate(&certificate)).await;
    assert_eq!(seen.data(), json!({"y": "Query"}));
    assert_eq!(seen.subject.operations, ["__typename"]);
}

#[tokio::test]
async fn ones_own_mocks_go_before_the_real_behaviour() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    Mock::given(matchers::operation("configuration"))
        .and(matchers::identity(Identity::Certificate { number: 1 }))
        .respond_with(matchers::graphql_error("the database is asleep"))
        .up_to_n_times(1)
        .expect(1)
        .mount(world.compass.connector())
        .await;
    world.configuration(Proof::Token(&world.token())).await;
    world.connector("{ __typename }", Proof::Certificate(&certificate)).await.data();
    let seen = world.connector(CONFIGURATION, Proof::Certificate(&certificate)).await;
    assert_eq!(seen.message(), "the database is asleep");
    world.configuration(Proof::Certificate(&certificate)).await;
    world.compass.stop().await;
}

#[tokio::test]
async fn the_servers_say_that_they_are_well() {
    let world = world("{}").await;
    for server in ["connector", "director", "hydrators"] {
        let url = format!("{}/{server}/healthz", world.compass.url());
        let answer = reqwest::get(url).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.expect("a body"), "ok");
    }
    // What did not come through the edge is nobody's, whatever it says of itself.
    for server in ["connector", "director"] {
        let request = reqwest::Client::new()
            .post(format!("{}/{server}/graphql", world.compass.url()))
            .header("Content-Type", "application/json")
            .header("Client-Id-From-Token", world.compass.landscape().runtime_id().to_string())
            .header(
                "Harness-Caller",
                "{\"identity\":{\"is\":\"administrator\"},\"flow\":\"externalCertificate\",\"consumer\":\"administrator\",\"tenant\":\"t\",\"foreignTenant\":null}",
            )
            .body(json!({"query": CONFIGURATION}).to_string());
        assert_eq!(request.send().await.expect("an answer").status(), 400);
    }
}

#[tokio::test]
async fn the_next_certificates_may_each_live_for_a_time_of_their_own() {
    let world = world("certificates: { validFor: 40s }").await;
    let landscape = world.compass.landscape();
    landscape.set_next_certificate_validities([10, 20].map(std::time::Duration::from_secs));
    let mut lives = Vec::new();
    for _ in 0..3 {
        world.paired().await;
    }
    for number in 1..=3 {
        let facts = landscape.certificate(number).expect("issued");
        lives.push(facts.not_after.duration_since(facts.not_before).as_secs());
    }
    assert_eq!(lives, [10, 20, 40]);
}

#[tokio::test]
async fn the_revocation_list_can_be_mirrored_and_taken_back() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let landscape = world.compass.landscape();
    let mut changes = landscape.revocations();
    let asked =
        async || world.connector(CONFIGURATION, Proof::Certificate(&certificate)).await.status;
    assert_eq!(asked().await, 200);
    landscape.revoke(1).expect("issued");
    assert!(changes.has_changed().expect("the landscape is there"));
    changes.mark_unchanged();
    assert!(landscape.revoked().contains(&certificate.fingerprint));
    assert_eq!(asked().await, 400);
    assert!(landscape.take_back_revocation(&certificate.fingerprint));
    assert!(changes.has_changed().expect("the landscape is there"));
    assert_eq!(asked().await, 200);
    assert!(!landscape.take_back_revocation(&certificate.fingerprint));
}
