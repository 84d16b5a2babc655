//! Handshakes at the doors: each leaves an entry, and each failure its reason.

use std::process::Stdio;
use std::sync::Arc;

use compass_harness::gateway::{ClientCertificates, DoorPlan, Gateway, ListenError};
use compass_harness::journal::{Door, Event, Handshake, HandshakeOutcome};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway_rig::{Authority, DEADLINE, Front, Rig, soon};

/// The reason for which a client with such a certificate gets no connection.
async fn refusal(change: impl FnOnce(&mut CertificateParams)) -> String {
    let rig = Rig::open().await;
    let client = rig.client_with(&rig.clients.client(change));
    let refused = client.get(rig.url("connector", "/connector/graphql")).send().await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(rig.requests().is_empty());
    rig.failed_handshake().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_opens_no_door() {
    let reason = refusal(|params| params.not_after = date_time_ymd(2020, 1, 1)).await;
    assert_eq!(reason, "the client certificate has expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_future_opens_no_door() {
    let reason = refusal(|params| params.not_before = date_time_ymd(2999, 1, 1)).await;
    assert_eq!(reason, "the client certificate is not valid yet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_servers_opens_no_door() {
    let usage = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let reason = refusal(|params| params.extended_key_usages = usage).await;
    assert_eq!(reason, "the client certificate is not meant for clients");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_opens_no_door() {
    let rig = Rig::open().await;
    let client = rig.client_with(&Authority::new("others").client(|_| {}));
    let refused = client.get(rig.url("connector", "/connector/graphql")).send().await;
    assert!(refused.is_err(), "{refused:?}");
    let reason = rig.failed_handshake().await;
    assert_eq!(reason, "the client certificate comes from an unknown authority");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_the_certificate_door_stays_closed() {
    let rig = Rig::open().await;
    let refused = rig.client().get(rig.url("director", "/director/graphql")).send().await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(rig.failed_handshake().await, "the client showed no certificate");
    assert_eq!(rig.handshakes()[0].address, "director");
    assert!(rig.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_trust_us_is_named_by_its_alert() {
    let rig = Rig::open().await;
    let root = reqwest::Certificate::from_pem(Authority::new("others").pem().as_bytes());
    let client = reqwest::Client::builder().tls_certs_only([root.expect("PEM")]).build();
    let url = rig.url("token", "/connector/graphql");
    let refused = client.expect("a client").get(url).send().await;
    assert!(refused.is_err(), "{refused:?}");
    let reason = rig.failed_handshake().await;
    assert_eq!(reason, "the client refused us with the alert `UnknownCA`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tls_is_named_so() {
    let rig = Rig::open().await;
    let mut stream = TcpStream::connect(rig.at("token")).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    assert_eq!(rig.failed_handshake().await, "the client does not speak TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_at_once_is_recorded() {
    let rig = Rig::open().await;
    drop(TcpStream::connect(rig.at("token")).await.expect("connected"));
    assert_eq!(rig.failed_handshake().await, "the client left before it said hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_succeeds_says_what_was_agreed() {
    let rig = Rig::open().await;
    let client = rig.client_with(&rig.clients.client(|_| {}));
    let answer = client.get(rig.url("connector", "/connector/graphql")).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let handshakes = rig.handshakes();
    let [Handshake { connection: 1, door: Door::Certificate, address, outcome }] = &handshakes[..]
    else {
        panic!("{handshakes:?}")
    };
    assert_eq!(address, "connector");
    let HandshakeOutcome::Completed { version, alpn, server_name, certificate } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(version, "TLSv1_3");
    assert_eq!(alpn.as_deref(), Some("h2"));
    assert_eq!(server_name.as_deref(), Some("localhost"));
    let certificate = certificate.as_ref().expect("a certificate");
    assert_eq!(certificate.common_name, "client-1");
    assert_eq!(certificate.chain_length, 2);
    assert_eq!(certificate.fingerprint.len(), 64);
}

/// A resumed session would let a certificate in that has expired since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_handshake_with_a_certificate_is_a_full_one() {
    let rig = Rig::open().await;
    for (address, resumed) in
        [("token", HandshakeKind::Resumed), ("connector", HandshakeKind::Full)]
    {
        let config = rig.tls_config(Some(&rig.clients.client(|_| {})));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = rig.tls_with(address, Arc::clone(&config)).await;
            let request =
                b"GET /connector/graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.expect("sent");
            let mut answer = Vec::new();
            soon("the answer", stream.read_to_end(&mut answer)).await.expect("an answer");
            kinds.push(stream.get_ref().1.handshake_kind().expect("it is up"));
        }
        assert_eq!(kinds, [HandshakeKind::Full, resumed], "{address}");
    }
}

/// Its TLS is not ours, which keeps us honest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_passes_with_both_versions_of_tls_and_of_http() {
    let rig = Rig::open().await;
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("ca.pem");
    let client = directory.path().join("client.pem");
    std::fs::write(&ca, rig.servers.pem()).expect("written");
    std::fs::write(&client, rig.clients.client(|_| {})).expect("written");
    for (tls, http) in [("1.2", "--http1.1"), ("1.2", "--http2"), ("1.3", "--http2")] {
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "--max-time", "20", "--noproxy", "*", http, "--tls-max", tls])
            .args(["-w", "\n%{http_code} %{http_version}", "-d", "hello"])
            .arg("--cacert")
            .arg(&ca)
            .arg("--cert")
            .arg(&client)
            .arg(rig.url("connector", "/connector/graphql"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, output).await.expect("in time").expect("curl");
        let text = String::from_utf8_lossy(&output.stdout);
        let version = if http == "--http2" { "2" } else { "1.1" };
        assert!(text.ends_with(&format!("\n200 {version}")), "{text} {output:?}");
        assert!(text.contains(r#""token":"t""#), "{text}");
    }
    let agreed = rig.handshakes().into_iter().map(|handshake| match handshake.outcome {
        HandshakeOutcome::Completed { version, alpn, .. } => {
            format!("{version} {}", alpn.unwrap_or_default())
        }
        HandshakeOutcome::Failed { reason } => panic!("{reason}"),
    });
    assert_eq!(agreed.collect::<Vec<_>>(), ["TLSv1_2 http/1.1", "TLSv1_2 h2", "TLSv1_3 h2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_under_way_at_stop_is_recorded() {
    let rig = Rig::open().await;
    let stream = TcpStream::connect(rig.at("token")).await.expect("connected");
    // One listener accepts in order: when it answers the second client, it has the first.
    let answer = rig.client().get(rig.url("token", "/connector/graphql")).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let Rig { gateway, journal, .. } = rig;
    gateway.stop().await;
    drop(stream);
    let entries = journal.snapshot();
    let failed = entries.iter().any(|entry| match &entry.event {
        Event::Handshake(handshake) => {
            matches!(handshake.outcome, HandshakeOutcome::Failed { .. })
        }
        _ => false,
    });
    assert!(failed, "{entries:?}");
}

#[tokio::test]
async fn a_gateway_that_cannot_open_says_why() {
    let rig = Rig::open().await;
    let plan = |address: &str| {
        let front = Arc::new(Front { backend: rig.backend.address });
        DoorPlan::new(Door::Token, address, rig.servers.server(), front)
    };
    let open = |plans| Gateway::open(plans, rig.journal.clone(), rig.faults.clone());
    let mut taken = plan("token");
    taken.listen = rig.at("token");
    assert!(matches!(open(vec![taken]), Err(ListenError::Bind { .. })));
    assert!(matches!(open(vec![plan("a"), plan("a")]), Err(ListenError::Duplicate { .. })));
    let mut wrong_key = plan("a");
    wrong_key.identity.key = rig.servers.server().key;
    assert!(matches!(open(vec![wrong_key]), Err(ListenError::Identity { .. })));
    let mut no_roots = plan("a");
    no_roots.clients = ClientCertificates::Required { roots: Vec::new() };
    assert!(matches!(open(vec![no_roots]), Err(ListenError::Authority { .. })));
}
