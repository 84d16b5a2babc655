//! Label and field selectors, parsed with the complaints of the real parsers.

use serde_json::Value;

use super::kinds::Resource;

/// A label selector.
#[derive(Debug, Default, Clone)]
pub(super) struct Labels(Vec<Requirement>);

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Labels {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels of an object satisfy all requirements.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &String| labels.get(key).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|one| one != value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
            Requirement::Greater(key, than) => {
                number(label(key)).is_some_and(|value| value > *than)
            }
            Requirement::Less(key, than) => number(label(key)).is_some_and(|value| value < *than),
        })
    }

    /// Reads the text of a selector.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        loop {
            match parser.peek().clone() {
                Token::End => {
                    if requirements.is_empty() || parser.at == 0 {
                        return Ok(Self(requirements));
                    }
                    return Err("found '', expected: identifier after ','".into());
                }
                Token::Word(_) | Token::Symbol("!") => {
                    let requirement = parser
                        .requirement()
                        .map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                    match parser.next() {
                        Token::End => return Ok(Self(requirements)),
                        Token::Symbol(",") => {
                            if !matches!(parser.peek(), Token::Word(_) | Token::Symbol("!")) {
                                return Err(format!(
                                    "found '{}', expected: identifier after ','",
                                    parser.peek().text()
                                ));
                            }
                        }
                        other => {
                            return Err(format!(
                                "found '{}', expected: ',' or 'end of string'",
                                other.text()
                            ));
                        }
                    }
                }
                other => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.text()
                    ));
                }
            }
        }
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            out.push(Token::End);
            return out;
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            out.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
            continue;
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || "=!,()><".contains(c)).unwrap_or(rest.len());
        out.push(Token::Word(rest[..end].to_owned()));
        rest = &rest[end..];
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == &Token::Symbol("!");
        if absent {
            self.at += 1;
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        check_key(&key)?;
        if absent {
            return Ok(Requirement::Absent(key));
        }
        let operator = match self.peek().clone() {
            Token::End | Token::Symbol(",") => return Ok(Requirement::Exists(key)),
            Token::Symbol(symbol @ ("=" | "==" | "!=" | ">" | "<")) => symbol.to_owned(),
            Token::Word(word) if word == "in" || word == "notin" => word,
            other => {
                return Err(format!(
                    "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                    other.text()
                ))
                .map_err(|text| {
                    text.replace("in, notin, =, ==, !=, gt, lt", "',' or 'end of string'")
                });
            }
        };
        self.at += 1;
        let values =
            if operator == "in" || operator == "notin" { self.set()? } else { vec![self.value()] };
        for value in &values {
            check_value(&key, value)?;
        }
        let first = values.first().cloned().unwrap_or_default();
        let whole = || {
            first.parse().map_err(|_| {
                format!("values[0][{key}]: Invalid value: {first:?}: for 'Gt', 'Lt' operators, the value must be an integer")
            })
        };
        Ok(match operator.as_str() {
            "!=" | "notin" => Requirement::NotIn(key, values),
            ">" => Requirement::Greater(key.clone(), whole()?),
            "<" => Requirement::Less(key.clone(), whole()?),
            _ => Requirement::In(key, values),
        })
    }

    /// One value; none at all is the empty one.
    fn value(&mut self) -> String {
        match self.peek().clone() {
            Token::Word(word) => {
                self.at += 1;
                word
            }
            _ => String::new(),
        }
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.next() {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => return Ok(values),
                        other => {
                            return Err(format!("found '{}', expected: ',' or ')'", other.text()));
                        }
                    }
                }
                Token::Symbol(",") => values.push(String::new()),
                Token::Symbol(")") => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => {
                    return Err(format!(
                        "found '{}', expected: ',', ')' or identifier",
                        other.text()
                    ));
                }
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let problems = super::names::qualified_name(key);
    match problems.first() {
        Some(problem) => Err(format!("key: Invalid value: {key:?}: {problem}")),
        None => Ok(()),
    }
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    match super::names::label_value(value) {
        Some(problem) => Err(format!("values[0][{key}]: Invalid value: {value:?}: {problem}")),
        None => Ok(()),
    }
}

/// A field selector: path, wanted value, and whether it must be equal.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields(Vec<(String, String, bool)>);

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, wanted, equal)| (field(object, path) == *wanted) == *equal)
    }

    /// The one name that can match, where the selector says so.
    pub(super) fn name(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|(path, _, equal)| path == "metadata.name" && *equal)
            .map(|(_, value, _)| value.as_str())
    }

    /// Reads the text of a selector for a resource.
    pub(super) fn parse(text: &str, resource: &Resource) -> Result<Self, String> {
        let mut out = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let parsed = ["!=", "==", "="]
                .into_iter()
                .filter_map(|op| part.find(op).map(|at| (at, op)))
                .min_by_key(|(at, op)| (*at, usize::MAX - op.len()));
            let Some((at, operator)) = parsed else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let (path, value) = (part[..at].to_owned(), unescape(&part[at + operator.len()..]));
            known(&path, resource)?;
            out.push((path, value, operator != "!="));
        }
        Ok(Self(out))
    }
}

/// Splits at commas that no backslash stands before.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// Fields beyond name and namespace that may be asked for.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("" | "events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        ("batch", "jobs") => &["status.successful"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("certificates.k8s.io", _) => &["spec.signerName"],
        _ => &[],
    }
}

fn known(path: &str, resource: &Resource) -> Result<(), String> {
    let common = matches!(path, "metadata.name" | "metadata.namespace");
    if common || selectable(resource).contains(&path) {
        return Ok(());
    }
    if let Some(custom) = resource.custom() {
        if custom.selectable.iter().any(|one| one == path) {
            return Ok(());
        }
        return Err(format!("field label not supported: {path}"));
    }
    if selectable(resource).is_empty() {
        return Err(format!(
            "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ));
    }
    Err(format!("field label not supported: {path}"))
}

fn field(object: &Value, path: &str) -> String {
    let path = match path.strip_prefix("regarding.") {
        Some(rest) => format!("involvedObject.{rest}"),
        None => path.to_owned(),
    };
    let special = match path.as_str() {
        "source" => {
            let own = object["source"]["component"].as_str().filter(|text| !text.is_empty());
            return own
                .or_else(|| object["reportingComponent"].as_str())
                .unwrap_or_default()
                .to_owned();
        }
        "spec.unschedulable" | "spec.hostNetwork" => "false",
        "status.successful" => "0",
        _ => "",
    };
    let found = path.split('.').try_fold(object, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => special.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requirements_select_as_the_documentation_says() {
        let object = json!({ "metadata": { "labels": { "app": "x", "n": "5" } } });
        for (text, wanted) in [
            ("app=x", true),
            ("app==x", true),
            ("app!=x", false),
            ("other!=x", true),
            ("app in (x,y)", true),
            ("app notin (x)", false),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("n>4", true),
            ("n<5", false),
            ("app=x,!other", true),
            ("", true),
            ("app=", false),
        ] {
            assert_eq!(Labels::parse(text).expect(text).matches(&object), wanted, "{text}");
        }
    }

    #[test]
    fn complaints_are_those_of_the_real_parser() {
        let error = |text: &str| Labels::parse(text).expect_err(text);
        assert_eq!(error("a in (b"), "unable to parse requirement: found '', expected: ',' or ')'");
        assert_eq!(error("=x"), "found '=', expected: !, identifier, or 'end of string'");
        assert_eq!(error("app=bad value!"), "found 'value', expected: ',' or 'end of string'");
    }
}
