//! What kube-apiserver does to built-in objects before it stores them.

use serde_json::{Value, json};

use super::super::kinds::Resource;
use super::crd;
use super::defaults::{set, set_empty};

/// Prepares an object that is being created.
pub(in super::super) fn prepare_create(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            super::defaults::namespace(object);
            object["status"] = json!({ "phase": "Active" });
            let finalizers = object["spec"]["finalizers"].as_array();
            if !finalizers.is_some_and(|list| list.iter().any(|one| one == "kubernetes")) {
                if !object["spec"]["finalizers"].is_array() {
                    object["spec"]["finalizers"] = json!([]);
                }
                if let Some(list) = object["spec"]["finalizers"].as_array_mut() {
                    list.push(json!("kubernetes"));
                }
            }
        }
        ("", "pods") => {
            object["status"] = json!({ "phase": "Pending", "qosClass": quality(&object["spec"]) });
            admit_pod(&mut object["spec"]);
        }
        ("", "services") => {
            object["status"] = json!({ "loadBalancer": {} });
            addresses(&mut object["spec"]);
        }
        ("", "nodes") => taint(object),
        ("", "persistentvolumes") => {
            object["status"] =
                json!({ "phase": "Pending", "lastPhaseTransitionTime": super::super::meta::now() });
            protect(object, "kubernetes.io/pv-protection");
        }
        ("", "persistentvolumeclaims") => {
            object["status"] = json!({ "phase": "Pending" });
            protect(object, "kubernetes.io/pvc-protection");
        }
        ("batch", "jobs") => {
            job(object);
            object["status"] = json!({});
        }
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            object["status"] = empty_status(resource);
        }
        ("apiextensions.k8s.io", _) => crd::prepare_create(object),
        ("certificates.k8s.io", _) => object["status"] = json!({}),
        _ if resource.builtin().is_some()
            && resource.has("status")
            && object.get("status").is_some() =>
        {
            object["status"] = empty_status(resource);
        }
        _ => {}
    }
    if resource.custom().is_some()
        && resource.has("status")
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
}

/// The status that a kind shows when there is none.
fn empty_status(resource: &Resource) -> Value {
    resource.builtin().map_or_else(|| json!({}), |t| t.zero()["status"].clone())
}

/// Prepares an object that is being changed through its main door or a subresource.
pub(in super::super) fn prepare_update(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    subresource: &str,
) {
    match subresource {
        "status" => {
            let status = new.get("status").cloned();
            let mut kept = old.clone();
            match status {
                Some(status) => kept["status"] = status,
                None => {
                    if let Some(map) = kept.as_object_mut() {
                        map.remove("status");
                    }
                }
            }
            kept["metadata"] = if resource.custom().is_some() {
                // Nothing of a custom resource's metadata is written through this door.
                let mut meta = old["metadata"].clone();
                let managed = new["metadata"].get("managedFields").cloned();
                match (meta.as_object_mut(), managed) {
                    (Some(map), Some(managed)) => drop(map.insert("managedFields".into(), managed)),
                    (Some(map), None) => drop(map.remove("managedFields")),
                    _ => {}
                }
                for key in ["uid", "resourceVersion", "deletionTimestamp"] {
                    if let Some(given) = new["metadata"].get(key) {
                        meta[key] = given.clone();
                    }
                }
                meta
            } else {
                new["metadata"].clone()
            };
            *new = kept;
        }
        "finalize" => {
            let finalizers = new["spec"].get("finalizers").cloned();
            let metadata = new["metadata"].clone();
            *new = old.clone();
            new["metadata"] = metadata;
            match finalizers {
                Some(list) => new["spec"]["finalizers"] = list,
                None => new["spec"] = json!({}),
            }
        }
        _ => {
            if resource.has("status") {
                keep(old, new, "status");
            }
            main_door(resource, old, new);
        }
    }
}

/// Puts the old value of a field back.
fn keep(old: &Value, new: &mut Value, key: &str) {
    if let Some(map) = new.as_object_mut() {
        match old.get(key) {
            Some(value) => drop(map.insert(key.to_owned(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
}

fn main_door(resource: &Resource, old: &Value, new: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => keep(old, new, "spec"),
        ("", "services") => {
            for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if new["spec"].get(key).is_none_or(|value| value == "" || value.is_null())
                    && let Some(value) = old["spec"].get(key)
                {
                    new["spec"][key] = value.clone();
                }
            }
        }
        ("", "pods") => admit_pod(&mut new["spec"]),
        ("batch", "jobs") => {
            for key in ["selector", "completions"] {
                if new["spec"].get(key).is_none()
                    && let Some(value) = old["spec"].get(key)
                {
                    new["spec"][key] = value.clone();
                }
            }
        }
        ("apiextensions.k8s.io", _) => crd::prepare_update(old, new),
        _ => {}
    }
}

/// What admission does to pods: priority, tolerations of nodes that are away.
fn admit_pod(spec: &mut Value) {
    set(spec, "priority", json!(0));
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    set(spec, "tolerations", json!([]));
    if let Some(tolerations) = spec["tolerations"].as_array_mut() {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let covered = tolerations.iter().any(|one| {
                let all = one["key"].as_str().unwrap_or_default().is_empty() || one["key"] == key;
                all && one["effect"]
                    .as_str()
                    .is_none_or(|effect| effect.is_empty() || effect == "NoExecute")
            });
            if !covered {
                tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
            }
        }
    }
}

/// The quality of service class of a pod.
fn quality(spec: &Value) -> &'static str {
    let (mut any, mut all) = (false, true);
    for container in
        ["containers", "initContainers"].iter().filter_map(|list| spec[list].as_array()).flatten()
    {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (limit, request) = (&resources["limits"][name], &resources["requests"][name]);
            any |= limit.is_string() || request.is_string();
            all &= limit.is_string() && (request.is_null() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Gives a service an address.
fn addresses(spec: &mut Value) {
    if spec["type"] == "ExternalName" {
        return;
    }
    let headless = spec["clusterIP"] == "None";
    if !headless && spec["clusterIP"].as_str().is_none_or(str::is_empty) {
        use rand::RngExt as _;
        let mut rng = rand::rng();
        let address =
            format!("10.0.{}.{}", rng.random_range(0..=255u8), rng.random_range(2..=254u8));
        spec["clusterIP"] = json!(address);
    }
    let own = spec["clusterIP"].clone();
    set(spec, "clusterIPs", json!([own]));
    set(spec, "ipFamilies", json!(["IPv4"]));
    set(spec, "ipFamilyPolicy", json!("SingleStack"));
}

fn taint(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "taints", json!([]));
    if let Some(taints) = spec["taints"].as_array_mut()
        && !taints.iter().any(|one| {
            one["key"] == "node.kubernetes.io/not-ready" && one["effect"] == "NoSchedule"
        })
    {
        taints.push(json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }));
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let meta = super::super::meta::of(object);
    let list = meta.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|one| one == finalizer)
    {
        list.push(json!(finalizer));
    }
}

/// A job finds its pods by its own uid.
fn job(object: &mut Value) {
    let uid = object["metadata"]["uid"].clone();
    let name = object["metadata"]["name"].clone();
    let labelled = object["metadata"].get("labels").is_some();
    let spec = &mut object["spec"];
    if spec["manualSelector"] == true {
        return;
    }
    if !spec["template"]["metadata"].is_object() {
        spec["template"]["metadata"] = json!({});
    }
    let labels = &mut spec["template"]["metadata"];
    set(labels, "labels", json!({}));
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        set_empty(&mut labels["labels"], key, value.clone());
    }
    set(spec, "selector", json!({}));
    set(&mut spec["selector"], "matchLabels", json!({}));
    spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid;
    // A job without labels has those of its template.
    if !labelled {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}
