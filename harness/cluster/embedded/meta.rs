//! `metadata` of every object: what the server fills in, keeps, and refuses.

use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::{Map, Value, json};

use super::kinds::Resource;
use super::names;
use super::status::{Cause, Status, go_quote};
use super::typed::seconds;

/// Now, as metadata shows times.
pub(super) fn now() -> String {
    seconds(Timestamp::now())
}

/// A fresh uid.
pub(super) fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The characters of generated names: no vowels, nothing that looks alike.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// What is left of a prefix, so that a generated name is a label.
const MOST_PREFIX: usize = 58;

/// A name for an object that gave only a prefix.
pub(super) fn generate(prefix: &str) -> String {
    let mut end = prefix.len().min(MOST_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut rng = rand::rng();
    let tail: String =
        (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    format!("{}{tail}", &prefix[..end])
}

/// The metadata of an object, which is there since it was decoded.
pub(super) fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it was just made an object")
}

pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

pub(super) fn is_terminating(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null())
}

pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Fills in what the server owns, when an object is created.
pub(super) fn prepare_create(resource: &Resource, object: &mut Value) {
    let meta = of(object);
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        meta.remove(key);
    }
    meta.insert("uid".into(), json!(uid()));
    meta.insert("creationTimestamp".into(), json!(now()));
    if resource.traits.generation {
        meta.insert("generation".into(), json!(1));
    }
    let named = meta.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let prefix = meta.get("generateName").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !named && !prefix.is_empty() {
        meta.insert("name".into(), json!(generate(&prefix)));
    }
}

/// Keeps what the server owns, when an object is changed.
pub(super) fn prepare_update(resource: &Resource, old: &Value, new: &mut Value) {
    let kept = |key: &str| old["metadata"].get(key).cloned();
    let meta = of(new);
    meta.remove("selfLink");
    for key in ["creationTimestamp", "generation"] {
        match kept(key) {
            Some(value) => meta.insert(key.into(), value),
            None => meta.remove(key),
        };
    }
    for key in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let missing = meta.get(key).is_none_or(|value| value.is_null() || value == "");
        if missing {
            match kept(key) {
                Some(value) => meta.insert(key.into(), value),
                None => meta.remove(key),
            };
        }
    }
    if resource.traits.generation && counts(resource, old, new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        of(new).insert("generation".into(), json!(generation));
    }
}

/// Whether a change is one that `generation` counts.
fn counts(resource: &Resource, old: &Value, new: &Value) -> bool {
    if resource.builtin().is_some() {
        let annotations = resource.is("apps", "deployments")
            && old["metadata"].get("annotations") != new["metadata"].get("annotations");
        let whole = ["spec", "webhooks", "handler", "value"]
            .into_iter()
            .any(|key| old.get(key) != new.get(key));
        return whole || annotations;
    }
    let counted = |key: &str| {
        !(matches!(key, "metadata" | "apiVersion" | "kind")
            || resource.has("status") && key == "status")
    };
    let fields = |object: &Value| {
        object.as_object().map_or(0, |map| map.keys().filter(|key| counted(key)).count())
    };
    let same = |(key, value): (&String, &Value)| !counted(key) || new.get(key) == Some(value);
    fields(old) != fields(new) || !old.as_object().into_iter().flatten().all(same)
}

/// Checks the metadata of an object that is being created.
pub(super) fn validate_create(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let (name, prefix) = (text(object, "name"), text(object, "generateName"));
    if !prefix.is_empty() {
        for problem in name_problems(resource, prefix.trim_end_matches('-')) {
            if !prefix.trim_end_matches('-').is_empty() {
                causes.push(Cause::invalid("metadata.generateName", &json!(prefix), problem));
            }
        }
    }
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        for problem in name_problems(resource, name) {
            causes.push(Cause::invalid("metadata.name", &json!(name), problem));
        }
    }
    causes.extend(validate_common(resource, object));
    causes
}

/// What is wrong with a name, by the rule of its resource.
fn name_problems(resource: &Resource, name: &str) -> Vec<String> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => names::label(name),
        ("", "services") => names::label_1035(name),
        ("rbac.authorization.k8s.io", _) | ("flowcontrol.apiserver.k8s.io", _) => {
            names::path_segment(name)
        }
        _ => names::subdomain(name),
    }
}

/// All annotations together may not be larger.
const MOST_ANNOTATIONS: usize = 256 << 10;

/// Checks labels, annotations, finalizers and owners.
pub(super) fn validate_common(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let meta = &object["metadata"];
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        for problem in names::qualified_name(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), problem));
        }
        if let Some(problem) = names::label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid("metadata.labels", value, problem));
        }
    }
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        for problem in names::qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), problem));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MOST_ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", MOST_ANNOTATIONS as u64));
    }
    if resource.builtin().is_some() {
        for (at, finalizer) in finalizers(object).into_iter().enumerate() {
            let known = matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes");
            let problems = names::qualified_name(finalizer);
            for problem in &problems {
                causes.push(Cause::invalid("metadata.finalizers", &json!(finalizer), problem));
            }
            if problems.is_empty() && !known && !finalizer.contains('/') {
                let text = "name is neither a standard finalizer name nor is it fully qualified";
                causes.push(Cause::invalid(
                    format!("metadata.finalizers[{at}]"),
                    &json!(finalizer),
                    text,
                ));
            }
        }
    }
    causes.extend(validate_owners(meta));
    causes
}

fn validate_owners(meta: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut controller: Option<String> = None;
    let path = "metadata.ownerReferences";
    for owner in meta["ownerReferences"].as_array().into_iter().flatten() {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        if text("apiVersion").is_empty() {
            let message = "version must not be empty";
            causes.push(Cause::invalid(format!("{path}.apiVersion"), &json!(""), message));
        }
        for key in ["kind", "name", "uid"] {
            if text(key).is_empty() {
                causes.push(Cause::invalid(
                    format!("{path}.{key}"),
                    &json!(""),
                    "must not be empty",
                ));
            }
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text("kind"), text("name"));
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                let text = format!("Invalid value: {}: {detail}", shown_owners(meta));
                causes.push(Cause::other("FieldValueInvalid", path, text));
            }
            controller = Some(name);
        }
    }
    causes
}

/// Owners in the order in which Go writes their fields.
fn shown_owners(meta: &Value) -> String {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let one = |owner: &Value| {
        let pairs: Vec<String> = fields
            .iter()
            .filter_map(|key| owner.get(key).map(|value| format!("{key:?}:{value}")))
            .collect();
        format!("{{{}}}", pairs.join(","))
    };
    let list: Vec<String> =
        meta["ownerReferences"].as_array().into_iter().flatten().map(one).collect();
    format!("[{}]", list.join(","))
}

/// Checks what a change does to metadata that may not change.
pub(super) fn validate_update(resource: &Resource, old: &Value, new: &Value) -> Vec<Cause> {
    let mut once = Vec::new();
    for key in ["name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (before, after) = (old["metadata"].get(key), new["metadata"].get(key));
        if before != after {
            let shown = after.cloned().unwrap_or(Value::Null);
            once.push(Cause::invalid(format!("metadata.{key}"), &shown, "field is immutable"));
        }
    }
    if is_terminating(old) {
        let before = finalizers(old);
        let added: Vec<String> =
            finalizers(new).into_iter().filter(|one| !before.contains(one)).map(go_quote).collect();
        if !added.is_empty() {
            let text = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            once.push(Cause::forbidden("metadata.finalizers", &text));
        }
    }
    // The layers of kube-apiserver check one after the other, and each lists what it finds.
    let layers = if resource.builtin().is_some() { 4 } else { 3 };
    let mut causes = Vec::new();
    for layer in 0..layers {
        if layer < 2 {
            causes.extend(once.iter().cloned());
        }
        let common = validate_common(resource, new).into_iter();
        causes.extend(
            common.filter(|cause| layer < 2 || !cause.field.starts_with("metadata.finalizers[")),
        );
    }
    causes
}

/// Warnings about metadata that is allowed but unwise; duplicate owners are dropped.
pub(super) fn warnings(
    resource: &Resource,
    object: &mut Value,
    old: Option<&Value>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let list = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let mut kept: Vec<Value> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for owner in list {
        if !seen.insert(owner.to_string()) {
            let uid = owner["uid"].as_str().unwrap_or_default();
            warnings.push(format!(
                ".metadata.ownerReferences contains duplicate entries, API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uid}"
            ));
        } else {
            kept.push(owner);
        }
    }
    if !warnings.is_empty() {
        of(object).insert("ownerReferences".into(), Value::Array(kept));
    }
    if resource.custom().is_some() {
        let before: Vec<&str> = old.map(finalizers).unwrap_or_default();
        for finalizer in finalizers(object) {
            if !finalizer.contains('/')
                && !before.contains(&finalizer)
                && !matches!(finalizer, "orphan" | "foregroundDeletion")
            {
                warnings.push(format!(
                    "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
                ));
            }
        }
    }
    warnings
}

/// Reads the resourceVersion of a body: nothing, or a number.
pub(super) fn version(object: &Value) -> Result<Option<u64>, Status> {
    match text(object, "resourceVersion") {
        "" | "0" => Ok(None),
        given => given.parse().map(Some).map_err(|_| {
            Status::internal(format!("strconv.ParseUint: parsing {given:?}: invalid syntax"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_labels() {
        let name = generate(&"x".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(generate("a-").starts_with("a-"));
    }
}
