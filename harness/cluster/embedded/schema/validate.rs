//! Checks values against a structural schema, with the causes that kube-apiserver gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::status::Cause;
use super::formats;
use super::{Additional, Schema, join};

/// Checks a whole object; its metadata is checked by rules of its own.
pub(in super::super) fn validate_object(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    check(schema, value, old, "", true, causes);
}

/// Checks a value. Where `old` is the same value, it was accepted before and stays accepted.
pub(in super::super) fn validate(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    check(schema, value, old, path, false, causes);
}

fn check(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    root: bool,
    causes: &mut Vec<Cause>,
) {
    if old == Some(value) || value.is_null() && schema.nullable {
        return;
    }
    if !check_type(schema, value, path, causes) {
        return;
    }
    check_rules(schema, value, path, causes);
    match value {
        Value::Object(map) => {
            check_counts(
                map.len(),
                (schema.rules.min_properties, schema.rules.max_properties),
                "properties",
                path,
                value,
                causes,
            );
            for name in &schema.rules.required {
                if !map.contains_key(name) {
                    causes.push(Cause::required(join(path, name), ""));
                }
            }
            for (key, value) in map.iter().filter(|(key, _)| !(root && *key == "metadata")) {
                let old = old.and_then(|old| old.get(key));
                match (schema.properties.get(key), &schema.additional) {
                    (Some(inner), _) => validate(inner, value, old, &join(path, key), causes),
                    (None, Some(Additional::Schema(inner))) => {
                        validate(inner, value, old, &join(path, key), causes)
                    }
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            check_counts(
                list.len(),
                (schema.rules.min_items, schema.rules.max_items),
                "items",
                path,
                value,
                causes,
            );
            if let Some(inner) = &schema.items {
                let before = by_keys(schema, old);
                for (index, value) in list.iter().enumerate() {
                    let old = before.get(&keys_of(schema, value)).copied();
                    validate(inner, value, old, &format!("{path}[{index}]"), causes);
                }
            }
        }
        _ => {}
    }
}

/// The elements of the old list by their keys, where the list has any.
fn by_keys<'a>(schema: &Schema, old: Option<&'a Value>) -> BTreeMap<String, &'a Value> {
    let list = old.and_then(Value::as_array).filter(|_| schema.list_type == "map");
    list.into_iter().flatten().map(|value| (keys_of(schema, value), value)).collect()
}

fn keys_of(schema: &Schema, value: &Value) -> String {
    let keys: Vec<String> = schema
        .map_keys
        .iter()
        .map(|key| value.get(key).unwrap_or(&Value::Null).to_string())
        .collect();
    keys.join(",")
}

fn check_type(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let found = type_name(value);
    let expected = if schema.int_or_string { "integer,string" } else { schema.kind.as_str() };
    let fits = match expected {
        "" => true,
        "number" => matches!(found, "integer" | "number"),
        "integer,string" => matches!(found, "integer" | "string"),
        other => other == found,
    };
    if fits {
        return true;
    }
    causes.push(mismatch(path, expected, found));
    let number = value.as_f64().filter(|_| expected == "integer");
    if let Some(number) = number {
        let of = if schema.format.is_empty() {
            " (default format)".into()
        } else {
            format!(" with format {}", schema.format)
        };
        causes.push(unchecked(format!("integer{of}"), path));
        check_range(schema, number, path, value, causes);
    }
    false
}

fn mismatch(path: &str, expected: &str, found: &str) -> Cause {
    let text =
        format!("Invalid value: {found:?}: {path} in body must be of type {expected}: {found:?}");
    Cause::other("FieldValueTypeInvalid", path, text)
}

/// An odd cause of the real server, for numbers that do not fit their type.
fn unchecked(of: String, path: &str) -> Cause {
    Cause::other(
        "FieldValueInvalid",
        "<nil>",
        format!("Invalid value: \"\": Checked value must be of type {of} in {path}"),
    )
}

fn check_rules(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let rules = &schema.rules;
    if !rules.allowed.is_empty() && !rules.allowed.contains(value) {
        let supported: Vec<String> = rules
            .allowed
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect();
        causes.push(Cause::unsupported(path, value, &supported));
    }
    match value {
        Value::String(text) => check_string(schema, text, path, value, causes),
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                check_integer_format(schema, number, path, value, causes);
                check_range(schema, number, path, value, causes);
            }
        }
        Value::Array(list)
            if rules.unique_items
                && list.iter().enumerate().any(|(at, one)| list[..at].contains(one)) =>
        {
            causes.push(Cause::invalid(
                path,
                value,
                format!("{path} in body shouldn't contain duplicates"),
            ));
        }
        _ => {}
    }
    check_junctors(schema, value, path, causes);
}

fn check_string(schema: &Schema, text: &str, path: &str, value: &Value, causes: &mut Vec<Cause>) {
    let rules = &schema.rules;
    let length = text.chars().count() as u64;
    if let Some(limit) = rules.max_length.filter(|limit| length > *limit) {
        causes.push(Cause::too_long(path, limit));
    }
    if let Some(limit) = rules.min_length.filter(|limit| length < *limit) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body should be at least {limit} chars long"),
        ));
    }
    if let Some((pattern, regex)) = &rules.pattern
        && !regex.as_ref().is_some_and(|regex| regex.is_match(text))
    {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body should match '{pattern}'"),
        ));
    }
    if !schema.format.is_empty() && !formats::fits(&schema.format, text) {
        let message = format!(
            "Invalid value: {}: {path} in body must be of type {}: {}",
            json!(text),
            schema.format,
            json!(text)
        );
        causes.push(Cause::other("FieldValueTypeInvalid", path, message));
    }
}

fn check_integer_format(
    schema: &Schema,
    number: f64,
    path: &str,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    if schema.kind == "integer" && schema.format == "int32" {
        let (low, high) = (f64::from(i32::MIN), f64::from(i32::MAX));
        if number < low || number > high {
            causes.push(unchecked("integer with format int32".into(), path));
            let text = if number > high {
                format!("should be less than or equal to {}", i32::MAX)
            } else {
                format!("should be greater than or equal to {}", i32::MIN)
            };
            causes.push(Cause::invalid(format!(".{path}"), value, text));
        }
    }
}

fn check_range(schema: &Schema, number: f64, path: &str, value: &Value, causes: &mut Vec<Cause>) {
    let rules = &schema.rules;
    let shown = &go_number(value, number);
    if let Some(limit) = rules.maximum {
        let (outside, than) = if rules.exclusive_maximum {
            (number >= limit, "")
        } else {
            (number > limit, " or equal to")
        };
        if outside {
            causes.push(shown_invalid(
                path,
                shown,
                format!("{path} in body should be less than{than} {}", go_float(limit)),
            ));
        }
    }
    if let Some(limit) = rules.minimum {
        let (outside, than) = if rules.exclusive_minimum {
            (number <= limit, "")
        } else {
            (number < limit, " or equal to")
        };
        if outside {
            causes.push(shown_invalid(
                path,
                shown,
                format!("{path} in body should be greater than{than} {}", go_float(limit)),
            ));
        }
    }
    if let Some(factor) = rules.multiple_of
        && (number / factor).fract() != 0.0
    {
        causes.push(shown_invalid(
            path,
            shown,
            format!("{path} in body should be a multiple of {}", go_float(factor)),
        ));
    }
}

fn shown_invalid(path: &str, shown: &str, detail: String) -> Cause {
    Cause::other("FieldValueInvalid", path, format!("Invalid value: {shown}: {detail}"))
}

/// A number as Go prints it.
fn go_number(value: &Value, number: f64) -> String {
    match value {
        Value::Number(n) if n.is_i64() => n.to_string(),
        _ => go_float(number),
    }
}

fn go_float(number: f64) -> String {
    if number.abs() >= 1e21 || number.fract() == 0.0 && number.abs() >= 1e15 {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{mantissa}e+{exponent}");
    }
    format!("{number}")
}

fn check_counts(
    count: usize,
    (least, most): (Option<u64>, Option<u64>),
    what: &str,
    path: &str,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    let count = count as u64;
    if let Some(limit) = most.filter(|limit| count > *limit) {
        let text = format!("Too many: {count}: must have at most {limit} items");
        causes.push(Cause::other("FieldValueTooMany", path, text));
    }
    if let Some(limit) = least.filter(|limit| count < *limit) {
        causes.push(Cause::invalid(
            path,
            value,
            format!("{path} in body should have at least {limit} {what}"),
        ));
    }
}

fn passes(schema: &Schema, value: &Value, path: &str) -> bool {
    let mut causes = Vec::new();
    validate(schema, value, None, path, &mut causes);
    causes.is_empty()
}

fn check_junctors(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let rules = &schema.rules;
    let mut fail = |text: String| causes.push(Cause::invalid(path, &json!(""), text));
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(|one| passes(one, value, path)) {
        fail(format!("{path:?} must validate at least one schema (anyOf)"));
    }
    if !rules.one_of.is_empty() {
        match rules.one_of.iter().filter(|one| passes(one, value, path)).count() {
            1 => {}
            0 => fail(format!(
                "{path:?} must validate one and only one schema (oneOf). Found none valid"
            )),
            n => fail(format!(
                "{path:?} must validate one and only one schema (oneOf). Found {n} valid alternatives"
            )),
        }
    }
    if rules.not.as_ref().is_some_and(|not| passes(not, value, path)) {
        fail(format!("{path:?} must not validate the schema (not)"));
    }
    for one in &rules.all_of {
        let before = causes.len();
        validate(one, value, None, path, causes);
        if causes.len() > before {
            let text = format!("{path:?} must validate all the schemas (allOf)");
            causes.push(Cause::invalid(path, &json!(""), text));
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks that sets and lists with keys hold nothing twice.
pub(in super::super) fn list_types(
    schema: &Schema,
    value: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (schema.properties.get(key), &schema.additional) {
                    (Some(inner), _) => list_types(inner, value, &join(path, key), causes),
                    (None, Some(Additional::Schema(inner))) => {
                        list_types(inner, value, &join(path, key), causes)
                    }
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            let mut seen = std::collections::BTreeSet::new();
            for (index, one) in list.iter().enumerate() {
                let key = match schema.list_type.as_str() {
                    "set" => one.clone(),
                    "map" => schema
                        .map_keys
                        .iter()
                        .filter_map(|key| one.get(key).map(|value| (key.clone(), value.clone())))
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                    _ => break,
                };
                if !seen.insert(key.to_string()) {
                    causes.push(Cause::duplicate(format!("{path}[{index}]"), &key));
                }
            }
            if let Some(inner) = &schema.items {
                for (index, value) in list.iter().enumerate() {
                    list_types(inner, value, &format!("{path}[{index}]"), causes);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(schema: Value, value: Value) -> Vec<String> {
        let schema = Schema::read(&schema);
        let mut causes = Vec::new();
        validate(&schema, &value, None, "spec.x", &mut causes);
        list_types(&schema, &value, "spec.x", &mut causes);
        causes.into_iter().map(|cause| cause.message).collect()
    }

    #[test]
    fn causes_are_worded_as_the_real_server_words_them() {
        let size = json!({ "type": "integer", "minimum": 1, "maximum": 10 });
        assert_eq!(
            causes(size.clone(), json!(0)),
            ["Invalid value: 0: spec.x in body should be greater than or equal to 1"]
        );
        assert_eq!(
            causes(size, json!("3")),
            ["Invalid value: \"string\": spec.x in body must be of type integer: \"string\""]
        );
        let set = json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" });
        assert_eq!(causes(set, json!(["a", "a"])), ["Duplicate value: \"a\""]);
        let time = json!({ "type": "string", "format": "date-time" });
        assert!(causes(time.clone(), json!("2021-01-02T03:04:05.5+02:00")).is_empty());
        assert_eq!(causes(time, json!("2021-01-02")).len(), 1);
    }

    #[test]
    fn a_value_that_was_there_before_is_not_checked_again() {
        let schema = Schema::read(&json!({ "type": "object", "properties": {
            "a": { "type": "string", "maxLength": 1 }, "b": { "type": "string", "maxLength": 1 } } }));
        let (old, new) =
            (json!({ "a": "long", "b": "x" }), json!({ "a": "long", "b": "also long" }));
        let mut causes = Vec::new();
        validate(&schema, &new, Some(&old), "spec", &mut causes);
        assert_eq!(causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), ["spec.b"]);
    }
}
