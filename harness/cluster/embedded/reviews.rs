//! Requests that store nothing: access reviews, token reviews, token requests, bindings.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::auth;
use super::decode;
use super::fields;
use super::kinds::{Resource, builtin};
use super::meta;
use super::rbac::{self, Attributes};
use super::request::{Call, Target, User, WriteOptions, key};
use super::status::{Cause, Status};
use super::tokens::ISSUER;
use super::typed::seconds;
use super::write;

/// A POST to a resource that only reviews.
pub(super) fn review(api: &Api, call: &Call, target: &Target) -> Result<Value, Status> {
    let options = WriteOptions::read(call, "CreateOptions", false)?;
    let resource = &target.resource;
    let mut object = decode::body(call, resource, options.strictness)?;
    match resource.plural.as_str() {
        "selfsubjectaccessreviews" => {
            let author = write::author(call, target);
            fields::update(
                write::node(resource),
                &write::empty(resource),
                &mut object,
                &author,
                true,
            );
            access(api, &call.user, &mut object)?;
        }
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let author = write::author(call, target);
            fields::update(
                write::node(resource),
                &write::empty(resource),
                &mut object,
                &author,
                true,
            );
            let user = subject(&object["spec"]);
            access(api, &user, &mut object)?;
        }
        "selfsubjectrulesreviews" => {
            let author = write::author(call, target);
            fields::update(
                write::node(resource),
                &write::empty(resource),
                &mut object,
                &author,
                true,
            );
            rules(api, &call.user, &mut object)?;
        }
        "selfsubjectreviews" => {
            object["metadata"] = json!({ "creationTimestamp": meta::now() });
            object["status"] = json!({ "userInfo": shown(&call.user) });
        }
        "tokenreviews" => {
            let author = write::author(call, target);
            fields::update(
                write::node(resource),
                &write::empty(resource),
                &mut object,
                &author,
                true,
            );
            token_review(api, &mut object);
        }
        "bindings" => {
            let name = meta::text(&object, "name").to_owned();
            return bind(api, target, &name, &object);
        }
        _ => return Err(Status::method_not_allowed()),
    }
    Ok(object)
}

/// A user as reviews show it.
fn shown(user: &User) -> Value {
    let mut out = json!({ "username": user.name });
    if !user.uid.is_empty() {
        out["uid"] = json!(user.uid);
    }
    if !user.groups.is_empty() {
        out["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        out["extra"] = user
            .extra
            .iter()
            .map(|(key, values)| (key.clone(), json!(values)))
            .collect::<Map<_, _>>()
            .into();
    }
    out
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    User { name: text("user"), uid: text("uid"), groups, extra: Vec::new() }
}

fn access(api: &Api, user: &User, object: &mut Value) -> Result<(), Status> {
    let spec = &object["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_object() == path.is_object() {
        let text = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let cause = Cause::invalid("spec.resourceAttributes", resource, text);
        return Err(Status::invalid("", "authorization.k8s.io", "", &[cause]));
    }
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let attributes = if path.is_object() {
        Attributes {
            verb: text(path, "verb"),
            path: Some(text(path, "path")),
            ..Attributes::default()
        }
    } else {
        Attributes {
            verb: text(resource, "verb"),
            path: None,
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
        }
    };
    object["status"] = match rbac::allows(api, user, &attributes) {
        Some(reason) if reason.is_empty() => json!({ "allowed": true }),
        Some(reason) => json!({ "allowed": true, "reason": reason }),
        None => json!({ "allowed": false }),
    };
    Ok(())
}

fn rules(api: &Api, user: &User, object: &mut Value) -> Result<(), Status> {
    let namespace = object["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (mut resources, mut paths): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let granted = if user.is_in("system:masters") {
        vec![
            json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }),
            json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }),
        ]
    } else {
        rbac::rules_of(api, user, &namespace).into_iter().map(|granted| granted.rule).collect()
    };
    for rule in granted {
        let has = |key: &str| rule[key].as_array().is_some_and(|list| !list.is_empty());
        if has("resources") {
            resources.push(rule);
        } else if has("nonResourceURLs") {
            paths.push(rule);
        }
    }
    object["spec"] = json!({});
    object["status"] =
        json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": false });
    Ok(())
}

fn token_review(api: &Api, object: &mut Value) {
    let token = object["spec"]["token"].as_str().unwrap_or_default().to_owned();
    let wanted: Vec<String> = object["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    object["status"] = match auth::of_token(api, &token) {
        Some(user) => {
            let audiences = if wanted.is_empty() { vec![ISSUER.to_owned()] } else { wanted };
            json!({ "authenticated": true, "user": shown(&user), "audiences": audiences })
        }
        None => json!({ "user": {}, "error": "invalid bearer token" }),
    };
}

/// POST to `serviceaccounts/<name>/token`.
pub(super) fn token(api: &Api, call: &Call, target: &Target) -> Result<Value, Status> {
    let options = WriteOptions::read(call, "CreateOptions", false)?;
    let resource = token_request();
    let mut object = decode::body(call, resource, options.strictness)?;
    let accounts = &target.resource;
    let account = api
        .store()
        .get(&accounts.collection, &target.key())
        .ok_or_else(|| Status::not_found(accounts, &target.name))?
        .value();
    let spec = &mut object["spec"];
    let seconds_wanted = spec["expirationSeconds"].as_i64().unwrap_or(3600);
    let mut problem = None;
    if seconds_wanted < 600 {
        problem = Some("may not specify a duration less than 10 minutes");
    } else if seconds_wanted > 1 << 32 {
        problem = Some("may not specify a duration larger than 2^32 seconds");
    }
    if let Some(problem) = problem {
        let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds_wanted), problem);
        return Err(Status::invalid("TokenRequest", "authentication.k8s.io", "", &[cause]));
    }
    spec["expirationSeconds"] = json!(seconds_wanted);
    let asked = spec.clone();
    if spec["audiences"].as_array().is_none_or(Vec::is_empty) {
        spec["audiences"] = json!([ISSUER]);
    }
    let bound = bound_object(api, target, &spec["boundObjectRef"])?;
    if spec.get("boundObjectRef").is_none() {
        spec["boundObjectRef"] = Value::Null;
    }
    let now = Timestamp::now();
    let until = now.checked_add(SignedDuration::from_secs(seconds_wanted)).unwrap_or(now);
    let mut own = json!({
        "namespace": target.namespace,
        "serviceaccount": { "name": target.name, "uid": account["metadata"]["uid"] },
    });
    if let Some((kind, reference)) = bound {
        own[kind] = reference;
    }
    let claims = json!({
        "aud": spec["audiences"], "exp": until.as_second(), "iat": now.as_second(), "nbf": now.as_second(),
        "iss": ISSUER, "jti": meta::uid(), "kubernetes.io": own,
        "sub": format!("system:serviceaccount:{}:{}", target.namespace, target.name),
    });
    let token =
        api.signer().sign(&claims).ok_or_else(|| Status::internal("failed to sign token"))?;
    let mut tracked = json!({ "metadata": {}, "spec": asked });
    let author = fields::Author {
        manager: call.manager(),
        api_version: "authentication.k8s.io/v1".into(),
        subresource: "token".into(),
        now: meta::now(),
        ignored: Ok(Vec::new()),
    };
    fields::update(write::node(resource), &write::empty(resource), &mut tracked, &author, true);
    object["metadata"] = json!({
        "name": target.name, "namespace": target.namespace, "uid": account["metadata"]["uid"],
        "creationTimestamp": meta::now(),
    });
    if let Some(managed) = tracked["metadata"].get("managedFields") {
        object["metadata"]["managedFields"] = managed.clone();
    }
    object["status"] = json!({ "token": token, "expirationTimestamp": seconds(until) });
    Ok(object)
}

/// The object that a token is bound to, which must be there.
fn bound_object(
    api: &Api,
    target: &Target,
    reference: &Value,
) -> Result<Option<(&'static str, Value)>, Status> {
    let name = reference["name"].as_str().unwrap_or_default();
    let (kind, plural) = match reference["kind"].as_str() {
        None => return Ok(None),
        Some("Pod") => ("pod", "pods"),
        Some("Secret") => ("secret", "secrets"),
        Some("Node") => ("node", "nodes"),
        Some(other) => {
            let text = format!(
                "cannot bind token for serviceaccount \"{}\" to object type {other}",
                target.name
            );
            return Err(Status::bad_request(text));
        }
    };
    let resource = builtin("", plural);
    let namespace = if resource.namespaced { target.namespace.as_str() } else { "" };
    let stored = api.store().get(&resource.collection, &key(namespace, name));
    let found = stored.ok_or_else(|| Status::not_found(resource, name))?.value();
    let uid = found["metadata"]["uid"].clone();
    if reference["uid"].as_str().is_some_and(|wanted| !wanted.is_empty() && json!(wanted) != uid) {
        let text = format!(
            "the UID in the bound object reference ({}) does not match the UID in record",
            reference["uid"]
        );
        return Err(Status::conflict(resource, name, &text));
    }
    Ok(Some((kind, json!({ "name": name, "uid": uid }))))
}

/// TokenRequest is served as a subresource only.
fn token_request() -> &'static Arc<Resource> {
    static RESOURCE: std::sync::OnceLock<Arc<Resource>> = std::sync::OnceLock::new();
    RESOURCE.get_or_init(|| {
        Arc::new(super::kinds::unlisted("authentication.k8s.io", "v1", "TokenRequest"))
    })
}

/// Puts a pod on a node.
pub(super) fn bind(
    api: &Api,
    target: &Target,
    name: &str,
    object: &Value,
) -> Result<Value, Status> {
    let pods = builtin("", "pods");
    let writer = api.store().write();
    let pod_key = key(&target.namespace, name);
    let stored =
        writer.get(&pods.collection, &pod_key).ok_or_else(|| Status::not_found(pods, name))?;
    let mut pod = write::load(pods, &stored);
    if pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty()) {
        let text = format!("pod {name} is already assigned to node {}", pod["spec"]["nodeName"]);
        return Err(Status::conflict(pods, name, &text));
    }
    pod["spec"]["nodeName"] = object["target"]["name"].clone();
    write::put(&writer, pods, &pod_key, pod, 201);
    Ok(
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 }),
    )
}
