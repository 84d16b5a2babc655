//! Faults in HTTP and GraphQL, each as a real client meets it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway_rig::{Rig, chain, rest, soon};

const PATH: &str = "/connector/graphql";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_answer_stands_in_for_the_server_three_times() {
    let rig = Rig::open().await;
    rig.inject(
        "gateway-voice",
        json!({
            "at": "connector", "fault": "http.answer", "status": 503, "retryAfter": "2s",
            "body": {"text": "no healthy upstream"},
            "only": {"operation": "configuration", "next": 3}
        }),
    );
    let ask = async |operations: &str| {
        let request = rig.client().post(rig.url("token", PATH)).header("x-operations", operations);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    assert_eq!(ask("signCertificateSigningRequest").await.0, 200);
    for _ in 0..3 {
        assert_eq!(ask("configuration").await, (503, "no healthy upstream".into()));
    }
    assert_eq!(ask("configuration").await.0, 200);
    let blamed: Vec<_> = rig.answers().into_iter().map(|answer| answer.fault).collect();
    let voice = Some("gateway-voice".to_owned());
    assert_eq!(blamed, [None, voice.clone(), voice.clone(), voice, None]);
    assert_eq!(rig.faults.fired("gateway-voice"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_answer_can_be_any_body() {
    let rig = Rig::open().await;
    for (body, expected, content_type) in [
        (json!({"json": {}}), &b"{}"[..], Some("application/json")),
        (json!({"html": "<p>"}), b"<p>", Some("text/html; charset=utf-8")),
        (json!("empty"), b"", None),
    ] {
        let words = json!({"at": "connector", "fault": "http.answer", "status": 500, "body": body});
        rig.inject("answer", words);
        let arguments = ["-w", "%{http_code} %{content_type}", "-o", "/dev/stderr"];
        let (code, told, seen) = rig.curl(&arguments, &rig.url("token", PATH)).await;
        assert_eq!((code, seen.as_bytes()), (0, expected), "{body}");
        assert_eq!(told.trim(), format!("500 {}", content_type.unwrap_or_default()).trim());
    }
    let garbage =
        json!({"at": "connector", "fault": "http.answer", "status": 200, "body": "garbage"});
    rig.inject("answer", garbage);
    let answer = rig.client().get(rig.url("token", PATH)).send().await.expect("an answer");
    assert!(answer.json::<Value>().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_against_the_rules_of_http_harms_nobody() {
    let rig = Rig::open().await;
    let headers = json!({"content-length": "5", "transfer-encoding": "chunked", "connection": "x"});
    for status in [200, 204, 304, 500] {
        let words = json!({
            "at": "connector", "fault": "http.answer", "status": status, "headers": headers,
            "body": {"text": "longer than five"}
        });
        rig.inject("answer", words);
        for client in [rig.client(), rig.http1_client()] {
            for method in [http::Method::GET, http::Method::HEAD] {
                let answer = client.request(method, rig.url("token", PATH)).send().await;
                assert_eq!(answer.expect("an answer").status(), status);
            }
        }
    }
    rig.faults.heal_all();
    let head = rig.client().head(rig.url("token", PATH)).send().await.expect("an answer");
    assert_eq!(head.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_a_server_a_door_or_a_listener() {
    let rig = Rig::open().await;
    let client = rig.client_with(&rig.clients.client(|_| {}));
    let status = async |address: &str, path: &str| {
        let answer = client.get(rig.url(address, path)).send().await.expect("an answer");
        answer.status().as_u16()
    };
    for (at, expected) in [
        ("connector", [503, 503, 503, 200]),
        ("connector.token-door", [503, 200, 200, 200]),
        ("connector.certificate-door", [200, 503, 503, 200]),
        // A listener by its name gets everything that comes to it.
        ("Director", [200, 200, 200, 200]),
        ("token", [503, 200, 200, 200]),
    ] {
        rig.inject("answer", json!({"at": at, "fault": "http.answer", "status": 503}));
        let seen = [
            status("token", PATH).await,
            status("connector", PATH).await,
            status("director", PATH).await,
            status("director", "/director/graphql").await,
        ];
        assert_eq!(seen, expected, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_slow_answer_is_late_and_healing_frees_it() {
    let rig = Rig::open().await;
    rig.inject("slow", json!({"at": "connector", "fault": "http.slow-answer", "delay": "300ms"}));
    let begun = Instant::now();
    let answer = rig.client().get(rig.url("token", PATH)).send().await.expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(answer.text().await.expect("a body").contains("token"), "it is the server's own");
    rig.inject("slow", json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h"}));
    let sent = tokio::spawn(rig.client().get(rig.url("token", PATH)).send());
    rig.fired("slow", 2).await;
    rig.faults.heal_all();
    let answer = soon("an answer", sent).await.expect("the client").expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_slow_answer_can_send_the_head_in_time() {
    let rig = Rig::open().await;
    rig.inject(
        "slow",
        json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h", "headersFirst": true}),
    );
    for client in [rig.client(), rig.http1_client()] {
        let sent = client.get(rig.url("token", PATH)).send();
        let mut answer = soon("the head", sent).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = tokio::time::timeout(Duration::from_millis(300), rest(&mut answer)).await;
        assert!(body.is_err(), "the body waits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_slow_answer_can_drip() {
    let rig = Rig::open().await;
    rig.inject(
        "drip",
        json!({"at": "connector", "fault": "http.slow-answer", "drip": {"bytes": 20, "every": "30ms"}}),
    );
    let begun = Instant::now();
    let mut answer =
        rig.http1_client().get(rig.url("token", PATH)).send().await.expect("an answer");
    let body = rest(&mut answer).await.expect("a body");
    let pieces = u32::try_from(body.len().div_ceil(20)).expect("few");
    assert!(pieces >= 3 && serde_json::from_str::<Value>(&body).is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(30) * (pieces - 1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_cut_sends_so_many_bytes_and_no_more() {
    let rig = Rig::open().await;
    rig.inject("cut", json!({"at": "connector", "fault": "http.cut", "afterBytes": 11}));
    let (code, seen, complaint) = rig.curl(&["--http1.1"], &rig.url("token", PATH)).await;
    assert_eq!(seen.len(), 11, "{code} {complaint}");
    assert!(matches!(code, 18 | 56), "{code} {complaint}");
    for client in [rig.client(), rig.http1_client()] {
        let mut answer = client.get(rig.url("token", PATH)).send().await.expect("a head");
        assert_eq!(answer.status(), 200);
        let first = soon("a chunk", answer.chunk()).await.expect("what was sent").expect("a chunk");
        assert_eq!(first.len(), 11);
        assert!(rest(&mut answer).await.is_err());
    }
    assert_eq!(rig.answers()[0].fault.as_deref(), Some("cut"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_cut_can_lie_about_the_length() {
    let rig = Rig::open().await;
    let whole = rig.http1_client().get(rig.url("token", PATH)).send().await.expect("an answer");
    let length = whole.content_length().expect("a length");
    for (words, declared) in [
        (json!({}), Some(length)),
        (json!({"declaredLength": 10_000}), Some(10_000)),
        (json!({"brokenChunk": true}), None),
    ] {
        let mut fault = json!({"at": "connector", "fault": "http.cut"});
        fault.as_object_mut().expect("an object").extend(words.as_object().expect("keys").clone());
        rig.inject("cut", fault);
        let mut answer =
            rig.http1_client().get(rig.url("token", PATH)).send().await.expect("a head");
        let told =
            answer.headers().get("content-length").map(|value| value.to_str().expect("text"));
        assert_eq!(told.map(|told| told.parse().expect("a number")), declared, "{words}");
        let error = rest(&mut answer).await.expect_err("the body is cut");
        assert!(error.is_body() || error.is_decode(), "{}", chain(&error));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_redirect_sends_the_client_elsewhere() {
    let rig = Rig::open().await;
    rig.inject(
        "moved",
        json!({"at": "connector", "fault": "http.redirect", "status": 308, "to": "/x"}),
    );
    let answer = rig.client().post(rig.url("token", PATH)).send().await.expect("an answer");
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.headers()["location"], "/x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_wrong_type_changes_nothing_but_the_type() {
    let rig = Rig::open().await;
    rig.inject("type", json!({"at": "connector", "fault": "http.wrong-type"}));
    for client in [rig.client(), rig.http1_client()] {
        let answer = client.get(rig.url("token", PATH)).send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        assert!(answer.json::<Value>().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_errors_come_alone_or_beside_the_data() {
    let rig = Rig::open().await;
    let ask = async || -> Value {
        let answer = rig.client().post(rig.url("token", PATH)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    };
    rig.inject("alone", json!({"at": "connector", "fault": "graphql.errors", "messages": ["no"]}));
    assert_eq!(ask().await, json!({"errors": [{"message": "no"}], "data": null}));
    rig.faults.heal_all();
    rig.inject(
        "beside",
        json!({"at": "connector", "fault": "graphql.errors", "messages": ["no"], "withData": true}),
    );
    let answer = ask().await;
    assert_eq!(answer["errors"], json!([{"message": "no"}]));
    assert_eq!(answer["data"]["result"]["token"]["token"], "t");
    for answer in rig.answers() {
        assert_eq!(answer.errors, ["no"]);
        assert!(answer.fault.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_field_changes_one_field() {
    let rig = Rig::open().await;
    rig.inject(
        "field",
        json!({"at": "connector", "fault": "graphql.field", "path": "configuration.token", "as": "null"}),
    );
    for client in [rig.client(), rig.http1_client()] {
        let request = client.post(rig.url("token", PATH)).header("x-operations", "configuration");
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer, json!({"data": {"result": {"token": null, "list": [{"name": "a"}]}}}));
    }
}
