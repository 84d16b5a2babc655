//! Sync loops of the reference agent over the real wire, and the limit: the same calls by a client
//! that does nothing with the answers.
//!
//! A loop is what `resyncNow` asks for: maintain the connection, fetch, apply, write the status. It
//! is over when the flag is gone from the CompassConnection. Nothing changes in the Director, so a
//! loop reads and compares, and writes the status only.

use std::path::Path;
use std::time::{Duration, Instant};

use compass_harness::agent::{Launch, Process, Runner, Settings, Surroundings};
use compass_harness::cli::agent_file;
use compass_harness::compass::{Application, Applications, LandscapeFile};
use compass_harness::engine::{World, WorldPlan};
use compass_harness::journal::{Event, Reader};
use compass_harness::scenario::words::{Flag, TokenWord};
use criterion::{BenchmarkId, Criterion, Throughput};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Config};
use reqwest::{Certificate, Identity};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// No loop of a healthy agent takes this long; a bench that hangs says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// All benches of this subject.
pub(crate) fn define(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("sync loops");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(1));
    for applications in [0, 10, 100, 1000] {
        let mut stage = runtime.block_on(Stage::new(applications));
        group.bench_function(BenchmarkId::new("reference agent", applications), |bencher| {
            bencher.iter_custom(|loops| runtime.block_on(stage.loops(loops)));
        });
        runtime.block_on(stage.agent.stop(PATIENCE)).expect("it ends");
        let client = runtime.block_on(BareClient::new(&stage.world));
        group.bench_function(BenchmarkId::new("limit, a bare client", applications), |bencher| {
            bencher.iter_custom(|loops| runtime.block_on(client.loops(loops)));
        });
        runtime.block_on(stage.world.stop());
    }
    group.finish();
}

/// A world with an agent that is synchronised.
struct Stage {
    world: World,
    agent: Process,
    reader: Reader,
}

impl Stage {
    async fn new(applications: usize) -> Self {
        let file =
            agent_file::load(agent_file::REFERENCE).expect("the built-in agent file").content;
        let names = (1..=applications).map(|n| Application::named(format!("shop-{n}")));
        let plan = WorldPlan {
            agent: &file,
            landscape: LandscapeFile {
                applications: Applications::from(names.collect::<Vec<_>>()),
                ..LandscapeFile::default()
            },
            token: TokenWord::OneTime,
        };
        let world = World::build(plan).await.expect("a world");
        let settings = Settings {
            // Only what is asked for counts.
            resync_every: Duration::from_secs(3600),
            at_most_one_sync_every: Duration::from_secs(1),
            renew_when_life_left_below: 0.3,
            trust_our_ca: world.access.ca_file.clone(),
            extra: std::collections::BTreeMap::new(),
        };
        let surroundings = Surroundings {
            agent_file: Path::new("."),
            ourselves: Path::new(env!("CARGO_BIN_EXE_compass-harness")),
            kubeconfig: &world.access.kubeconfig,
            scratch: world.scratch(),
        };
        let launch = Launch::new(&file, &settings, surroundings).expect("launchable");
        let mut agent = Process::new(launch, world.journal.clone()).expect("a log");
        let reader = world.journal.reader();
        agent.start().await.expect("it starts");
        let mut stage = Self { world, agent, reader };
        stage.wait(|object| object["status"]["connectionState"] == "Synchronized").await;
        stage
    }

    async fn loops(&mut self, loops: u64) -> Duration {
        let started = Instant::now();
        for _ in 0..loops {
            self.world.hands.ask(&[Flag::ResyncNow]).await.expect("the flag can be set");
            self.wait(|object| object["spec"]["resyncNow"] == true).await;
            self.wait(|object| object["spec"]["resyncNow"] != true).await;
        }
        started.elapsed()
    }

    /// Waits for a revision of the CompassConnection.
    async fn wait(&mut self, holds: impl Fn(&Value) -> bool) {
        let found = async {
            loop {
                for entry in self.reader.next_batch().await {
                    if let Event::Revision(revision) = &entry.event
                        && revision.object.kind == "CompassConnection"
                        && holds(&revision.content)
                    {
                        return;
                    }
                }
            }
        };
        let lines = self.agent.last_lines(5);
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("no loop: {lines:?}"));
    }
}

/// Makes the calls of a loop and throws the answers away.
struct BareClient {
    compass: reqwest::Client,
    connector: String,
    director: String,
    query: Value,
    tenant: String,
    secrets: Api<Secret>,
    applications: Api<DynamicObject>,
    connections: Api<DynamicObject>,
}

const CONFIGURATION: &str = "query { result: configuration { token { token } certificateSigningRequestInfo \
    { subject keyAlgorithm } managementPlaneInfo { directorURL certificateSecuredConnectorURL } } }";
const BUNDLES: &str = "bundles { data { id name description instanceAuthRequestInputSchema \
    apiDefinitions { data { id name description targetURL group version { value deprecated deprecatedSince forRemoval } } \
    pageInfo { startCursor endCursor hasNextPage } totalCount } \
    eventDefinitions { data { id name description group version { value deprecated deprecatedSince forRemoval } } \
    pageInfo { startCursor endCursor hasNextPage } totalCount } \
    defaultInstanceAuth { credential { ... on BasicCredentialData { username password } ... on OAuthCredentialData \
    { clientId clientSecret url } } additionalHeaders additionalQueryParams requestAuth { csrf { tokenEndpointURL } } } } \
    pageInfo { startCursor endCursor hasNextPage } totalCount }";

impl BareClient {
    async fn new(world: &World) -> Self {
        let kubeconfig = std::fs::read_to_string(&world.access.kubeconfig).expect("it was written");
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).expect("a kubeconfig");
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("a kubeconfig")).expect("a client");
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "kyma-system");
        let kept = secrets.get("cluster-client-certificates").await.expect("the agent is paired");
        let data = kept.data.expect("it holds something");
        let pem = [&data["key"].0[..], &data["crtChain"].0[..]].concat();
        let ca = std::fs::read(&world.access.ca_file).expect("it was written");
        let compass = reqwest::Client::builder()
            .tls_backend_rustls()
            .tls_certs_only([Certificate::from_pem(&ca).expect("a CA")])
            .identity(Identity::from_pem(&pem).expect("key and chain"))
            .build()
            .expect("a client");
        let runtime = &world.access.runtime_id;
        let query = format!(
            "query {{ runtime(id: \"{runtime}\") {{ labels }} applicationsForRuntime(runtimeID: \"{runtime}\", first: 1000) \
             {{ data {{ id name providerName description labels auths {{ id }} {BUNDLES} }} \
             pageInfo {{ startCursor endCursor hasNextPage }} totalCount }} }}"
        );
        let api = |group, kind| {
            Api::all_with(
                client.clone(),
                &ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1alpha1", kind)),
            )
        };
        Self {
            compass,
            connector: world.access.compass.connector.clone(),
            director: world.access.compass.director.clone(),
            query: json!({ "query": query }),
            tenant: world.access.tenant.clone(),
            secrets,
            applications: api("applicationconnector.kyma-project.io", "Application"),
            connections: api("compass.kyma-project.io", "CompassConnection"),
        }
    }

    async fn loops(&self, loops: u64) -> Duration {
        let started = Instant::now();
        for number in 0..loops {
            let configuration = json!({ "query": CONFIGURATION });
            self.post(&self.connector, &configuration).await;
            self.secrets.get("compass-agent-configuration").await.expect("it is there");
            self.post(&self.director, &self.query).await;
            self.applications.list(&ListParams::default()).await.expect("a list");
            let mut connection =
                self.connections.get("compass-connection").await.expect("it is there");
            connection.data["status"]["synchronizationStatus"]["error"] =
                format!("{number}").into();
            let parameters = PostParams::default();
            let replaced = self.connections.replace("compass-connection", &parameters, &connection);
            replaced.await.expect("it is replaced");
        }
        started.elapsed()
    }

    async fn post(&self, url: &str, body: &Value) {
        let request = self.compass.post(url).header("Tenant", &self.tenant).json(body);
        let answer = request.send().await.expect("an answer");
        let answer = answer.bytes().await.expect("a body");
        assert!(!answer.starts_with(b"{\"errors\""), "{}", String::from_utf8_lossy(&answer));
    }
}
