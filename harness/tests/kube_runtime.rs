//! kube-rs on the embedded server: watcher, reflector, controller, finalizer, leases, apply, rights, collection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use compass_harness::cluster::embedded::Server;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event as Finalizing, finalizer};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, wait, watcher as watch};
use kube::{Client, Config, ResourceExt as _};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// One deadline for whatever a test waits for.
const SOON: Duration = Duration::from_secs(20);

async fn config(server: &Server) -> Result<Config, Box<dyn std::error::Error + Send + Sync>> {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig())?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

async fn client(server: &Server) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Client::try_from(config(server).await?)?)
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    let data = BTreeMap::from([("k".to_owned(), value.to_owned())]);
    ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some(name.into()), ..Default::default() },
        data: Some(data),
        ..Default::default()
    }
}

/// The next event of a watcher that is about an object.
async fn next<S>(
    stream: &mut S,
) -> Result<Event<ConfigMap>, Box<dyn std::error::Error + Send + Sync>>
where
    S: futures::Stream<Item = Result<Event<ConfigMap>, watcher::Error>> + Unpin,
{
    let event = tokio::time::timeout(SOON, stream.try_next()).await??;
    event.ok_or_else(|| "the stream has ended".into())
}

async fn follow(settings: watcher::Config) -> Outcome {
    let server = Server::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server).await?);
    maps.create(&PostParams::default(), &config_map("before", "1")).await?;
    let mut stream = Box::pin(watch(maps.clone(), settings));
    assert!(matches!(next(&mut stream).await?, Event::Init));
    assert!(
        matches!(next(&mut stream).await?, Event::InitApply(object) if object.name_any() == "before")
    );
    assert!(matches!(next(&mut stream).await?, Event::InitDone));
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    assert!(matches!(next(&mut stream).await?, Event::Apply(object) if object.name_any() == "a"));
    let patch = Patch::Merge(json!({ "data": { "k": "2" } }));
    maps.patch("a", &PatchParams::default(), &patch).await?;
    assert!(
        matches!(next(&mut stream).await?, Event::Apply(object) if object.data == config_map("a", "2").data)
    );
    maps.delete("a", &DeleteParams::default()).await?;
    assert!(matches!(next(&mut stream).await?, Event::Delete(object) if object.name_any() == "a"));
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_watcher_sees_what_happens_in_order() -> Outcome {
    follow(watcher::Config::default()).await
}

#[tokio::test]
async fn a_watcher_with_streaming_lists_sees_the_same() -> Outcome {
    follow(watcher::Config::default().streaming_lists()).await
}

#[tokio::test]
async fn a_reflector_holds_what_the_server_holds() -> Outcome {
    let server = Server::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server).await?);
    let (reader, writer) = reflector::store();
    let stream = watch(maps.clone(), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects();
    let following = tokio::spawn(stream.for_each(|_| async {}));
    tokio::time::timeout(SOON, reader.wait_until_ready()).await??;
    for n in 0..20 {
        maps.create(&PostParams::default(), &config_map(&format!("m-{n}"), "1")).await?;
    }
    let all = async {
        while reader.len() < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, all).await?;
    assert!(reader.get(&ObjectRef::new("m-7").within("default")).is_some());
    following.abort();
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_controller_reconciles_until_nothing_changes_any_more() -> Outcome {
    let server = Server::start().await?;
    let client = client(&server).await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let context = Arc::new((maps.clone(), Arc::clone(&runs)));
    let reconcile = |map: Arc<ConfigMap>, context: Arc<(Api<ConfigMap>, Arc<AtomicUsize>)>| async move {
        context.1.fetch_add(1, Ordering::SeqCst);
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "seen": "yes" } } }));
        context.0.patch(&map.name_any(), &PatchParams::default(), &patch).await?;
        Ok::<Action, kube::Error>(Action::await_change())
    };
    let policy =
        |_: Arc<ConfigMap>, _: &kube::Error, _: Arc<_>| Action::requeue(Duration::from_millis(50));
    let controller = Controller::new(maps.clone(), watcher::Config::default());
    let running = tokio::spawn(controller.run(reconcile, policy, context).for_each(|_| async {}));
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let labelled = wait::await_condition(maps.clone(), "a", |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.labels().get("seen").is_some_and(|value| value == "yes"))
    });
    tokio::time::timeout(SOON, labelled).await??;
    // The patch that changes nothing is no event: one run for the create, one for its own change, and that is all.
    maps.create(&PostParams::default(), &config_map("b", "1")).await?;
    let labelled = wait::await_condition(maps.clone(), "b", |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.labels().contains_key("seen"))
    });
    tokio::time::timeout(SOON, labelled).await??;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        runs.load(Ordering::SeqCst) <= 4,
        "{} runs for two objects",
        runs.load(Ordering::SeqCst)
    );
    running.abort();
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_finalizer_of_kube_cleans_up_before_an_object_goes() -> Outcome {
    const NAME: &str = "compass-harness.test/cleanup";
    let server = Server::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server).await?);
    let step = |map: ConfigMap| {
        let maps = maps.clone();
        async move {
            finalizer(&maps, NAME, Arc::new(map), |event| async move {
                match event {
                    Finalizing::Apply(_) => Ok::<Action, kube::Error>(Action::await_change()),
                    Finalizing::Cleanup(_) => Ok(Action::requeue(Duration::ZERO)),
                }
            })
            .await
        }
    };
    step(maps.create(&PostParams::default(), &config_map("a", "1")).await?).await?;
    let held = maps.get("a").await?;
    assert_eq!(held.finalizers(), [NAME]);
    assert!(
        maps.delete("a", &DeleteParams::default()).await?.is_left(),
        "the object waits for its finalizer"
    );
    step(maps.get("a").await?).await?;
    assert!(maps.get_opt("a").await?.is_none());
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_of_two_candidates_gets_a_lease() -> Outcome {
    let server = Server::start().await?;
    let leases: Api<Lease> = Api::default_namespaced(client(&server).await?);
    let lease = |holder: &str| -> Lease {
        let time = "2026-01-01T00:00:00.000000Z";
        let spec = json!({ "holderIdentity": holder, "leaseDurationSeconds": 10, "acquireTime": time, "renewTime": time });
        let whole = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "lead" }, "spec": spec });
        serde_json::from_value(whole).expect("a lease")
    };
    let (one, two) = (lease("one"), lease("two"));
    let parameters = PostParams::default();
    let (a, b) = tokio::join!(leases.create(&parameters, &one), leases.create(&parameters, &two));
    assert!(a.is_ok() != b.is_ok(), "exactly one creates the lease");
    let held = leases.get("lead").await?;
    let mut renewed = held.clone();
    renewed.spec.as_mut().expect("a spec").lease_transitions = Some(1);
    leases.replace("lead", &parameters, &renewed).await?;
    let late = leases.replace("lead", &parameters, &held).await.expect_err("the version is stale");
    assert!(
        matches!(late, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
    );
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn appliers_conflict_over_a_field_and_share_what_is_equal() -> Outcome {
    let server = Server::start().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server).await?);
    let body = |value: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "k": value } });
    maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(body("1"))).await?;
    maps.patch("a", &PatchParams::apply("two"), &Patch::Apply(body("1"))).await?;
    let refused = maps
        .patch("a", &PatchParams::apply("two"), &Patch::Apply(body("2")))
        .await
        .expect_err("a conflict");
    assert!(
        matches!(refused, kube::Error::Api(status) if status.code == 409 && status.message.contains("\"one\""))
    );
    let forced =
        maps.patch("a", &PatchParams::apply("two").force(), &Patch::Apply(body("2"))).await?;
    let managers: Vec<_> =
        forced.managed_fields().iter().filter_map(|entry| entry.manager.clone()).collect();
    assert_eq!(managers, ["two"]);
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn dependents_go_with_their_owner_and_content_with_its_namespace() -> Outcome {
    let server = Server::start().await?;
    let client = client(&server).await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await?;
    let mut dependent = config_map("dependent", "1");
    let reference = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid }]);
    dependent.metadata.owner_references = Some(serde_json::from_value(reference)?);
    maps.create(&PostParams::default(), &dependent).await?;
    maps.delete("owner", &DeleteParams::default()).await?;
    let gone =
        wait::await_condition(maps.clone(), "dependent", |map: Option<&ConfigMap>| map.is_none());
    tokio::time::timeout(SOON, gone).await??;

    // An owner whose dependents are to be kept lets go of them; one that goes last waits for them.
    for (policy, kept) in [("Orphan", true), ("Foreground", false)] {
        let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await?;
        let reference = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
            "blockOwnerDeletion": true,
        }]);
        dependent.metadata.owner_references = Some(serde_json::from_value(reference)?);
        maps.create(&PostParams::default(), &dependent).await?;
        let parameters = if kept { DeleteParams::orphan() } else { DeleteParams::foreground() };
        maps.delete("owner", &parameters).await?;
        let gone =
            wait::await_condition(maps.clone(), "owner", |map: Option<&ConfigMap>| map.is_none());
        tokio::time::timeout(SOON, gone).await??;
        let found = maps.get_opt("dependent").await?;
        assert_eq!(found.is_some(), kept, "{policy}");
        if let Some(found) = found {
            assert!(found.owner_references().is_empty());
            maps.delete("dependent", &DeleteParams::default()).await?;
        }
    }

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": "short-lived" } }))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let inside: Api<ConfigMap> = Api::namespaced(client, "short-lived");
    inside.create(&PostParams::default(), &config_map("a", "1")).await?;
    namespaces.delete("short-lived", &DeleteParams::default()).await?;
    let gone = wait::await_condition(namespaces, "short-lived", |namespace: Option<&Namespace>| {
        namespace.is_none()
    });
    tokio::time::timeout(SOON, gone).await??;
    assert!(inside.list(&ListParams::default()).await?.items.is_empty());
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says_and_no_more() -> Outcome {
    let server = Server::start().await?;
    let admin = client(&server).await?;
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    accounts
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({ "metadata": { "name": "agent" } }))?,
        )
        .await?;
    let request = TokenRequest { spec: Some(TokenRequestSpec::default()), ..Default::default() };
    let token = accounts.create_token_request("agent", &PostParams::default(), &request).await?;
    let token = token.status.and_then(|status| status.token).ok_or("no token in the status")?;

    let mut limited = config(&server).await?;
    limited.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
    let as_agent = Client::try_from(limited)?;
    let agent: Api<Secret> = Api::default_namespaced(as_agent.clone());
    let refused = agent.list(&ListParams::default()).await.expect_err("nothing is allowed yet");
    let text = "User \"system:serviceaccount:default:agent\" cannot list resource \"secrets\"";
    assert!(
        matches!(refused, kube::Error::Api(status) if status.code == 403 && status.message.contains(text))
    );

    let role = json!({ "metadata": { "name": "reader" }, "rules": [
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["list"] } ] });
    let roles: Api<Role> = Api::default_namespaced(admin.clone());
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    let bindings: Api<RoleBinding> = Api::default_namespaced(admin);
    let bind = |role: &str| -> Result<RoleBinding, serde_json::Error> {
        serde_json::from_value(json!({
            "metadata": { "name": role },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": "agent", "namespace": "default" }],
        }))
    };
    bindings.create(&PostParams::default(), &bind("reader")?).await?;
    agent.list(&ListParams::default()).await?;
    let refused =
        agent.delete("x", &DeleteParams::default()).await.expect_err("only lists are allowed");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));

    // Who may write roles may still not grant more than they have.
    let more = json!({ "metadata": { "name": "editor" }, "rules": [
        { "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"] } ] });
    roles.create(&PostParams::default(), &serde_json::from_value(more)?).await?;
    bindings.create(&PostParams::default(), &bind("editor")?).await?;
    let own: Api<Role> = Api::default_namespaced(as_agent);
    let grant = |verb: &str| -> Result<Role, serde_json::Error> {
        let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": [verb] }]);
        serde_json::from_value(
            json!({ "metadata": { "name": format!("grant-{verb}") }, "rules": rules }),
        )
    };
    own.create(&PostParams::default(), &grant("list")?).await?;
    let refused = own.create(&PostParams::default(), &grant("get")?).await;
    let refused = refused.expect_err("it cannot get secrets itself");
    assert!(
        matches!(refused, kube::Error::Api(status) if status.message.contains("permissions not currently held"))
    );
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_names_its_user() -> Outcome {
    let server = Server::start().await?;
    let certificate = server.client_certificate("jane", &["system:masters"])?;
    let mut by_certificate = config(&server).await?;
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    by_certificate.auth_info = kube::config::AuthInfo {
        client_certificate_data: Some(encode(&certificate.certificate)),
        client_key_data: Some(encode(&certificate.key).into()),
        ..Default::default()
    };
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(by_certificate)?);
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_crds_of_this_project_are_served_with_their_schemas() -> Outcome {
    let server = Server::start().await?;
    let client = client(&server).await?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for file in [
        "compassconnections.compass.kyma-project.io",
        "applications.applicationconnector.kyma-project.io",
    ] {
        let path = format!("{}/fixtures/crds/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        let crd: CustomResourceDefinition =
            serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
        crds.create(&PostParams::default(), &crd).await?;
        let established =
            wait::await_condition(crds.clone(), file, wait::conditions::is_crd_established());
        tokio::time::timeout(SOON, established).await??;
    }
    let kind = GroupVersionKind::gvk("compass.kyma-project.io", "v1alpha1", "CompassConnection");
    let connections: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let object = |value: serde_json::Value| -> DynamicObject {
        let mut whole = json!({
            "apiVersion": "compass.kyma-project.io/v1alpha1", "kind": "CompassConnection",
            "metadata": { "name": "compass-connection" },
        });
        whole
            .as_object_mut()
            .expect("an object")
            .extend(value.as_object().cloned().unwrap_or_default());
        serde_json::from_value(whole).expect("an object")
    };
    let refused = connections
        .create(&PostParams::default(), &object(json!({ "spec": {} })))
        .await
        .expect_err("no managementInfo");
    assert!(
        matches!(refused, kube::Error::Api(status) if status.message.contains("spec.managementInfo: Required value"))
    );
    let failed = json!({
        "spec": { "managementInfo": { "connectorUrl": "", "directorUrl": "" } },
        "status": {
            "connectionState": "ConnectionFailed", "synchronizationStatus": null,
            "connectionStatus": {
                "certificateStatus": { "acquired": null, "notAfter": null, "notBefore": null }, "established": null,
                "lastSync": "2026-01-01T00:00:00Z", "error": "no way",
            },
        },
    });
    let created = connections.create(&PostParams::default(), &object(failed)).await?;
    assert_eq!(
        created.data["status"]["connectionStatus"]["certificateStatus"]["acquired"],
        serde_json::Value::Null
    );
    assert!(
        created.data["status"].as_object().expect("a status").contains_key("synchronizationStatus")
    );
    server.stop().await;
    Ok(())
}
