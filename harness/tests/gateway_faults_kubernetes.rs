//! Faults of the Kubernetes API, each as a real client meets it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::gateway_rig::{Rig, rest, soon};

const WATCH: &str = "/api/v1/namespaces/kyma-system/secrets?watch=1&resourceVersion=41";

fn secrets(rig: &Rig) -> Api<Secret> {
    let mut config = Config::new(rig.url("kubernetes", "").parse().expect("a URI"));
    config.root_cert = Some(vec![rig.servers.0.as_ref().der().to_vec()]);
    Api::namespaced(Client::try_from(config).expect("a client"), "kyma-system")
}

/// Code, reason and message of a refused update.
async fn refused_update(secrets: &Api<Secret>) -> (u16, String, String) {
    let secret = Secret::default();
    match secrets.replace("client-certificate", &PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) => {
            (status.code, status.reason.clone(), status.message.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_answer_refuses_in_the_words_of_the_api_server() {
    let rig = Rig::open().await;
    let secrets = secrets(&rig);
    let user = "system:serviceaccount:kyma-system:compass-runtime-agent";
    let forbidden = format!(
        "secrets \"client-certificate\" is forbidden: User \"{user}\" cannot update resource \
         \"secrets\" in API group \"\" in the namespace \"kyma-system\""
    );
    for (status, reason, message) in [
        (
            409,
            "Conflict",
            "Operation cannot be fulfilled on secrets \"client-certificate\": the object has been \
             modified; please apply your changes to the latest version and try again",
        ),
        (403, "Forbidden", forbidden.as_str()),
        (404, "NotFound", "secrets \"client-certificate\" not found"),
        (500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
    ] {
        let only = json!({"verb": "update", "kind": "Secret", "next": 1});
        rig.inject(
            "no",
            json!({"at": "kubernetes", "fault": "api.answer", "status": status, "only": only}),
        );
        assert!(secrets.get("client-certificate").await.is_ok(), "another verb is not met");
        assert_eq!(refused_update(&secrets).await, (status, reason.to_owned(), message.to_owned()));
        let answer = rig.answers().pop().expect("an answer");
        assert_eq!((answer.fault.as_deref(), answer.status), (Some("no"), Some(status)));
        assert_eq!(answer.errors, [message]);
    }
    assert_eq!(rig.faults.fired("no"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_answer_says_when_to_come_again() {
    let rig = Rig::open().await;
    rig.inject("busy", json!({"at": "kubernetes", "fault": "api.answer", "status": 429}));
    for client in [rig.client(), rig.http1_client()] {
        let answer = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
        let status: Value = answer.json().await.expect("JSON");
        assert_eq!((&status["reason"], &status["code"]), (&json!("TooManyRequests"), &json!(429)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_slow_is_late_also_with_a_watch() {
    let rig = Rig::open().await;
    rig.inject("slow", json!({"at": "kubernetes", "fault": "api.slow", "delay": "300ms"}));
    let begun = Instant::now();
    assert!(secrets(&rig).get("a").await.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let begun = Instant::now();
    let watch = rig.client().get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
    assert_eq!(watch.status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_watch_cut_breaks_off_what_is_open() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        let mut answer = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        let watch = rig.backend.next_watch().await;
        watch.send("{}\n").await;
        assert!(soon("a frame", answer.chunk()).await.expect("a frame").is_some());
        let only = json!({"kind": "Secret", "next": 1});
        rig.inject("cut", json!({"at": "kubernetes", "fault": "api.watch-cut", "only": only}));
        assert!(rest(&mut answer).await.is_err(), "no clean end");
        soon("the end of the watch behind", watch.frames.closed()).await;
        // It has had its one watch.
        let mut next = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        let watch = rig.backend.next_watch().await;
        watch.send("{}\n").await;
        drop(watch);
        assert_eq!(rest(&mut next).await.expect("a clean end"), "{}\n");
    }
    assert_eq!(rig.faults.fired("cut"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_watch_gone_ends_a_watch_with_410_between_two_events() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        let mut answer = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        let watch = rig.backend.next_watch().await;
        watch.send("{\"half\":").await;
        let half = soon("a frame", answer.chunk()).await.expect("a frame");
        assert_eq!(half.expect("no end"), "{\"half\":");
        let only = json!({"kind": "Secret", "next": 1});
        rig.inject("gone", json!({"at": "kubernetes", "fault": "api.watch-gone", "only": only}));
        watch.send("1}\n").await;
        let text = rest(&mut answer).await.expect("a clean end");
        let (event, error) = text.split_once('\n').expect("two events");
        assert_eq!(event, "1}");
        let error: Value = serde_json::from_str(error).expect("JSON");
        assert_eq!(
            error,
            json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version: 41 (42)", "reason": "Expired", "code": 410
            }})
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_watch_gone_is_understood_by_a_real_client() {
    use futures::TryStreamExt;

    let rig = Rig::open().await;
    rig.inject("gone", json!({"at": "kubernetes", "fault": "api.watch-gone"}));
    let secrets = secrets(&rig);
    let params = WatchParams::default();
    let watch = soon("the head", secrets.watch(&params, "41")).await;
    let mut watch = std::pin::pin!(watch.expect("a watch"));
    match soon("an event", watch.try_next()).await {
        Ok(Some(WatchEvent::Error(status))) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
}
