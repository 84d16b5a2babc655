//! Authorization by Roles and Bindings.

use serde_json::{Value, json};

use super::api::Api;
use super::kinds::builtin;
use super::request::User;
use super::status::{Status, named};

const RBAC: &str = "rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) verb: String,
    /// A path that is no resource; then the rest is empty.
    pub(super) path: Option<String>,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Attributes {
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// A rule that applies to a user, and why.
pub(super) struct Granted {
    pub(super) rule: Value,
    pub(super) reason: String,
}

/// Whether it is allowed, and by what.
pub(super) fn allows(api: &Api, user: &User, attributes: &Attributes) -> Option<String> {
    if user.is_in("system:masters") {
        return Some(String::new());
    }
    rules_of(api, user, &attributes.namespace)
        .into_iter()
        .find(|granted| covers(&granted.rule, attributes))
        .map(|g| g.reason)
}

/// Refuses what is not allowed, in the words of kube-apiserver.
pub(super) fn authorize(api: &Api, user: &User, attributes: &Attributes) -> Result<(), Status> {
    if allows(api, user, attributes).is_some() {
        return Ok(());
    }
    Err(refusal(user, attributes))
}

fn refusal(user: &User, attributes: &Attributes) -> Status {
    let verb = &attributes.verb;
    if let Some(path) = &attributes.path {
        let message = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
        return Status::forbidden(message, json!({}));
    }
    let (group, resource) = (&attributes.group, &attributes.resource);
    let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let name = if attributes.name.is_empty() {
        String::new()
    } else {
        format!(" \"{}\"", attributes.name)
    };
    let scope = if attributes.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", attributes.namespace)
    };
    let message = format!(
        "{qualified}{name} is forbidden: User \"{}\" cannot {verb} resource \"{}\" in API group \"{group}\" {scope}",
        user.name,
        attributes.full_resource()
    );
    Status::forbidden(message, named(&attributes.name, group, resource))
}

/// Impersonation is a right like any other.
pub(super) fn may_impersonate(
    api: &Api,
    user: &User,
    name: &str,
    groups: &[String],
) -> Result<(), Status> {
    let attributes = |resource: &str, name: &str| {
        let account =
            name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (resource, namespace, name) = match (resource, account) {
            ("users", Some((namespace, name))) => ("serviceaccounts", namespace, name),
            (resource, _) => (resource, "", name),
        };
        Attributes {
            verb: "impersonate".into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Attributes::default()
        }
    };
    authorize(api, user, &attributes("users", name))?;
    groups.iter().try_for_each(|group| authorize(api, user, &attributes("groups", group)))
}

/// Every rule that applies to a user in a namespace (or cluster-wide when that is empty).
pub(super) fn rules_of(api: &Api, user: &User, namespace: &str) -> Vec<Granted> {
    let state = api.store().read();
    let mut bindings = Vec::new();
    for (_, stored) in state.range(&builtin(RBAC, "clusterrolebindings").collection, "", None) {
        bindings.push(("ClusterRoleBinding", stored.value()));
    }
    if !namespace.is_empty() {
        let prefix = format!("{namespace}/");
        for (_, stored) in state.range(&builtin(RBAC, "rolebindings").collection, &prefix, None) {
            bindings.push(("RoleBinding", stored.value()));
        }
    }
    let mut out = Vec::new();
    for (kind, binding) in bindings {
        let Some(subject) = binding["subjects"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|s| applies(s, user, &binding))
        else {
            continue;
        };
        let reference = &binding["roleRef"];
        let (role_kind, role) = (text(&reference["kind"]), text(&reference["name"]));
        let found = if role_kind == "Role" {
            state.get(&builtin(RBAC, "roles").collection, &format!("{namespace}/{role}"))
        } else {
            state.get(&builtin(RBAC, "clusterroles").collection, &role)
        };
        let Some(found) = found else { continue };
        let mut name = text(&binding["metadata"]["name"]);
        if kind == "RoleBinding" {
            name = format!("{name}/{namespace}");
        }
        let who = match text(&subject["kind"]).as_str() {
            "ServiceAccount" => {
                let home = subject["namespace"].as_str().unwrap_or(namespace);
                format!("ServiceAccount \"{}/{home}\"", text(&subject["name"]))
            }
            other => format!("{other} \"{}\"", text(&subject["name"])),
        };
        let reason =
            format!("RBAC: allowed by {kind} \"{name}\" of {role_kind} \"{role}\" to {who}");
        for rule in found.value()["rules"].as_array().into_iter().flatten() {
            out.push(Granted { rule: rule.clone(), reason: reason.clone() });
        }
    }
    out
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn applies(subject: &Value, user: &User, binding: &Value) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => user.name == name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let own = binding["metadata"]["namespace"].as_str();
            let namespace =
                subject["namespace"].as_str().filter(|n| !n.is_empty()).or(own).unwrap_or_default();
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn covers(rule: &Value, attributes: &Attributes) -> bool {
    let has = |key: &str, wanted: &str| {
        rule[key].as_array().into_iter().flatten().any(|one| one == "*" || one == wanted)
    };
    if !has("verbs", &attributes.verb) {
        return false;
    }
    if let Some(path) = &attributes.path {
        return rule["nonResourceURLs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|pattern| {
                pattern == path
                    || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
            });
    }
    let full = attributes.full_resource();
    let any = format!("*/{}", attributes.subresource);
    let resource = has("resources", &full)
        || !attributes.subresource.is_empty()
            && rule["resources"].as_array().into_iter().flatten().any(|one| *one == any);
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    let named = names.is_none_or(|names| names.iter().any(|name| *name == attributes.name));
    has("apiGroups", &attributes.group) && resource && named
}

/// The roles and bindings that are there from the start: name, rules; bindings to groups.
pub(super) fn bootstrap() -> Vec<(&'static str, Value)> {
    let meta = |name: &str| {
        json!({
            "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
        })
    };
    let role = |name: &str, rules: Value| {
        ("clusterroles", json!({ "metadata": meta(name), "rules": rules }))
    };
    let binding = |name: &str, role: &str, groups: &[&str]| {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|group| json!({ "kind": "Group", "apiGroup": RBAC, "name": group }))
            .collect();
        let reference = json!({ "apiGroup": RBAC, "kind": "ClusterRole", "name": role });
        (
            "clusterrolebindings",
            json!({ "metadata": meta(name), "subjects": subjects, "roleRef": reference }),
        )
    };
    let public = json!(["/healthz", "/livez", "/readyz", "/version", "/version/"]);
    let discovery = json!([
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/"
    ]);
    let read = json!(["get", "list", "watch"]);
    let write = json!(["create", "delete", "deletecollection", "patch", "update"]);
    let core = json!([
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "secrets",
        "serviceaccounts",
        "services"
    ]);
    let apps =
        json!(["daemonsets", "deployments", "deployments/scale", "replicasets", "statefulsets"]);
    vec![
        role(
            "cluster-admin",
            json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }, { "verbs": ["*"], "nonResourceURLs": ["*"] }]),
        ),
        role("system:discovery", json!([{ "verbs": ["get"], "nonResourceURLs": discovery }])),
        role("system:public-info-viewer", json!([{ "verbs": ["get"], "nonResourceURLs": public }])),
        role(
            "system:basic-user",
            json!([
                { "verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                  "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] },
                { "verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"] }
            ]),
        ),
        role(
            "admin",
            json!([
                { "verbs": read, "apiGroups": [""], "resources": core }, { "verbs": write, "apiGroups": [""], "resources": core },
                { "verbs": read, "apiGroups": ["apps"], "resources": apps }, { "verbs": write, "apiGroups": ["apps"], "resources": apps },
                { "verbs": ["*"], "apiGroups": [RBAC], "resources": ["roles", "rolebindings"] }
            ]),
        ),
        role(
            "edit",
            json!([
                { "verbs": read, "apiGroups": [""], "resources": core }, { "verbs": write, "apiGroups": [""], "resources": core },
                { "verbs": read, "apiGroups": ["apps"], "resources": apps }, { "verbs": write, "apiGroups": ["apps"], "resources": apps }
            ]),
        ),
        role(
            "view",
            json!([
                { "verbs": read, "apiGroups": [""], "resources": ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "serviceaccounts", "services"] },
                { "verbs": read, "apiGroups": ["apps"], "resources": apps }
            ]),
        ),
        binding("cluster-admin", "cluster-admin", &["system:masters"]),
        binding("system:basic-user", "system:basic-user", &["system:authenticated"]),
        binding("system:discovery", "system:discovery", &["system:authenticated"]),
        binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &["system:authenticated", "system:unauthenticated"],
        ),
    ]
}
