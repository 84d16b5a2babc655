//! What is served: the resources of the built-in groups, and how each differs from the plain case.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::custom::Custom;
use super::typed;

/// One resource in one version.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) namespaced: bool,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) subresources: Vec<String>,
    /// Where its objects are kept; versions of one resource and views of one store share it.
    pub(super) collection: Arc<str>,
    pub(super) traits: Traits,
    pub(super) source: Source,
    /// See [`Resource::head`].
    pub(super) head: OnceLock<Vec<u8>>,
}

/// Where the shape of a resource's objects comes from.
#[derive(Debug)]
pub(super) enum Source {
    Builtin(&'static typed::Type),
    Custom(Arc<Custom>),
}

/// How a resource differs from the plain case (the strategies of kube-apiserver).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    /// `metadata.generation` counts changes outside metadata and status.
    pub(super) generation: bool,
    /// PUT of a missing object creates it.
    pub(super) create_on_update: bool,
    /// PUT must carry a resourceVersion.
    pub(super) version_required: bool,
    /// DELETE answers the object instead of a Status.
    pub(super) delete_answers_object: bool,
    /// Only POST, nothing is stored.
    pub(super) review: bool,
    /// No DELETE of the whole collection.
    pub(super) no_delete_collection: bool,
}

impl Resource {
    /// `apps/v1`, `v1`.
    pub(super) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }
    /// How an object starts on the wire: its kind and version.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get_or_init(|| {
            let (kind, version) =
                (serde_json::json!(self.kind), serde_json::json!(self.api_version()));
            format!("{{\"kind\":{kind},\"apiVersion\":{version},").into_bytes()
        })
    }
    /// `deployments.apps`, `secrets`: how messages name the resource.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }
    /// `Deployment.apps`, `Secret`.
    pub(super) fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }
    pub(super) fn has(&self, subresource: &str) -> bool {
        self.subresources.iter().any(|one| one == subresource)
    }
    pub(super) fn custom(&self) -> Option<&Arc<Custom>> {
        match &self.source {
            Source::Custom(custom) => Some(custom),
            Source::Builtin(_) => None,
        }
    }
    pub(super) fn builtin(&self) -> Option<&'static typed::Type> {
        match self.source {
            Source::Builtin(t) => Some(t),
            Source::Custom(_) => None,
        }
    }
    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.builtin().is_some() && self.group == group && self.plural == plural
    }
    /// The verbs of discovery, in its order.
    pub(super) fn verbs(&self) -> Vec<&'static str> {
        if self.traits.review {
            return vec!["create"];
        }
        if self.custom().is_some() {
            return vec![
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "create",
                "update",
                "watch",
            ];
        }
        let all =
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        all.into_iter()
            .filter(|verb| !(self.traits.no_delete_collection && *verb == "deletecollection"))
            .collect()
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// `apps/v1`, or `v1` in the core group.
pub(super) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// What a subresource answers with: group, version and kind (empty = the parent's), and its verbs.
pub(super) fn subresource(
    name: &str,
) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
    match name {
        "scale" => ("autoscaling", "v1", "Scale", &["get", "patch", "update"]),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest", &["create"]),
        "finalize" => ("", "", "", &["update"]),
        "binding" => ("", "", "Binding", &["create"]),
        "eviction" => ("policy", "v1", "Eviction", &["create"]),
        "log" => ("", "", "", &["get"]),
        "attach" => ("", "", "PodAttachOptions", &["create", "get"]),
        "exec" => ("", "", "PodExecOptions", &["create", "get"]),
        "portforward" => ("", "", "PodPortForwardOptions", &["create", "get"]),
        _ => ("", "", "", &["get", "patch", "update"]),
    }
}

/// The kind of the `proxy` subresource of a resource.
pub(super) fn proxy_kind(plural: &str) -> &'static str {
    match plural {
        "nodes" => "NodeProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "PodProxyOptions",
    }
}

/// Resources of built-in groups: group, version, and in order of discovery the versions of a group (preferred first).
#[derive(Debug, Default)]
pub(super) struct Builtins {
    pub(super) groups: Vec<(String, Vec<String>)>,
    pub(super) resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>>,
}

/// The built-in resources.
pub(super) fn builtins() -> &'static Builtins {
    static ALL: OnceLock<Builtins> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Builtins::default();
        for row in TABLE {
            let Some(resource) = from_row(row) else { continue };
            let (group, version) = (resource.group.clone(), resource.version.clone());
            match all.groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, versions)) if versions.contains(&version) => {}
                Some((_, versions)) => versions.push(version.clone()),
                None => all.groups.push((group.clone(), vec![version.clone()])),
            }
            all.resources
                .entry((group, version))
                .or_default()
                .insert(resource.plural.clone(), Arc::new(resource));
        }
        all
    })
}

/// A built-in resource.
///
/// # Panics
/// Never: callers name resources of the table.
pub(super) fn builtin(group: &str, plural: &str) -> &'static Arc<Resource> {
    let all = builtins();
    all.resources
        .iter()
        .find_map(|((g, _), resources)| if g == group { resources.get(plural) } else { None })
        .expect("callers name resources of the table")
}

/// A kind that is served as a subresource only.
pub(super) fn unlisted(group: &str, version: &str, kind: &str) -> Resource {
    let t = typed::find(&type_name(group, version, kind)).expect("callers name kinds of the table");
    Resource {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List"),
        plural: format!("{}s", kind.to_lowercase()),
        singular: kind.to_lowercase(),
        namespaced: true,
        short_names: Vec::new(),
        categories: Vec::new(),
        subresources: Vec::new(),
        collection: "".into(),
        traits: Traits { review: true, ..Traits::default() },
        source: Source::Builtin(t),
        head: OnceLock::new(),
    }
}

/// Columns: group/version, plural, kind, scope and traits, short names, categories, subresources.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

fn from_row(row: &Row) -> Option<Resource> {
    let (api_version, plural, kind, flags, short, categories, subresources) = *row;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let t = typed::find(&type_name(group, version, kind))?;
    // Events of both groups are two views of one store.
    let collection = match (plural, version) {
        ("events", _) => "/events".into(),
        // Two versions of different shape, kept apart.
        ("horizontalpodautoscalers", "v1") => format!("{group}/{plural}.v1"),
        _ => format!("{group}/{plural}"),
    };
    Some(Resource {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List"),
        plural: plural.into(),
        singular: kind.to_lowercase(),
        namespaced: flags.contains('N'),
        short_names: words(short),
        categories: words(categories),
        subresources: words(subresources),
        collection: collection.into(),
        traits: Traits {
            generation: flags.contains('g'),
            create_on_update: flags.contains('c'),
            version_required: flags.contains('x'),
            delete_answers_object: flags.contains('o'),
            review: flags.contains('r'),
            no_delete_collection: flags.contains('d'),
        },
        source: Source::Builtin(t),
        head: OnceLock::new(),
    })
}

/// The name of a kind's type in the table of types.
pub(super) fn type_name(group: &str, version: &str, kind: &str) -> String {
    match group {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => {
            format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        other => {
            let short = other.split('.').next().unwrap_or(other);
            format!("io.k8s.api.{short}.{version}.{kind}")
        }
    }
}

/// Flags: N namespaced, g generation, c create on update, x version required on update, o delete answers the object,
/// r review (POST only), d no deletecollection. Groups stand in the order of discovery.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("v1", "bindings", "Binding", "Nr", "", "", ""),
    ("v1", "configmaps", "ConfigMap", "N", "cm", "", ""),
    ("v1", "endpoints", "Endpoints", "Nc", "ep", "", ""),
    ("v1", "events", "Event", "Nc", "ev", "", ""),
    ("v1", "limitranges", "LimitRange", "Nc", "limits", "", ""),
    ("v1", "namespaces", "Namespace", "od", "ns", "", "finalize status"),
    ("v1", "nodes", "Node", "", "no", "", "proxy status"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "No", "pvc", "", "status"),
    ("v1", "persistentvolumes", "PersistentVolume", "o", "pv", "", "status"),
    ("v1", "pods", "Pod", "Ngo", "po", "all", "attach binding ephemeralcontainers eviction exec log portforward proxy resize status"),
    ("v1", "podtemplates", "PodTemplate", "Ngo", "", "", ""),
    ("v1", "replicationcontrollers", "ReplicationController", "Ng", "rc", "all", "scale status"),
    ("v1", "resourcequotas", "ResourceQuota", "No", "quota", "", "status"),
    ("v1", "secrets", "Secret", "N", "", "", ""),
    ("v1", "serviceaccounts", "ServiceAccount", "No", "sa", "", "token"),
    ("v1", "services", "Service", "Nco", "svc", "all", "proxy status"),
    ("apiregistration.k8s.io/v1", "apiservices", "APIService", "x", "", "api-extensions", "status"),
    ("apps/v1", "controllerrevisions", "ControllerRevision", "N", "", "", ""),
    ("apps/v1", "daemonsets", "DaemonSet", "Ng", "ds", "all", "status"),
    ("apps/v1", "deployments", "Deployment", "Ng", "deploy", "all", "scale status"),
    ("apps/v1", "replicasets", "ReplicaSet", "Ng", "rs", "all", "scale status"),
    ("apps/v1", "statefulsets", "StatefulSet", "Ng", "sts", "all", "scale status"),
    ("events.k8s.io/v1", "events", "Event", "Nc", "ev", "", ""),
    ("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", "r", "", "", ""),
    ("authentication.k8s.io/v1", "tokenreviews", "TokenReview", "r", "", "", ""),
    ("authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "Nr", "", "", ""),
    ("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "r", "", "", ""),
    ("authorization.k8s.io/v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "r", "", "", ""),
    ("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", "r", "", "", ""),
    ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "N", "hpa", "all", "status"),
    ("autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "N", "hpa", "all", "status"),
    ("batch/v1", "cronjobs", "CronJob", "Ng", "cj", "all", "status"),
    ("batch/v1", "jobs", "Job", "Ng", "", "all", "status"),
    ("certificates.k8s.io/v1", "certificatesigningrequests", "CertificateSigningRequest", "", "csr", "", "approval status"),
    ("networking.k8s.io/v1", "ingressclasses", "IngressClass", "g", "", "", ""),
    ("networking.k8s.io/v1", "ingresses", "Ingress", "Ng", "ing", "", "status"),
    ("networking.k8s.io/v1", "ipaddresses", "IPAddress", "", "ip", "", ""),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "Ng", "netpol", "", ""),
    ("networking.k8s.io/v1", "servicecidrs", "ServiceCIDR", "", "", "", "status"),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "Ngx", "pdb", "", "status"),
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", "c", "", "", ""),
    ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "c", "", "", ""),
    ("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "Nc", "", "", ""),
    ("rbac.authorization.k8s.io/v1", "roles", "Role", "Nc", "", "", ""),
    ("storage.k8s.io/v1", "csidrivers", "CSIDriver", "gxo", "", "", ""),
    ("storage.k8s.io/v1", "csinodes", "CSINode", "xo", "", "", ""),
    ("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", "Nx", "", "", ""),
    ("storage.k8s.io/v1", "storageclasses", "StorageClass", "o", "sc", "", ""),
    ("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", "xo", "", "", "status"),
    ("storage.k8s.io/v1", "volumeattributesclasses", "VolumeAttributesClass", "x", "vac", "", ""),
    ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "gx", "", "api-extensions", ""),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "gx", "", "api-extensions", "status"),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", "gx", "", "api-extensions", ""),
    ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "gx", "", "api-extensions", ""),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", "gx", "crd crds", "api-extensions", "status"),
    ("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "g", "pc", "", ""),
    ("coordination.k8s.io/v1", "leases", "Lease", "Ncx", "", "", ""),
    ("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", "cx", "", "", ""),
    ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "Ng", "", "", ""),
    ("flowcontrol.apiserver.k8s.io/v1", "flowschemas", "FlowSchema", "g", "", "", "status"),
    ("flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", "g", "", "", "status"),
    ("resource.k8s.io/v1", "deviceclasses", "DeviceClass", "", "", "", ""),
    ("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", "N", "", "", "status"),
    ("resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate", "N", "", "", ""),
    ("resource.k8s.io/v1", "resourceslices", "ResourceSlice", "", "", "", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_type() {
        for row in TABLE {
            assert!(from_row(row).is_some(), "{} {}", row.0, row.2);
        }
    }
}
