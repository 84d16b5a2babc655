//! A CompassConnection against the schema of its definition (STAT-01).
//!
//! The API server checks the same at each write; this check counts on backends whose definition is
//! older or looser than ours.

use std::sync::LazyLock;

use serde_json::Value;

/// What is wrong with an object, when something is.
pub(super) fn complaint(object: &Value) -> Option<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let text =
            include_str!("../../fixtures/crds/compassconnections.compass.kyma-project.io.yaml");
        let definition: Value =
            serde_saphyr::from_str(text).expect("a test reads the shipped definition");
        definition.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default()
    });
    // The object's own metadata is Kubernetes's business.
    let schema = SCHEMA.get("properties")?;
    ["spec", "status"].into_iter().find_map(|part| {
        let (schema, value) = (schema.get(part)?, object.get(part)?);
        check(schema, value, part)
    })
}

/// The part of OpenAPI that structural schemas of this definition use.
fn check(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if value.is_null() {
        let nullable = schema.get("nullable") == Some(&Value::Bool(true));
        return (!nullable).then(|| format!("`{path}` is null"));
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    if !fits {
        return Some(format!("`{path}` is no {kind}"));
    }
    if let (Some("date-time"), Some(text)) =
        (schema.get("format").and_then(Value::as_str), value.as_str())
        && text.parse::<jiff::Timestamp>().is_err()
    {
        return Some(format!("`{path}` is no time: `{text}`"));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        return Some(format!("`{path}` is {value}"));
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let missing = required.filter_map(Value::as_str).find(|key| value.get(key).is_none());
    if let Some(key) = missing {
        return Some(format!("`{path}.{key}` is missing"));
    }
    if let (Some(properties), Some(fields)) =
        (schema.get("properties").and_then(Value::as_object), value.as_object())
    {
        let inside = fields
            .iter()
            .find_map(|(key, value)| check(properties.get(key)?, value, &format!("{path}.{key}")));
        if inside.is_some() {
            return inside;
        }
    }
    let items = schema.get("items").zip(value.as_array());
    items.and_then(|(schema, items)| {
        items.iter().enumerate().find_map(|(n, item)| check(schema, item, &format!("{path}.{n}")))
    })
}
