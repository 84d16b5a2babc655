//! The reference agent in trouble: killed, told to stop, lied to by Compass, let down by the cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use compass_harness::compass::Application;
use compass_harness::document::{self, Kind};
use compass_harness::journal::{Event, FaultEvent, Identity, Request};
use compass_harness::scenario::Inject;
use serde::Deserialize;
use serde_json::json;

use crate::reference_world::{Stage, asked, by_token, revision_of, stage, state};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    faults: Vec<Inject>,
}

impl Kind for Faults {
    const KIND: &'static str = "Faults";
}

/// A moment to kill it at, in words and as a fact.
type Point = (&'static str, fn(&Event) -> bool);

/// Arms a fault in the words of scenarios.
fn arm(stage: &Stage, words: &str) {
    let text =
        format!("apiVersion: compass.test/v1alpha1\nkind: Faults\nfaults:\n  - {{ {words} }}\n");
    let faults = document::parse::<Faults>("faults.yaml", text);
    let faults = faults.unwrap_or_else(|error| panic!("{words}: {}", error.render(false)));
    for fault in faults.content.faults {
        stage.world.faults.arm(fault.armed);
    }
}

fn fired(event: &Event) -> bool {
    matches!(event, Event::Fault(FaultEvent::Fired { .. }))
}

fn one_application() -> Vec<Application> {
    vec![Application::named("orders")]
}

/// In every revision of the client Secret, key and certificate belong together (CERT-05).
fn assert_pairs_belong_together(stage: &Stage) {
    let mut seen = 0;
    for event in stage.entries() {
        let Some(revision) = revision_of(&event, "Secret", "cluster-client-certificates") else {
            continue;
        };
        let (key, certificate) = (&revision.secret["key"], &revision.secret["crt"]);
        assert_eq!(key.private_key_of.as_ref(), Some(&certificate.certificates[0].public_key));
        seen += 1;
    }
    assert!(seen > 0, "the Secret was written");
}

#[tokio::test]
async fn killed_at_any_point_of_pairing_it_gets_there_or_says_what_is_wrong() {
    let points: [Point; 5] = [
        ("configuration is asked", |event| asked(event, "configuration")),
        ("a request is to be signed", |event| asked(event, "signCertificateSigningRequest")),
        ("the certificate is issued", |event| matches!(event, Event::Certificate(_))),
        ("the key is stored", |event| {
            revision_of(event, "Secret", "cluster-client-certificates").is_some()
        }),
        ("the CA is stored", |event| revision_of(event, "Secret", "ca-certificates").is_some()),
    ];
    for (point, is) in points {
        let mut stage = stage(one_application()).await;
        let agent = stage.start(&[]);
        stage.next(point, is).await;
        drop(agent);
        let agent = stage.start(&[]);
        let entry = stage
            .next("there is a state", |event| {
                matches!(state(event).as_deref(), Some("Synchronized" | "ConnectionFailed"))
            })
            .await;
        if state(&entry.event).as_deref() == Some("ConnectionFailed") {
            let Event::Revision(revision) = &entry.event else { unreachable!("it has a state") };
            let error = revision.content.pointer("/status/connectionStatus/error");
            assert!(error.is_some_and(|error| error != ""), "killed when {point}");
            stage.hand_over_a_token().await;
            stage.state("Synchronized").await;
        }
        assert_pairs_belong_together(&stage);
        agent.stop().await;
        stage.end().await;
    }
}

#[tokio::test]
async fn killed_at_any_point_of_a_renewal_it_goes_on_with_what_is_stored() {
    let points: [Point; 3] = [
        ("a request is to be signed", |event| {
            asked(event, "signCertificateSigningRequest") && !by_token(event)
        }),
        ("the new key is stored", |event| {
            revision_of(event, "Secret", "cluster-client-certificates").is_some()
        }),
        ("the renewal is reported", |event| {
            revision_of(event, "CompassConnection", "compass-connection").is_some_and(|revision| {
                !revision.content["status"]["connectionStatus"]["renewed"].is_null()
            })
        }),
    ];
    for (point, is) in points {
        let mut stage = stage(one_application()).await;
        let agent = stage.start(&[]);
        stage.state("Synchronized").await;
        stage.patch_connection(json!({"spec": {"refreshCredentialsNow": true}})).await;
        stage.next(point, is).await;
        drop(agent);
        let agent = stage.start(&[]);
        stage.a_round().await;
        let object = stage.connections().get("compass-connection").await.expect("there");
        let reported = &object.data["status"]["connectionStatus"]["certificateStatus"]["notAfter"];
        let newest = stage
            .entries()
            .filter_map(|event| {
                let revision = revision_of(&event, "Secret", "cluster-client-certificates")?;
                Some(revision.secret["crt"].certificates[0].not_after.to_string())
            })
            .last();
        assert_eq!(reported.as_str(), newest.as_deref(), "killed when {point}");
        assert_pairs_belong_together(&stage);
        assert_eq!(stage.count(by_token), 2, "no token was spent when {point}");
        agent.stop().await;
        stage.end().await;
    }
}

#[tokio::test]
async fn a_call_that_a_stop_interrupts_is_not_recorded_as_a_failure() {
    let mut stage = stage(one_application()).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    arm(&stage, "id: slow, at: director, fault: http.slow-answer, delay: 50s");
    stage.next("the Director does not answer", fired).await;
    let told = Instant::now();
    agent.stop().await;
    assert!(told.elapsed() < Duration::from_secs(5), "it waited for the Director");
    assert!(stage.entries().all(|event| {
        matches!(state(&event).as_deref(), None | Some("Connected" | "Synchronized"))
    }));
    stage.end().await;
}

#[tokio::test]
async fn whatever_the_connector_answers_the_agent_says_so_and_lives() {
    let endless = "x".repeat(10 << 20);
    let answers: BTreeMap<&str, String> = [
        ("null body", "json: null".to_owned()),
        ("empty object", "json: {}".into()),
        ("no data", "json: { data: null }".into()),
        ("no result", "json: { data: { result: null } }".into()),
        ("null members", "json: { data: { result: { token: null, certificateSigningRequestInfo: null, managementPlaneInfo: null } } }".into()),
        ("empty urls", "json: { data: { result: { token: { token: t }, certificateSigningRequestInfo: { subject: CN=x, keyAlgorithm: rsa2048 }, managementPlaneInfo: { directorURL: '', certificateSecuredConnectorURL: '' } } } }".into()),
        ("wrong types", "json: { data: { result: [1, 2] } }".into()),
        ("page", "text: <html>no healthy upstream</html>".into()),
        ("endless", format!("text: {endless}")),
    ]
    .into();
    let mut stage = stage(one_application()).await;
    for (name, body) in &answers {
        let id = name.replace(' ', "-");
        arm(
            &stage,
            &format!(
                "id: {id}, at: connector, fault: http.answer, status: 200, body: {{ {body} }}, only: {{ operation: configuration, next: 1 }}"
            ),
        );
    }
    let agent = stage.start(&[]);
    stage.state("Connected").await;
    stage.state("Synchronized").await;
    let failed = stage.count(|event| state(event).as_deref() == Some("ConnectionFailed"));
    assert_eq!(failed, answers.len(), "each of them was a failure of its own");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn odd_subjects_are_failures_too_and_the_second_token_is_not_tried() {
    let mut stage = stage(one_application()).await;
    arm(
        &stage,
        "id: odd, at: connector, fault: graphql.field, path: configuration.certificateSigningRequestInfo.subject, as: { text: nonsense }, only: { operation: configuration, next: 1 }",
    );
    let agent = stage.start(&[]);
    let content = stage.state("ConnectionFailed").await;
    let error = content.pointer("/status/connectionStatus/error").and_then(|error| error.as_str());
    let error = error.expect("an error");
    assert!(error.contains("Failed to generate CSR"), "{error}");
    assert!(error.contains("a fresh one is needed"), "{error}");
    stage.hand_over_a_token().await;
    stage.state("Synchronized").await;
    let refused = |event: &Event| {
        matches!(event, Event::Request(Request { identity: Identity::RefusedToken { .. }, .. }))
    };
    assert_eq!(stage.count(refused), 0, "a token that is used up is known to be");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_takes_the_token_nowhere() {
    let mut stage = stage(one_application()).await;
    let elsewhere = stage.world.access.compass.director.clone();
    arm(
        &stage,
        &format!(
            "id: away, at: connector, fault: http.redirect, to: '{elsewhere}', only: {{ operation: configuration, next: 1 }}"
        ),
    );
    let agent = stage.start(&[]);
    stage.state("ConnectionFailed").await;
    let director = |event: &Event| matches!(event, Event::Request(Request { address, .. }) if address == "director");
    assert_eq!(stage.count(director), 0);
    stage.state("Synchronized").await;
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_renewal_that_cannot_be_kept_leaves_everything_as_it_was() {
    let mut stage = stage(one_application()).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    let secrets = stage.secrets("kyma-system");
    let before = secrets.get("cluster-client-certificates").await.expect("there").data;
    arm(
        &stage,
        "id: full, at: kubernetes, fault: api.answer, status: 403, only: { verb: update, kind: Secret, name: ca-certificates, next: 1 }",
    );
    stage.patch_connection(json!({"spec": {"refreshCredentialsNow": true}})).await;
    let content = stage.state("ConnectionMaintenanceFailed").await;
    assert_eq!(content.pointer("/status/connectionStatus/renewed"), Some(&json!(null)));
    assert_eq!(content.pointer("/spec/refreshCredentialsNow"), Some(&json!(true)));
    let after = secrets.get("cluster-client-certificates").await.expect("there").data;
    assert_eq!(after, before, "the old pair was put back");
    let content = stage.state("Synchronized").await;
    assert_eq!(content.pointer("/spec/refreshCredentialsNow"), None);
    assert_ne!(content.pointer("/status/connectionStatus/renewed"), Some(&json!(null)));
    assert_pairs_belong_together(&stage);
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_cluster_in_trouble_is_survived_without_a_restart() {
    let mut stage = stage(one_application()).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    for status in [500, 503, 429] {
        arm(
            &stage,
            &format!(
                "id: s{status}, at: kubernetes, fault: api.answer, status: {status}, only: {{ kind: CompassConnection, next: 6 }}"
            ),
        );
    }
    arm(
        &stage,
        "id: applications, at: kubernetes, fault: api.answer, status: 403, only: { kind: Application, verb: list, next: 1 }",
    );
    let content = stage.state("ResourceApplicationFailed").await;
    let times = &content["status"]["synchronizationStatus"];
    assert_eq!(times["lastSuccessfulFetch"], times["lastAttempt"]);
    assert!(!times["lastSuccessfulApplication"].is_null(), "the last success is remembered");
    stage.state("Synchronized").await;
    for id in ["s500", "s503", "s429"] {
        assert!(stage.world.faults.fired(id) > 0, "{id} was met");
    }
    assert!(stage.entries().all(|event| {
        !matches!(
            state(&event).as_deref(),
            Some("ConnectionFailed" | "ConnectionMaintenanceFailed")
        )
    }));
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_watch_that_is_cut_or_too_old_does_not_make_it_deaf() {
    let mut stage = stage(one_application()).await;
    let long = [("APP_CONTROLLER_SYNC_PERIOD", "1h"), ("APP_MINIMAL_COMPASS_SYNC_TIME", "30m")];
    let agent = stage.start(&long);
    stage.state("Synchronized").await;
    for fault in ["api.watch-cut", "api.watch-gone"] {
        arm(
            &stage,
            &format!(
                "id: watch, at: kubernetes, fault: {fault}, only: {{ kind: CompassConnection, next: 1 }}"
            ),
        );
        // The fault meets the watch at its next event or at once; either way the edit must be seen.
        stage.patch_connection(json!({"spec": {"resyncNow": true}})).await;
        stage
            .next("the edit is answered", |event| {
                revision_of(event, "CompassConnection", "compass-connection")
                    .is_some_and(|revision| revision.content["spec"].get("resyncNow").is_none())
            })
            .await;
        assert!(stage.world.faults.fired("watch") > 0, "{fault} was met");
        stage.world.faults.heal("watch");
    }
    agent.stop().await;
    stage.end().await;
}
