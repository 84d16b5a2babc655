//! One request, read: the path split, the query, who asks, and what the options say.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::kinds::Resource;
use super::status::{Cause, Status};
use serde_json::json;

/// Bytes of warnings that go with one answer, as far as they need not be cut off inside one.
const MOST_WARNINGS: usize = 4096;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: Vec<(String, Vec<String>)>,
}

/// A request with its body.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) user: User,
    /// Texts for `Warning` headers.
    pub(super) warnings: Mutex<Vec<String>>,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let told: usize = warnings.iter().map(String::len).sum();
        if told < MOST_WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Who is noted as the owner of fields: the option, else the program's name in the user agent.
    pub(super) fn manager(&self) -> String {
        if let Some(given) = self.query.get("fieldManager").filter(|text| !text.is_empty()) {
            return given.to_owned();
        }
        let agent = self.header("user-agent").unwrap_or_default();
        let name: String = agent
            .split('/')
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let mut end = name.len().min(128);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        if end == 0 { "unknown".into() } else { name[..end].to_owned() }
    }
}

/// The pairs of a query, decoded.
#[derive(Debug, Default, Clone)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key, true), decode(value, true))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn all(&self, key: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    }

    /// A flag: there and not `0` or `false`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|value| !matches!(value, "0" | "false" | "False" | "FALSE" | "f" | "F"))
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>, Status> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    }
}

/// Percent-decoding; what is no escape stays as it is.
pub(super) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', ..) if plus => {
                out.push(b' ');
                at += 1;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a request is about.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) resource: std::sync::Arc<Resource>,
    /// Empty when the request is cluster-wide.
    pub(super) namespace: String,
    /// Empty for a collection.
    pub(super) name: String,
    pub(super) subresource: String,
}

impl Target {
    /// Where the object is kept.
    pub(super) fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }
}

/// The key of an object in its collection.
pub(super) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// How unknown and duplicate fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Ignore,
    Warn,
    Strict,
}

/// The options of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    pub(super) strictness: Strictness,
    pub(super) force: bool,
}

impl WriteOptions {
    /// Reads and checks the options; `kind` is CreateOptions, UpdateOptions or PatchOptions.
    pub(super) fn read(call: &Call, kind: &str, apply: bool) -> Result<Self, Status> {
        let mut causes = Vec::new();
        let dry_run = dry_run(&call.query.all("dryRun"), &mut causes);
        let strictness = match call.query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => Strictness::Warn,
            "Ignore" => Strictness::Ignore,
            "Strict" => Strictness::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"].map(str::to_owned);
                causes.push(Cause::unsupported("fieldValidation", &json!(other), &supported));
                Strictness::Warn
            }
        };
        let manager = call.query.get("fieldManager").unwrap_or_default();
        if manager.len() > 128 {
            causes.push(Cause::too_long("fieldManager", 128));
        }
        if let Some((at, c)) = manager.char_indices().find(|(_, c)| c.is_control()) {
            let text = format!("invalid character U+{:04X} (at position {at})", c as u32);
            causes.push(Cause::invalid("fieldManager", &json!(manager), text));
        }
        let force = call.query.get("force");
        if kind == "PatchOptions" {
            if apply && manager.is_empty() {
                causes.push(Cause::required("fieldManager", "is required for apply patch"));
            }
            if !apply && force.is_some() {
                causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
            }
        }
        if !causes.is_empty() {
            return Err(Status::invalid_options(kind, &causes));
        }
        Ok(Self { dry_run, strictness, force: call.query.flag("force") })
    }
}

/// Whether nothing is to be stored.
pub(super) fn dry_run(values: &[&str], causes: &mut Vec<Cause>) -> bool {
    let values: Vec<&&str> = values.iter().filter(|value| !value.is_empty()).collect();
    if values.iter().any(|value| **value != "All") {
        let list = json!(values);
        causes.push(Cause::unsupported("dryRun", &list, &["All".to_owned()]));
    }
    !values.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_queries_are_read() {
        let query = Query::parse("&labelSelector=a%3Db&watch=1&x=1+2&bare&%zz=1");
        assert_eq!(query.get("labelSelector"), Some("a=b"));
        assert!(query.flag("watch"));
        assert_eq!(query.get("x"), Some("1 2"));
        assert_eq!(query.get("bare"), Some(""));
        assert_eq!(query.get("%zz"), Some("1"));
    }
}
