//! OpenAPI documents: what kubectl asks for before it applies, and what it explains.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::Api;
use super::kinds::{Resource, builtins, group_version, type_name};
use super::output::{self, Answer};
use super::request::Call;
use super::typed::{self, Field, Shape, Type};

/// `/openapi/v3`: where the documents are.
pub(super) fn index(api: &Api, call: &Call) -> Answer {
    let mut paths = BTreeMap::new();
    for (group, version) in group_versions(api) {
        let name = path_of(&group, &version);
        let hash = hash(api, &group, &version);
        paths.insert(
            name.clone(),
            json!({ "serverRelativeURL": format!("/openapi/v3/{name}?hash={hash}") }),
        );
    }
    let body = json!({ "paths": paths });
    let etag = hex::encode_upper(Sha256::digest(body.to_string().as_bytes()));
    if call.header("if-none-match").is_some_and(|given| given.trim_matches('"') == etag) {
        return output::not_modified(call, &etag);
    }
    let mut answer = output::document(call, 200, "text/plain; charset=utf-8", &body);
    output::tag(&mut answer, &etag);
    answer
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn group_versions(api: &Api) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = builtins().resources.keys().cloned().collect();
    for (group, versions) in api.custom().iter() {
        all.extend(versions.keys().map(|version| (group.clone(), version.clone())));
    }
    all
}

/// Tells one state of a document from another without writing it.
fn hash(api: &Api, group: &str, version: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(group_version(group, version));
    digest.update(env!("CARGO_PKG_VERSION"));
    if let Some(found) = api.custom().get(group).and_then(|versions| versions.get(version)) {
        for resource in found.values() {
            digest.update(&resource.kind);
            if let Some(custom) = resource.custom() {
                digest.update(custom.document.to_string());
            }
        }
    }
    hex::encode_upper(digest.finalize())
}

/// `/openapi/v3/<path>`: one document, or nothing when there is no such one.
pub(super) fn document(api: &Api, call: &Call, path: &str) -> Option<Answer> {
    let (group, version) =
        group_versions(api).into_iter().find(|(group, version)| path_of(group, version) == path)?;
    let current = hash(api, &group, &version);
    let given = call.query.get("hash").unwrap_or_default();
    if !given.is_empty() && given != current {
        let mut answer = output::bytes(call, 301, "text/html; charset=utf-8", Vec::new());
        if let Ok(value) = format!("/openapi/v3/{path}?hash={current}").parse() {
            answer.headers_mut().insert("location", value);
        }
        return Some(answer);
    }
    let resources: Vec<std::sync::Arc<Resource>> =
        match builtins().resources.get(&(group.clone(), version.clone())) {
            Some(found) => found.values().cloned().collect(),
            None => api.custom().get(&group)?.get(&version)?.values().cloned().collect(),
        };
    let body = write(&resources, &group, &version);
    let mut answer = output::bytes(call, 200, "application/json", format!("{body}\n").into_bytes());
    output::tag(&mut answer, &current);
    let headers = answer.headers_mut();
    headers.insert("vary", http::HeaderValue::from_static("Accept"));
    if !given.is_empty() {
        headers.insert("cache-control", http::HeaderValue::from_static("public, immutable"));
    }
    Some(answer)
}

fn write(resources: &[std::sync::Arc<Resource>], group: &str, version: &str) -> Value {
    let mut schemas =
        Schemas { prefix: "#/components/schemas/", done: BTreeMap::new(), open: BTreeSet::new() };
    let mut all_paths = BTreeMap::new();
    for resource in resources {
        paths(resource, &mut all_paths);
        match resource.builtin() {
            Some(t) => {
                schemas.open.insert(t.name.clone());
                schemas.kinds(t, resource);
            }
            None => schemas.custom(resource),
        }
        schemas.list(resource);
    }
    schemas.close();
    json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.36.0" },
        "paths": all_paths, "components": { "schemas": schemas.done },
        "x-group-version": group_version(group, version),
    })
}

/// The name of a kind's schema.
fn schema_name(resource: &Resource) -> String {
    match resource.builtin() {
        Some(t) => t.name.clone(),
        None => {
            let reversed: Vec<&str> = resource.group.split('.').rev().collect();
            format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
        }
    }
}

fn paths(resource: &Resource, out: &mut BTreeMap<String, Value>) {
    let base = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let kind =
        json!({ "group": resource.group, "version": resource.version, "kind": resource.kind });
    let reference = json!({ "$ref": format!("#/components/schemas/{}", schema_name(resource)) });
    let answer = json!({ "200": { "description": "OK", "content": { "application/json": { "schema": reference } } } });
    let operation = |action: &str| {
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation"]
            .into_iter()
            .filter(|_| !matches!(action, "get" | "list" | "delete" | "deletecollection"))
            .chain((action == "patch").then_some("force"))
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } }))
            .collect();
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind, "parameters": parameters,
            "responses": answer,
        })
    };
    let collection = format!("{base}{scope}/{}", resource.plural);
    if resource.traits.review {
        out.insert(collection, json!({ "post": operation("post") }));
        return;
    }
    out.insert(
        collection.clone(),
        json!({ "get": operation("list"), "post": operation("post"), "delete": operation("deletecollection") }),
    );
    let one = json!({
        "get": operation("get"), "put": operation("put"), "patch": operation("patch"), "delete": operation("delete"),
    });
    out.insert(format!("{collection}/{{name}}"), one);
    if resource.namespaced {
        out.insert(format!("{base}/{}", resource.plural), json!({ "get": operation("list") }));
    }
    for name in &resource.subresources {
        let body = json!({ "get": operation("get"), "put": operation("put"), "patch": operation("patch") });
        out.insert(format!("{collection}/{{name}}/{name}"), body);
    }
}

struct Schemas {
    prefix: &'static str,
    done: BTreeMap<String, Value>,
    open: BTreeSet<String>,
}

impl Schemas {
    /// Writes what is referred to and not yet written.
    fn close(&mut self) {
        while let Some(name) = self.open.pop_first() {
            if self.done.contains_key(&name) {
                continue;
            }
            if let Some(t) = typed::find(&name) {
                let schema = self.of_type(t);
                self.done.insert(name, schema);
            }
        }
    }

    fn kinds(&mut self, t: &'static Type, resource: &Resource) {
        let mut schema = self.of_type(t);
        let kind = json!([{ "group": resource.group, "version": resource.version, "kind": resource.kind }]);
        schema["x-kubernetes-group-version-kind"] = kind;
        for (name, text) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            schema["properties"][name] = json!({ "type": "string", "description": text });
        }
        self.done.insert(t.name.clone(), schema);
    }

    fn list(&mut self, resource: &Resource) {
        if resource.traits.review {
            return;
        }
        let item = json!({ "$ref": format!("{}{}", self.prefix, schema_name(resource)) });
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
        self.open.insert(meta.to_owned());
        let kind = json!([{ "group": resource.group, "version": resource.version, "kind": resource.list_kind }]);
        let list = json!({
            "type": "object", "required": ["items"], "x-kubernetes-group-version-kind": kind,
            "properties": {
                "apiVersion": { "type": "string", "description": API_VERSION },
                "kind": { "type": "string", "description": KIND },
                "items": { "type": "array", "items": item },
                "metadata": { "allOf": [{ "$ref": format!("{}{meta}", self.prefix) }] },
            }
        });
        let name = format!("{}List", schema_name(resource));
        self.done.insert(name, list);
    }

    fn of_type(&mut self, t: &'static Type) -> Value {
        let texts = typed::descriptions(&t.name);
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for (field, owner) in t.all_fields() {
            let text = if std::ptr::eq(owner, t) {
                texts.get(&field.name).cloned()
            } else {
                typed::descriptions(&owner.name).get(&field.name).cloned()
            };
            properties.insert(field.name.clone(), self.of_field(field, text.as_deref()));
            if !field.omit_empty() && !field.pointer() {
                required.push(field.name.clone());
            }
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if let Some(text) = texts.get("").filter(|text| !text.is_empty()) {
            schema["description"] = json!(text);
        }
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn of_field(&mut self, field: &'static Field, text: Option<&str>) -> Value {
        let mut schema = self.of_shape(&field.shape);
        if schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] });
            if !field.pointer() {
                schema["default"] = json!({});
            }
        }
        if let Some(text) = text {
            schema["description"] = json!(text);
        }
        if !field.strategy.is_empty() {
            schema["x-kubernetes-patch-strategy"] = json!(field.strategy);
        }
        if !field.merge_key.is_empty() {
            schema["x-kubernetes-patch-merge-key"] = json!(field.merge_key);
        }
        let (list, keys) = field.list_type();
        if !list.is_empty() && matches!(field.shape, Shape::List(_)) {
            schema["x-kubernetes-list-type"] = json!(list);
            if !keys.is_empty() {
                schema["x-kubernetes-list-map-keys"] = json!(keys);
            }
        }
        schema
    }

    fn of_shape(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::String | Shape::Duration | Shape::Quantity => json!({ "type": "string" }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Int32 => json!({ "type": "integer", "format": "int32" }),
            Shape::Int64 | Shape::Unsigned => json!({ "type": "integer", "format": "int64" }),
            Shape::Double => json!({ "type": "number", "format": "double" }),
            Shape::Bytes => json!({ "type": "string", "format": "byte" }),
            Shape::Time | Shape::MicroTime => json!({ "type": "string", "format": "date-time" }),
            Shape::IntOrString => {
                json!({ "oneOf": [{ "type": "integer" }, { "type": "string" }], "format": "int-or-string" })
            }
            Shape::Json | Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings => {
                json!({ "type": "object" })
            }
            Shape::List(element) => json!({ "type": "array", "items": self.of_shape(element) }),
            Shape::Map(element) => {
                json!({ "type": "object", "additionalProperties": self.of_shape(element) })
            }
            Shape::Struct(name) => {
                self.open.insert(name.clone());
                json!({ "$ref": format!("{}{name}", self.prefix) })
            }
        }
    }

    /// A custom resource's schema is the one of its CRD, with what every object has.
    fn custom(&mut self, resource: &Resource) {
        let Some(custom) = resource.custom() else { return };
        let mut schema = custom.document.clone();
        published(&mut schema);
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        schema["properties"]["apiVersion"] =
            json!({ "type": "string", "description": API_VERSION });
        schema["properties"]["kind"] = json!({ "type": "string", "description": KIND });
        self.open.insert(typed::OBJECT_META.to_owned());
        schema["properties"]["metadata"] = json!({
            "description": METADATA, "allOf": [{ "$ref": format!("{}{}", self.prefix, typed::OBJECT_META) }],
        });
        let kind = json!([{ "group": resource.group, "version": resource.version, "kind": resource.kind }]);
        schema["x-kubernetes-group-version-kind"] = kind;
        if !custom.selectable.is_empty() {
            let fields: Vec<Value> =
                custom.selectable.iter().map(|path| json!({ "fieldPath": path })).collect();
            schema["x-kubernetes-selectable-fields"] = Value::Array(fields);
        }
        self.done.insert(schema_name(resource), schema);
    }
}

/// What is published of a structural schema says in plain OpenAPI what its extensions mean.
fn published(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("x-kubernetes-int-or-string") == Some(&json!(true))
                && !map.contains_key("anyOf")
            {
                map.insert("anyOf".into(), json!([{ "type": "integer" }, { "type": "string" }]));
            }
            map.iter_mut()
                .filter(|(key, _)| !matches!(key.as_str(), "default" | "enum" | "example"))
                .for_each(|(_, inner)| published(inner));
        }
        Value::Array(list) => list.iter_mut().for_each(published),
        _ => {}
    }
}

/// `/openapi/v2`: the definitions of all kinds.
pub(super) fn swagger(api: &Api, call: &Call) -> Answer {
    let mut schemas =
        Schemas { prefix: "#/definitions/", done: BTreeMap::new(), open: BTreeSet::new() };
    for resource in builtins().resources.values().flat_map(BTreeMap::values) {
        if let Some(t) = typed::find(&type_name(&resource.group, &resource.version, &resource.kind))
        {
            schemas.kinds(t, resource);
            schemas.list(resource);
        }
    }
    for resource in api.custom().values().flat_map(BTreeMap::values).flat_map(BTreeMap::values) {
        schemas.custom(resource);
        schemas.list(resource);
    }
    schemas.close();
    let body = json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1.36.0" }, "paths": {},
        "definitions": schemas.done,
    });
    let text = format!("{body}\n");
    let etag = hex::encode_upper(Sha256::digest(text.as_bytes()));
    if call.header("if-none-match").is_some_and(|given| given.trim_matches('"') == etag) {
        return output::not_modified(call, &etag);
    }
    let mut answer = output::bytes(call, 200, "application/json", text.into_bytes());
    output::tag(&mut answer, &etag);
    answer
}

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
