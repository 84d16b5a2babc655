//! Which columns the table of a resource has.

use super::super::custom::Column;
use super::super::kinds::Resource;
use super::super::typed;

/// The columns of a resource; `path` of a built-in one names its cell.
pub(super) fn columns(resource: &Resource) -> Vec<Column> {
    let named = column("Name", "name", 0, OBJECT_META, "name", "name");
    if let Some(custom) = resource.custom() {
        return std::iter::once(named).chain(custom.columns.iter().cloned()).collect();
    }
    let rows = builtin_columns(resource);
    if rows.is_empty() {
        let created = column("Created At", "", 0, OBJECT_META, "creationTimestamp", "created");
        return vec![named, Column { kind: "date".into(), ..created }];
    }
    rows.into_iter()
        .map(|(title, priority, source, cell)| {
            let format = if cell == "name" { "name" } else { "" };
            let (owner, field) = source.split_once('#').unwrap_or(("", source));
            let owner = if owner == "meta" {
                OBJECT_META.to_owned()
            } else {
                format!("io.k8s.api.{owner}")
            };
            let mut made = column(title, format, priority, &owner, field, cell);
            if !source.contains('#') {
                made.description = source.to_owned();
            }
            if matches!(cell, "data") {
                made.kind = "string".into();
            }
            made
        })
        .collect()
}

const OBJECT_META: &str = typed::OBJECT_META;

fn column(name: &str, format: &str, priority: i64, owner: &str, field: &str, path: &str) -> Column {
    Column {
        name: name.into(),
        kind: "string".into(),
        format: format.into(),
        description: typed::descriptions(owner).get(field).cloned().unwrap_or_default(),
        priority,
        path: path.into(),
    }
}

/// Title, priority, where the description stands (`type#field`) or what it is, and the cell.
type Row = (&'static str, i64, &'static str, &'static str);

const NAME: Row = ("Name", 0, "meta#name", "name");
const AGE: Row = ("Age", 0, "meta#creationTimestamp", "age");

#[rustfmt::skip]
fn builtin_columns(resource: &Resource) -> Vec<Row> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => vec![NAME, ("Type", 0, "core.v1.Secret#type", "type"), ("Data", 0, "core.v1.Secret#data", "data"), AGE],
        ("", "configmaps") => vec![NAME, ("Data", 0, "core.v1.ConfigMap#data", "data"), AGE],
        ("", "namespaces") => vec![NAME, ("Status", 0, "The status of the namespace", "phase"), AGE],
        ("", "serviceaccounts") | ("networking.k8s.io", "ingressclasses") | ("apps", "controllerrevisions") => vec![NAME, AGE],
        ("coordination.k8s.io", "leases") => vec![NAME, ("Holder", 0, "coordination.v1.LeaseSpec#holderIdentity", "holder"), AGE],
        ("" | "events.k8s.io", "events") => vec![
            ("Last Seen", 0, "The time at which the most recent occurrence of this event was recorded.", "last seen"),
            ("Type", 0, "core.v1.Event#type", "type"), ("Reason", 0, "core.v1.Event#reason", "reason"),
            ("Object", 0, "The object that this event is about.", "object"),
            ("Subobject", 1, "core.v1.ObjectReference#fieldPath", "subobject"),
            ("Source", 1, "The component reporting this event. Should be a short machine understandable string.", "source"),
            ("Message", 0, "core.v1.Event#message", "message"),
            ("First Seen", 1, "core.v1.Event#firstTimestamp", "first seen"),
            ("Count", 1, "core.v1.Event#count", "count"), ("Name", 1, "meta#name", "name"),
        ],
        ("", "nodes") => vec![
            NAME, ("Status", 0, "The status of the node", "node status"), ("Roles", 0, "The roles of the node", "roles"), AGE,
            ("Version", 0, "core.v1.NodeSystemInfo#kubeletVersion", "status.nodeInfo.kubeletVersion"),
            ("Internal-IP", 1, "core.v1.NodeStatus#addresses", "InternalIP"), ("External-IP", 1, "core.v1.NodeStatus#addresses", "ExternalIP"),
            ("OS-Image", 1, "core.v1.NodeSystemInfo#osImage", "osImage"), ("Kernel-Version", 1, "core.v1.NodeSystemInfo#kernelVersion", "kernelVersion"),
            ("Container-Runtime", 1, "core.v1.NodeSystemInfo#containerRuntimeVersion", "containerRuntimeVersion"),
        ],
        ("", "pods") => vec![
            NAME, ("Ready", 0, "The aggregate readiness state of this pod for accepting traffic.", "pod ready"),
            ("Status", 0, "The aggregate status of the containers in this pod.", "pod status"),
            ("Restarts", 0, "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.", "restarts"), AGE,
            ("IP", 1, "core.v1.PodStatus#podIP", "pod ip"), ("Node", 1, "core.v1.PodSpec#nodeName", "pod node"),
            ("Nominated Node", 1, "core.v1.PodStatus#nominatedNodeName", "nominated"),
            ("Readiness Gates", 1, "core.v1.PodSpec#readinessGates", "gates"),
        ],
        ("", "services") => vec![
            NAME, ("Type", 0, "core.v1.ServiceSpec#type", "spec.type"), ("Cluster-IP", 0, "core.v1.ServiceSpec#clusterIP", "cluster ip"),
            ("External-IP", 0, "core.v1.ServiceSpec#externalIPs", "external ip"), ("Port(s)", 0, "core.v1.ServiceSpec#ports", "ports"), AGE,
            ("Selector", 1, "core.v1.ServiceSpec#selector", "service selector"),
        ],
        ("apps", "deployments") => vec![
            NAME, ("Ready", 0, "Number of the pod with ready state", "ready"),
            ("Up-to-date", 0, "apps.v1.DeploymentStatus#updatedReplicas", "updatedReplicas"),
            ("Available", 0, "apps.v1.DeploymentStatus#availableReplicas", "availableReplicas"), AGE,
            ("Containers", 1, "Names of each container in the template.", "containers"),
            ("Images", 1, "Images referenced by each container in the template.", "images"),
            ("Selector", 1, "apps.v1.DeploymentSpec#selector", "selector"),
        ],
        ("apps", "replicasets") => vec![
            NAME, ("Desired", 0, "apps.v1.ReplicaSetSpec#replicas", "desired"), ("Current", 0, "apps.v1.ReplicaSetStatus#replicas", "current"),
            ("Ready", 0, "apps.v1.ReplicaSetStatus#readyReplicas", "readyReplicas"), AGE,
            ("Containers", 1, "Names of each container in the template.", "containers"),
            ("Images", 1, "Images referenced by each container in the template.", "images"), ("Selector", 1, "apps.v1.ReplicaSetSpec#selector", "selector"),
        ],
        ("apps", "statefulsets") => vec![
            NAME, ("Ready", 0, "Number of the pod with ready state", "ready"), AGE,
            ("Containers", 1, "Names of each container in the template.", "containers"),
            ("Images", 1, "Images referenced by each container in the template.", "images"),
        ],
        ("batch", "jobs") => vec![
            NAME, ("Status", 0, "Status of the job.", "job status"), ("Completions", 0, "batch.v1.JobStatus#succeeded", "completions"),
            ("Duration", 0, "Time required to complete the job.", "duration"), AGE,
            ("Containers", 1, "Names of each container in the template.", "containers"),
            ("Images", 1, "Images referenced by each container in the template.", "images"), ("Selector", 1, "batch.v1.JobSpec#selector", "selector"),
        ],
        ("", "persistentvolumes") => vec![
            NAME, ("Capacity", 0, "core.v1.PersistentVolumeSpec#capacity", "volume capacity"),
            ("Access Modes", 0, "core.v1.PersistentVolumeSpec#accessModes", "modes"),
            ("Reclaim Policy", 0, "core.v1.PersistentVolumeSpec#persistentVolumeReclaimPolicy", "spec.persistentVolumeReclaimPolicy"),
            ("Status", 0, "core.v1.PersistentVolumeStatus#phase", "phase"), ("Claim", 0, "core.v1.PersistentVolumeSpec#claimRef", "claim"),
            ("StorageClass", 0, "StorageClass of the pv", "spec.storageClassName"), ("VolumeAttributesClass", 0, "core.v1.PersistentVolumeSpec#volumeAttributesClassName", "attributes class"),
            ("Reason", 0, "core.v1.PersistentVolumeStatus#reason", "status.reason"), AGE, ("VolumeMode", 1, "core.v1.PersistentVolumeSpec#volumeMode", "spec.volumeMode"),
        ],
        ("", "persistentvolumeclaims") => vec![
            NAME, ("Status", 0, "core.v1.PersistentVolumeClaimStatus#phase", "phase"), ("Volume", 0, "core.v1.PersistentVolumeClaimSpec#volumeName", "spec.volumeName"),
            ("Capacity", 0, "core.v1.PersistentVolumeClaimStatus#capacity", "claim capacity"), ("Access Modes", 0, "core.v1.PersistentVolumeClaimStatus#accessModes", "claim modes"),
            ("StorageClass", 0, "StorageClass of the pvc", "spec.storageClassName"), ("VolumeAttributesClass", 0, "core.v1.PersistentVolumeClaimSpec#volumeAttributesClassName", "attributes class"), AGE,
            ("VolumeMode", 1, "core.v1.PersistentVolumeClaimSpec#volumeMode", "spec.volumeMode"),
        ],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => vec![NAME, ("Role", 0, "rbac.v1.RoleBinding#roleRef", "role"), AGE],
        _ => Vec::new(),
    }
}
