//! The reference agent in a whole world, where the scenarios do not go: crashes, replicas, many
//! applications, moved addresses, dead certificates, secrets.

mod reference_trouble;
mod reference_world;

use compass_harness::agent::{Launch, Process, Runner};
use compass_harness::compass::{Addresses, Application};
use compass_harness::journal::{CertificateEvent, Event, ObjectChange, Request, TokenEvent};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use reference_world::{asked, by_token, exited, revision_of, stage, state};
use serde_json::json;

const CLIENT_SECRET: &str = "cluster-client-certificates";
const CA_SECRET: &str = "ca-certificates";

fn issued(event: &Event) -> bool {
    matches!(event, Event::Certificate(CertificateEvent::Issued { .. }))
}

fn with_credentials(name: &str) -> Application {
    serde_json::from_value(json!({
        "name": name,
        "apis": [{"name": "api", "url": "https://api.example"}],
        "credentials": {"basic": {"username": "shop", "password": "wonderland"}},
        "headers": {"x-shop": ["1"]},
    }))
    .expect("an application")
}

fn named(names: &[&str]) -> Vec<Application> {
    names.iter().map(|name| Application::named(*name)).collect()
}

#[tokio::test]
async fn credentials_of_a_run_that_died_before_it_could_report_are_used() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    drop(agent);
    // As if it had died just before it wrote the CompassConnection for the first time.
    let connections = stage.connections();
    let gone = connections.delete("compass-connection", &DeleteParams::default()).await;
    gone.expect("deletable");
    let agent = stage.start(&[]);
    stage.state("Connected").await;
    stage.state("Synchronized").await;
    assert_eq!(stage.count(issued), 1, "the stored certificate is good");
    assert_eq!(stage.count(by_token), 2, "the spent token was not tried again");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_fresh_token_takes_the_place_of_a_revoked_certificate() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    stage.world.compass.landscape().revoke(1).expect("issued");
    let content = stage.state("ConnectionMaintenanceFailed").await;
    assert!(content.pointer("/status/connectionStatus/error").is_some());
    stage.hand_over_a_token().await;
    stage.state("Connected").await;
    let content = stage.state("Synchronized").await;
    assert_eq!(content.pointer("/status/connectionStatus/error"), None);
    assert_eq!(stage.count(issued), 2);
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_deleted_or_spoilt_client_secret_is_put_back_as_it_was() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    let secrets = stage.secrets("kyma-system");
    let before = secrets.get(CLIENT_SECRET).await.expect("there").data;
    secrets.delete(CLIENT_SECRET, &DeleteParams::default()).await.expect("deletable");
    let back = |event: &Event| {
        revision_of(event, "Secret", CLIENT_SECRET)
            .is_some_and(|revision| revision.change == ObjectChange::Added)
    };
    stage
        .next("the Secret is gone", |event| {
            revision_of(event, "Secret", CLIENT_SECRET)
                .is_some_and(|revision| revision.change == ObjectChange::Deleted)
        })
        .await;
    stage.next("the Secret is back", back).await;
    assert_eq!(secrets.get(CLIENT_SECRET).await.expect("back").data, before);
    let patch = json!({"stringData": {"crt": "nonsense"}});
    let patch = kube::api::Patch::Merge(patch);
    secrets.patch(CLIENT_SECRET, &Default::default(), &patch).await.expect("patchable");
    for _ in 0..2 {
        stage
            .next("the Secret is written", |event| {
                revision_of(event, "Secret", CLIENT_SECRET).is_some()
            })
            .await;
    }
    assert_eq!(secrets.get(CLIENT_SECRET).await.expect("there").data, before);
    assert_eq!(stage.count(issued), 1, "nothing had to be renewed");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn applications_of_all_pages_are_applied_and_written_once() {
    let generated: Application =
        serde_json::from_value(json!({"name": "shop-{n}", "generate": 450})).expect("a pattern");
    let mut stage = stage(vec![generated]).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    assert_eq!(stage.application_names().await.len(), 450);
    let writes = |event: &Event| {
        matches!(event, Event::Request(Request { kubernetes: Some(call), .. })
            if call.resource == "applications" && call.verb != "list" && call.verb != "watch")
    };
    let before = stage.count(writes);
    stage.a_round().await;
    assert_eq!(stage.count(writes), before, "a round that changes nothing writes nothing");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn secrets_of_an_application_come_and_go_with_it() {
    let mut stage = stage(vec![with_credentials("orders"), with_credentials("billing")]).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    let orders = stage.applications().get("mp-orders").await.expect("applied");
    let entry = &orders.data["spec"]["services"][0]["entries"][0];
    let secrets = stage.secrets("kyma-system");
    for (name, key) in [
        (entry["credentials"]["secretName"].as_str(), "password"),
        (entry["requestParametersSecretName"].as_str(), "headers"),
    ] {
        let secret = secrets.get(name.expect("named")).await.expect("made");
        assert!(secret.data.is_some_and(|data| data.contains_key(key)));
        let owners = secret.metadata.owner_references.unwrap_or_default();
        assert_eq!(Some(&owners[0].uid), orders.metadata.uid.as_ref());
    }
    let writes = |event: &Event| {
        matches!(event, Event::Request(Request { kubernetes: Some(call), .. })
            if call.resource == "secrets" && (call.verb == "update" || call.verb == "create"))
    };
    let before = stage.count(writes);
    stage.a_round().await;
    assert_eq!(stage.count(writes), before, "a round that changes nothing writes nothing");
    let landscape = stage.world.compass.landscape();
    landscape.remove_applications(&["orders".into()]).expect("removable");
    stage
        .next("the Application is gone", |event| {
            revision_of(event, "Application", "mp-orders")
                .is_some_and(|revision| revision.change == ObjectChange::Deleted)
        })
        .await;
    let left = secrets.list(&Default::default()).await.expect("listable");
    let of = |application: &str| {
        let labelled = left.items.iter().filter(|secret| {
            let labels = secret.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get("app")).is_some_and(|app| app == application)
        });
        labelled.count()
    };
    assert_eq!((of("mp-orders"), of("mp-billing")), (0, 2));
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn what_is_not_the_agents_is_left_alone_and_what_cannot_be_applied_is_said() {
    let mut stage = stage(named(&["orders"])).await;
    let applications = stage.applications();
    let mut foreign: DynamicObject = DynamicObject::new("mp-billing", &applications_kind());
    foreign.data = json!({"spec": {"description": "mine", "services": []}});
    let foreign = applications.create(&PostParams::default(), &foreign).await.expect("made");
    stage.add(named(&["billing", "refunds", &"long-".repeat(60)]));
    let agent = stage.start(&[]);
    let content = stage.state("ResourceApplicationFailed").await;
    let error = content.pointer("/status/synchronizationStatus/error").and_then(|e| e.as_str());
    let error = error.expect("an error");
    assert!(error.contains("mp-billing: an Application of this name is not managed"), "{error}");
    assert!(error.contains("Failed to apply 2 of 4"), "{error}");
    let names = stage.application_names().await;
    assert_eq!(names, ["mp-billing", "mp-orders", "mp-refunds"]);
    let untouched = applications.get("mp-billing").await.expect("there");
    assert_eq!(untouched.metadata.resource_version, foreign.metadata.resource_version);
    agent.stop().await;
    stage.end().await;
}

fn applications_kind() -> kube::api::ApiResource {
    let group = "applicationconnector.kyma-project.io";
    kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
        group,
        "v1alpha1",
        "Application",
    ))
}

#[tokio::test]
async fn moved_addresses_are_used_recorded_and_remembered() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    let landscape = stage.world.compass.landscape();
    let old = landscape.addresses();
    // The same doors by their other name.
    let moved = |url: &str| url.replace("127.0.0.1", "localhost");
    let new = Addresses {
        connector: moved(&old.connector),
        director: moved(&old.director),
        ..old.clone()
    };
    landscape.set_addresses(new.clone());
    let recorded = |event: &Event| {
        revision_of(event, "CompassConnection", "compass-connection").is_some_and(|revision| {
            revision.content.pointer("/spec/managementInfo")
                == Some(&json!({"connectorUrl": new.connector, "directorUrl": new.director}))
        })
    };
    stage.next("the new addresses are recorded", recorded).await;
    agent.stop().await;
    let agent = stage.start(&[]);
    stage.a_round().await;
    let by_name = stage.count(|event| {
        matches!(event, Event::Handshake(handshake)
            if serde_json::to_string(handshake).is_ok_and(|text| text.contains("\"localhost\"")))
    });
    assert!(by_name >= 2, "{by_name} handshakes by the new name");
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn of_two_replicas_one_acts_and_the_other_takes_over() {
    let mut stage = stage(named(&["orders"])).await;
    let election = [("APP_LEADER_ELECTION", "true")];
    let (one, other) = (stage.start(&election), stage.start(&election));
    stage.state("Synchronized").await;
    stage.a_round().await;
    let used = |event: &Event| matches!(event, Event::Token(TokenEvent::Used { .. }));
    assert_eq!(stage.count(used), 2, "the Secret's token and the one that it bought");
    assert_eq!(stage.count(issued), 1);
    // Whichever of the two leads gives the lead away when it is stopped.
    one.stop().await;
    stage.a_round().await;
    assert_eq!((stage.count(used), stage.count(issued)), (2, 1));
    other.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_renewal_asked_for_together_with_a_round_is_one_round() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage
        .start(&[("APP_CONTROLLER_SYNC_PERIOD", "1h"), ("APP_MINIMAL_COMPASS_SYNC_TIME", "30m")]);
    stage.state("Synchronized").await;
    let rounds = stage.count(|event| asked(event, "applicationsForRuntime"));
    stage
        .patch_connection(json!({"spec": {"resyncNow": true, "refreshCredentialsNow": true}}))
        .await;
    stage
        .next("both flags are gone", |event| {
            revision_of(event, "CompassConnection", "compass-connection").is_some_and(|revision| {
                let spec = &revision.content["spec"];
                let renewed = &revision.content["status"]["connectionStatus"]["renewed"];
                spec.get("resyncNow").is_none()
                    && spec.get("refreshCredentialsNow").is_none()
                    && !renewed.is_null()
            })
        })
        .await;
    assert_eq!(stage.count(issued), 2);
    assert_eq!(stage.count(|event| asked(event, "applicationsForRuntime")), rounds + 1);
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_life_shorter_than_two_rounds_is_renewed_once_a_round() {
    let mut stage = stage(named(&["orders"])).await;
    stage.world.compass.landscape().set_certificate_validity(std::time::Duration::from_secs(7));
    // `M` is four seconds, so a certificate is always too old.
    let agent = stage.start(&[("APP_MINIMAL_COMPASS_SYNC_TIME", "4s")]);
    stage.state("Connected").await;
    for _ in 0..2 {
        stage
            .next("a request is to be signed", |event| {
                asked(event, "signCertificateSigningRequest") && !by_token(event)
            })
            .await;
        stage.state("Synchronized").await;
    }
    let by_certificate =
        |operation: &str| stage.count(|event| asked(event, operation) && !by_token(event));
    assert_eq!(
        by_certificate("configuration"),
        by_certificate("signCertificateSigningRequest"),
        "no more than one renewal a round, and no less"
    );
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn a_ca_secret_that_is_missing_after_a_restart_is_had_by_a_renewal() {
    let mut stage = stage(named(&["orders"])).await;
    let agent = stage.start(&[]);
    stage.state("Synchronized").await;
    agent.stop().await;
    let secrets = stage.secrets("istio-system");
    secrets.delete(CA_SECRET, &DeleteParams::default()).await.expect("deletable");
    let agent = stage.start(&[]);
    stage.a_round().await;
    assert!(secrets.get_opt(CA_SECRET).await.expect("readable").is_some());
    assert_eq!(stage.count(issued), 2);
    agent.stop().await;
    stage.end().await;
}

#[tokio::test]
async fn as_a_process_it_ends_in_time_and_prints_no_secret_at_any_level() {
    let mut stage = stage(vec![with_credentials("orders")]).await;
    let environment = stage.environment(&[("RUST_LOG", "trace"), ("PATH", "/usr/bin:/bin")]);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch {
        program: env!("CARGO_BIN_EXE_compass-harness").into(),
        arguments: vec!["agent".into()],
        environment: environment.into_iter().map(|(name, value)| (name, value.into())).collect(),
        scratch: scratch.path().into(),
    };
    // A journal of its own, which knows none of the secrets and so hides none of them.
    let plain = compass_harness::journal::Journal::new();
    let mut process = Process::new(launch, plain.clone()).expect("a writable scratch");
    process.start().await.expect("it starts");
    stage.state("Synchronized").await;
    stage.patch_connection(json!({"spec": {"refreshCredentialsNow": true}})).await;
    stage.state("Synchronized").await;
    stage.a_round().await;
    let exit = process.stop(std::time::Duration::from_secs(30)).await.expect("it ran");
    assert_eq!((exit.code, exit.planned), (Some(0), true));
    assert!(plain.snapshot().iter().any(|entry| exited(&entry.event)));
    let log = std::fs::read_to_string(process.log().path()).expect("readable");
    assert!(log.contains("Synchronized"), "it says what it does: {log}");
    let configuration = stage.secrets("kyma-system").get("compass-agent-configuration").await;
    let token = configuration.expect("there").data.expect("filled")["TOKEN"].0.clone();
    let token = String::from_utf8(token).expect("text");
    for secret in [token.as_str(), "wonderland", "PRIVATE KEY"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let states: Vec<_> = stage.entries().filter_map(|event| state(&event)).collect();
    assert_eq!(states[..2], ["Connected", "Synchronized"]);
    stage.end().await;
}
