//! Nobody grants rights that they do not have: the checks on writes of roles and bindings.

use serde_json::{Value, json};

use super::api::Api;
use super::kinds::{Resource, builtin};
use super::meta;
use super::rbac::{self, Attributes};
use super::request::{User, key};
use super::status::{Status, named};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Refuses a role with more rights than its writer has, or a binding to a role with more.
pub(super) fn check(
    api: &Api,
    user: &User,
    resource: &Resource,
    object: &Value,
) -> Result<(), Status> {
    if resource.builtin().is_none() || resource.group != RBAC || user.is_in("system:masters") {
        return Ok(());
    }
    let namespace = meta::text(object, "namespace");
    let (verb, plural, name, rules) = match resource.plural.as_str() {
        "roles" | "clusterroles" => (
            "escalate",
            resource.plural.as_str(),
            meta::text(object, "name"),
            object["rules"].clone(),
        ),
        _ => {
            let reference = &object["roleRef"];
            let name = reference["name"].as_str().unwrap_or_default();
            let (plural, place) = match reference["kind"].as_str() {
                Some("Role") => ("roles", key(namespace, name)),
                _ => ("clusterroles", name.to_owned()),
            };
            let role = api.store().get(&builtin(RBAC, plural).collection, &place);
            let role = role.ok_or_else(|| Status::not_found(builtin(RBAC, plural), name))?;
            ("bind", plural, name, role.value()["rules"].clone())
        }
    };
    let special = Attributes {
        verb: verb.into(),
        group: RBAC.into(),
        resource: plural.into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Attributes::default()
    };
    if rbac::allows(api, user, &special).is_some() {
        return Ok(());
    }
    let missing: Vec<String> = rules
        .as_array()
        .into_iter()
        .flatten()
        .filter(|rule| {
            !parts(rule, namespace).iter().all(|part| rbac::allows(api, user, part).is_some())
        })
        .map(shown)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let own = meta::text(object, "name");
    let message = format!(
        "{} \"{own}\" is forbidden: user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        resource.qualified(),
        user.name,
        json!(user.groups),
        missing.join("\n")
    );
    Err(Status::forbidden(message, named(own, RBAC, &resource.plural)))
}

/// A rule taken apart into single rights.
fn parts(rule: &Value, namespace: &str) -> Vec<Attributes> {
    let words = |key: &str| -> Vec<String> {
        rule[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let or_empty = |list: Vec<String>| if list.is_empty() { vec![String::new()] } else { list };
    let mut out = Vec::new();
    for verb in words("verbs") {
        for path in words("nonResourceURLs") {
            out.push(Attributes { verb: verb.clone(), path: Some(path), ..Attributes::default() });
        }
        for group in words("apiGroups") {
            for resource in words("resources") {
                let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
                for name in or_empty(words("resourceNames")) {
                    out.push(Attributes {
                        verb: verb.clone(),
                        path: None,
                        group: group.clone(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        namespace: namespace.to_owned(),
                        name,
                    });
                }
            }
        }
    }
    out
}

/// A rule as the message shows it.
fn shown(rule: &Value) -> String {
    let titles = [
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("resourceNames", "ResourceNames"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("verbs", "Verbs"),
    ];
    let pairs: Vec<String> = titles
        .into_iter()
        .filter(|(key, _)| rule[*key].as_array().is_some_and(|list| !list.is_empty()))
        .map(|(key, title)| format!("{title}:{}", rule[key]))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
