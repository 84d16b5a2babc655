//! A failure as the API says it: the `Status` object, with constructors worded as kube-apiserver words them.

use serde_json::{Map, Value, json};

use super::kinds::Resource;

/// A failed request. It is a value of the protocol, not an error of this program.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) reason: Option<&'static str>,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// A token for an inconsistent rest, given with an expired one.
    pub(super) continue_token: Option<Box<str>>,
}

impl Status {
    fn new(
        code: u16,
        reason: Option<&'static str>,
        message: impl Into<String>,
        details: Option<Value>,
    ) -> Self {
        Self { code, reason, message: message.into(), details, continue_token: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Some("BadRequest"), message, None)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, Some("Unauthorized"), "Unauthorized", None)
    }

    pub(super) fn forbidden(message: impl Into<String>, details: Value) -> Self {
        Self::new(403, Some("Forbidden"), message, Some(details))
    }

    /// No such resource in a built-in group: the second of the three kinds of 404.
    pub(super) fn no_resource() -> Self {
        Self::new(
            404,
            Some("NotFound"),
            "the server could not find the requested resource",
            Some(json!({})),
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, Some("MethodNotAllowed"), message, Some(json!({})))
    }

    pub(super) fn not_supported(verb: &str, resource: &Resource) -> Self {
        let message =
            format!("{verb} is not supported on resources of kind \"{}\"", resource.qualified());
        let details = named("", &resource.group, &resource.plural);
        Self::new(405, Some("MethodNotAllowed"), message, Some(details))
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(
            404,
            Some("NotFound"),
            message,
            Some(named(name, &resource.group, &resource.plural)),
        )
    }

    pub(super) fn namespace_not_found(name: &str) -> Self {
        let message = format!("namespaces \"{name}\" not found");
        Self::new(404, Some("NotFound"), message, Some(named(name, "", "namespaces")))
    }

    pub(super) fn already_exists(resource: &Resource, name: &str, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} \"{name}\" already exists", resource.qualified());
        Self::new(
            409,
            Some("AlreadyExists"),
            message,
            Some(named(name, &resource.group, &resource.plural)),
        )
    }

    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        let text = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, text)
    }

    pub(super) fn conflict(resource: &Resource, name: &str, text: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {text}", resource.qualified());
        Self::new(
            409,
            Some("Conflict"),
            message,
            Some(named(name, &resource.group, &resource.plural)),
        )
    }

    /// A precondition of a delete that does not hold; `details.kind` is the kind here, not the resource.
    pub(super) fn precondition(resource: &Resource, name: &str, text: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {text}",
            resource.qualified_kind()
        );
        Self::new(
            409,
            Some("Conflict"),
            message,
            Some(named(name, &resource.group, &resource.kind)),
        )
    }

    pub(super) fn apply_conflicts(message: String, causes: Vec<Value>) -> Self {
        Self::new(409, Some("Conflict"), message, Some(json!({ "causes": causes })))
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, Some("Expired"), message, None)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, Some("RequestEntityTooLarge"), message, None)
    }

    pub(super) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, Some("NotAcceptable"), message, None)
    }

    pub(super) fn unsupported_media(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, Some("UnsupportedMediaType"), message, None)
    }

    /// A failure that kube-apiserver leaves unclassified.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, None, message, None)
    }

    pub(super) fn internal_error(message: impl std::fmt::Display) -> Self {
        let text = message.to_string();
        let details = json!({ "causes": [{ "message": text }] });
        Self::new(
            500,
            Some("InternalError"),
            format!("Internal error occurred: {text}"),
            Some(details),
        )
    }

    /// A resourceVersion from the future.
    pub(super) fn too_new(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let causes = json!([{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }]);
        Self::new(
            504,
            Some("Timeout"),
            message,
            Some(json!({ "causes": causes, "retryAfterSeconds": 1 })),
        )
    }

    /// A JSON patch that cannot be applied.
    pub(super) fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, Some("Invalid"), message, Some(json!({})))
    }

    /// Validation failures of one object.
    pub(super) fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        // An aggregate says the same thing once.
        let mut seen = std::collections::BTreeSet::new();
        let lines: Vec<String> =
            causes.iter().map(Cause::line).filter(|line| seen.insert(line.clone())).collect();
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut details = named(name, group, kind);
        let list: Vec<Value> = causes.iter().map(Cause::value).collect();
        if !list.is_empty() {
            details["causes"] = Value::Array(list);
        }
        Self::new(
            422,
            Some("Invalid"),
            format!("{qualified} \"{name}\" is invalid: {text}"),
            Some(details),
        )
    }

    /// Validation failures of the options in the query.
    pub(super) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        Self::invalid(kind, "meta.k8s.io", "", causes)
    }

    pub(super) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The object on the wire.
    pub(super) fn value(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".into(), json!(token));
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(reason) = self.reason {
            status["reason"] = json!(reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// `details` that name an object.
pub(super) fn named(name: &str, group: &str, kind: &str) -> Value {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.into(), json!(value));
        }
    }
    Value::Object(details)
}

/// What a validation found at one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

impl Cause {
    pub(super) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".into()
        } else {
            format!("Required value: {detail}")
        };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    pub(super) fn invalid(
        field: impl Into<String>,
        value: &Value,
        detail: impl std::fmt::Display,
    ) -> Self {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub(super) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {detail}"),
        }
    }

    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {}", shown(value)),
        }
    }

    pub(super) fn unsupported(
        field: impl Into<String>,
        value: &Value,
        supported: &[String],
    ) -> Self {
        let list: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let message =
            format!("Unsupported value: {}: supported values: {}", shown(value), list.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    pub(super) fn too_long(field: impl Into<String>, limit: u64) -> Self {
        let message = format!("Too long: may not be more than {limit} bytes");
        Self { reason: "FieldValueTooLong", field: field.into(), message }
    }

    pub(super) fn other(
        reason: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { reason, field: field.into(), message: message.into() }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }

    fn value(&self) -> Value {
        json!({ "reason": self.reason, "message": self.message, "field": self.field })
    }
}

/// A value inside a message: strings quoted as Go quotes them, the rest as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        other => other.to_string(),
    }
}

/// Go's `%q`.
pub(super) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_stands_alone_and_several_stand_in_brackets() {
        let one = [Cause::required("spec", "")];
        assert_eq!(
            Status::invalid("Widget", "g", "a", &one).message,
            "Widget.g \"a\" is invalid: spec: Required value"
        );
        let two = [Cause::required("spec", ""), Cause::invalid("spec.n", &json!(3), "too big")];
        assert_eq!(
            Status::invalid("Secret", "", "a", &two).message,
            "Secret \"a\" is invalid: [spec: Required value, spec.n: Invalid value: 3: too big]"
        );
    }

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        assert_eq!(go_quote("a\u{1}\"\\\n"), r#""a\x01\"\\\n""#);
    }
}
