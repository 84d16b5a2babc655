//! How values are merged and owned field by field: the merge schema of built-in types and of custom resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Field, Shape, Type, find};

/// The merge behaviour of one value (structured-merge-diff's schema).
#[derive(Debug)]
pub(in super::super) enum Node {
    Scalar,
    /// Nothing is known: maps are merged by key, lists are one value.
    Untyped,
    /// A map or list that is one value.
    Atomic,
    /// Declared fields; `rest` is what other keys hold, where other keys are allowed.
    Struct {
        fields: BTreeMap<String, Arc<Self>>,
        rest: Option<Arc<Self>>,
    },
    Map(Arc<Self>),
    Set,
    /// A list whose elements are found by these keys (with the key's default).
    Keyed {
        keys: Vec<(String, Option<Value>)>,
        element: Arc<Self>,
    },
    /// A type of the table; resolved when reached, since types may contain themselves.
    Named(&'static Type),
}

impl Node {
    /// The node itself, with a name looked up.
    pub(in super::super) fn resolve(&self) -> &Self {
        match self {
            Self::Named(t) => t.node(),
            other => other,
        }
    }
}

pub(super) fn of_type(t: &'static Type) -> Node {
    if t.atomic {
        return Node::Atomic;
    }
    let mut fields = BTreeMap::new();
    for (field, _) in t.all_fields() {
        fields.insert(field.name.clone(), Arc::new(of_field(field)));
    }
    if fields.contains_key("metadata") {
        // Only whole objects have metadata of their own; pod templates do not mind two fields more.
        fields.insert("apiVersion".into(), Arc::new(Node::Scalar));
        fields.insert("kind".into(), Arc::new(Node::Scalar));
    }
    Node::Struct { fields, rest: None }
}

fn of_field(field: &'static Field) -> Node {
    match (&field.shape, field.list.as_str()) {
        (Shape::List(_) | Shape::Map(_) | Shape::Struct(_), "atomic") => Node::Atomic,
        (Shape::List(_), "set") => Node::Set,
        (Shape::List(element), "map") => Node::Keyed {
            keys: field.map_keys.iter().map(|key| (key.clone(), default_of_key(key))).collect(),
            element: Arc::new(of_shape(element)),
        },
        (shape, _) => of_shape(shape),
    }
}

fn of_shape(shape: &'static Shape) -> Node {
    match shape {
        Shape::Struct(name) => find(name).map_or(Node::Untyped, Node::Named),
        Shape::Map(element) => Node::Map(Arc::new(of_shape(element))),
        Shape::List(_) => Node::Atomic,
        Shape::Json | Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings => {
            Node::Untyped
        }
        _ => Node::Scalar,
    }
}

/// The only key of a list in the built-in types that has a default.
fn default_of_key(key: &str) -> Option<Value> {
    (key == "protocol").then(|| json!("TCP"))
}
