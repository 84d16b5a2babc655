//! Structural schemas of custom resources: what is kept, what is filled in, how objects are merged.

mod formats;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::json::Path;
use super::typed::{self, Node};

pub(super) use validate::{list_types, validate, validate_object};

/// One level of a structural schema.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) nullable: bool,
    pub(super) int_or_string: bool,
    pub(super) preserve: bool,
    pub(super) embedded: bool,
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) additional: Option<Additional>,
    pub(super) items: Option<Box<Self>>,
    pub(super) list_type: String,
    pub(super) map_keys: Vec<String>,
    pub(super) map_type: String,
    pub(super) default: Option<Value>,
    pub(super) rules: Rules,
}

/// `additionalProperties`.
#[derive(Debug)]
pub(super) enum Additional {
    Any,
    Schema(Box<Schema>),
}

/// What values must satisfy.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) required: Vec<String>,
    pub(super) allowed: Vec<Value>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) pattern: Option<(String, Option<Regex>)>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) all_of: Vec<Schema>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) not: Option<Box<Schema>>,
}

impl Schema {
    /// Reads `openAPIV3Schema`.
    pub(super) fn read(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| value[key].as_bool().unwrap_or_default();
        let strings = |key: &str| -> Vec<String> {
            let list = value[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let schema =
            |key: &str| value.get(key).filter(|v| v.is_object()).map(|v| Box::new(Self::read(v)));
        let properties = value["properties"].as_object().into_iter().flatten();
        Self {
            kind: text("type"),
            format: text("format"),
            nullable: flag("nullable"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            properties: properties.map(|(name, value)| (name.clone(), Self::read(value))).collect(),
            additional: match &value["additionalProperties"] {
                Value::Bool(true) => Some(Additional::Any),
                schema @ Value::Object(_) => Some(Additional::Schema(Box::new(Self::read(schema)))),
                _ => None,
            },
            items: schema("items"),
            list_type: text("x-kubernetes-list-type"),
            map_keys: strings("x-kubernetes-list-map-keys"),
            map_type: text("x-kubernetes-map-type"),
            default: value.get("default").cloned(),
            rules: Rules::read(value),
        }
    }

    /// Removes what the schema does not know and notes the paths.
    fn prune(&self, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.retain(|key, value| {
                    let at = Path::Key(&path, key);
                    let implied =
                        self.embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata");
                    match (self.properties.get(key), &self.additional) {
                        (Some(schema), _) => schema.prune(value, at, unknown),
                        (None, Some(Additional::Schema(schema))) => {
                            schema.prune(value, at, unknown)
                        }
                        (None, Some(Additional::Any)) => {}
                        (None, None) if self.preserve || implied => {}
                        (None, None) => {
                            unknown.push(at.to_string());
                            return false;
                        }
                    }
                    true
                });
            }
            Value::Array(list) => {
                if let Some(schema) = &self.items {
                    for (index, value) in list.iter_mut().enumerate() {
                        schema.prune(value, Path::Index(&path, index), unknown);
                    }
                }
            }
            _ => {}
        }
    }

    /// Drops nulls where nothing may be null, then fills in defaults inside objects that are there.
    pub(super) fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, value| {
                    let schema = match (self.properties.get(key), &self.additional) {
                        (Some(schema), _) => schema,
                        (None, Some(Additional::Schema(schema))) => schema,
                        _ => return true,
                    };
                    !value.is_null() || schema.nullable
                });
                for (name, schema) in &self.properties {
                    if let Some(default) = &schema.default
                        && !map.contains_key(name)
                    {
                        map.insert(name.clone(), default.clone());
                    }
                }
                for (key, value) in map.iter_mut() {
                    match (self.properties.get(key), &self.additional) {
                        (Some(schema), _) => schema.fill(value),
                        (None, Some(Additional::Schema(schema))) => schema.fill(value),
                        _ => {}
                    }
                }
            }
            Value::Array(list) => {
                if let Some(schema) = &self.items {
                    for value in list {
                        if value.is_null()
                            && !schema.nullable
                            && let Some(default) = &schema.default
                        {
                            *value = default.clone();
                        }
                        schema.fill(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// How values are merged and owned.
    pub(super) fn node(&self) -> Node {
        match self.kind.as_str() {
            "object" if self.map_type == "atomic" => Node::Atomic,
            "object" => self.object_node(),
            "array" => {
                let element = self.items.as_deref();
                match self.list_type.as_str() {
                    "set" => Node::Set,
                    "map" => Node::Keyed {
                        keys: self
                            .map_keys
                            .iter()
                            .map(|key| (key.clone(), self.default_of(key)))
                            .collect(),
                        element: Arc::new(element.map_or(Node::Untyped, Self::node)),
                    },
                    _ => Node::Atomic,
                }
            }
            "" if self.preserve => self.object_node(),
            "" if self.int_or_string => Node::Scalar,
            "" => Node::Untyped,
            _ => Node::Scalar,
        }
    }

    fn default_of(&self, key: &str) -> Option<Value> {
        self.items.as_ref()?.properties.get(key)?.default.clone()
    }

    fn object_node(&self) -> Node {
        let fields: BTreeMap<String, Arc<Node>> = self
            .properties
            .iter()
            .map(|(name, schema)| (name.clone(), Arc::new(schema.node())))
            .collect();
        let rest = match &self.additional {
            Some(Additional::Schema(schema)) => Some(Arc::new(schema.node())),
            Some(Additional::Any) => Some(Arc::new(Node::Untyped)),
            None => self.preserve.then(|| Arc::new(Node::Untyped)),
        };
        match rest {
            Some(element) if fields.is_empty() && !self.preserve => Node::Map(element),
            rest => Node::Struct { fields, rest },
        }
    }

    /// The merge behaviour of a whole object: the schema plus what every object has.
    pub(super) fn root_node(&self) -> Node {
        let meta = typed::find(typed::OBJECT_META).map_or(Node::Untyped, Node::Named);
        let (mut fields, rest) = match self.object_node() {
            Node::Struct { fields, rest } => (fields, rest),
            _ => (BTreeMap::new(), Some(Arc::new(Node::Untyped))),
        };
        fields.insert("apiVersion".into(), Arc::new(Node::Scalar));
        fields.insert("kind".into(), Arc::new(Node::Scalar));
        fields.insert("metadata".into(), Arc::new(meta));
        Node::Struct { fields, rest }
    }
}

impl Rules {
    fn read(value: &Value) -> Self {
        let list = |key: &str| -> Vec<Schema> {
            value[key].as_array().into_iter().flatten().map(Schema::read).collect()
        };
        let flag = |key: &str| value[key].as_bool().unwrap_or_default();
        let count = |key: &str| value[key].as_u64();
        Self {
            required: value["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            allowed: value["enum"].as_array().cloned().unwrap_or_default(),
            minimum: value["minimum"].as_f64(),
            maximum: value["maximum"].as_f64(),
            exclusive_minimum: flag("exclusiveMinimum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: value["multipleOf"].as_f64(),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            // A pattern that cannot be read is refused when the CRD comes; here it matches nothing.
            pattern: value["pattern"].as_str().map(|text| (text.to_owned(), Regex::new(text).ok())),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag("uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: value.get("not").filter(|v| v.is_object()).map(|v| Box::new(Schema::read(v))),
        }
    }
}

/// A path and one more key.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Prunes and fills a whole object; `apiVersion`, `kind` and `metadata` are every object's.
pub(super) fn shape(schema: &Schema, object: &mut Map<String, Value>, unknown: &mut Vec<String>) {
    let kept: Vec<(String, Value)> = ["apiVersion", "kind", "metadata"]
        .into_iter()
        .filter_map(|key| object.remove_entry(key))
        .collect();
    let mut rest = Value::Object(std::mem::take(object));
    schema.prune(&mut rest, Path::Root, unknown);
    fill(schema, &mut rest);
    if let Value::Object(map) = rest {
        *object = map;
    }
    object.extend(kept);
}

/// Fills a whole object but what every object has.
fn fill(schema: &Schema, rest: &mut Value) {
    schema.fill(rest);
    if let Value::Object(map) = rest {
        // A schema may declare these with defaults of its own; they are not its to fill.
        map.retain(|key, _| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn widget() -> Schema {
        Schema::read(
            &json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": {
            "mode": { "type": "string", "default": "auto" },
            "note": { "type": "string", "nullable": true },
            "hard": { "type": "string" },
            "nested": { "type": "object", "default": { "a": "x" }, "properties": {
                "a": { "type": "string" }, "b": { "type": "integer", "default": 7 } } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
        } } } }),
        )
    }

    fn shaped(value: Value) -> (Value, Vec<String>) {
        let Value::Object(mut object) = value else { panic!("an object") };
        let mut unknown = Vec::new();
        shape(&widget(), &mut object, &mut unknown);
        (Value::Object(object), unknown)
    }

    #[test]
    fn defaults_go_into_objects_that_are_there_only() {
        assert_eq!(shaped(json!({})).0, json!({}));
        assert_eq!(
            shaped(json!({ "spec": {} })).0,
            json!({ "spec": { "mode": "auto", "nested": { "a": "x", "b": 7 } } })
        );
        assert_eq!(
            shaped(json!({ "spec": { "nested": {} } })).0["spec"]["nested"],
            json!({ "b": 7 })
        );
    }

    #[test]
    fn nulls_stay_where_they_may_and_give_way_to_defaults_elsewhere() {
        let (object, _) = shaped(json!({ "spec": { "note": null, "hard": null, "mode": null } }));
        assert_eq!(
            object,
            json!({ "spec": { "note": null, "mode": "auto", "nested": { "a": "x", "b": 7 } } })
        );
    }

    #[test]
    fn unknown_fields_are_dropped_and_named() {
        let (object, unknown) =
            shaped(json!({ "spec": { "bogus": 1, "free": { "any": [1] } }, "top": 1 }));
        assert_eq!(object["spec"]["free"], json!({ "any": [1] }));
        assert_eq!(object["spec"].get("bogus"), None);
        assert_eq!(unknown, ["spec.bogus", "top"]);
    }
}
