//! What the server tells about itself: groups, versions, resources.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use super::api::Api;
use super::custom::Versions;
use super::kinds::{Resource, builtins, group_version, proxy_kind, subresource};
use super::output::{self, Answer};
use super::request::Call;
use super::status::Status;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Which form of discovery a client wants.
enum Form {
    Legacy,
    Aggregated,
    Neither,
}

fn form(call: &Call) -> Form {
    let header = call.header("accept").unwrap_or_default();
    if header.trim().is_empty() {
        return Form::Legacy;
    }
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let aggregated = parameters.contains(&"as=APIGroupDiscoveryList");
        match (media, aggregated) {
            ("application/json" | "application/vnd.kubernetes.protobuf", true)
                if media == "application/json"
                    && parameters.contains(&"v=v2")
                    && parameters.contains(&"g=apidiscovery.k8s.io") =>
            {
                return Form::Aggregated;
            }
            (
                "*/*"
                | "application/json"
                | "application/yaml"
                | "application/vnd.kubernetes.protobuf",
                false,
            ) => {
                return Form::Legacy;
            }
            _ => {}
        }
    }
    Form::Neither
}

/// `/api` and `/apis`.
pub(super) fn root(api: &Api, call: &Call, core: bool) -> Answer {
    match form(call) {
        Form::Neither => {
            let offered = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            let text = format!("only the following media types are accepted: {offered}");
            output::failure(call, &Status::not_acceptable(text))
        }
        Form::Legacy if core => {
            let address = json!([{ "clientCIDR": "0.0.0.0/0", "serverAddress": api.address() }]);
            let body = json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address });
            output::untyped(call, 200, &body)
        }
        Form::Legacy => {
            let groups: Vec<Value> =
                groups(api).iter().map(|(name, versions)| legacy_group(name, versions)).collect();
            output::untyped(
                call,
                200,
                &json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }),
            )
        }
        Form::Aggregated => aggregated(api, call, core),
    }
}

/// Groups but the core one, with their versions, preferred first.
fn groups(api: &Api) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> =
        builtins().groups.iter().filter(|(name, _)| !name.is_empty()).cloned().collect();
    all.extend(api.custom().iter().map(|(name, versions)| (name.clone(), order(versions))));
    all
}

/// Versions of a group in order of preference: stable before beta before alpha, higher first.
fn order(versions: &Versions) -> Vec<String> {
    let mut names: Vec<String> = versions.keys().cloned().collect();
    names.sort_by_key(|name| std::cmp::Reverse(rank(name)));
    names
}

fn rank(name: &str) -> (u8, u32, u32) {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let Some(rest) = name.strip_prefix('v') else { return (0, 0, 0) };
    let major = digits(rest);
    let tail = &rest[major.len()..];
    let number = |text: &str| text.parse().unwrap_or(0);
    match tail {
        "" if !major.is_empty() => (3, number(&major), 0),
        _ => match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
            (Some(minor), _) => (2, number(&major), number(minor)),
            (_, Some(minor)) => (1, number(&major), number(minor)),
            _ => (0, 0, 0),
        },
    }
}

fn legacy_group(name: &str, versions: &[String]) -> Value {
    let list: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": group_version(name, version), "version": version }))
        .collect();
    let preferred = list.first().cloned().unwrap_or_default();
    json!({ "name": name, "versions": list, "preferredVersion": preferred })
}

/// `/apis/<group>`.
pub(super) fn group(api: &Api, call: &Call, name: &str) -> Option<Answer> {
    let (name, versions) = groups(api).into_iter().find(|(group, _)| group == name)?;
    let mut body = legacy_group(&name, &versions);
    body["kind"] = json!("APIGroup");
    body["apiVersion"] = json!("v1");
    Some(output::untyped(call, 200, &body))
}

/// `/api/v1` and `/apis/<group>/<version>`.
pub(super) fn version(api: &Api, call: &Call, group: &str, version: &str) -> Option<Answer> {
    let list = with_resources(api, group, version, |resources| {
        resources.iter().flat_map(|resource| legacy_resource(resource)).collect::<Vec<Value>>()
    })?;
    let mut body = json!({ "kind": "APIResourceList", "groupVersion": group_version(group, version), "resources": list });
    if !group.is_empty() {
        body["apiVersion"] = json!("v1");
    }
    Some(output::untyped(call, 200, &body))
}

/// Calls with the resources of a group version, when there is such a one.
fn with_resources<T>(
    api: &Api,
    group: &str,
    version: &str,
    f: impl FnOnce(&[&Resource]) -> T,
) -> Option<T> {
    if let Some(found) = builtins().resources.get(&(group.to_owned(), version.to_owned())) {
        return Some(f(&found.values().map(|resource| &**resource).collect::<Vec<_>>()));
    }
    let custom = api.custom();
    let found = custom.get(group)?.get(version)?;
    Some(f(&found.values().map(|resource| &**resource).collect::<Vec<_>>()))
}

/// Group, version, kind and verbs of a subresource.
fn sub(resource: &Resource, name: &str) -> (&'static str, &'static str, String, Vec<&'static str>) {
    let (group, version, kind, verbs) = subresource(name);
    if name == "proxy" {
        let verbs = vec!["create", "delete", "get", "patch", "update"];
        return ("", "", proxy_kind(&resource.plural).to_owned(), verbs);
    }
    let kind = if kind.is_empty() { resource.kind.clone() } else { kind.to_owned() };
    (group, version, kind, verbs.to_vec())
}

fn legacy_resource(resource: &Resource) -> Vec<Value> {
    let mut own = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs(),
    });
    names(resource, &mut own);
    if !resource.traits.review {
        own["storageVersionHash"] = json!(hash(&resource.qualified()));
    }
    let mut out = vec![own];
    for name in &resource.subresources {
        let (group, version, kind, verbs) = sub(resource, name);
        let mut entry = json!({
            "name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
            "kind": kind, "verbs": verbs,
        });
        if !group.is_empty() {
            entry["group"] = json!(group);
            entry["version"] = json!(version);
        }
        out.push(entry);
    }
    out
}

fn names(resource: &Resource, entry: &mut Value) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

fn hash(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&Sha512::digest(text.as_bytes())[..8])
}

fn aggregated(api: &Api, call: &Call, core: bool) -> Answer {
    let list = if core { vec![(String::new(), vec!["v1".to_owned()])] } else { groups(api) };
    let items: Vec<Value> = list
        .iter()
        .map(|(name, versions)| {
            let metadata = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
            let versions: Vec<Value> =
                versions.iter().filter_map(|version| discovered(api, name, version)).collect();
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    let body = json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items });
    let etag = hex::encode_upper(Sha512::digest(body.to_string().as_bytes()));
    if call.header("if-none-match").is_some_and(|given| given.trim_matches('"') == etag) {
        return output::not_modified(call, &etag);
    }
    let mut answer = output::document(call, 200, AGGREGATED, &body);
    output::public(&mut answer, &etag);
    answer
}

fn discovered(api: &Api, group: &str, version: &str) -> Option<Value> {
    let resources = with_resources(api, group, version, |resources| {
        resources.iter().map(|resource| discovered_resource(resource)).collect::<Vec<Value>>()
    })?;
    Some(json!({ "version": version, "resources": resources, "freshness": "Current" }))
}

fn discovered_resource(resource: &Resource) -> Value {
    let custom = resource.custom().is_some();
    let (group, version) =
        if custom { (resource.group.as_str(), resource.version.as_str()) } else { ("", "") };
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut entry = json!({
        "resource": resource.plural, "responseKind": { "group": group, "version": version, "kind": resource.kind },
        "scope": scope, "singularResource": resource.singular, "verbs": resource.verbs(),
    });
    names(resource, &mut entry);
    let subs: Vec<Value> = resource
        .subresources
        .iter()
        .map(|name| {
            let (own_group, own_version, kind, verbs) = sub(resource, name);
            let (group, version) = if own_group.is_empty() { (group, version) } else { (own_group, own_version) };
            json!({
                "subresource": name, "responseKind": { "group": group, "version": version, "kind": kind }, "verbs": verbs,
            })
        })
        .collect();
    if !subs.is_empty() {
        entry["subresources"] = Value::Array(subs);
    }
    entry
}

/// `/version`.
pub(super) fn build(call: &Call) -> Answer {
    let body = json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35", "gitVersion": "v1.36.0", "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26.0", "compiler": "gc",
        "platform": "linux/amd64",
    });
    output::document(call, 200, "application/json", &body)
}

/// `/`: the paths that there are.
pub(super) fn paths(api: &Api, call: &Call) -> Answer {
    let mut paths = vec![
        "/.well-known/openid-configuration".to_owned(),
        "/api".into(),
        "/api/v1".into(),
        "/apis".into(),
        "/apis/".into(),
    ];
    for (name, versions) in groups(api) {
        paths.push(format!("/apis/{name}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{name}/{version}")));
    }
    for path in [
        "/healthz",
        "/healthz/ping",
        "/livez",
        "/livez/ping",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/readyz",
        "/readyz/ping",
        "/version",
    ] {
        paths.push(path.to_owned());
    }
    output::document(call, 200, "application/json", &json!({ "paths": paths }))
}

/// `/healthz`, `/livez`, `/readyz` and their checks.
pub(super) fn health(call: &Call, path: &str) -> Option<Answer> {
    let mut parts = path.trim_start_matches('/').split('/');
    let name = parts.next()?;
    if !matches!(name, "healthz" | "livez" | "readyz") {
        return None;
    }
    match (parts.next(), parts.next()) {
        (None, _) => {
            let text = if call.query.get("verbose").is_some() {
                format!("[+]ping ok\n[+]log ok\n[+]etcd ok\n{name} check passed\n")
            } else {
                "ok".to_owned()
            };
            Some(output::text(call, 200, &text))
        }
        (Some("ping" | "log" | "etcd"), None) => Some(output::text(call, 200, "ok")),
        _ => Some(output::nowhere(call)),
    }
}
