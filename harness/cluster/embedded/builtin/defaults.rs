//! Defaults of the built-in kinds, filled in when an object is read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::kinds::Resource;
use super::{crd, workloads};

/// Fills in what the kind has by default.
pub(in super::super) fn fill(resource: &Resource, object: &mut Value) {
    if resource.builtin().is_none() {
        return;
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => secret(object),
        ("", "namespaces") => namespace(object),
        ("", "pods") => {
            workloads::pod(&mut object["spec"]);
            set(&mut object["spec"], "enableServiceLinks", json!(true));
        }
        ("", "podtemplates") => workloads::template(&mut object["template"]),
        ("", "services") => service(object),
        ("", "persistentvolumes") => volume(object),
        ("", "persistentvolumeclaims") => claim(object),
        ("", "nodes") => node(object),
        ("apps", _) => workloads::apps(&resource.plural, object),
        ("batch", _) => workloads::batch(&resource.plural, object),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => binding(object),
        ("authentication.k8s.io", "tokenreviews") => {}
        ("apiextensions.k8s.io", _) => crd::fill(object),
        ("storage.k8s.io", "storageclasses") => {
            set(object, "reclaimPolicy", json!("Delete"));
            set(object, "volumeBindingMode", json!("Immediate"));
        }
        ("scheduling.k8s.io", _) => set(object, "preemptionPolicy", json!("PreemptLowerPriority")),
        ("networking.k8s.io", "networkpolicies") => policy(object),
        ("autoscaling", _) => set(&mut object["spec"], "minReplicas", json!(1)),
        _ => {}
    }
}

/// The value of a key that is there; looking must not leave a null behind.
pub(super) fn inner<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    object.get_mut(key).filter(|value| !value.is_null())
}

/// The elements of a list, where there is one.
pub(super) fn each<'a>(
    object: &'a mut Value,
    key: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets a field that is absent.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut()
        && map.get(key).is_none_or(Value::is_null)
    {
        map.insert(key.to_owned(), value);
    }
}

/// Sets a field that is absent, empty or zero.
pub(super) fn set_empty(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        let empty = match map.get(key) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(_) => false,
        };
        if empty {
            map.insert(key.to_owned(), value);
        }
    }
}

fn secret(object: &mut Value) {
    if let Some(Value::Object(given)) =
        object.as_object_mut().and_then(|map| map.remove("stringData"))
    {
        set(object, "data", json!({}));
        for (key, value) in given {
            object["data"][key] = json!(STANDARD.encode(value.as_str().unwrap_or_default()));
        }
    }
    set_empty(object, "type", json!("Opaque"));
}

pub(super) fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return;
    }
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    set_empty(&mut object["status"], "phase", json!("Active"));
}

fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    set_empty(spec, "sessionAffinity", json!("None"));
    set_empty(spec, "type", json!("ClusterIP"));
    if spec["sessionAffinity"] == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({ "clientIP": { "timeoutSeconds": 10800 } }));
    }
    for port in each(spec, "ports") {
        set_empty(port, "protocol", json!("TCP"));
        let own = port["port"].clone();
        set_empty(port, "targetPort", own);
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set_empty(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn volume(object: &mut Value) {
    let spec = &mut object["spec"];
    set_empty(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
    set(spec, "volumeMode", json!("Filesystem"));
    if let Some(path) = inner(spec, "hostPath") {
        set(path, "type", json!(""));
    }
    set_empty(&mut object["status"], "phase", json!("Pending"));
}

fn claim(object: &mut Value) {
    set(&mut object["spec"], "volumeMode", json!("Filesystem"));
    set_empty(&mut object["status"], "phase", json!("Pending"));
}

fn node(object: &mut Value) {
    let capacity = object["status"]["capacity"].clone();
    if capacity.is_object() {
        let status = &mut object["status"];
        set(status, "allocatable", json!({}));
        if let (Some(all), Some(some)) =
            (capacity.as_object(), status["allocatable"].as_object_mut())
        {
            for (key, value) in all {
                some.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

fn binding(object: &mut Value) {
    set_empty(&mut object["roleRef"], "apiGroup", json!("rbac.authorization.k8s.io"));
    for subject in each(object, "subjects") {
        if subject["kind"] != "ServiceAccount" {
            set_empty(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    }
}

fn policy(object: &mut Value) {
    let spec = &mut object["spec"];
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let egress = spec["egress"].as_array().is_some_and(|list| !list.is_empty());
        spec["policyTypes"] =
            if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}
