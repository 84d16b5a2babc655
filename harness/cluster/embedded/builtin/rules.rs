//! Rules of the built-in kinds, with the causes that kube-apiserver gives.

use serde_json::{Value, json};

use super::super::kinds::Resource;
use super::super::names;
use super::super::status::Cause;
use super::crd;

/// What data of a Secret or ConfigMap may be in all.
const MOST_DATA: usize = 1 << 20;

/// Checks an object of a built-in kind; `old` is the stored one when it is being changed.
pub(in super::super) fn validate(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => secret(object, old, &mut causes),
        ("", "configmaps") => config_map(object, old, &mut causes),
        ("", "pods") => pod(object, old, &mut causes),
        ("", "events") | ("events.k8s.io", "events") => event(resource, object, &mut causes),
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            workload(resource, object, old, &mut causes)
        }
        ("batch", "jobs") => {
            containers(&object["spec"]["template"]["spec"], "spec.template.spec", &mut causes)
        }
        ("coordination.k8s.io", _) => lease(object, &mut causes),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            binding(resource, object, old, &mut causes)
        }
        ("rbac.authorization.k8s.io", _) => role(resource, object, &mut causes),
        ("apiextensions.k8s.io", _) => crd::validate(object, old, &mut causes),
        _ => {}
    }
    causes
}

fn keys<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(field).and_then(Value::as_object).into_iter().flatten()
}

fn bytes_of(text: &Value) -> usize {
    let text = text.as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(text.len())
}

fn secret(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in keys(object, "data") {
        for problem in names::config_key(key) {
            causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), problem));
        }
        size += bytes_of(value);
    }
    if size > MOST_DATA {
        causes.push(Cause::too_long("data", MOST_DATA as u64));
    }
    let has = |key: &str| object["data"].get(key).is_some();
    let need = |key: &str, causes: &mut Vec<Cause>| {
        if !has(key) {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    };
    match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let name =
                object["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str();
            if name.is_none_or(str::is_empty) {
                causes.push(Cause::required(
                    "metadata.annotations[kubernetes.io/service-account.name]",
                    "",
                ));
            }
        }
        "kubernetes.io/tls" => {
            need("tls.crt", causes);
            need("tls.key", causes);
        }
        "kubernetes.io/dockerconfigjson" => docker(object, ".dockerconfigjson", causes),
        "kubernetes.io/dockercfg" => docker(object, ".dockercfg", causes),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            causes.push(Cause::required("data[username]", ""));
            causes.push(Cause::required("data[password]", ""));
        }
        "kubernetes.io/ssh-auth" => need("ssh-privatekey", causes),
        _ => {}
    }
    let Some(old) = old else { return };
    if old["type"] != object["type"] {
        causes.push(Cause::invalid("type", &object["type"], "field is immutable"));
    }
    frozen(object, old, &["data"], causes);
}

/// What `immutable` freezes, and that it cannot be taken back.
fn frozen(object: &Value, old: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    if old["immutable"] != true {
        return;
    }
    let text = "field is immutable when `immutable` is set";
    if object["immutable"] != true {
        causes.push(Cause::forbidden("immutable", text));
    }
    for field in fields {
        if object.get(field) != old.get(field) {
            causes.push(Cause::forbidden(*field, text));
        }
    }
}

fn docker(object: &Value, key: &str, causes: &mut Vec<Cause>) {
    use base64::Engine as _;
    let Some(value) = object["data"][key].as_str() else {
        causes.push(Cause::required(format!("data[{key}]"), ""));
        return;
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
    if let Some(problem) = super::super::go_json::complaint(&bytes) {
        causes.push(Cause::invalid(
            format!("data[{key}]"),
            &json!("<secret contents redacted>"),
            problem,
        ));
    }
}

fn config_map(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in keys(object, "data") {
        for problem in names::config_key(key) {
            causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), problem));
        }
        if object["binaryData"].get(key).is_some() {
            let text = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), text));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in keys(object, "binaryData") {
        for problem in names::config_key(key) {
            causes.push(Cause::invalid(format!("binaryData[{key}]"), &json!(key), problem));
        }
        size += bytes_of(value);
    }
    if size > MOST_DATA {
        causes.push(Cause::too_long("[]", MOST_DATA as u64));
    }
    if let Some(old) = old {
        frozen(object, old, &["data", "binaryData"], causes);
    }
}

fn containers(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let list = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, container) in list.iter().enumerate() {
        let path = format!("{path}.containers[{at}]");
        let name = container["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else {
            for problem in names::label(name) {
                causes.push(Cause::invalid(format!("{path}.name"), &json!(name), problem));
            }
        }
        if seen.contains(&name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        seen.push(name);
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{path}.image"), ""));
        }
    }
}

fn pod(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    containers(&object["spec"], "spec", causes);
    let Some(old) = old else { return };
    let mut allowed = object["spec"].clone();
    let before = &old["spec"];
    for list in ["containers", "initContainers"] {
        let old_list = before[list].as_array().cloned().unwrap_or_default();
        if let Some(new_list) = allowed.get_mut(list).and_then(Value::as_array_mut) {
            for (new, old) in new_list.iter_mut().zip(&old_list) {
                new["image"] = old["image"].clone();
            }
        }
    }
    for key in
        ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"]
    {
        if let Some(map) = allowed.as_object_mut() {
            match before.get(key) {
                Some(value) => drop(map.insert(key.into(), value.clone())),
                None => drop(map.remove(key)),
            }
        }
    }
    if allowed != *before {
        let text = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", &format!("{text}\n")));
    }
}

fn workload(resource: &Resource, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if let Some(replicas) = spec["replicas"].as_i64().filter(|n| *n < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &json!(replicas),
            "must be greater than or equal to 0",
        ));
    }
    let selector = &spec["selector"];
    if !selector.is_object() {
        causes.push(Cause::required("spec.selector", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let wanted = selector["matchLabels"].as_object();
    let fits = selector.is_object()
        && wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !fits {
        let text = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, text));
    }
    containers(&spec["template"]["spec"], "spec.template.spec", causes);
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
        && resource.plural != "replicationcontrollers"
    {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
}

fn event(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let new = resource.group == "events.k8s.io";
    let about = if new { &object["regarding"] } else { &object["involvedObject"] };
    let namespace = about["namespace"].as_str().unwrap_or_default();
    let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
    // What is cluster-wide is told in the namespace default.
    let fits = namespace == own || namespace.is_empty() && own == "default";
    if !fits {
        causes.push(Cause::invalid(
            "involvedObject.namespace",
            &json!(namespace),
            "does not match event.namespace",
        ));
    }
    if new {
        if object["eventTime"].is_null() {
            causes.push(Cause::required("eventTime", ""));
        }
        for key in ["reportingController", "reportingInstance", "action", "reason", "type"] {
            if object[key].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(key, ""));
            }
        }
    }
}

fn lease(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|n| *n <= 0) {
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(count) = spec["leaseTransitions"].as_i64().filter(|n| *n < 0) {
        causes.push(Cause::invalid(
            "spec.leaseTransitions",
            &json!(count),
            "must be greater than or equal to 0",
        ));
    }
}

fn binding(resource: &Resource, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let reference = &object["roleRef"];
    let kinds: &[&str] =
        if resource.plural == "rolebindings" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.iter().any(|kind| reference["kind"] == *kind) {
        let supported: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        causes.push(Cause::unsupported("roleRef.kind", &reference["kind"], &supported));
    }
    if reference["name"].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for (at, subject) in object["subjects"].as_array().into_iter().flatten().enumerate() {
        let path = format!("subjects[{at}]");
        if subject["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        match subject["kind"].as_str().unwrap_or_default() {
            "User" | "Group" => {}
            "ServiceAccount" if resource.plural == "rolebindings" => {}
            "ServiceAccount" => {
                if subject["namespace"].as_str().is_none_or(str::is_empty) {
                    causes.push(Cause::required(format!("{path}.namespace"), ""));
                }
            }
            other => {
                let supported = ["Group", "ServiceAccount", "User"].map(str::to_owned);
                causes.push(Cause::unsupported(format!("{path}.kind"), &json!(other), &supported));
            }
        }
    }
    if old.is_some_and(|old| old["roleRef"] != *reference) {
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            reference["apiGroup"], reference["kind"], reference["name"]
        );
        causes.push(Cause::other(
            "FieldValueInvalid",
            "roleRef",
            format!("Invalid value: {shown}: cannot change roleRef"),
        ));
    }
}

fn role(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    for (at, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        let path = format!("rules[{at}]");
        let empty = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty);
        if empty("verbs") {
            causes.push(Cause::required(
                format!("{path}.verbs"),
                "verbs must contain at least one value",
            ));
        }
        if !empty("nonResourceURLs") {
            if resource.plural == "roles" {
                let text = "namespaced rules cannot apply to non-resource URLs";
                causes.push(Cause::invalid(
                    format!("{path}.nonResourceURLs"),
                    &rule["nonResourceURLs"],
                    text,
                ));
            }
            continue;
        }
        if empty("apiGroups") {
            let text = "resource rules must supply at least one api group";
            causes.push(Cause::required(format!("{path}.apiGroups"), text));
        }
        if empty("resources") {
            let text = "resource rules must supply at least one resource";
            causes.push(Cause::required(format!("{path}.resources"), text));
        }
    }
}

/// What is odd about an object that is allowed all the same.
pub(in super::super) fn warnings(resource: &Resource, object: &Value) -> Option<String> {
    if !resource.is("", "secrets") || object["type"] != "kubernetes.io/tls" {
        return None;
    }
    use base64::Engine as _;
    let pem = |key: &str| {
        let text = object["data"][key].as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
    };
    let has_block = |bytes: &[u8]| {
        x509_parser::pem::Pem::iter_from_buffer(bytes).next().is_some_and(|block| block.is_ok())
    };
    match (has_block(&pem("tls.crt")), has_block(&pem("tls.key"))) {
        (false, _) => Some("tls: failed to find any PEM data in certificate input".into()),
        (true, false) => Some("tls: failed to find any PEM data in key input".into()),
        (true, true) => None,
    }
}
