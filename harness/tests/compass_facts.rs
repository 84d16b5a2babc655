//! The fifteen facts that clients rely on most, one test each.

use bytes::Bytes;
use compass_harness::compass::DEFAULT_TENANT;
use compass_harness::journal::{Event, Identity, Peer, TokenEvent};
use serde_json::{Value, json};
use x509_parser::prelude::*;

use crate::compass_world::*;

const SHOP: &str = r#"
tenants: [other-tenant]
runtimes:
  - { name: first }
  - { name: second }
applications:
  - name: Orders.EU
    description: All orders
    apis: [{ name: orders-v1, url: "https://orders.example/v1" }]
    credentials: { basic: { username: shop, password: wonderland } }
  - { name: mp-billing, systemNumber: "42" }
"#;

#[tokio::test]
async fn fact_1_the_client_id_is_the_id_of_the_system_auth() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    assert_ne!(certificate.common_name, runtime.to_string());
    let query = format!(
        "{{ runtime(id: \"{runtime}\") {{ auths {{ id auth {{ certCommonName oneTimeToken {{ token }} }} type }} }} }}"
    );
    let data = world.director(&query, &certificate).await.data();
    assert_eq!(
        data["runtime"]["auths"],
        json!([{"id": certificate.common_name, "auth": {"certCommonName": "", "oneTimeToken": null}, "type": "RUNTIME"}])
    );
}

#[tokio::test]
async fn fact_2_a_token_is_spent_by_one_request_whatever_comes_of_it() {
    let world = world("{}").await;
    for spoiled in [
        "{ nonsense",
        "{ unknown }",
        "{ __typename }",
        "mutation { result: signCertificateSigningRequest(csr: \"x\") { caCertificate } }",
    ] {
        let token = world.token();
        world.connector(spoiled, Proof::Token(&token)).await;
        let second = world.connector(CONFIGURATION, Proof::Token(&token)).await;
        assert_eq!((second.status, &*second.text), (400, ""), "{spoiled}");
        assert!(
            matches!(second.subject.identity, Identity::RefusedToken { ref reason, .. } if reason == "used")
        );
    }
    // Several root fields in one request are one use.
    let both = "{ a: configuration { token { token } } b: configuration { token { token } } }";
    let data = world.connector(both, Proof::Token(&world.token())).await.data();
    assert_ne!(data["a"]["token"]["token"], data["b"]["token"]["token"]);
    // The token may stand in the query of the URL.
    let mut request = post("/connector/graphql", CONFIGURATION);
    let uri = format!("/connector/graphql?token={}", world.token().replace('=', "%3D"));
    *request.uri_mut() = uri.parse().expect("a URI");
    world.send(request, Proof::Nothing).await.data();
}

#[tokio::test]
async fn fact_3_configuration_always_gives_a_new_token_for_the_same_client() {
    let world = world("{}").await;
    let old = world.token();
    let first = world.configuration(Proof::Token(&old)).await;
    let new = first["token"]["token"].as_str().expect("a token");
    assert_ne!(new, old);
    let second = world.configuration(Proof::Token(new)).await;
    assert_eq!(subject_of(&first), subject_of(&second));
    let certificate = world.paired().await;
    let by_certificate = world.configuration(Proof::Certificate(&certificate)).await;
    let token = by_certificate["token"]["token"].as_str().expect("a token");
    assert_eq!(subject_of(&by_certificate)[5].1, certificate.common_name);
    let signed = world.sign(&csr(&by_certificate), Proof::Token(token)).await.data();
    assert_eq!(shown(&signed["result"], &by_certificate).common_name, certificate.common_name);
}

#[tokio::test]
async fn fact_4_a_token_has_88_characters_and_a_life() {
    let world = world("{}").await;
    assert_eq!(world.token().len(), 88);
    let impatient = crate::compass_world::world("tokens: { runtimes: 0s }").await;
    let seen = impatient.connector(CONFIGURATION, Proof::Token(&impatient.token())).await;
    assert_eq!((seen.status, &*seen.text), (400, ""));
    assert_eq!(seen.subject.identity, refused_token(Some(1), "expired"));
}

#[tokio::test]
async fn fact_5_who_is_nobody_gets_400_from_the_connector_and_an_error_from_the_director() {
    let world = world(SHOP).await;
    for (proof, identity) in [
        (Proof::Nothing, Identity::None),
        (Proof::Token(""), refused_token(None, "empty")),
        (Proof::Token("unknown"), refused_token(None, "unknown")),
    ] {
        let seen = world.connector(CONFIGURATION, proof).await;
        assert_eq!((seen.status, &*seen.text), (400, ""));
        assert_eq!(seen.subject.identity, identity);
    }
    let certificate = world.paired().await;
    world.compass.landscape().revoke(1).expect("revoked");
    let seen = world.connector(CONFIGURATION, Proof::Certificate(&certificate)).await;
    assert_eq!((seen.status, &*seen.text), (400, ""));
    let runtime = world.compass.landscape().runtime_id();
    let query = format!(
        "{{ runtime(id: \"{runtime}\") {{ labels }} applicationsForRuntime(runtimeID: \"{runtime}\") {{ totalCount }} }}"
    );
    let seen = world.director(&query, &certificate).await;
    assert_eq!(seen.status, 200);
    let error = |path: &str, required: &str| {
        json!({
            "message": format!("insufficient scopes provided [actual=; required={required}]"),
            "path": [path],
            "extensions": {"error_code": 23, "error": "InsufficientScopes"},
        })
    };
    assert_eq!(
        seen.json(),
        json!({
            "errors": [error("runtime", "runtime:read"), error("applicationsForRuntime", "application:read")],
            "data": null,
        })
    );
    let query = format!("{{ runtime(id: \"{runtime}\") {{ labels }} }}");
    assert_eq!(world.director(&query, &certificate).await.json()["data"], json!({"runtime": null}));
}

#[tokio::test]
async fn fact_6_the_subject_and_the_algorithm_are_told_in_a_fixed_form() {
    let world = world("{}").await;
    let configuration = world.configuration(Proof::Token(&world.token())).await;
    let info = &configuration["certificateSigningRequestInfo"];
    let subject = info["subject"].as_str().expect("a subject");
    let (constant, client) = subject.split_once(",CN=").expect("CN is last");
    assert_eq!(constant, "O=Org,OU=OrgUnit,L=locality,ST=province,C=DE");
    uuid::Uuid::parse_str(client).expect("the client id is a UUID");
    assert_eq!(info["keyAlgorithm"], "rsa2048");
    assert_eq!(
        configuration["managementPlaneInfo"],
        json!({
            "directorURL": "https://compass-gateway-mtls.example/director/graphql",
            "certificateSecuredConnectorURL": "https://compass-gateway-mtls.example/connector/graphql",
        })
    );
}

#[tokio::test]
async fn fact_8_the_result_is_base64_of_pem_with_a_chain_of_two() {
    let world = world("certificates: { validFor: 2160h }").await;
    let configuration = world.configuration(Proof::Token(&world.token())).await;
    let token = configuration["token"]["token"].as_str().expect("a token");
    let signed = world.sign(&csr(&configuration), Proof::Token(token)).await.data();
    let result = &signed["result"];
    let (leaf, ca) = (facts(&result["clientCertificate"]), facts(&result["caCertificate"]));
    let chain = facts(&result["certificateChain"]);
    assert_eq!(chain, [leaf[0].clone(), ca[0].clone()]);
    let life = leaf[0].not_after.duration_since(leaf[0].not_before);
    assert_eq!(life.as_hours(), 2160);
    let pem = pem(&result["clientCertificate"]);
    let (_, block) = parse_x509_pem(&pem).expect("PEM");
    let certificate = block.parse_x509().expect("a certificate");
    assert_eq!(certificate.raw_serial(), [2]);
    let usage = certificate.extended_key_usage().expect("readable").expect("present").value;
    assert!(usage.client_auth);
}

#[tokio::test]
async fn fact_9_revocation_bites_at_the_next_request_and_only_that_certificate() {
    let world = world("{}").await;
    let first = world.paired().await;
    let configuration = world.configuration(Proof::Certificate(&first)).await;
    // The same key in the same second would give the same certificate, bit for bit.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let csr = wire(&csr_der(&subject_of(&configuration), &key));
    let renewed = world.sign(&csr, Proof::Certificate(&first)).await.data();
    let second = shown(&renewed["result"], &configuration);
    assert_eq!(first.common_name, second.common_name);
    let revoke = "mutation { result: revokeCertificate }";
    let answer = world.connector(revoke, Proof::Certificate(&first)).await.data();
    assert_eq!(answer, json!({"result": true}));
    let seen = world.connector(CONFIGURATION, Proof::Certificate(&first)).await;
    assert_eq!((seen.status, &*seen.text), (400, ""));
    let revoked = Identity::RefusedCertificate { number: Some(1), reason: "revoked".into() };
    assert_eq!(seen.subject.identity, revoked);
    world.configuration(Proof::Certificate(&second)).await;
    assert_eq!(
        world.compass.landscape().revoked().into_iter().collect::<Vec<_>>(),
        [first.fingerprint]
    );
}

#[tokio::test]
async fn fact_10_the_tenant_is_optional_and_another_one_is_an_error() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let query = format!("{{ runtime(id: \"{runtime}\") {{ id }} }}");
    let expected = json!({"runtime": {"id": runtime.to_string()}});
    assert_eq!(world.director(&query, &certificate).await.data(), expected);
    assert_eq!(world.director_as("", &query, &certificate).await.data(), expected);
    assert_eq!(world.director_as(DEFAULT_TENANT, &query, &certificate).await.data(), expected);
    let foreign = world.director_as("other-tenant", &query, &certificate).await;
    assert_eq!(foreign.status, 400);
    assert_eq!(
        foreign.json(),
        json!({
            "errors": [{
                "message": "Tenant not found [externalTenant=other-tenant]",
                "extensions": {"error_code": 25, "error": "TenantNotFound"},
            }],
            "data": null,
        })
    );
    let unheard = world.director_as("unheard-of", &query, &certificate).await;
    assert_eq!(unheard.status, 200);
    assert_eq!(unheard.first_error()["extensions"]["error_code"], 23);
}

#[tokio::test]
async fn fact_11_an_unknown_runtime_makes_all_of_the_data_null() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let unknown = "11111111-1111-4111-8111-111111111111";
    let query = format!(
        "{{ runtime(id: \"{unknown}\") {{ labels }} applicationsForRuntime(runtimeID: \"{unknown}\") {{ totalCount }} }}"
    );
    let seen = world.director(&query, &certificate).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.json(),
        json!({
            "errors": [{
                "message": "Invalid data [reason=runtime does not exist]",
                "path": ["applicationsForRuntime"],
                "extensions": {"error_code": 22, "error": "InvalidData"},
            }],
            "data": null,
        })
    );
    let query = format!("{{ runtime(id: \"{unknown}\") {{ labels }} }}");
    assert_eq!(world.director(&query, &certificate).await.data(), json!({"runtime": null}));
    let seen = world.director("{ runtime(id: \"x\") { labels } }", &certificate).await;
    assert!(seen.message().starts_with("Internal Server Error [errorID="), "{}", seen.message());
    let seen = world
        .director("{ applicationsForRuntime(runtimeID: \"x\") { totalCount } }", &certificate)
        .await;
    assert!(seen.message().contains("while converting runtimeID to UUID"), "{}", seen.message());
}

#[tokio::test]
async fn fact_12_names_are_normalised_unless_the_runtime_says_no() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let landscape = world.compass.landscape();
    let runtime = landscape.runtime_id();
    let query =
        format!("{{ applicationsForRuntime(runtimeID: \"{runtime}\") {{ data {{ name }} }} }}");
    let names = async || {
        let data = world.director(&query, &certificate).await.data();
        let list = data["applicationsForRuntime"]["data"].as_array().expect("a list").clone();
        let mut names = Vec::from_iter(
            list.into_iter().map(|one| one["name"].as_str().expect("a name").to_owned()),
        );
        assert_eq!(names, landscape.listed_names());
        names.sort();
        names
    };
    assert_eq!(names().await, ["mp-billing-42", "mp-orders-eu"]);
    for raw in [json!("false"), json!(true), json!("x")] {
        landscape.set_runtime_label(runtime, "isNormalized", raw).expect("set");
        assert_eq!(names().await, ["Orders.EU", "mp-billing-42"]);
    }
    landscape.set_runtime_label(runtime, "isNormalized", Value::Null).expect("set");
    assert_eq!(names().await, ["mp-billing-42", "mp-orders-eu"]);
    landscape.forget_runtime_label(runtime, "isNormalized").expect("forgotten");
    assert_eq!(names().await, ["mp-billing-42", "mp-orders-eu"]);
}

#[tokio::test]
async fn fact_13_director_errors_have_codes_connector_errors_have_none_and_paths_are_aliases() {
    let world = world(SHOP).await;
    let seen = world.sign("wrongCSR", Proof::Token(&world.token())).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.text,
        "{\"errors\":[{\"message\":\"Error while signing Certificate Signing Request: Error while decoding pem block.\",\"path\":[\"result\"]}],\"data\":null}"
    );
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let query = format!(
        "{{ result: applicationsForRuntime(runtimeID: \"{runtime}\", first: 0) {{ totalCount }} }}"
    );
    assert_eq!(
        world.director(&query, &certificate).await.first_error(),
        json!({
            "message": "Invalid data [reason=page size cannot be smaller than 1]",
            "path": ["result"],
            "extensions": {"error_code": 22, "error": "InvalidData"},
        })
    );
}

#[tokio::test]
async fn fact_14_empty_parentheses_are_taken() {
    let world = world("{}").await;
    let seen = world
        .connector(
            "query { result: configuration() { token { token } } }",
            Proof::Token(&world.token()),
        )
        .await;
    assert_eq!(seen.data()["result"]["token"]["token"].as_str().map(str::len), Some(88));
    assert_eq!(seen.subject.operations, ["configuration"]);
}

#[tokio::test]
async fn the_edge_believes_nothing_that_clients_say_of_themselves() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let mut request = post("/connector/graphql", CONFIGURATION);
    for (name, value) in [
        ("Client-Id-From-Token", &*certificate.common_name),
        ("Client-Id-From-Certificate", &*certificate.common_name),
        ("Client-Certificate-Hash", "00"),
        ("Certificate-Data", "Hash=00"),
        (
            "Harness-Caller",
            "{\"identity\":{\"is\":\"token\",\"number\":1},\"flow\":\"certificate\",\"consumer\":null,\"tenant\":\"t\",\"foreignTenant\":null}",
        ),
        ("Authorization", "Bearer x"),
    ] {
        request.headers_mut().insert(name, value.parse().expect("a header value"));
    }
    let seen = world.send(request, Proof::Nothing).await;
    assert_eq!((seen.status, &*seen.text), (400, ""));
}

#[tokio::test]
async fn describing_a_request_spends_nothing() {
    let world = world("{}").await;
    let token = world.token();
    let (mut parts, body) = post("/connector/graphql", CONFIGURATION).into_parts();
    parts.headers.insert("Connector-Token", token.parse().expect("a header value"));
    let incoming =
        compass_harness::gateway::Incoming { certificate: None, parts: &parts, body: &body };
    for _ in 0..3 {
        let subject = world.compass.token_reception().describe(incoming);
        assert_eq!(subject.identity, Identity::Token { number: 1 });
        assert_eq!(subject.peer, Peer::Connector);
    }
    world.configuration(Proof::Token(&token)).await;
    let used = world
        .journal
        .snapshot()
        .iter()
        .filter(|entry| matches!(entry.event, Event::Token(TokenEvent::Used { number: 1 })))
        .count();
    assert_eq!(used, 1);
}

#[tokio::test]
async fn foreign_paths_other_methods_and_long_bodies_stay_outside() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    for path in ["/", "/graphql", "/connector", "/connector/graphql/", "/director/x"] {
        let seen = world.send(post(path, CONFIGURATION), Proof::Certificate(&certificate)).await;
        assert_eq!((seen.status, seen.subject.peer), (404, Peer::Nobody), "{path}");
    }
    let mut request = post("/connector/graphql", CONFIGURATION);
    *request.method_mut() = http::Method::PUT;
    assert_eq!(world.send(request, Proof::Certificate(&certificate)).await.status, 404);
    let mut request = post("/connector/graphql", CONFIGURATION);
    *request.body_mut() = Bytes::from(vec![b' '; 2 * 1024 * 1024 + 1]);
    assert_eq!(world.send(request, Proof::Certificate(&certificate)).await.status, 413);
    let seen = world.send(post("/director/graphql", "{ __typename }"), Proof::Nothing).await;
    assert_eq!((seen.status, seen.subject.peer), (401, Peer::Director));
}

#[tokio::test]
async fn no_secret_is_in_the_journal() {
    let world = world(SHOP).await;
    let token = world.token();
    let configuration = world.configuration(Proof::Token(&token)).await;
    world.paired().await;
    world.journal.record(compass_harness::journal::Action {
        text: format!("{token} {} wonderland", configuration["token"]["token"]),
    });
    let text = format!("{:?}", world.journal.snapshot());
    assert!(!text.contains(&token) && !text.contains("wonderland"));
    assert!(!text.contains(configuration["token"]["token"].as_str().expect("a token")));
    assert!(!format!("{:?}", world.compass).contains("wonderland"));
}
