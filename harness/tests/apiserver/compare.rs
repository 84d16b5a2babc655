//! Compares an answer with the recorded one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bind::Binder;

/// One comparison: what differs, and how it is to be compared.
pub(crate) struct Comparison<'a> {
    pub(crate) binder: &'a mut Binder,
    pub(crate) differences: Vec<String>,
    subset: bool,
    ignored: Vec<Vec<String>>,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(binder: &'a mut Binder, rules: &Value) -> Self {
        let ignored = rules["ignore"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Self {
            binder,
            differences: Vec::new(),
            subset: rules["body"] == "subset",
            ignored: ignored.map(|path| path.split('/').map(str::to_owned).collect()).collect(),
        }
    }

    pub(crate) fn differ(&mut self, path: &str, expected: &Value, got: Option<&Value>, why: &str) {
        let short = |value: &Value| {
            let text = value.to_string();
            if text.chars().count() > 300 {
                format!("{}…", text.chars().take(300).collect::<String>())
            } else {
                text
            }
        };
        let got = got.map_or_else(|| "(absent)".to_owned(), short);
        let why = if why.is_empty() { String::new() } else { format!(" - {why}") };
        let path = if path.is_empty() { "/" } else { path };
        self.differences.push(format!("{path}: expected {}, got {got}{why}", short(expected)));
    }

    fn is_ignored(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        self.ignored.iter().any(|pattern| {
            pattern.len() <= segments.len()
                && pattern.iter().zip(&segments).all(|(p, s)| p == "*" || p == s)
        })
    }

    pub(crate) fn walk(&mut self, expected: &Value, got: &Value, path: &str) {
        if self.is_ignored(path) || expected == "{{any}}" {
            return;
        }
        match (expected, got) {
            (Value::Object(_), Value::Object(_)) => self.objects(expected, got, path),
            (Value::Array(_), Value::Array(_)) => self.lists(expected, got, path),
            (Value::String(text), Value::String(found)) => {
                if let Err(why) = self.binder.match_text(text, found) {
                    self.differ(path, expected, Some(got), &why);
                }
            }
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
            _ if expected == got => {}
            _ => self.differ(path, expected, Some(got), ""),
        }
    }

    fn objects(&mut self, expected: &Value, got: &Value, path: &str) {
        let several =
            expected["details"]["causes"].as_array().is_some_and(|causes| causes.len() > 1);
        if several && expected["kind"] == "Status" {
            return self.status(expected, got, path);
        }
        let mut wanted: BTreeMap<String, &Value> = BTreeMap::new();
        for (key, value) in expected.as_object().into_iter().flatten() {
            let key = if key.contains("{{") {
                self.binder.fill(key, false).unwrap_or_else(|_| key.clone())
            } else {
                key.clone()
            };
            wanted.insert(key, value);
        }
        for (key, value) in &wanted {
            let path = format!("{path}/{}", escaped(key));
            match got.get(key) {
                Some(found) => self.walk(value, found, &path),
                None if self.is_ignored(&path) => {}
                None => self.differ(&path, value, None, ""),
            }
        }
        if self.subset {
            return;
        }
        for (key, value) in got.as_object().into_iter().flatten() {
            let path = format!("{path}/{}", escaped(key));
            if !wanted.contains_key(key) && !self.is_ignored(&path) {
                self.differ(&path, &json!("(absent)"), Some(value), "");
            }
        }
    }

    fn lists(&mut self, expected: &Value, got: &Value, path: &str) {
        let (wanted, found) = (elements(expected), elements(got));
        if path.ends_with("/managedFields") {
            return self.managed(wanted, found, path);
        }
        if self.subset {
            return self.subset_of(wanted, found, path);
        }
        for (at, value) in wanted.iter().enumerate() {
            match found.get(at) {
                Some(other) => self.walk(value, other, &format!("{path}/{at}")),
                None => self.differ(&format!("{path}/{at}"), value, None, ""),
            }
        }
        for (at, value) in found.iter().enumerate().skip(wanted.len()) {
            let path = format!("{path}/{at}");
            if !self.is_ignored(&path) {
                self.differ(&path, &json!("(absent)"), Some(value), "");
            }
        }
    }

    /// Whether two values are alike; binds only when they are.
    fn alike(&mut self, expected: &Value, got: &Value) -> bool {
        let before = self.binder.clone();
        let mut trial = Comparison {
            binder: self.binder,
            differences: Vec::new(),
            subset: self.subset,
            ignored: Vec::new(),
        };
        trial.walk(expected, got, "");
        let same = trial.differences.is_empty();
        if !same {
            *self.binder = before;
        }
        same
    }

    /// Every expected element has a match, in any order: named things by name, the others by trial.
    fn subset_of(&mut self, wanted: &[Value], found: &[Value], path: &str) {
        for (at, value) in wanted.iter().enumerate() {
            let path = format!("{path}/{at}");
            let key = ["name", "resource", "subresource", "version"]
                .into_iter()
                .find(|key| value[*key].is_string());
            let candidates: Vec<&Value> = match key {
                Some(key) => found.iter().filter(|one| one[key] == value[key]).collect(),
                None if value["metadata"]["name"].is_string() => found
                    .iter()
                    .filter(|one| one["metadata"]["name"] == value["metadata"]["name"])
                    .collect(),
                None => found.iter().collect(),
            };
            match candidates.as_slice() {
                [] => self.differ(&path, value, None, ""),
                [one] => self.walk(value, one, &path),
                many => {
                    if !many.iter().any(|one| self.alike(value, one)) {
                        self.differ(&path, value, None, "no element matches");
                    }
                }
            }
        }
    }

    /// Entries of managedFields stand in no order of their own.
    fn managed(&mut self, wanted: &[Value], found: &[Value], path: &str) {
        let key = |entry: &Value| {
            ["manager", "operation", "subresource", "apiVersion"]
                .map(|key| entry[key].to_string())
                .join("|")
        };
        let mut by_key: BTreeMap<String, &Value> =
            found.iter().map(|entry| (key(entry), entry)).collect();
        for entry in wanted {
            let name = key(entry);
            let path = format!("{path}/{}", escaped(&name));
            match by_key.remove(&name) {
                Some(other) => self.walk(entry, other, &path),
                None => self.differ(&path, entry, None, ""),
            }
        }
        for (name, entry) in by_key {
            self.differ(&format!("{path}/{}", escaped(&name)), &json!("(absent)"), Some(entry), "");
        }
    }

    /// Several causes come in any order, and so do the parts of the message.
    fn status(&mut self, expected: &Value, got: &Value, path: &str) {
        let parts = |status: &Value| {
            let mut rest = status.clone();
            let message = rest["message"].as_str().unwrap_or_default().to_owned();
            let causes = rest["details"]["causes"].as_array().cloned().unwrap_or_default();
            if let Some(map) = rest.as_object_mut() {
                map.remove("message");
                if let Some(details) = map.get_mut("details").and_then(Value::as_object_mut) {
                    details.remove("causes");
                }
            }
            (rest, message, causes)
        };
        let ((wanted, wanted_message, wanted_causes), (found, message, mut causes)) =
            (parts(expected), parts(got));
        self.walk(&wanted, &found, path);
        for (at, cause) in wanted_causes.iter().enumerate() {
            match causes.iter().position(|one| self.alike(cause, one)) {
                Some(position) => drop(causes.remove(position)),
                None => self.differ(
                    &format!("{path}/details/causes/{at}"),
                    cause,
                    causes.first(),
                    "no cause matches",
                ),
            }
        }
        for cause in &causes {
            self.differ(&format!("{path}/details/causes"), &json!("(absent)"), Some(cause), "");
        }
        if self.is_ignored(&format!("{path}/message"))
            || self.binder.match_text(&wanted_message, &message).is_ok()
        {
            return;
        }
        let words = |text: &str| {
            let mut words: Vec<String> = text
                .split([' ', '\n', '\t', ',', '[', ']'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            words.sort();
            words
        };
        let (a, b) = (words(&wanted_message), words(&message));
        if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| a != b && !a.contains("{{")) {
            self.differ(
                &format!("{path}/message"),
                &json!(wanted_message),
                Some(&json!(message)),
                "",
            );
        }
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
