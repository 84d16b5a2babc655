//! Custom resources: what a CustomResourceDefinition says, in the form that requests need.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::{Resource, Source, Traits};
use super::schema::Schema;
use super::typed::Node;

/// One served version of a CustomResourceDefinition.
#[derive(Debug)]
pub(super) struct Custom {
    pub(super) schema: Schema,
    /// `openAPIV3Schema` as it was given.
    pub(super) document: Value,
    pub(super) node: Arc<Node>,
    pub(super) status: bool,
    pub(super) scale: Option<Scale>,
    pub(super) columns: Vec<Column>,
    /// Paths that field selectors may use, without the leading dot.
    pub(super) selectable: Vec<String>,
    /// A text that goes with every answer of a deprecated version.
    pub(super) warning: Option<String>,
    /// The CRD is being deleted: nothing may be created any more.
    pub(super) terminating: bool,
    /// The schema has changed, so what is stored may lack defaults.
    pub(super) fill_on_read: bool,
}

/// Where the scale subresource finds its numbers.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) spec: Vec<String>,
    pub(super) status: Vec<String>,
    pub(super) selector: Option<Vec<String>>,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
    pub(super) path: String,
}

/// The served versions of one group, by name of version and plural.
pub(super) type Versions = BTreeMap<String, BTreeMap<String, Arc<Resource>>>;

/// Reads the served versions of a CRD that is established (or once was).
pub(super) fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let words = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let collection: Arc<str> = format!("{group}/{plural}").into();
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["served"] == true)
        .map(|version| {
            let custom = read_version(definition, version, &text(&names["kind"]));
            let mut subresources = Vec::new();
            if custom.status {
                subresources.push("status".to_owned());
            }
            if custom.scale.is_some() {
                subresources.push("scale".to_owned());
            }
            Resource {
                group: group.clone(),
                version: text(&version["name"]),
                kind: text(&names["kind"]),
                list_kind: text(&names["listKind"]),
                plural: plural.clone(),
                singular: text(&names["singular"]),
                namespaced: spec["scope"] == "Namespaced",
                short_names: words(&names["shortNames"]),
                categories: words(&names["categories"]),
                subresources,
                collection: Arc::clone(&collection),
                traits: Traits { generation: true, version_required: true, ..Traits::default() },
                source: Source::Custom(Arc::new(custom)),
                head: std::sync::OnceLock::new(),
            }
        })
        .collect()
}

fn read_version(definition: &Value, version: &Value, kind: &str) -> Custom {
    let document = version["schema"]["openAPIV3Schema"].clone();
    let schema = Schema::read(&document);
    let node = Arc::new(schema.root_node());
    let path = |value: &Value| {
        value.as_str().map(|text| {
            text.trim_start_matches('.').split('.').map(str::to_owned).collect::<Vec<_>>()
        })
    };
    let scale = version["subresources"].get("scale").map(|scale| Scale {
        spec: path(&scale["specReplicasPath"]).unwrap_or_default(),
        status: path(&scale["statusReplicasPath"]).unwrap_or_default(),
        selector: path(&scale["labelSelectorPath"]),
    });
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let name = version["name"].as_str().unwrap_or_default();
    let warning = (version["deprecated"] == true).then(|| {
        let own = version["deprecationWarning"].as_str().map(str::to_owned);
        own.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"))
    });
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    Custom {
        schema,
        document,
        node,
        status: version["subresources"].get("status").is_some(),
        scale,
        columns: columns(version),
        selectable: selectable
            .filter_map(|field| field["jsonPath"].as_str())
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect(),
        warning,
        terminating: conditions
            .into_iter()
            .any(|c| c["type"] == "Terminating" && c["status"] == "True"),
        fill_on_read: definition["metadata"]["generation"].as_i64().unwrap_or(1) > 1,
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let given = version["additionalPrinterColumns"].as_array().map_or(&[][..], Vec::as_slice);
    if given.is_empty() {
        return vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: AGE.into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    given
        .iter()
        .map(|column| {
            let path = text(&column["jsonPath"]);
            let described = column["description"].as_str().filter(|text| !text.is_empty());
            Column {
                name: text(&column["name"]),
                kind: text(&column["type"]),
                format: text(&column["format"]),
                description: described.map_or_else(
                    || format!("Custom resource definition column (in JSONPath format): {path}"),
                    str::to_owned,
                ),
                priority: column["priority"].as_i64().unwrap_or(0),
                path,
            }
        })
        .collect()
}

/// What the Age column says of itself.
pub(super) const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
