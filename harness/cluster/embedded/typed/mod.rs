//! The types of the built-in kinds: a table taken from the Go types of Kubernetes, and what reads and writes by it.
//!
//! `kinds.jsonl` and `descriptions.jsonl` are written by `generate/main.go` from `k8s.io/api` (Apache-2.0); one line is
//! one type. Lines are read when their type is first used, so that start-up costs nothing.

mod decode;
mod node;
mod protobuf;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) use decode::{decode, seconds};
pub(super) use node::Node;
pub(super) use protobuf::{Reader, decode_message, encode_message, put_bytes};

const KINDS: &str = include_str!("kinds.jsonl");
const DESCRIPTIONS: &str = include_str!("descriptions.jsonl");

/// Name of the type of every object's metadata.
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// One struct of the Kubernetes API.
#[derive(Debug, Deserialize)]
pub(super) struct Type {
    pub(super) name: String,
    /// Name in Go, which messages of its JSON decoder carry.
    pub(super) go: String,
    /// The struct is merged as a whole.
    #[serde(default)]
    atomic: bool,
    pub(super) fields: Vec<Field>,
    #[serde(skip)]
    index: OnceLock<HashMap<String, (&'static Field, &'static Self)>>,
    #[serde(skip)]
    node: OnceLock<Arc<Node>>,
}

/// One field of a [`Type`].
#[derive(Debug, Deserialize)]
pub(super) struct Field {
    /// JSON name; empty for a struct whose fields stand in its parent.
    #[serde(rename = "n")]
    pub(super) name: String,
    /// Protobuf field number; 0 where the field has none.
    #[serde(rename = "t", default)]
    pub(super) tag: u32,
    #[serde(rename = "y")]
    pub(super) shape: Shape,
    #[serde(rename = "f", default)]
    flags: String,
    #[serde(rename = "m", default)]
    pub(super) strategy: String,
    #[serde(rename = "k", default)]
    pub(super) merge_key: String,
    #[serde(rename = "l", default)]
    list: String,
    #[serde(rename = "lk", default)]
    map_keys: Vec<String>,
    #[serde(rename = "g", default)]
    go: String,
}

impl Field {
    pub(super) fn pointer(&self) -> bool {
        self.flags.contains('p')
    }
    pub(super) fn omit_empty(&self) -> bool {
        self.flags.contains('o')
    }
    fn omit_zero(&self) -> bool {
        self.flags.contains('z')
    }
    pub(super) fn inline(&self) -> bool {
        self.flags.contains('i')
    }
    /// How a list is merged, and by which keys.
    pub(super) fn list_type(&self) -> (&str, &[String]) {
        (&self.list, &self.map_keys)
    }
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum Shape {
    String,
    Bool,
    Int32,
    Int64,
    Unsigned,
    Double,
    Bytes,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    /// Any JSON: RawExtension, FieldsV1, JSON.
    Json,
    SchemaOrBool,
    SchemaOrArray,
    SchemaOrStrings,
    List(Box<Self>),
    Map(Box<Self>),
    Struct(String),
}

impl From<String> for Shape {
    fn from(text: String) -> Self {
        match text.as_str() {
            "string" => Self::String,
            "bool" => Self::Bool,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint" => Self::Unsigned,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "time" => Self::Time,
            "microtime" => Self::MicroTime,
            "duration" => Self::Duration,
            "quantity" => Self::Quantity,
            "intorstring" => Self::IntOrString,
            "raw" | "fields" | "json" => Self::Json,
            "schemaorbool" => Self::SchemaOrBool,
            "schemaorarray" => Self::SchemaOrArray,
            "schemaorstrings" => Self::SchemaOrStrings,
            other => match (other.strip_prefix('['), other.strip_prefix('{')) {
                (Some(inner), _) => {
                    Self::List(Box::new(Self::from(inner.trim_end_matches(']').to_owned())))
                }
                (_, Some(inner)) => {
                    let inner = inner.strip_suffix('}').unwrap_or(inner);
                    Self::Map(Box::new(Self::from(inner.to_owned())))
                }
                _ => Self::Struct(other.to_owned()),
            },
        }
    }
}

/// A line of the table, and the type in it once somebody asked for it.
type Line = (&'static str, OnceLock<Option<Type>>);

/// The type of that name.
pub(super) fn find(name: &str) -> Option<&'static Type> {
    static LINES: OnceLock<HashMap<&'static str, Line>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let mut map = HashMap::new();
        for line in KINDS.lines() {
            let name = line.strip_prefix("{\"name\":\"").and_then(|rest| rest.split('"').next());
            if let Some(name) = name {
                map.insert(name, (line, OnceLock::new()));
            }
        }
        map
    });
    let (line, parsed) = lines.get(name)?;
    parsed.get_or_init(|| serde_json::from_str(line).ok()).as_ref()
}

/// The descriptions of a type's fields (`""` is the type's own), for OpenAPI.
pub(super) fn descriptions(name: &str) -> BTreeMap<String, String> {
    static LINES: OnceLock<HashMap<&'static str, &'static str>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let name = |line: &'static str| {
            line.split("\"$\":\"").nth(1).and_then(|rest| rest.split('"').next())
        };
        DESCRIPTIONS.lines().filter_map(|line| name(line).map(|name| (name, line))).collect()
    });
    lines.get(name).and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

impl Type {
    /// The field of a JSON name, also one of an inlined struct, with the struct that declares it.
    pub(super) fn field(&'static self, name: &str) -> Option<(&'static Field, &'static Self)> {
        self.index
            .get_or_init(|| self.all_fields().map(|(f, t)| (f.name.clone(), (f, t))).collect())
            .get(name)
            .copied()
    }

    /// Every JSON field, inlined structs dissolved.
    pub(super) fn all_fields(
        &'static self,
    ) -> Box<dyn Iterator<Item = (&'static Field, &'static Self)>> {
        Box::new(self.fields.iter().flat_map(move |field| match (&field.shape, field.inline()) {
            (Shape::Struct(name), true) => match find(name) {
                Some(inner) => inner.all_fields(),
                None => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = _>>,
            },
            _ => Box::new(std::iter::once((field, self))),
        }))
    }

    /// How objects of this type are merged.
    pub(super) fn node(&'static self) -> &'static Arc<Node> {
        self.node.get_or_init(|| Arc::new(node::of_type(self)))
    }

    /// What Go's zero value of this struct looks like as JSON: fields without `omitempty` are there.
    pub(super) fn zero(&'static self) -> Value {
        let mut map = Map::new();
        for (field, _) in self.all_fields() {
            let value = match &field.shape {
                _ if field.omit_zero() => None,
                Shape::Struct(name) if !field.pointer() => find(name).map(Self::zero),
                // A time is a struct to Go, and never empty.
                Shape::Time | Shape::MicroTime if !field.pointer() => Some(Value::Null),
                _ if field.omit_empty() => None,
                _ if field.pointer() => Some(Value::Null),
                Shape::String => Some(json!("")),
                Shape::Bool => Some(json!(false)),
                Shape::Int32 | Shape::Int64 | Shape::Unsigned | Shape::Double => Some(json!(0)),
                Shape::Quantity => Some(json!("0")),
                _ => Some(Value::Null),
            };
            if let Some(value) = value {
                map.insert(field.name.clone(), value);
            }
        }
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_type_whose_references_exist() {
        for line in KINDS.lines() {
            let parsed: Type = serde_json::from_str(line).expect("a type");
            for field in &parsed.fields {
                let mut shape = &field.shape;
                while let Shape::List(inner) | Shape::Map(inner) = shape {
                    shape = inner;
                }
                if let Shape::Struct(name) = shape {
                    assert!(find(name).is_some(), "{}.{} is a {name}", parsed.name, field.name);
                }
            }
        }
    }

    #[test]
    fn the_zero_value_shows_what_go_shows() {
        let pod = find("io.k8s.api.core.v1.PodSpec").expect("in the table");
        assert_eq!(pod.zero(), json!({ "containers": null }));
    }
}
