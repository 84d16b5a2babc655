//! The embedded API server over TLS with kube-rs: start, updates, watches, lists, memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use compass_harness::cluster::embedded::Server;
use criterion::{BenchmarkId, Criterion, Throughput};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Config};
use serde_json::json;
use tokio::runtime::Runtime;

const CRD: &str = include_str!("../fixtures/crds/compassconnections.compass.kyma-project.io.yaml");
const WATCHERS: usize = 100;
const WRITERS: usize = 32;

/// A server with the CRD, and a client for its objects.
struct Bench {
    server: Server,
    config: Config,
    resource: ApiResource,
}

impl Bench {
    async fn new() -> Self {
        let server = Server::start().await.expect("a free port");
        let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).expect("our own kubeconfig");
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let config = config.expect("our own kubeconfig");
        let kind =
            GroupVersionKind::gvk("compass.kyma-project.io", "v1alpha1", "CompassConnection");
        let bench = Self { server, config, resource: ApiResource::from_gvk(&kind) };
        let crds: Api<CustomResourceDefinition> = Api::all(bench.client());
        let crd = serde_saphyr::from_str(CRD).expect("a CRD");
        crds.create(&PostParams::default(), &crd).await.expect("the CRD is new");
        bench
    }

    fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a client")
    }

    /// The objects, over a connection pool of its own.
    fn objects(&self) -> Api<DynamicObject> {
        Api::all_with(self.client(), &self.resource)
    }

    /// An object of about 2 KB.
    async fn create(&self, api: &Api<DynamicObject>, name: &str) {
        let object = json!({
            "apiVersion": "compass.kyma-project.io/v1alpha1", "kind": "CompassConnection",
            "metadata": { "name": name, "annotations": { "filler": "x".repeat(1200) } },
            "spec": { "managementInfo": { "connectorUrl": "https://connector.example.com/graphql", "directorUrl": "0" } },
        });
        let object = serde_json::from_value(object).expect("an object");
        api.create(&PostParams::default(), &object).await.expect("a new name");
    }
}

async fn touch(api: &Api<DynamicObject>, name: &str, value: u64) {
    let patch =
        Patch::Merge(json!({ "spec": { "managementInfo": { "directorUrl": value.to_string() } } }));
    black_box(api.patch(name, &PatchParams::default(), &patch).await.expect("the object is there"));
}

/// All benches of this subject.
pub(crate) fn define(criterion: &mut Criterion) {
    start(criterion);
    updates(criterion);
    watch(criterion);
    lists(criterion);
}

fn start(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    criterion.bench_function("apiserver/start", |bencher| {
        bencher.to_async(&runtime).iter(|| async { Server::start().await.expect("a free port") });
    });
}

fn updates(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let bench = runtime.block_on(Bench::new());
    let api = bench.objects();
    runtime.block_on(bench.create(&api, "sequential"));
    let mut group = criterion.benchmark_group("apiserver/updates");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sequential", |bencher| {
        bencher.to_async(&runtime).iter_custom(|count| {
            let api = api.clone();
            async move {
                let started = Instant::now();
                for value in 0..count {
                    touch(&api, "sequential", value).await;
                }
                started.elapsed()
            }
        });
    });
    let writers: Vec<(Api<DynamicObject>, String)> =
        (0..WRITERS).map(|writer| (bench.objects(), format!("parallel-{writer}"))).collect();
    for (api, name) in &writers {
        runtime.block_on(bench.create(api, name));
    }
    group.bench_function(format!("parallel-{WRITERS}"), |bencher| {
        bencher.to_async(&runtime).iter_custom(|count| {
            let writers = writers.clone();
            async move {
                let each = count.div_ceil(WRITERS as u64);
                let started = Instant::now();
                let running: FuturesUnordered<_> = writers
                    .into_iter()
                    .map(|(api, name)| {
                        tokio::spawn(async move {
                            for value in 0..each {
                                touch(&api, &name, value).await;
                            }
                        })
                    })
                    .collect();
                running.for_each(|done| async { done.expect("no panic") }).await;
                started.elapsed().mul_f64(count as f64 / (each * WRITERS as u64) as f64)
            }
        });
    });
    group.finish();
    runtime.block_on(bench.server.stop());
}

/// The time from sending an update until the last of all watchers has it.
fn watch(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let bench = runtime.block_on(Bench::new());
    let api = bench.objects();
    runtime.block_on(bench.create(&api, "watched"));
    let version = runtime.block_on(async {
        api.get("watched").await.expect("it was created").metadata.resource_version
    });
    let version = version.expect("every object has a version");
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let (api, version, sender) = (bench.objects(), version.clone(), sender.clone());
        let following = runtime.spawn(async move {
            let stream =
                api.watch(&WatchParams::default().timeout(290), &version).await.expect("a watch");
            let mut stream = Box::pin(stream);
            while let Some(Ok(event)) = stream.next().await {
                if matches!(event, WatchEvent::Modified(_)) && sender.send(Instant::now()).is_err()
                {
                    return;
                }
            }
        });
        streams.push(following);
    }
    let mut all = Vec::new();
    criterion.bench_function(&format!("apiserver/update-to-watch-{WATCHERS}"), |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for value in 0..count {
                    let sent = Instant::now();
                    touch(
                        &api,
                        "watched",
                        value ^ all.len() as u64 ^ u64::from(rand::random::<u32>()),
                    )
                    .await;
                    let mut last = sent;
                    for _ in 0..WATCHERS {
                        let seen = received.recv().await.expect("the watchers run");
                        all.push(seen - sent);
                        last = last.max(seen);
                    }
                    total += last - sent;
                }
                total
            })
        });
    });
    all.sort();
    if !all.is_empty() {
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        report(&format!(
            "update to watch event, {WATCHERS} watchers: p50 {:?}, p99 {:?}",
            at(0.5),
            at(0.99)
        ));
    }
    streams.into_iter().for_each(|stream| stream.abort());
    runtime.block_on(bench.server.stop());
}

fn lists(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("apiserver/list");
    for count in [100usize, 1000, 10_000] {
        let bench = runtime.block_on(Bench::new());
        let api = bench.objects();
        let before = resident();
        runtime.block_on(async {
            for number in 0..count {
                bench.create(&api, &format!("object-{number:05}")).await;
            }
        });
        report(&format!(
            "{count} objects of 2 KB: {} MB",
            (resident().saturating_sub(before)) >> 20
        ));
        group.throughput(Throughput::Elements(count as u64));
        group.sample_size(10);
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, _| {
            bencher.to_async(&runtime).iter(|| async {
                api.list_metadata(&ListParams::default().limit(1)).await.expect("a page")
            });
        });
        group.bench_with_input(BenchmarkId::new("whole", count), &count, |bencher, _| {
            let request = || {
                http::Request::get("/apis/compass.kyma-project.io/v1alpha1/compassconnections")
                    .body(Vec::new())
            };
            let client = bench.client();
            bencher.to_async(&runtime).iter(|| async {
                let request = request().expect("a request");
                client.request_text(request).await.expect("a list").len()
            });
        });
        runtime.block_on(bench.server.stop());
    }
    group.finish();
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

#[expect(clippy::print_stderr, reason = "figures that criterion has no place for")]
fn report(text: &str) {
    eprintln!("{text}");
}
