//! Defaults of pods and of the kinds that make pods.

use serde_json::{Value, json};

use super::defaults::{set, set_empty};

/// Fills in a pod's spec.
pub(super) fn pod(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        if let Some(containers) = spec[list].as_array_mut() {
            containers.iter_mut().for_each(container);
        }
    }
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.iter_mut().for_each(volume);
    }
    set_empty(spec, "dnsPolicy", json!("ClusterFirst"));
    set_empty(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    set_empty(spec, "schedulerName", json!("default-scheduler"));
    // The old name of the field is kept beside the new one.
    match (spec["serviceAccountName"].as_str(), spec["serviceAccount"].as_str()) {
        (Some(name), _) if !name.is_empty() => spec["serviceAccount"] = json!(name),
        (_, Some(name)) if !name.is_empty() => spec["serviceAccountName"] = json!(name),
        _ => {}
    }
    if spec["hostNetwork"] == true
        && let Some(containers) = spec["containers"].as_array_mut()
    {
        for port in containers.iter_mut().filter_map(|c| c["ports"].as_array_mut()).flatten() {
            let own = port["containerPort"].clone();
            set_empty(port, "hostPort", own);
        }
    }
}

fn container(container: &mut Value) {
    set_empty(container, "terminationMessagePath", json!("/dev/termination-log"));
    set_empty(container, "terminationMessagePolicy", json!("File"));
    let image = container["image"].as_str().unwrap_or_default();
    let tail = image.rsplit('/').next().unwrap_or_default();
    let tag = if tail.contains('@') { "digest" } else { tail.split_once(':').map_or("latest", |(_, tag)| tag) };
    let policy = if tag == "latest" { "Always" } else { "IfNotPresent" };
    set_empty(container, "imagePullPolicy", json!(policy));
    if let Some(ports) = container["ports"].as_array_mut() {
        ports.iter_mut().for_each(|port| set_empty(port, "protocol", json!("TCP")));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &mut container[probe];
        if probe.is_object() {
            set_empty(probe, "timeoutSeconds", json!(1));
            set_empty(probe, "periodSeconds", json!(10));
            set_empty(probe, "successThreshold", json!(1));
            set_empty(probe, "failureThreshold", json!(3));
            http(&mut probe["httpGet"]);
            if probe["grpc"].is_object() {
                set(&mut probe["grpc"], "service", json!(""));
            }
        }
    }
    if let Some(map) = container.as_object_mut() {
        map.retain(|key, value| !(key.ends_with("Probe") && value.is_null()));
    }
    for hook in ["postStart", "preStop"] {
        if container["lifecycle"][hook].is_object() {
            http(&mut container["lifecycle"][hook]["httpGet"]);
        }
    }
    if let Some(map) = container.as_object_mut() {
        map.retain(|key, value| !(key == "lifecycle" && value.is_null()));
    }
    // Requests follow limits where they are not given.
    if let Some(limits) = container["resources"]["limits"].as_object().cloned() {
        set(&mut container["resources"], "requests", json!({}));
        if let Some(requests) = container["resources"]["requests"].as_object_mut() {
            for (key, value) in limits {
                requests.entry(key).or_insert(value);
            }
        }
    }
    if let Some(env) = container["env"].as_array_mut() {
        for variable in env {
            let field = &mut variable["valueFrom"]["fieldRef"];
            if field.is_object() {
                set_empty(field, "apiVersion", json!("v1"));
            } else if let Some(map) = variable.as_object_mut() {
                clean(map, "valueFrom", "fieldRef");
            }
        }
    }
    if let Some(map) = container.as_object_mut() {
        map.retain(|key, value| !(matches!(key.as_str(), "env" | "ports") && value.is_null()));
    }
}

/// Takes back what looking at an absent field has put there.
fn clean(map: &mut serde_json::Map<String, Value>, outer: &str, inner: &str) {
    if let Some(value) = map.get_mut(outer) {
        if let Some(nested) = value.as_object_mut()
            && nested.get(inner).is_some_and(Value::is_null)
        {
            nested.remove(inner);
        }
        if value.is_null() || value.as_object().is_some_and(|m| m.is_empty()) {
            map.remove(outer);
        }
    }
}

fn http(action: &mut Value) {
    if action.is_object() {
        set_empty(action, "path", json!("/"));
        set_empty(action, "scheme", json!("HTTP"));
    }
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    // Only a name: an empty directory.
    if map.len() == 1 && map.contains_key("name") {
        map.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(found) = map.get_mut(source) {
            set(found, "defaultMode", json!(420));
            if source == "projected"
                && let Some(sources) = found.get_mut("sources").and_then(Value::as_array_mut)
            {
                for one in sources {
                    if let Some(token) = one.get_mut("serviceAccountToken") {
                        set(token, "expirationSeconds", json!(3600));
                    }
                }
            }
        }
    }
    if let Some(path) = map.get_mut("hostPath") {
        set(path, "type", json!(""));
    }
}

/// Fills in a pod template.
pub(super) fn template(template: &mut Value) {
    pod(&mut template["spec"]);
}

/// Fills in the kinds of `apps`.
pub(super) fn apps(plural: &str, object: &mut Value) {
    if plural == "controllerrevisions" {
        return;
    }
    let spec = &mut object["spec"];
    template(&mut spec["template"]);
    match plural {
        "deployments" => {
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
            set_empty(&mut spec["strategy"], "type", json!("RollingUpdate"));
            if spec["strategy"]["type"] == "RollingUpdate" {
                set(&mut spec["strategy"], "rollingUpdate", json!({}));
                let rolling = &mut spec["strategy"]["rollingUpdate"];
                set(rolling, "maxUnavailable", json!("25%"));
                set(rolling, "maxSurge", json!("25%"));
            }
        }
        "replicasets" => set(spec, "replicas", json!(1)),
        "statefulsets" => {
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set_empty(spec, "podManagementPolicy", json!("OrderedReady"));
            set_empty(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
                set(&mut spec["updateStrategy"]["rollingUpdate"], "partition", json!(0));
            }
            let retention = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
            set(spec, "persistentVolumeClaimRetentionPolicy", retention);
        }
        "daemonsets" => {
            set(spec, "revisionHistoryLimit", json!(10));
            set_empty(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
                let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
                set(rolling, "maxUnavailable", json!(1));
                set(rolling, "maxSurge", json!(0));
            }
        }
        _ => {}
    }
}

/// Fills in the kinds of `batch`.
pub(super) fn batch(plural: &str, object: &mut Value) {
    let spec = &mut object["spec"];
    if plural == "cronjobs" {
        set_empty(spec, "concurrencyPolicy", json!("Allow"));
        set(spec, "suspend", json!(false));
        set(spec, "successfulJobsHistoryLimit", json!(3));
        set(spec, "failedJobsHistoryLimit", json!(1));
        template(&mut spec["jobTemplate"]["spec"]["template"]);
        return;
    }
    template(&mut spec["template"]);
    if spec.get("parallelism").is_none() && spec.get("completions").is_none() {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    set(spec, "backoffLimit", json!(6));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    set(spec, "podReplacementPolicy", json!("TerminatingOrFailed"));
}
