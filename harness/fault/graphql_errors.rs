//! `graphql.errors`: the answer carries errors, with or without data.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AnswerAct, AnswerFacts, Fault, Parameters, RequestAct};
use crate::journal::{Peer, Request};

/// The parameters of `graphql.errors`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GraphqlErrors {
    /// One error a message.
    #[serde(default = "internal")]
    messages: Vec<String>,
    /// Whether the server is asked all the same, and its data comes beside the errors.
    #[serde(default)]
    with_data: bool,
    /// The path of each error, in names and numbers.
    #[serde(default)]
    path: Option<Vec<Segment>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Segment {
    Name(String),
    Index(u64),
}

fn internal() -> Vec<String> {
    vec!["Internal Server Error".into()]
}

/// Both servers of Compass write the errors before the data.
#[derive(Serialize)]
struct Answer<'a> {
    errors: Vec<GraphqlError<'a>>,
    data: Value,
}

#[derive(Serialize)]
struct GraphqlError<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a [Segment]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Extensions>,
}

/// The Director's errors carry these, the Connector's do not; a fault of ours is an internal error.
#[derive(Serialize)]
struct Extensions {
    error_code: u32,
    error: &'static str,
}

impl Parameters for GraphqlErrors {
    const MEANING: &'static str = "the answer carries GraphQL errors, with or without data";
    const CLASSES: &'static [&'static str] = &["graphql-error"];

    fn fault(self) -> Result<Fault, String> {
        if self.messages.is_empty() {
            return Err("`messages` must name one error at least".into());
        }
        Ok(if self.with_data {
            Fault::on_answer(move |request, answer| {
                self.beside(request, answer).map(AnswerAct::Replace)
            })
        } else {
            Fault::on_request(move |request| {
                Some(RequestAct::Answer(self.answer(request, Value::Null)))
            })
        })
    }
}

impl GraphqlErrors {
    fn beside(&self, request: &Request, answer: AnswerFacts<'_>) -> Option<Response<Bytes>> {
        let Value::Object(mut body) = serde_json::from_slice(answer.body?).ok()? else {
            return None;
        };
        Some(self.answer(request, body.remove("data")?))
    }

    fn answer(&self, request: &Request, data: Value) -> Response<Bytes> {
        let director = request.peer == Peer::Director;
        let errors = self.messages.iter().map(|message| GraphqlError {
            message,
            path: self.path.as_deref(),
            extensions: director.then_some(Extensions { error_code: 10, error: "InternalError" }),
        });
        let body = Answer { errors: errors.collect(), data };
        let body = serde_json::to_vec(&body).expect("texts and JSON values always serialise");
        json_answer(StatusCode::OK, body.into())
    }
}

/// An answer in JSON.
pub(super) fn json_answer(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::fault::tests::{answer_of, compass_request, fault};

    #[test]
    fn errors_come_first_and_data_is_null() {
        let request = compass_request(1, &["configuration"]);
        let parameters = json!({"messages": ["no", "never"], "path": ["result", 0]});
        let answer = answer_of("graphql.errors", parameters, &request);
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.body(),
            r#"{"errors":[{"message":"no","path":["result",0]},{"message":"never","path":["result",0]}],"data":null}"#
        );
    }

    #[test]
    fn the_directors_errors_carry_a_code() {
        let request = Request { peer: Peer::Director, ..compass_request(1, &["runtime"]) };
        let answer = answer_of("graphql.errors", json!({}), &request);
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(
            body["errors"][0]["extensions"],
            json!({"error_code": 10, "error": "InternalError"})
        );
    }

    #[test]
    fn data_of_the_server_is_kept_when_asked_for() {
        let request = compass_request(1, &["configuration"]);
        let Fault::Answer(hook) = fault("graphql.errors", json!({"withData": true})) else {
            panic!("it acts on the answer");
        };
        let headers = HeaderMap::new();
        let facts = |body| AnswerFacts { status: 200, headers: &headers, body: Some(body) };
        let body = Bytes::from_static(br#"{"data":{"result":{"token":null}}}"#);
        let Some(AnswerAct::Replace(answer)) = hook(&request, facts(&body)) else {
            panic!("the answer is replaced");
        };
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(answer["data"], json!({"result": {"token": null}}));
        assert_eq!(answer["errors"][0]["message"], "Internal Server Error");
        let no_graphql = Bytes::from_static(b"ok");
        assert!(hook(&request, facts(&no_graphql)).is_none());
    }
}
