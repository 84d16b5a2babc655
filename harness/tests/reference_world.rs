//! A world with the reference agent in it, as a task of the test: start it, crash it, wait for facts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use compass_harness::agent::AgentFile;
use compass_harness::compass::{Application, Applications, LandscapeFile};
use compass_harness::document;
use compass_harness::engine::{World, WorldPlan};
use compass_harness::journal::{AgentEvent, Entry, Event, Identity, Reader, Request, Revision};
use compass_harness::reference::{self, Environment};
use compass_harness::scenario::words::TokenWord;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Far more than anything here takes, and less than a person waits.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) client: Client,
    reader: Reader,
    unread: VecDeque<Arc<Entry>>,
}

/// An agent that runs; dropping it is a crash.
pub(crate) struct Agent {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Agent {
    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("it ends when told to")
            .expect("it does not panic");
    }
}

pub(crate) async fn stage(applications: impl Into<Applications>) -> Stage {
    let agent = document::parse::<AgentFile>(
        "reference.yaml",
        include_str!("../../fixtures/agents/reference.yaml"),
    );
    let plan = WorldPlan {
        agent: &agent.expect("a valid agent file").content,
        landscape: LandscapeFile { applications: applications.into(), ..LandscapeFile::default() },
        token: TokenWord::OneTime,
    };
    let world = World::build(plan).await.expect("a world");
    let kubeconfig = Kubeconfig::read_from(&world.access.kubeconfig).expect("readable");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = Client::try_from(config.expect("usable")).expect("a client");
    let reader = world.journal.reader();
    Stage { world, client, reader, unread: VecDeque::new() }
}

impl Stage {
    /// Starts an agent with short times, and with what is given beside them.
    pub(crate) fn start(&self, more: &[(&str, &str)]) -> Agent {
        let environment = self.environment(more);
        let environment =
            Environment::read(|name| environment.get(name).cloned()).expect("a good environment");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = async move {
            reference::serve(environment, stopped).await.expect("a cluster to go to");
        };
        Agent { stop, task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let access = &self.world.access;
        let fixed = [
            ("APP_CONTROLLER_SYNC_PERIOD", "1s".to_owned()),
            ("APP_MINIMAL_COMPASS_SYNC_TIME", "1s".to_owned()),
            ("APP_HEALTH_PORT", "0".to_owned()),
            ("SSL_CERT_FILE", access.ca_file.display().to_string()),
            ("KUBECONFIG", access.kubeconfig.display().to_string()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fixed.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Waits for the next entry that is such a fact, and returns it.
    pub(crate) async fn next(&mut self, fact: &str, is: impl Fn(&Event) -> bool) -> Arc<Entry> {
        let waiting = async {
            loop {
                while let Some(entry) = self.unread.pop_front() {
                    if is(&entry.event) {
                        return entry;
                    }
                }
                self.unread.extend(self.reader.next_batch().await);
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(entry) => entry,
            Err(_) => {
                let states: Vec<_> = self.entries().filter_map(|event| state(&event)).collect();
                panic!("it never came that {fact}; the states were {states:?}")
            }
        }
    }

    /// Waits until the CompassConnection has a new revision in this state.
    pub(crate) async fn state(&mut self, wanted: &str) -> Value {
        let fact = format!("the state is {wanted}");
        let entry = self.next(&fact, |event| state(event).as_deref() == Some(wanted)).await;
        match &entry.event {
            Event::Revision(revision) => revision.content.clone(),
            _ => unreachable!("only revisions have a state"),
        }
    }

    /// Waits until a whole round has passed that began after this call.
    pub(crate) async fn a_round(&mut self) {
        self.unread.clear();
        self.reader.read_new();
        self.next("a round begins", |event| asked(event, "configuration")).await;
        self.state("Synchronized").await;
    }

    /// Everything so far.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Event> + use<> {
        self.world.journal.snapshot().into_iter().map(|entry| entry.event.clone())
    }

    pub(crate) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.entries().filter(|event| is(event)).count()
    }

    pub(crate) fn connections(&self) -> Api<DynamicObject> {
        let kind =
            GroupVersionKind::gvk("compass.kyma-project.io", "v1alpha1", "CompassConnection");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    pub(crate) fn applications(&self) -> Api<DynamicObject> {
        let group = "applicationconnector.kyma-project.io";
        let kind = GroupVersionKind::gvk(group, "v1alpha1", "Application");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    pub(crate) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) async fn application_names(&self) -> Vec<String> {
        let list = self.applications().list(&kube::api::ListParams::default()).await;
        let items = list.expect("listable").items;
        items.into_iter().filter_map(|object| object.metadata.name).collect()
    }

    /// Puts a fresh token where the agent reads it.
    pub(crate) async fn hand_over_a_token(&self) {
        let token = self.world.issue_token().expect("the runtime is there");
        let patch = Patch::Merge(json!({"stringData": {"TOKEN": token}}));
        let secrets = self.secrets("kyma-system");
        let name = "compass-agent-configuration";
        secrets.patch(name, &PatchParams::default(), &patch).await.expect("patchable");
    }

    pub(crate) async fn patch_connection(&self, patch: Value) {
        let patch = Patch::Merge(patch);
        let connections = self.connections();
        let parameters = PatchParams::default();
        let patched = connections.patch("compass-connection", &parameters, &patch);
        patched.await.expect("patchable");
    }

    pub(crate) fn add(&self, applications: Vec<Application>) {
        let landscape = self.world.compass.landscape();
        landscape.add_applications(&applications.into()).expect("addable");
    }

    pub(crate) async fn end(self) {
        self.world.stop().await;
    }
}

/// The state that a revision of the CompassConnection tells.
pub(crate) fn state(event: &Event) -> Option<String> {
    let Event::Revision(revision) = event else { return None };
    let state = revision.content.pointer("/status/connectionState")?;
    Some(state.as_str()?.to_owned())
}

/// Whether this is a request with such a GraphQL root field.
pub(crate) fn asked(event: &Event, operation: &str) -> bool {
    matches!(event, Event::Request(Request { operations, .. })
        if operations.iter().any(|asked| asked == operation))
}

/// Whether this is a request that spends a token.
pub(crate) fn by_token(event: &Event) -> bool {
    matches!(event, Event::Request(Request { identity: Identity::Token { .. }, .. }))
}

/// Whether this is a revision of an object of this kind and name.
pub(crate) fn revision_of<'a>(event: &'a Event, kind: &str, name: &str) -> Option<&'a Revision> {
    match event {
        Event::Revision(revision)
            if revision.object.kind == kind && revision.object.name == name =>
        {
            Some(revision)
        }
        _ => None,
    }
}

/// Whether this is the end of an agent's process.
pub(crate) fn exited(event: &Event) -> bool {
    matches!(event, Event::Agent(AgentEvent::Exited { .. }))
}
