//! Faults below HTTP, each as a real client meets it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::time::{Duration, Instant};

use compass_harness::journal::{Event, Handshake, HandshakeOutcome};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway_rig::{Rig, chain, rest, soon};

const PATH: &str = "/connector/graphql";
const REQUEST: &[u8] = b"GET /connector/large HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// How a client ends that asks once over a connection of its own.
async fn ask(rig: &Rig) -> Result<u16, String> {
    let sent = rig.http1_client().get(rig.url("token", PATH)).send().await;
    sent.map(|answer| answer.status().as_u16()).map_err(|error| chain(&error))
}

/// What a bare TLS client reads after its request, and how that ended.
async fn read_raw(rig: &Rig) -> (usize, Result<(), ErrorKind>) {
    let mut stream = rig.tls("token").await;
    stream.write_all(REQUEST).await.expect("sent");
    stream.flush().await.expect("sent");
    let mut read = 0;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match soon("the end", stream.read(&mut buffer)).await {
            Ok(0) => return (read, Ok(())),
            Ok(bytes) => read += bytes,
            Err(error) => return (read, Err(error.kind())),
        }
    }
}

fn connects(address: SocketAddr) -> Result<(), ErrorKind> {
    StdStream::connect(address).map(drop).map_err(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_refuse_closes_the_port_and_healing_opens_the_same_again() {
    let rig = Rig::open().await;
    let kept = rig.client();
    let url = rig.url("token", PATH);
    assert_eq!(kept.get(&url).send().await.expect("an answer").status(), 200);
    rig.inject("dark", json!({"at": "connector", "fault": "tcp.refuse"}));
    // The connection that was open is gone too. A client that has not noticed loses one request.
    assert!(kept.get(&url).send().await.is_err());
    let error = kept.get(&url).send().await.expect_err("nobody listens");
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
    assert_eq!(connects(rig.at("connector")), Err(ErrorKind::ConnectionRefused));
    assert_eq!(connects(rig.at("director")), Ok(()), "another place listens on");
    let taken = StdListener::bind(rig.at("token")).expect_err("the port is kept");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let (code, _, complaint) = rig.curl(&[], &url).await;
    assert_eq!(code, 7, "{complaint}");
    assert_eq!(rig.faults.fired("dark"), 2, "once for each of its listeners");
    assert!(rig.faults.heal("dark"));
    assert_eq!(kept.get(&url).send().await.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_refuse_is_in_force_when_arming_returns_and_gone_when_healing_returns() {
    let rig = Rig::open().await;
    for round in 0..50 {
        rig.inject("dark", json!({"at": "token", "fault": "tcp.refuse"}));
        assert_eq!(connects(rig.at("token")), Err(ErrorKind::ConnectionRefused), "{round}");
        rig.faults.heal_all();
        assert_eq!(connects(rig.at("token")), Ok(()), "{round}");
    }
    assert_eq!(ask(&rig).await, Ok(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_refuse_cuts_what_is_under_way() {
    let rig = Rig::open().await;
    rig.inject("slow", json!({"at": "connector", "fault": "http.slow-answer", "delay": "1h"}));
    let sent = tokio::spawn(rig.http1_client().get(rig.url("token", PATH)).send());
    rig.fired("slow", 1).await;
    rig.inject("dark", json!({"at": "connector", "fault": "tcp.refuse"}));
    let error = soon("the end", sent).await.expect("the client").expect_err("cut");
    assert!(!chain(&error).contains("refused"), "{}", chain(&error));
    assert_eq!(rig.no_answer().await.fault.as_deref(), Some("slow"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_reset_after_the_request_is_a_reset_every_time() {
    let rig = Rig::open().await;
    rig.inject("reset", json!({"at": "connector", "fault": "tcp.reset"}));
    for _ in 0..20 {
        let error = ask(&rig).await.expect_err("no answer");
        assert!(error.contains("reset"), "{error}");
        assert_eq!(read_raw(&rig).await, (0, Err(ErrorKind::ConnectionReset)));
    }
    let (code, _, complaint) = rig.curl(&[], &rig.url("token", PATH)).await;
    assert!(complaint.to_lowercase().contains("reset"), "{code} {complaint}");
    let answer = rig.no_answer().await;
    assert_eq!(answer.fault.as_deref(), Some("reset"));
    assert_eq!(rig.answers().len(), rig.requests().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_close_after_the_request_is_an_end_of_file_every_time() {
    let rig = Rig::open().await;
    rig.inject("close", json!({"at": "connector", "fault": "tcp.close"}));
    for _ in 0..20 {
        let error = ask(&rig).await.expect_err("no answer");
        assert!(!error.contains("reset"), "{error}");
        assert_eq!(read_raw(&rig).await, (0, Err(ErrorKind::UnexpectedEof)), "no close_notify");
    }
    // What the client has sent beyond its request must not turn the end into a reset.
    let mut stream = rig.tls("token").await;
    let more = [REQUEST, &[b'x'; 200_000]].concat();
    stream.write_all(&more).await.expect("sent");
    let read = soon("the end", stream.read(&mut [0; 8])).await;
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    let over_http2 = rig.client().get(rig.url("token", PATH)).send().await;
    assert!(over_http2.is_err());
    assert_eq!(rig.no_answer().await.fault.as_deref(), Some("close"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_faults_at_accept_come_before_tls() {
    let rig = Rig::open().await;
    rig.inject("reset", json!({"at": "token", "fault": "tcp.reset", "point": "accept"}));
    assert!(ask(&rig).await.is_err());
    assert_eq!(rig.failed_handshake().await, "fault `reset` reset the connection at once");
    rig.faults.heal_all();
    rig.inject("close", json!({"at": "token", "fault": "tcp.close", "point": "accept"}));
    let mut stream = TcpStream::connect(rig.at("token")).await.expect("connected");
    let read = soon("the end", stream.read(&mut [0; 8])).await;
    assert_eq!(read.expect("FIN, as nothing was sent"), 0);
    assert!(rig.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_faults_after_bytes_cut_an_answer_in_its_middle() {
    let rig = Rig::open().await;
    for (fault, end) in
        [("tcp.reset", ErrorKind::ConnectionReset), ("tcp.close", ErrorKind::UnexpectedEof)]
    {
        let point = json!({"after-bytes": 100_000});
        rig.inject("cut", json!({"at": "connector", "fault": fault, "point": point}));
        let (read, ended) = read_raw(&rig).await;
        assert_eq!(ended, Err(end), "{fault}");
        // What has left of TLS is a little more than what the client could read of it.
        assert!((80_000..100_000).contains(&read), "{fault}: {read}");
    }
    assert_eq!(rig.answers()[0].status, Some(200), "the server has answered");
    assert_eq!(rig.answers()[0].fault.as_deref(), Some("cut"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_stall_after_the_request_is_a_timeout_until_it_is_healed() {
    let rig = Rig::open().await;
    rig.inject("stall", json!({"at": "connector", "fault": "tcp.stall", "only": {"next": 2}}));
    let hasty = rig.builder().timeout(Duration::from_millis(300)).build().expect("a client");
    let error = hasty.get(rig.url("token", PATH)).send().await.expect_err("no answer");
    assert!(error.is_timeout(), "{}", chain(&error));
    // The client has left, and that is noticed though nothing is read from it.
    drop(hasty);
    assert_eq!(rig.no_answer().await.fault.as_deref(), Some("stall"));
    let patient = tokio::spawn(rig.client().get(rig.url("token", PATH)).send());
    rig.fired("stall", 2).await;
    rig.faults.heal_all();
    let answer = soon("an answer", patient).await.expect("the client").expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_stall_with_a_hold_goes_on_after_it() {
    let rig = Rig::open().await;
    for point in [json!("accept"), json!("after-request"), json!({"after-bytes": 10})] {
        let words = json!({
            "at": "connector", "fault": "tcp.stall", "point": point, "hold": "300ms",
            "only": {"next": 1}
        });
        // Below HTTP the place has two listeners, and the client comes to one.
        rig.inject("stall", words);
        let begun = Instant::now();
        assert_eq!(ask(&rig).await, Ok(200), "{point}");
        assert!(begun.elapsed() >= Duration::from_millis(300), "{point}");
    }
    assert_eq!(rig.faults.fired("stall"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_stall_holds_the_handshake_at_each_stage() {
    for after in ["client-hello", "certificate", "finished"] {
        let rig = Rig::open().await;
        let stall = |hold: Value| {
            let mut words = json!({"at": "token", "fault": "tls.stall", "after": after});
            if !hold.is_null() {
                words["hold"] = hold;
            }
            rig.inject("stall", words);
        };
        stall(json!("300ms"));
        let begun = Instant::now();
        assert_eq!(ask(&rig).await, Ok(200), "{after}");
        assert!(begun.elapsed() >= Duration::from_millis(300), "{after}");
        stall(Value::Null);
        let hasty = rig.builder().timeout(Duration::from_millis(300)).build().expect("a client");
        let error = hasty.get(rig.url("token", PATH)).send().await.expect_err("no answer");
        assert!(error.is_timeout(), "{after}: {}", chain(&error));
        drop(hasty);
        if after != "finished" {
            // The handshake has its entry before the fault is healed.
            let reason = rig.failed_handshake().await;
            assert!(reason.contains("left"), "{after}: {reason}");
        }
        assert_eq!(rig.requests().len(), 1, "{after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_cut_is_an_end_of_file_at_each_stage() {
    for after in ["client-hello", "certificate", "finished"] {
        let rig = Rig::open().await;
        rig.inject("cut", json!({"at": "token", "fault": "tls.cut", "after": after}));
        for client in [rig.client(), rig.http1_client()] {
            let error = client.get(rig.url("token", PATH)).send().await.expect_err("cut");
            assert!(!error.is_timeout(), "{after}: {}", chain(&error));
        }
        // A client may try again when its connection ends before the request was sent.
        assert!(rig.faults.fired("cut") >= 2, "{after}");
        assert!(rig.requests().is_empty());
        if after == "finished" {
            let outcome = &rig.handshakes()[0].outcome;
            assert!(matches!(outcome, HandshakeOutcome::Completed { .. }), "{outcome:?}");
        } else {
            assert_eq!(rig.failed_handshake().await, "fault `cut` cut the handshake", "{after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_alert_is_the_alert_that_was_asked_for() {
    let rig = Rig::open().await;
    for (alert, word, number) in [
        ("unknown-ca", "UnknownCA", 48),
        ("certificate-expired", "CertificateExpired", 45),
        ("handshake-failure", "HandshakeFailure", 40),
    ] {
        rig.inject("alert", json!({"at": "token", "fault": "tls.alert", "alert": alert}));
        for _ in 0..5 {
            let error = ask(&rig).await.expect_err("refused");
            assert!(error.contains(word), "{alert}: {error}");
        }
        let reason = format!("fault `alert` sent alert {number}");
        rig.entry("the handshake", |event| match event {
            Event::Handshake(Handshake {
                outcome: HandshakeOutcome::Failed { reason: found },
                ..
            }) => (found == &reason).then_some(()),
            _ => None,
        })
        .await;
    }
    for tls in ["1.2", "1.3"] {
        let (code, _, complaint) = rig.curl(&["--tls-max", tls], &rig.url("token", PATH)).await;
        assert_eq!(code, 35, "{complaint}");
        assert!(complaint.contains("handshake failure"), "{complaint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_next_connections_are_met() {
    let rig = Rig::open().await;
    let kept = rig.client();
    let url = rig.url("token", PATH);
    assert_eq!(kept.get(&url).send().await.expect("an answer").status(), 200);
    rig.inject(
        "cut",
        json!({"at": "connector", "fault": "tls.cut", "only": {"connections": "next", "count": 2}}),
    );
    let mut answer = kept.get(&url).send().await.expect("an old connection is not met");
    assert!(rest(&mut answer).await.is_ok());
    assert!(ask(&rig).await.is_err());
    assert!(ask(&rig).await.is_err());
    assert_eq!(ask(&rig).await, Ok(200));
    assert_eq!(rig.faults.fired("cut"), 2);
}
