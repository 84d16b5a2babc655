//! DELETE of one object and of a collection.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::api::Api;
use super::decode;
use super::definitions;
use super::json::parse;
use super::kinds::Resource;
use super::list::{self, Selection};
use super::meta;
use super::negotiate::{Format, body_format};
use super::request::{Call, Target, dry_run};
use super::status::{Cause, Status, named};
use super::store::{Stored, Writer};
use super::typed;
use super::write;

/// The options of a delete.
#[derive(Debug, Default, Clone)]
pub(super) struct Options {
    dry_run: bool,
    grace: Option<i64>,
    policy: Option<String>,
    uid: Option<String>,
    version: Option<String>,
}

impl Options {
    pub(super) fn with_policy(policy: &str) -> Self {
        Self { policy: Some(policy.to_owned()), ..Self::default() }
    }

    /// Deletes one object and none that has taken its name since.
    pub(super) fn of(policy: &str, uid: &str) -> Self {
        Self { uid: Some(uid.to_owned()), ..Self::with_policy(policy) }
    }
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Value),
    /// It is marked and waits for its finalizers or its time.
    Marked(Value),
}

/// Reads the options from body and query.
pub(super) fn options(call: &Call) -> Result<Options, Status> {
    let mut body = Value::Null;
    if !call.body.is_empty() {
        body = match body_format(call)? {
            Format::Protobuf => {
                let (_, _, raw) = decode::envelope(&call.body).map_err(Status::bad_request)?;
                let t = typed::find("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
                t.map_or(Ok(Value::Null), |t| typed::decode_message(t, raw))
                    .map_err(Status::bad_request)?
            }
            Format::Yaml => super::json::parse_yaml(&call.body).map_err(Status::bad_request)?.value,
            Format::Json => {
                let parsed = parse(&call.body).map_err(|error| {
                    Status::bad_request(format!(
                        "couldn't get version/kind; json parse error: {error}"
                    ))
                })?;
                parsed.value
            }
        };
        if let Some(kind) =
            body["kind"].as_str().filter(|kind| !kind.is_empty() && *kind != "DeleteOptions")
        {
            let version = body["apiVersion"].as_str().unwrap_or_default();
            let scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
            return Err(Status::bad_request(format!(
                "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{scheme}\""
            )));
        }
    }
    let mut causes = Vec::new();
    let mut options = Options::default();
    let from_query = call.body.is_empty();
    let words: Vec<&str> = if from_query {
        call.query.all("dryRun")
    } else {
        body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    options.dry_run = dry_run(&words, &mut causes);
    options.grace = if from_query {
        call.query.number("gracePeriodSeconds")?
    } else {
        body["gracePeriodSeconds"].as_i64()
    };
    options.policy = if from_query {
        call.query.get("propagationPolicy").map(str::to_owned)
    } else {
        body["propagationPolicy"].as_str().map(str::to_owned)
    };
    let orphan = if from_query {
        call.query.get("orphanDependents").map(|_| call.query.flag("orphanDependents"))
    } else {
        body["orphanDependents"].as_bool()
    };
    let precondition = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
    options.uid = precondition("uid");
    options.version = precondition("resourceVersion");
    match (&options.policy, orphan) {
        (Some(policy), Some(_)) => {
            let text = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", &json!(policy), text));
        }
        (Some(policy), None)
            if !matches!(policy.as_str(), "" | "Foreground" | "Background" | "Orphan") =>
        {
            let supported = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
            causes.push(Cause::unsupported("propagationPolicy", &json!(policy), &supported));
        }
        (None, Some(true)) => options.policy = Some("Orphan".into()),
        _ => {}
    }
    if !causes.is_empty() {
        return Err(Status::invalid_options("DeleteOptions", &causes));
    }
    Ok(options)
}

/// Deletes the object of a request.
pub(super) fn delete(api: &Api, call: &Call, target: &Target) -> Result<Value, Status> {
    let mut options = options(call)?;
    let resource = &target.resource;
    if resource.is("", "namespaces")
        && matches!(target.name.as_str(), "default" | "kube-system" | "kube-public")
    {
        let text = format!(
            "namespaces \"{0}\" is forbidden: this namespace may not be deleted",
            target.name
        );
        return Err(Status::forbidden(text, named(&target.name, "", "namespaces")));
    }
    if resource.is("batch", "jobs") && options.policy.is_none() {
        call.warn("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning");
        options.policy = Some("Orphan".into());
    }
    let deleted = {
        let writer = api.store().write();
        remove(api, &writer, resource, &target.key(), &options)?
    };
    if !options.dry_run {
        write::follow(api, resource);
    }
    Ok(answer(resource, deleted))
}

/// The answer of a delete: the object where it is still there or where the kind says so, else a Status.
fn answer(resource: &Resource, deleted: Deleted) -> Value {
    match deleted {
        Deleted::Marked(object) => object,
        Deleted::Gone(object) if resource.traits.delete_answers_object => object,
        Deleted::Gone(object) => {
            let mut details = named(meta::text(&object, "name"), &resource.group, &resource.plural);
            details["uid"] = json!(meta::text(&object, "uid"));
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
        }
    }
}

/// Deletes an object by the rules of finalizers and grace.
pub(super) fn remove(
    api: &Api,
    writer: &Writer<'_>,
    resource: &Resource,
    key: &str,
    options: &Options,
) -> Result<Deleted, Status> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let stored =
        writer.get(&resource.collection, key).ok_or_else(|| Status::not_found(resource, name))?;
    let old = write::load(resource, &stored);
    check_preconditions(resource, name, &old, &stored, options)?;
    let mut new = old.clone();
    propagate(&mut new, options);
    let held = holds(resource, &new, options);
    if !held {
        if !options.dry_run {
            writer.delete(&resource.collection, key);
        }
        return Ok(Deleted::Gone(last_state(api, resource, new, &old)));
    }
    mark(resource, &mut new, &old, options);
    if new == old {
        return Ok(Deleted::Marked(old));
    }
    if options.dry_run {
        return Ok(Deleted::Marked(new));
    }
    Ok(Deleted::Marked(write::put(writer, resource, key, new, 200).object))
}

fn check_preconditions(
    resource: &Resource,
    name: &str,
    old: &Value,
    stored: &Stored,
    options: &Options,
) -> Result<(), Status> {
    let uid = meta::text(old, "uid");
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        let text = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        );
        return Err(Status::precondition(resource, name, &text));
    }
    let version = stored.revision.to_string();
    if let Some(wanted) = options.version.as_deref().filter(|wanted| *wanted != version) {
        let text = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        );
        return Err(Status::precondition(resource, name, &text));
    }
    Ok(())
}

/// Sets the finalizers that the policy asks for.
fn propagate(object: &mut Value, options: &Options) {
    let mut list: Vec<String> = meta::finalizers(object).into_iter().map(str::to_owned).collect();
    let before = list.clone();
    match options.policy.as_deref().unwrap_or_default() {
        "Foreground" => {
            list.retain(|one| one != "orphan");
            if !list.iter().any(|one| one == "foregroundDeletion") {
                list.push("foregroundDeletion".into());
            }
        }
        "Orphan" => {
            list.retain(|one| one != "foregroundDeletion");
            if !list.iter().any(|one| one == "orphan") {
                list.push("orphan".into());
            }
        }
        "Background" => list.retain(|one| one != "foregroundDeletion" && one != "orphan"),
        _ => {}
    }
    if list != before {
        let meta = meta::of(object);
        if list.is_empty() {
            meta.remove("finalizers");
        } else {
            meta.insert("finalizers".into(), json!(list));
        }
    }
}

/// Whether something keeps the object.
fn holds(resource: &Resource, object: &Value, options: &Options) -> bool {
    if !meta::finalizers(object).is_empty()
        || resource.is("apiextensions.k8s.io", "customresourcedefinitions")
    {
        return true;
    }
    if resource.is("", "namespaces") {
        return object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    }
    grace(resource, object, options) > 0
}

/// Seconds that an object is given; only pods on a node have any.
fn grace(resource: &Resource, object: &Value, options: &Options) -> i64 {
    if !resource.is("", "pods") || object["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return 0;
    }
    if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let wanted = options.grace.unwrap_or(own);
    if wanted < 0 { 1 } else { wanted }
}

fn mark(resource: &Resource, new: &mut Value, old: &Value, options: &Options) {
    let first = !meta::is_terminating(old);
    let grace = grace(resource, old, options);
    let plain = resource.is("", "namespaces")
        || resource.is("apiextensions.k8s.io", "customresourcedefinitions");
    let shorter =
        old["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|before| grace < before);
    if first || shorter {
        let now = Timestamp::now();
        let time = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
        let meta = meta::of(new);
        meta.insert("deletionTimestamp".into(), json!(typed::seconds(time)));
        if !plain {
            meta.insert("deletionGracePeriodSeconds".into(), json!(grace));
            if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
                meta.insert("generation".into(), json!(generation + 1));
            }
        }
    }
    if resource.is("", "namespaces") {
        new["status"]["phase"] = json!("Terminating");
    }
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions") && first {
        definitions::mark(new);
    }
}

/// The object that a delete answers with: the last state, under the revision of the deletion.
fn last_state(api: &Api, resource: &Resource, mut new: Value, old: &Value) -> Value {
    if resource.is("", "pods") {
        let meta = meta::of(&mut new);
        meta.insert("deletionGracePeriodSeconds".into(), json!(0));
        if !meta::is_terminating(old) {
            meta.insert("deletionTimestamp".into(), json!(meta::now()));
            if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
                meta.insert("generation".into(), json!(generation + 1));
            }
        }
    }
    let revision = api.store().read().revision;
    meta::of(&mut new).insert("resourceVersion".into(), json!(revision.to_string()));
    new
}

/// Deletes everything that a selection matches; answers with the list as it was.
pub(super) fn delete_collection(
    api: &Api,
    call: &Call,
    target: &Target,
) -> Result<list::Page, Status> {
    let options = options(call)?;
    let selection = Selection::read(call, target)?;
    let writer = api.store().write();
    let page = list::page(api, target, &selection)?;
    for item in &page.items {
        remove(api, &writer, &target.resource, &item.key, &options)?;
    }
    drop(writer);
    if !options.dry_run {
        write::follow(api, &target.resource);
    }
    Ok(page)
}

/// An object that a selection found.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) key: Arc<str>,
    pub(super) stored: Arc<Stored>,
}
