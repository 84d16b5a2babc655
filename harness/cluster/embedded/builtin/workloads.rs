//! Defaults of pods and of the kinds that make pods.

use serde_json::{Value, json};

use super::defaults::{each, inner, set, set_empty};

/// Fills in a pod's spec.
pub(super) fn pod(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list).for_each(container);
    }
    each(spec, "volumes").for_each(volume);
    set_empty(spec, "dnsPolicy", json!("ClusterFirst"));
    set_empty(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    set_empty(spec, "schedulerName", json!("default-scheduler"));
    // The old name of the field is kept beside the new one.
    let name = |key: &str| {
        spec.get(key).and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    if let Some(name) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec["serviceAccount"] = json!(name);
        spec["serviceAccountName"] = json!(name);
    }
    if spec.get("hostNetwork") == Some(&json!(true)) {
        for port in each(spec, "containers").flat_map(|container| each(container, "ports")) {
            let own = port["containerPort"].clone();
            set_empty(port, "hostPort", own);
        }
    }
}

fn container(container: &mut Value) {
    set_empty(container, "terminationMessagePath", json!("/dev/termination-log"));
    set_empty(container, "terminationMessagePolicy", json!("File"));
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let tail = image.rsplit('/').next().unwrap_or_default();
    let tag = if tail.contains('@') {
        "digest"
    } else {
        tail.split_once(':').map_or("latest", |(_, tag)| tag)
    };
    let policy = if tag == "latest" { "Always" } else { "IfNotPresent" };
    set_empty(container, "imagePullPolicy", json!(policy));
    each(container, "ports").for_each(|port| set_empty(port, "protocol", json!("TCP")));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = inner(container, probe) else { continue };
        set_empty(probe, "timeoutSeconds", json!(1));
        set_empty(probe, "periodSeconds", json!(10));
        set_empty(probe, "successThreshold", json!(1));
        set_empty(probe, "failureThreshold", json!(3));
        if let Some(action) = inner(probe, "httpGet") {
            http(action);
        }
        if let Some(action) = inner(probe, "grpc") {
            set(action, "service", json!(""));
        }
    }
    for hook in ["postStart", "preStop"] {
        let action = inner(container, "lifecycle")
            .and_then(|l| inner(l, hook))
            .and_then(|h| inner(h, "httpGet"));
        if let Some(action) = action {
            http(action);
        }
    }
    // Requests follow limits where they are not given.
    if let Some(resources) = inner(container, "resources")
        && let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned()
    {
        set(resources, "requests", json!({}));
        if let Some(requests) = resources.get_mut("requests").and_then(Value::as_object_mut) {
            for (key, value) in limits {
                requests.entry(key).or_insert(value);
            }
        }
    }
    for variable in each(container, "env") {
        if let Some(field) =
            inner(variable, "valueFrom").and_then(|source| inner(source, "fieldRef"))
        {
            set_empty(field, "apiVersion", json!("v1"));
        }
    }
}

fn http(action: &mut Value) {
    set_empty(action, "path", json!("/"));
    set_empty(action, "scheme", json!("HTTP"));
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
