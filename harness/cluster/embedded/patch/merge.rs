//! JSON merge patch (RFC 7386) with the deviation of the library that kube-apiserver uses.

use serde_json::Value;

/// Lays a patch over a value.
pub(in super::super) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = without_null_keys(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_patch(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Null keys of objects inside arrays vanish, null elements stay (deviation from RFC 7386).
fn without_null_keys(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(without_null_keys).collect()),
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_null_keys(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_delete_and_arrays_are_replaced() {
        let mut value = json!({ "a": { "x": 1, "y": 2 }, "l": [1, 2] });
        merge_patch(
            &mut value,
            &json!({ "a": { "x": null, "z": 3 }, "l": [null, { "k": null, "v": 1 }], "n": { "q": null } }),
        );
        assert_eq!(value, json!({ "a": { "y": 2, "z": 3 }, "l": [null, { "v": 1 }], "n": {} }));
    }
}
