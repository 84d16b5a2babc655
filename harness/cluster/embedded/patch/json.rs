//! JSON patch (RFC 6902), as lenient as the library that kube-apiserver uses.

use serde_json::Value;

/// Applies operations; any that cannot be applied fails the patch.
pub(in super::super) fn json_patch(target: &mut Value, operations: &[Value]) -> Result<(), ()> {
    // What `copy` may add in all; kube-apiserver has such a limit too, so that a small patch does not grow without bound.
    let mut budget = 3 << 20;
    for operation in operations {
        apply(target, operation, &mut budget)?;
    }
    Ok(())
}

fn apply(target: &mut Value, operation: &Value, budget: &mut usize) -> Result<(), ()> {
    let path = operation["path"].as_str().ok_or(())?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match operation["op"].as_str().ok_or(())? {
        "add" => add(target, path, value()),
        "remove" => remove(target, path).map(drop),
        "replace" => replace(target, path, value()),
        "test" => {
            let found = if path.is_empty() { Some(&*target) } else { target.pointer(path) };
            // A path that is absent equals null.
            if found.unwrap_or(&Value::Null) == &value() { Ok(()) } else { Err(()) }
        }
        "move" => {
            let from = operation["from"].as_str().ok_or(())?;
            let taken = remove(target, from)?;
            add(target, path, taken)
        }
        "copy" => {
            let from = operation["from"].as_str().ok_or(())?;
            let copied = target.pointer(from).cloned().ok_or(())?;
            *budget = budget.checked_sub(copied.to_string().len()).ok_or(())?;
            add(target, path, copied)
        }
        _ => Err(()),
    }
}

/// The container of a path's last part, and that part.
fn parent<'a>(target: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), ()> {
    let (parent, last) = path.rsplit_once('/').ok_or(())?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Ok((target.pointer_mut(parent).ok_or(())?, last))
}

fn index(text: &str, length: usize) -> Result<usize, ()> {
    // Negative indices count from the end.
    if let Some(back) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) {
        let back: usize = back.parse().map_err(|_| ())?;
        return length.checked_sub(back).ok_or(());
    }
    text.parse().map_err(|_| ())
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), ()> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    match parent(target, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
            Ok(())
        }
        (Value::Array(list), key) => {
            let at = if key == "-" { list.len() } else { index(&key, list.len())? };
            if at > list.len() {
                return Err(());
            }
            list.insert(at, value);
            Ok(())
        }
        _ => Err(()),
    }
}

fn remove(target: &mut Value, path: &str) -> Result<Value, ()> {
    match parent(target, path)? {
        (Value::Object(map), key) => map.remove(&key).ok_or(()),
        (Value::Array(list), key) => {
            let at = index(&key, list.len())?;
            if at < list.len() { Ok(list.remove(at)) } else { Err(()) }
        }
        _ => Err(()),
    }
}

/// A key that is missing in an object that exists is set, contrary to the RFC.
fn replace(target: &mut Value, path: &str, value: Value) -> Result<(), ()> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    match parent(target, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
            Ok(())
        }
        (Value::Array(list), key) => {
            let at = index(&key, list.len())?;
            *list.get_mut(at).ok_or(())? = value;
            Ok(())
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(operations: Value) -> Result<Value, ()> {
        let mut value = json!({ "a": { "x": 1 }, "l": [1, 2] });
        json_patch(&mut value, operations.as_array().expect("a list"))?;
        Ok(value)
    }

    #[test]
    fn replace_sets_a_missing_key_and_remove_does_not_forgive_one() {
        assert_eq!(
            patched(json!([{ "op": "replace", "path": "/a/y", "value": 2 }])).expect("lenient")["a"]
                ["y"],
            2
        );
        assert!(patched(json!([{ "op": "remove", "path": "/a/y" }])).is_err());
    }

    #[test]
    fn an_absent_path_equals_null() {
        assert!(patched(json!([{ "op": "test", "path": "/a/y", "value": null }])).is_ok());
        assert!(patched(json!([{ "op": "test", "path": "/a/x", "value": null }])).is_err());
    }

    #[test]
    fn lists_are_addressed_by_index_and_by_dash() {
        let list = patched(json!([
            { "op": "add", "path": "/l/-", "value": 3 }, { "op": "add", "path": "/l/0", "value": 0 },
            { "op": "remove", "path": "/l/1" }
        ]));
        assert_eq!(list.expect("applies")["l"], json!([0, 2, 3]));
        assert!(patched(json!([{ "op": "add", "path": "/l/9", "value": 3 }])).is_err());
    }
}
