//! Requests through the doors: what arrives behind, what the journal says, and what goes wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use compass_harness::fault::Faults;
use compass_harness::gateway::{DoorPlan, Gateway, KubernetesReception};
use compass_harness::journal::{Door, Event, Identity, Journal, Peer};
use http::Uri;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::gateway_rig::{Authority, Backend, Rig, chain, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_arrives_behind_as_it_was_sent_but_for_what_the_edge_changes() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        let answer = client
            .post(rig.url("token", "/connector/echo?a=b&token=secret"))
            .header("x-forged", "1")
            .header("tenant", "t-1")
            .header("x-request-id", "r-1")
            .header("te", "trailers")
            .header("user-agent", "agent/1.0")
            .body("hello")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("connection").is_none());
        let seen: Value = answer.json().await.expect("JSON");
        assert_eq!(seen["method"], "POST");
        assert_eq!(seen["path"], "/echo");
        assert_eq!(seen["query"], "a=b&token=secret");
        assert_eq!(seen["body"], "hello");
        let headers: Vec<(String, String)> =
            serde_json::from_value(seen["headers"].clone()).expect("headers");
        let values = |name: &str| -> Vec<&str> {
            headers.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value).collect()
        };
        let host = format!("localhost:{}", rig.at("token").port());
        assert_eq!(values("host"), [host], "{headers:?}");
        assert_eq!(values("content-length"), ["5"]);
        assert!(values("x-forged").is_empty() && values("te").is_empty());
        assert!(values("transfer-encoding").is_empty());
    }
    let requests = rig.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/connector/echo?a=b&token=[hidden]");
    assert_eq!(requests[0].peer, Peer::Connector);
    assert_eq!(requests[0].tenant.as_deref(), Some("t-1"));
    assert_eq!(requests[0].request_id.as_deref(), Some("r-1"));
    assert_eq!(requests[0].user_agent.as_deref(), Some("agent/1.0"));
    assert_eq!(requests[0].body_bytes, 5);
    assert_ne!(requests[0].id, requests[1].id);
    assert_ne!(requests[0].connection, requests[1].connection);
    let order: Vec<_> = rig
        .events()
        .iter()
        .map(|event| match event {
            Event::Handshake(_) => "handshake",
            Event::Request(_) => "request",
            Event::Answer(_) => "answer",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, ["handshake", "request", "answer", "handshake", "request", "answer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kept_and_serves_many_requests() {
    let rig = Rig::open().await;
    let io = TokioIo::new(rig.tls("token").await);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.expect("a connection");
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    for _ in 0..5 {
        let request = http::Request::get("/connector/graphql")
            .header("host", "localhost")
            .body(Full::new(Bytes::new()))
            .expect("a request");
        sender.ready().await.expect("the connection is kept");
        let answer = soon("an answer", sender.send_request(request)).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["data"]["result"]["token"]["token"], "t");
    }
    assert_eq!(rig.handshakes().len(), 1);
    let connections: Vec<u64> = rig.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_certificate_is_the_identity() {
    let rig = Rig::open().await;
    let client = rig.client_with(&rig.clients.client(|_| {}));
    let answer = client.get(rig.url("director", "/director/echo")).send().await.expect("an answer");
    let seen: Value = answer.json().await.expect("JSON");
    assert!(seen["headers"].to_string().contains(r#"["client-id","client-1"]"#), "{seen}");
    let request = &rig.requests()[0];
    assert_eq!(request.identity, Identity::Certificate { number: 1 });
    assert_eq!((request.peer, request.address.as_str()), (Peer::Director, "director"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_in_answers_are_in_the_journal() {
    let rig = Rig::open().await;
    let client = rig.client();
    let get = async |path| client.get(rig.url("token", path)).send().await.expect("an answer");
    assert_eq!(get("/director/graphql-errors").await.status(), 200);
    assert_eq!(get("/nowhere").await.status(), 404);
    let url = rig.url("kubernetes", "/api/v1/namespaces/n/secrets/a");
    assert_eq!(client.delete(&url).send().await.expect("an answer").status(), 404);
    assert_eq!(client.put(&url).body("{}").send().await.expect("an answer").status(), 201);
    let answers = rig.answers();
    assert_eq!(answers[0].errors, ["no such runtime"]);
    assert_eq!(answers[1].status, Some(404));
    assert_eq!(answers[2].errors, ["secrets \"a\" not found"]);
    assert_eq!(answers[3].resource_version.as_deref(), Some("8"));
    let call = rig.requests()[2].kubernetes.clone().expect("a call of the API");
    assert_eq!((call.verb.as_str(), call.resource.as_str()), ("delete", "secrets"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let gone = Backend::start().await.address;
    let rig = Rig::open_before(Backend { address: gone, ..Backend::start().await }).await;
    let answer = rig.client().get(rig.url("token", "/connector/graphql")).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text().await.expect("a body"), "");
    let recorded = &rig.answers()[0];
    assert_eq!(recorded.status, Some(502));
    assert!(recorded.errors[0].contains("Connection refused"), "{recorded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused() {
    let rig = Rig::open().await;
    let client = rig.http1_client();
    let large = vec![b'x'; 2 * 1024 * 1024 + 1];
    let url = rig.url("token", "/connector/echo");
    // A client that is still sending may notice the end of the connection before the answer.
    if let Ok(answer) = client.post(&url).body(large.clone()).send().await {
        assert_eq!(answer.status(), 413);
    }
    let exact = client.post(&url).body(large[1..].to_vec()).send().await.expect("an answer");
    assert_eq!(exact.status(), 200);
    let seen: Value = exact.json().await.expect("JSON");
    assert_eq!(seen["bytes"], 2 * 1024 * 1024);
    assert_eq!(rig.answers()[0].status, Some(413));
    assert_eq!(rig.requests()[0].body_bytes, 2 * 1024 * 1024 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_may_ask_before_it_sends_and_speak_http_1_0() {
    let rig = Rig::open().await;
    let body = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(body.path(), vec![b'x'; 1536 * 1024]).expect("written");
    let data = format!("@{}", body.path().display());
    let url = rig.url("token", "/connector/echo");
    let arguments = ["--http1.1", "-H", "Expect: 100-continue", "--data-binary", &data];
    let (code, seen, complaint) = rig.curl(&arguments, &url).await;
    assert_eq!(code, 0, "{complaint}");
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["bytes"], 1536 * 1024);
    assert!(!seen["headers"].to_string().contains("expect"), "{seen}");
    let (code, seen, complaint) = rig.curl(&["--http1.0", "--no-alpn"], &url).await;
    assert_eq!(code, 0, "{complaint}");
    assert!(seen.contains("/echo"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_behind_may_speak_tls_and_is_trusted_by_its_authority_only() {
    let behind = Rig::open().await;
    let server = Uri::try_from(behind.url("kubernetes", "")).expect("a URI");
    for trusted in [true, false] {
        let servers = Authority::new("servers in front");
        let reception = Arc::new(KubernetesReception::new(server.clone()));
        let mut plan = DoorPlan::new(Door::Kubernetes, "kubernetes", servers.server(), reception);
        let root = if trusted { &behind.servers } else { &servers };
        plan.upstream_roots = vec![root.0.as_ref().der().clone()];
        let journal = Journal::new();
        let faults = Faults::new(journal.clone());
        let gateway = Gateway::open(vec![plan], journal.clone(), faults).expect("open");
        let address = gateway.address("kubernetes").expect("there is such a listener");
        let root = reqwest::Certificate::from_pem(servers.pem().as_bytes()).expect("PEM");
        let client = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
        let url = format!("https://localhost:{}/api/v1/secrets?watch=1", address.port());
        let mut answer = client.get(url).send().await.expect("an answer");
        if trusted {
            let watch = behind.backend.next_watch().await;
            watch.send("{}\n").await;
            let frame = soon("a frame", answer.chunk()).await.expect("a frame");
            assert_eq!(frame.expect("no end"), "{}\n");
            drop(answer);
            soon("the end of the watch behind both", watch.frames.closed()).await;
        } else {
            assert_eq!(answer.status(), 502);
            let entries = format!("{:?}", journal.snapshot());
            assert!(entries.contains("UnknownIssuer"), "{entries}");
        }
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_arrives_whole_at_a_slow_reader() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        let mut answer =
            client.get(rig.url("token", "/connector/large")).send().await.expect("an answer");
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.expect("a chunk") {
            bytes += chunk.len();
            tokio::task::yield_now().await;
        }
        assert_eq!(bytes, 3 * 1024 * 1024 + r#"{"data":""}"#.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_an_answer_without_status() {
    let rig = Rig::open().await;
    rig.inject("slow", json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h"}));
    for (number, client) in [rig.client(), rig.http1_client()].into_iter().enumerate() {
        let sent = tokio::spawn(client.get(rig.url("token", "/connector/graphql")).send());
        rig.fired("slow", number + 1).await;
        sent.abort();
        drop(client);
    }
    let mut without_status = 0;
    rig.entry("two answers without status", |event| match event {
        Event::Answer(answer) if answer.status.is_none() => {
            assert_eq!(answer.fault.as_deref(), Some("slow"));
            without_status += 1;
            (without_status == 2).then_some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_is_recorded_as_such() {
    let rig = Rig::open().await;
    let mut stream = rig.tls("token").await;
    let half = "POST /connector/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf";
    stream.write_all(half.as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
    drop(stream);
    let answer = rig.no_answer().await;
    assert_eq!(answer.errors, ["the request ended in the middle of its body"]);
    assert_eq!(rig.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_too_large_are_refused_and_harm_nobody() {
    let rig = Rig::open().await;
    let huge = "x".repeat(1024 * 1024);
    for client in [rig.client(), rig.http1_client()] {
        let url = rig.url("token", "/connector/echo");
        if let Ok(answer) = client.get(&url).header("x-huge", &huge).send().await {
            assert_eq!(answer.status(), 431);
        }
        let fine = client.get(&url).header("x-fine", &huge[..8000]).send().await;
        assert_eq!(fine.expect("an answer").status(), 200);
    }
    assert_eq!(rig.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_clients_in_parallel_are_told_apart() {
    let rig = Rig::open().await;
    let mut clients = JoinSet::new();
    for number in 0..20 {
        let client = if number % 2 == 0 { rig.client() } else { rig.http1_client() };
        let url = rig.url("token", &format!("/connector/echo?n={number}"));
        clients.spawn(async move {
            for _ in 0..10 {
                let answer = client.post(&url).body(number.to_string()).send().await;
                let seen: Value = answer.expect("an answer").json().await.expect("JSON");
                assert_eq!(seen["query"], format!("n={number}"));
                assert_eq!(seen["body"], number.to_string());
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.expect("a client");
    }
    let mut ids: Vec<u64> = rig.requests().iter().map(|request| request.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=200).collect::<Vec<_>>());
    assert_eq!(rig.answers().len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_are_no_burden_and_end_at_stop() {
    let rig = Rig::open().await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(rig.at("token")).await.expect("connected"));
    }
    let answer = rig.client().get(rig.url("token", "/connector/graphql")).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let begun = Instant::now();
    rig.gateway.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for mut stream in idle {
        let read = soon("the end", stream.read(&mut [0; 8])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_stop_nobody_listens_and_kept_connections_are_closed() {
    let rig = Rig::open().await;
    let client = rig.client();
    let url = rig.url("token", "/connector/graphql");
    assert_eq!(client.get(&url).send().await.expect("an answer").status(), 200);
    let begun = Instant::now();
    rig.gateway.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "idle connections end at once");
    let error = client.get(&url).send().await.expect_err("nobody listens");
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fault_holds_up_does_not_hold_up_the_stop() {
    for words in [
        json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h"}),
        json!({"at": "connector", "fault": "tcp.stall"}),
        json!({"at": "connector", "fault": "tls.stall"}),
        json!({"at": "token", "fault": "tcp.stall", "point": "accept"}),
    ] {
        let rig = Rig::open().await;
        rig.inject("held", words.clone());
        let sent = tokio::spawn(rig.client().get(rig.url("token", "/connector/graphql")).send());
        rig.fired("held", 1).await;
        let begun = Instant::now();
        rig.gateway.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{words}: {:?}", begun.elapsed());
        assert!(soon("the end", sent).await.expect("the client").is_err(), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_gateway_cuts_everything() {
    let rig = Rig::open().await;
    let client = rig.http1_client();
    rig.inject("slow", json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h"}));
    let sent = tokio::spawn(client.get(rig.url("token", "/connector/graphql")).send());
    rig.fired("slow", 1).await;
    let Rig { gateway, journal, .. } = rig;
    drop(gateway);
    let answer = soon("the end of the request", sent).await.expect("the client");
    assert!(answer.is_err());
    let mut reader = journal.reader();
    let ended = async {
        loop {
            let entries = reader.next_batch().await;
            if entries.iter().any(|entry| matches!(entry.event, Event::Answer(_))) {
                return;
            }
        }
    };
    soon("the entry of the end", ended).await;
}
