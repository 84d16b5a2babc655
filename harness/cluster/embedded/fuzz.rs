//! Throws mangled requests at the server, made from the recorded ones: whatever comes, it answers and does not panic.
//!
//! `COMPASS_HARNESS_FUZZ_SECONDS=3600 cargo test --release --lib mangled` runs for an hour; `COMPASS_HARNESS_FUZZ_SEED`
//! repeats a run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::api::{Api, Incoming, answer};
use super::tokens::Signer;

/// Files before the server is made anew, so that what was stored does not pile up.
const FILES_PER_SERVER: usize = 40;
/// Requests at the start of a file that make what the others need.
const SETUP: usize = 6;
/// How long an answer may take; lists of the future take three seconds.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Sample {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The recorded requests, file by file.
fn samples() -> Vec<Vec<Sample>> {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes/exchanges");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("recorded exchanges")
        .flatten()
        .map(|e| e.path())
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let mut samples = Vec::new();
        let text = std::fs::read_to_string(file).expect("a recorded file");
        for line in text.lines() {
            let exchange: Value = serde_json::from_str(line).expect("a recorded exchange");
            let request = &exchange["request"];
            let Some(method) = request["method"].as_str() else { continue };
            let body = match (request.get("body"), request["bodyText"].as_str()) {
                (Some(body), _) => body.to_string(),
                (None, Some(text)) if text.len() < 10_000 => text.to_owned(),
                _ => String::new(),
            };
            let headers = request["headers"].as_object().into_iter().flatten();
            samples.push(Sample {
                method: method.to_owned(),
                // Placeholders stay: they are as good as anything.
                path: request["path"]
                    .as_str()
                    .unwrap_or_default()
                    .replace("{{continue:1}}", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"),
                headers: headers
                    .filter_map(|(k, v)| v.as_str().map(|v| (k.to_lowercase(), v.to_owned())))
                    .collect(),
                body: body.into_bytes(),
            });
        }
        all.push(samples);
    }
    all
}

/// Values that like to break things.
fn odd(rng: &mut StdRng) -> Value {
    match rng.random_range(0..14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(i64::MAX),
        5 => json!(1e300),
        6 => json!(""),
        7 => json!("\u{0}\u{7f}\u{2028}é"),
        8 => json!([]),
        9 => json!({}),
        10 => json!([null, {}, [[]]]),
        11 => json!({ "$patch": "delete", "": { "": null } }),
        12 => json!("x".repeat(300)),
        _ => json!("9999-99-99T99:99:99Z"),
    }
}

/// Replaces, adds or removes something somewhere in a value.
fn mangle(value: &mut Value, rng: &mut StdRng) {
    if rng.random_range(0..6) == 0 {
        *value = odd(rng);
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() => {
            let at = rng.random_range(0..map.len());
            let key = map.keys().nth(at).cloned().unwrap_or_default();
            match rng.random_range(0..8) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert("bogus/~key".into(), odd(rng))),
                _ => {
                    if let Some(inner) = map.get_mut(&key) {
                        mangle(inner, rng);
                    }
                }
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = rng.random_range(0..list.len());
            if rng.random_range(0..8) == 0 {
                let again = list[at].clone();
                list.push(again);
            } else {
                mangle(&mut list[at], rng);
            }
        }
        other => *other = odd(rng),
    }
}

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const TYPES: [&str; 8] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "text/plain",
];
const ACCEPTS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;g=meta.k8s.io;v=v1",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
];
const QUERIES: [&str; 16] = [
    "dryRun=All",
    "fieldManager=m",
    "force=true",
    "fieldValidation=Strict",
    "limit=1",
    "continue=x",
    "watch=1&timeoutSeconds=1",
    "labelSelector=a%20in%20(b",
    "fieldSelector=metadata.name%3Da,spec.x",
    "resourceVersion=1",
    "resourceVersion=-1",
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "pretty=1",
    "includeObject=Object",
    "propagationPolicy=Orphan",
    "timeoutSeconds=9223372036854775807",
];

fn vary(sample: &mut Sample, rng: &mut StdRng) {
    if rng.random_range(0..3) > 0
        && let Ok(mut body) = serde_json::from_slice::<Value>(&sample.body)
    {
        for _ in 0..rng.random_range(1..4) {
            mangle(&mut body, rng);
        }
        sample.body = body.to_string().into_bytes();
    }
    if rng.random_range(0..6) == 0 && !sample.body.is_empty() {
        for _ in 0..rng.random_range(1..8) {
            let at = rng.random_range(0..sample.body.len());
            sample.body[at] = rng.random();
        }
        let end = rng.random_range(0..=sample.body.len());
        if rng.random_range(0..3) == 0 {
            sample.body.truncate(end);
        }
    }
    if rng.random_range(0..10) == 0 {
        sample.method = METHODS[rng.random_range(0..METHODS.len())].into();
    }
    let mut set = |name: &str, value: &str| {
        sample.headers.retain(|(other, _)| other != name);
        sample.headers.push((name.to_owned(), value.to_owned()));
    };
    if rng.random_range(0..8) == 0 {
        set("content-type", TYPES[rng.random_range(0..TYPES.len())]);
    }
    if rng.random_range(0..8) == 0 {
        set("accept", ACCEPTS[rng.random_range(0..ACCEPTS.len())]);
    }
    if rng.random_range(0..6) == 0 {
        let joint = if sample.path.contains('?') { '&' } else { '?' };
        sample.path =
            format!("{}{joint}{}", sample.path, QUERIES[rng.random_range(0..QUERIES.len())]);
    }
    if rng.random_range(0..12) == 0 {
        let mut parts: Vec<String> = sample.path.split('/').map(str::to_owned).collect();
        let at = rng.random_range(0..parts.len());
        match rng.random_range(0..5) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, "%2e%2e".into()),
            2 => parts.insert(at, "status".into()),
            3 => parts[at] = "%ff%00".into(),
            _ => parts.insert(at, String::new()),
        }
        sample.path = parts.join("/");
    }
}

fn server() -> Arc<Api> {
    Arc::new(Api::new("fuzz".into(), Signer::new().expect("randomness"), "127.0.0.1:0".into()))
}

fn incoming(sample: &Sample) -> (Incoming, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer fuzz"));
    for (name, value) in sample.headers.iter().filter(|(name, _)| name != "authorization") {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.insert(name, value);
        }
    }
    let (path, query) = sample.path.split_once('?').unwrap_or((&sample.path, ""));
    let incoming = Incoming {
        method: Method::from_bytes(sample.method.as_bytes()).unwrap_or(Method::GET),
        path: if path.is_empty() { "/".into() } else { path.to_owned() },
        query: query.to_owned(),
        headers,
        certificate: None,
    };
    (incoming, sample.body.clone().into())
}

/// Answers a request; a watch is read for its first frame only.
async fn ask(api: &Arc<Api>, sample: &Sample) -> u16 {
    let (request, body) = incoming(sample);
    let mut answered = answer(api, request, async move { Ok(body) }).await;
    let status = answered.status().as_u16();
    let _ = tokio::time::timeout(Duration::from_millis(1), answered.body_mut().frame()).await;
    status
}

#[tokio::test]
async fn mangled_requests_are_answered_without_a_panic() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("COMPASS_HARNESS_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("COMPASS_HARNESS_FUZZ_SEED").unwrap_or_else(|| rand::rng().random());
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = samples();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut asked = std::collections::BTreeMap::<u16, usize>::new();
    while Instant::now() < until {
        let api = server();
        for _ in 0..FILES_PER_SERVER {
            if Instant::now() >= until {
                break;
            }
            // What a request needs comes before it in its file: the first requests are played as they are.
            let file = &samples[rng.random_range(0..samples.len())];
            for (at, sample) in file.iter().enumerate() {
                let mut sample = sample.clone();
                if at > SETUP && rng.random_range(0..2) == 0 {
                    vary(&mut sample, &mut rng);
                }
                // Reads of a version that never comes only cost time.
                if sample.path.contains("999999999") {
                    continue;
                }
                let asking = AssertUnwindSafe(ask(&api, &sample)).catch_unwind();
                let outcome = tokio::time::timeout(PATIENCE, asking).await;
                let status =
                    outcome.unwrap_or_else(|_| panic!("seed {seed}: no answer to {sample:?}"));
                let status = status.unwrap_or_else(|_| {
                    panic!(
                        "seed {seed}: a panic at {sample:?}: {}",
                        String::from_utf8_lossy(&sample.body)
                    )
                });
                assert!((200..600).contains(&status), "seed {seed}: {status} at {sample:?}");
                *asked.entry(status).or_default() += 1;
            }
        }
    }
    // Most of it must get past the front door, or nothing was tested.
    let total: usize = asked.values().sum();
    let accepted: usize = asked.range(200..300).map(|(_, count)| count).sum();
    assert!(accepted * 5 > total, "seed {seed}: too little was accepted: {asked:?}");
}
