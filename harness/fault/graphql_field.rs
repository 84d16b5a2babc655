//! `graphql.field`: one field of the server's answer is not what the schema promises.

use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AnswerAct, AnswerFacts, Fault, Parameters};
use crate::journal::Request;

/// The parameters of `graphql.field`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GraphqlField {
    /// The way to it from `data`, with dots: `configuration.token`,
    /// `applicationsForRuntime.data.0.name`; `*` stands for every element of a list.
    path: String,
    /// What becomes of it.
    #[serde(rename = "as")]
    becomes: Becomes,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Becomes {
    /// It is not there.
    Missing,
    /// It is null.
    Null,
    /// It is of another type.
    OtherType,
    /// It has this name.
    Renamed(String),
    /// It is this text.
    Text(String),
}

impl Parameters for GraphqlField {
    const MEANING: &'static str =
        "a field of the server's answer is missing, null, renamed, of another type or another text";
    const CLASSES: &'static [&'static str] = &["answer-not-usable"];

    fn fault(self) -> Result<Fault, String> {
        if self.path.split('.').any(str::is_empty) {
            return Err(format!("`{}` is not a path of names with dots between them", self.path));
        }
        Ok(Fault::on_answer(move |request, answer| self.replace(request, answer)))
    }
}

impl GraphqlField {
    fn replace(&self, request: &Request, answer: AnswerFacts<'_>) -> Option<AnswerAct> {
        let mut body: Value = serde_json::from_slice(answer.body?).ok()?;
        let data = body.get_mut("data")?.as_object_mut()?;
        let segments: Vec<&str> = self.path.split('.').collect();
        let (first, rest) = segments.split_first()?;
        let first = response_key(data, first, request)?;
        let mut path = vec![first.as_str()];
        path.extend(rest);
        if !self.change(data, &path) {
            return None;
        }
        let mut replaced = Response::new(body.to_string().into());
        *replaced.status_mut() = StatusCode::from_u16(answer.status).ok()?;
        *replaced.headers_mut() = answer.headers.clone();
        Some(AnswerAct::Replace(replaced))
    }

    /// Whether there was something to change.
    fn change(&self, fields: &mut Map<String, Value>, path: &[&str]) -> bool {
        let Some((name, rest)) = path.split_first() else { return false };
        if !rest.is_empty() {
            return fields.get_mut(*name).is_some_and(|value| self.descend(value, rest));
        }
        let Some(value) = fields.get_mut(*name) else { return false };
        match &self.becomes {
            Becomes::Missing => {
                fields.remove(*name);
            }
            Becomes::Renamed(other) => {
                if let Some(value) = fields.remove(*name) {
                    fields.insert(other.clone(), value);
                }
            }
            Becomes::Null => *value = Value::Null,
            Becomes::Text(text) => *value = Value::String(text.clone()),
            Becomes::OtherType => *value = of_another_type(value),
        }
        true
    }

    fn descend(&self, value: &mut Value, path: &[&str]) -> bool {
        match value {
            Value::Object(fields) => self.change(fields, path),
            Value::Array(items) => {
                let Some((index, rest)) = path.split_first() else { return false };
                if rest.is_empty() {
                    return false;
                }
                let mut changed = false;
                for (number, item) in items.iter_mut().enumerate() {
                    if *index == "*" || index.parse() == Ok(number) {
                        changed |= self.descend(item, rest);
                    }
                }
                changed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
}

/// The key of a root field in the answer: its alias, when the client gave the only one another name.
fn response_key(data: &Map<String, Value>, field: &str, request: &Request) -> Option<String> {
    if data.contains_key(field) {
        return Some(field.to_owned());
    }
    let only = data.keys().next().filter(|_| data.len() == 1)?;
    (request.operations.iter().any(|operation| operation == field)).then(|| only.clone())
}

fn of_another_type(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::from(42),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Value::from("another type")
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::fault::tests::{compass_request, fault};

    fn after(parameters: Value, data: Value) -> Option<Value> {
        let request = compass_request(1, &["configuration"]);
        let Fault::Answer(hook) = fault("graphql.field", parameters) else {
            panic!("it acts on the answer");
        };
        let headers = HeaderMap::new();
        let body = Bytes::from(json!({ "data": data }).to_string());
        match hook(&request, AnswerFacts { status: 200, headers: &headers, body: Some(&body) })? {
            AnswerAct::Replace(answer) => {
                let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
                Some(answer["data"].clone())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_field_changes_as_asked_for_under_its_alias() {
        let data = json!({"result": {"token": {"token": "t"}}});
        for (becomes, expected) in [
            (json!("missing"), json!({"result": {"token": {}}})),
            (json!("null"), json!({"result": {"token": {"token": null}}})),
            (json!("other-type"), json!({"result": {"token": {"token": 42}}})),
            (json!({"renamed": "tkn"}), json!({"result": {"token": {"tkn": "t"}}})),
            (json!({"text": "x"}), json!({"result": {"token": {"token": "x"}}})),
        ] {
            let parameters = json!({"path": "configuration.token.token", "as": becomes});
            assert_eq!(after(parameters, data.clone()), Some(expected), "{becomes}");
        }
    }

    #[test]
    fn elements_of_lists_are_numbered() {
        let data = json!({"configuration": {"data": [{"name": "a"}, {"name": "b"}]}});
        let parameters = json!({"path": "configuration.data.1.name", "as": "null"});
        assert_eq!(
            after(parameters, data.clone()),
            Some(json!({"configuration": {"data": [{"name": "a"}, {"name": null}]}}))
        );
        let parameters = json!({"path": "configuration.data.*.name", "as": "missing"});
        assert_eq!(after(parameters, data), Some(json!({"configuration": {"data": [{}, {}]}})));
    }

    #[test]
    fn what_is_not_there_does_not_fire() {
        let parameters = json!({"path": "configuration.nothing", "as": "null"});
        assert_eq!(after(parameters, json!({"result": {"token": null}})), None);
        assert!(
            crate::fault::read("graphql.field", json!({"path": "a..b", "as": "null"})).is_err()
        );
    }
}
