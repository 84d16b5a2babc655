//! CustomResourceDefinitions as objects: defaults, preparation, and the rules of structural schemas.

use serde_json::{Value, json};

use super::super::names;
use super::super::schema::{Schema, validate as check_value};
use super::super::status::Cause;
use super::defaults::{set, set_empty};

pub(super) fn fill(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    if !spec["scope"].is_string() {
        spec["scope"] = json!("");
    }
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    if !kind.is_empty() {
        set_empty(&mut spec["names"], "singular", json!(kind.to_lowercase()));
        set_empty(&mut spec["names"], "listKind", json!(format!("{kind}List")));
    }
    set(spec, "conversion", json!({ "strategy": "None" }));
    if spec["preserveUnknownFields"] == false
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("preserveUnknownFields");
    }
}

/// The version in which objects are stored.
fn storage_version(object: &Value) -> Option<&Value> {
    let versions = object["spec"]["versions"].as_array()?;
    versions.iter().find(|version| version["storage"] == true).map(|version| &version["name"])
}

pub(super) fn prepare_create(object: &mut Value) {
    let stored: Vec<Value> = storage_version(object).cloned().into_iter().collect();
    let stored = if stored.is_empty() { Value::Null } else { Value::Array(stored) };
    object["status"] = json!({ "conditions": null, "acceptedNames": { "plural": "", "kind": "" }, "storedVersions": stored });
}

pub(super) fn prepare_update(old: &Value, new: &mut Value) {
    if let Some(version) = storage_version(new).cloned() {
        let mut stored = old["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
        if !stored.contains(&version) {
            stored.push(version);
            new["status"]["storedVersions"] = Value::Array(stored);
        }
    }
}

pub(super) fn validate(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, group, plural) =
        (text(&object["metadata"]["name"]), text(&spec["group"]), text(&spec["names"]["plural"]));
    if name != format!("{plural}.{group}") {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else {
        for problem in names::subdomain(&group) {
            causes.push(Cause::invalid("spec.group", &json!(group), problem));
        }
        if !group.contains('.') {
            causes.push(Cause::invalid(
                "spec.group",
                &json!(group),
                "should be a domain with at least one dot",
            ));
        }
    }
    match spec["scope"].as_str().unwrap_or_default() {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => {
            let supported = ["Cluster", "Namespaced"].map(str::to_owned);
            causes.push(Cause::unsupported("spec.scope", &json!(other), &supported));
        }
    }
    validate_versions(object, old, causes);
    validate_names(&spec["names"], causes);
    if let Some(old) = old {
        validate_change(object, old, causes);
    }
}

fn validate_names(names_given: &Value, causes: &mut Vec<Cause>) {
    for key in ["plural", "singular", "kind", "listKind"] {
        let value = names_given[key].as_str().unwrap_or_default();
        let path = format!("spec.names.{key}");
        if value.is_empty() {
            if key != "singular" {
                causes.push(Cause::required(path, ""));
            }
            continue;
        }
        let mixed = key.to_lowercase().ends_with("kind");
        let checked = if mixed { value.to_lowercase() } else { value.to_owned() };
        for problem in names::label_1035(&checked) {
            let problem = if mixed {
                format!("may have mixed case, but should otherwise match: {problem}")
            } else {
                problem
            };
            causes.push(Cause::invalid(path.clone(), &names_given[key], problem));
        }
    }
    for key in ["shortNames", "categories"] {
        for (at, name) in names_given[key].as_array().into_iter().flatten().enumerate() {
            for problem in names::label_1035(name.as_str().unwrap_or_default()) {
                causes.push(Cause::invalid(format!("spec.names.{key}[{at}]"), name, problem));
            }
        }
    }
    if names_given["listKind"].is_string() && names_given["listKind"] == names_given["kind"] {
        let text = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &names_given["listKind"], text));
    }
}

fn validate_change(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for path in ["scope", "group"] {
        if object["spec"][path] != old["spec"][path] {
            causes.push(Cause::invalid(
                format!("spec.{path}"),
                &object["spec"][path],
                "field is immutable",
            ));
        }
    }
    let (new, before) = (&object["spec"]["names"]["plural"], &old["spec"]["names"]["plural"]);
    if new != before {
        causes.push(Cause::invalid("spec.names.plural", new, "field is immutable"));
    }
}

/// A version without its schema, as Go prints the structs of this list.
fn shown(version: &Value) -> String {
    let flag = |key: &str| version[key].as_bool().unwrap_or_default();
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
        version["name"],
        flag("served"),
        flag("storage"),
        flag("deprecated"),
        version["deprecationWarning"],
    )
}

fn validate_versions(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let same = |key: &str| versions.windows(2).all(|pair| pair[0].get(key) == pair[1].get(key));
    let (same_schema, same_columns) = (same("schema"), same("additionalPrinterColumns"));
    let mut seen: Vec<&Value> = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{at}]");
        let name = version["name"].as_str().unwrap_or_default();
        for problem in names::label_1035(name) {
            causes.push(Cause::invalid(format!("{path}.name"), &version["name"], problem));
        }
        if seen.contains(&&version["name"]) {
            causes.push(Cause::invalid(
                "spec.versions",
                &version["name"],
                "must not contain duplicate version names",
            ));
        }
        seen.push(&version["name"]);
        let document = &version["schema"]["openAPIV3Schema"];
        if !document.is_object() {
            causes.push(Cause::required(format!("{path}.schema.openAPIV3Schema"), ""));
        } else if !same_schema || at == 0 {
            let path =
                if same_schema { "spec.validation".to_owned() } else { format!("{path}.schema") };
            validate_document(document, &format!("{path}.openAPIV3Schema"), causes);
        }
        if !same_columns || at == 0 {
            let path = if same_columns { "spec".to_owned() } else { path.clone() };
            validate_columns(version, &format!("{path}.additionalPrinterColumns"), causes);
        }
    }
    let has_defaults =
        versions.iter().any(|version| contains_default(&version["schema"]["openAPIV3Schema"]));
    if spec["preserveUnknownFields"] == true {
        if has_defaults {
            let text = "must be false in order to use defaults in the schema";
            causes.push(Cause::invalid("spec.preserveUnknownFields", &json!(true), text));
        }
        let text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid("spec.preserveUnknownFields", &json!(true), text));
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let list: Vec<String> = versions.iter().map(shown).collect();
        let text = format!(
            "Invalid value: [{}]: must have exactly one version marked as storage version",
            list.join(",")
        );
        causes.push(Cause::other("FieldValueInvalid", "spec.versions", text));
    }
    validate_stored(object, old, versions, causes);
}

fn validate_stored(
    object: &Value,
    _old: Option<&Value>,
    versions: &[Value],
    causes: &mut Vec<Cause>,
) {
    let stored = &object["status"]["storedVersions"];
    let list = stored.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        causes.push(Cause::invalid(
            "status.storedVersions",
            stored,
            "must have at least one stored version",
        ));
    }
    for (at, version) in list.iter().enumerate() {
        if !versions.iter().any(|one| one["name"] == *version) {
            let name = version.as_str().unwrap_or_default();
            let text = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            causes.push(Cause::invalid(format!("status.storedVersions[{at}]"), version, text));
        }
    }
}

fn contains_default(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.contains_key("default") && map.contains_key("type")
                || map.values().any(contains_default)
        }
        Value::Array(list) => list.iter().any(contains_default),
        _ => false,
    }
}

fn validate_columns(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, column) in
        version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate()
    {
        let path = format!("{path}[{at}]");
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        if text("name").is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        let kinds = ["boolean", "date", "integer", "number", "string"];
        if text("type").is_empty() {
            let list = "must be one of boolean,date,integer,number,string";
            causes.push(Cause::required(format!("{path}.type"), list));
        } else if !kinds.contains(&text("type")) {
            let list = "must be one of boolean,date,integer,number,string";
            causes.push(Cause::invalid(format!("{path}.type"), &column["type"], list));
        }
        let json_path = text("jsonPath");
        if json_path.is_empty() {
            causes.push(Cause::required(format!("{path}.JSONPath"), ""));
        } else if !json_path.starts_with('.')
            || json_path.matches('[').count() != json_path.matches(']').count()
        {
            let text = "must be a simple json path starting with .";
            causes.push(Cause::invalid(format!("{path}.JSONPath"), &column["jsonPath"], text));
        }
    }
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn validate_document(document: &Value, path: &str, causes: &mut Vec<Cause>) {
    match document["type"].as_str() {
        Some("object") => {}
        Some(_) => causes.push(Cause::invalid(
            format!("{path}.type"),
            &document["type"],
            "must be object at the root",
        )),
        None => {
            causes.push(Cause::required(format!("{path}.type"), "must not be empty at the root"))
        }
    }
    validate_level(document, path, true, causes);
}

/// Checks one level of a schema; `root` has its type checked already.
fn validate_level(schema: &Value, path: &str, root: bool, causes: &mut Vec<Cause>) {
    let flexible = schema["x-kubernetes-int-or-string"] == true
        || schema["x-kubernetes-preserve-unknown-fields"] == true;
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind.is_empty() && !root && !flexible {
        causes.push(Cause::required(
            format!("{path}.type"),
            "must not be empty for specified object fields",
        ));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(Cause::unsupported(
            format!("{path}.type"),
            &schema["type"],
            &TYPES.map(str::to_owned),
        ));
        return;
    }
    if kind == "array" && !schema["items"].is_object() {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    let both = schema["properties"].as_object().is_some_and(|map| !map.is_empty())
        && schema.get("additionalProperties").is_some_and(|value| !value.is_null());
    if both {
        let text = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(format!("{path}.additionalProperties"), text));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && regex::Regex::new(pattern).is_err()
    {
        let text = "must be a valid regular expression, but isn't: error parsing regexp";
        causes.push(Cause::invalid(format!("{path}.pattern"), &schema["pattern"], text));
    }
    if schema["uniqueItems"] == true {
        let text =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), text));
    }
    if schema["x-kubernetes-list-type"] == "map"
        && schema["x-kubernetes-list-map-keys"].as_array().is_none_or(Vec::is_empty)
    {
        let text = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(format!("{path}.x-kubernetes-list-map-keys"), text));
    }
    if let Some(default) = schema.get("default").filter(|value| !value.is_null()) {
        let mut found = Vec::new();
        let mut filled = default.clone();
        let parsed = Schema::read(schema);
        parsed.fill(&mut filled);
        check_value(&parsed, &filled, None, "", &mut found);
        for cause in found {
            let field = if cause.field.is_empty() {
                format!("{path}.default")
            } else {
                format!("{path}.default.{}", cause.field)
            };
            causes.push(Cause { field, ..cause });
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        // What every object has is not described by level.
        let implied = root && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
        if !implied {
            validate_level(inner, &format!("{path}.properties[{name}]"), false, causes);
        }
    }
    if schema["items"].is_object() {
        validate_level(&schema["items"], &format!("{path}.items"), false, causes);
    }
    if schema["additionalProperties"].is_object() {
        validate_level(
            &schema["additionalProperties"],
            &format!("{path}.additionalProperties"),
            false,
            causes,
        );
    }
}
