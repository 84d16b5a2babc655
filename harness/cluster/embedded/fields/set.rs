//! A set of field paths, in the form of `fieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A tree of path elements (`f:spec`, `k:{"name":"x"}`, `v:"x"`); `member` says that the path to here is in the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Set {
    pub(super) member: bool,
    pub(super) children: BTreeMap<String, Self>,
}

impl Set {
    /// Reads `fieldsV1`.
    pub(in super::super) fn read(value: &Value) -> Self {
        let mut set = Self::default();
        let Value::Object(map) = value else { return set };
        for (key, value) in map {
            if key == "." {
                set.member = true;
                continue;
            }
            let mut inner = Self::read(value);
            if inner.children.is_empty() {
                inner.member = true;
            }
            set.children.insert(canonical(key), inner);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(in super::super) fn write(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.write());
        }
        Value::Object(map)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    pub(super) fn insert<'a>(&mut self, path: impl Iterator<Item = &'a str>) {
        let mut at = self;
        for key in path {
            at = at.children.entry(key.to_owned()).or_default();
        }
        at.member = true;
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    /// Removes the members of `other`, path by path.
    pub(super) fn subtract(&mut self, other: &Self) {
        if other.member {
            self.member = false;
        }
        for (key, theirs) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.subtract(theirs);
                if mine.is_empty() {
                    self.children.remove(key);
                }
            }
        }
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self { member: self.member && other.member, children: BTreeMap::new() };
        for (key, mine) in &self.children {
            if let Some(theirs) = other.children.get(key) {
                let inner = mine.intersection(theirs);
                if !inner.is_empty() {
                    both.children.insert(key.clone(), inner);
                }
            }
        }
        both
    }

    /// Removes everything under the paths in `excluded`, given by top-level fields.
    pub(super) fn exclude(&mut self, excluded: &[&str]) {
        for name in excluded {
            self.children.remove(&format!("f:{name}"));
        }
    }

    /// Keeps nothing but what is under one top-level field.
    pub(super) fn keep_only(&mut self, name: &str) {
        let key = format!("f:{name}");
        self.children.retain(|child, _| *child == key);
    }

    /// The members, as messages show them: `.spec.items[name="x"].value`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        if self.member {
            out.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            child.collect(&format!("{prefix}{}", shown(key)), out);
        }
    }
}

/// One path element in a message.
pub(super) fn shown(key: &str) -> String {
    match key.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let parsed: Value = serde_json::from_str(keys).unwrap_or_default();
            let pairs: Vec<String> = parsed
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("[{}]", pairs.join(","))
        }
        Some((_, index)) => format!("[{index}]"),
        None => key.to_owned(),
    }
}

/// A path element as we write it, whatever spaces a client put into it.
fn canonical(key: &str) -> String {
    match key.split_at_checked(2) {
        Some((prefix @ ("k:" | "v:"), rest)) => match serde_json::from_str::<Value>(rest) {
            Ok(value) => format!("{prefix}{value}"),
            Err(_) => key.to_owned(),
        },
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_and_written_alike() {
        let text = json!({ "f:spec": { ".": {}, "f:a": {}, "f:l": { "k:{\"name\":\"x\"}": { ".": {}, "f:v": {} } } } });
        assert_eq!(Set::read(&text).write(), text);
    }

    #[test]
    fn subtraction_goes_path_by_path() {
        let mut set = Set::read(&json!({ "f:spec": { ".": {}, "f:a": {}, "f:b": {} } }));
        set.subtract(&Set::read(&json!({ "f:spec": { "f:a": {} } })));
        assert_eq!(set.write(), json!({ "f:spec": { ".": {}, "f:b": {} } }));
        set.subtract(&Set::read(&json!({ "f:spec": {} })));
        assert_eq!(set.write(), json!({ "f:spec": { "f:b": {} } }));
    }

    #[test]
    fn paths_read_as_messages_show_them() {
        let set = Set::read(
            &json!({ "f:spec": { "f:l": { "k:{\"name\":\"x\"}": { "f:v": {} } }, "f:t": { "v:\"q\"": {} } } }),
        );
        assert_eq!(set.paths(), [".spec.l[name=\"x\"].v", ".spec.t[=\"q\"]"]);
    }
}
