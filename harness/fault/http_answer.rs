//! `http.answer`: an answer of the scenario's choice in place of the server's.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Fault, Parameters, RequestAct, period};

/// The parameters of `http.answer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HttpAnswer {
    /// The HTTP status.
    status: u16,
    /// Headers beside those that the body asks for.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// After what time the client may come again (`Retry-After`).
    #[serde(default, deserialize_with = "period::optional")]
    #[schemars(with = "Option<String>")]
    retry_after: Option<Duration>,
    /// The body; empty when not given.
    #[serde(default)]
    body: Body,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Body {
    /// Plain text.
    Text(String),
    /// JSON.
    Json(Value),
    /// HTML.
    Html(String),
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are no text, and said to be JSON.
    Garbage,
}

/// No UTF-8, no JSON, no gzip; the same at each run.
const GARBAGE: &[u8] = b"\x00\xff\xfe{\x93\x80garbage\xc3\x28\x1b\"}\xfd\x00";

impl Parameters for HttpAnswer {
    const MEANING: &'static str = "this answer is given, the server behind is not asked";
    const CLASSES: &'static [&'static str] = &["http-status", "body-not-json", "empty-answer"];

    fn fault(self) -> Result<Fault, String> {
        let status = final_status(self.status)?;
        let mut headers = HeaderMap::new();
        let (content_type, body) = match self.body {
            Body::Text(text) => (Some("text/plain"), Bytes::from(text)),
            Body::Json(json) => (Some("application/json"), Bytes::from(json.to_string())),
            Body::Html(html) => (Some("text/html; charset=utf-8"), Bytes::from(html)),
            Body::Garbage => (Some("application/json"), Bytes::from_static(GARBAGE)),
            Body::Empty => (None, Bytes::new()),
        };
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, after.as_secs().into());
        }
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("`{name}` is not the name of a header"))?;
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("the value of header `{name}` is not allowed in HTTP"))?;
            headers.insert(name, value);
        }
        Ok(Fault::on_request(move |_| {
            let mut answer = Response::new(body.clone());
            *answer.status_mut() = status;
            *answer.headers_mut() = headers.clone();
            Some(RequestAct::Answer(answer))
        }))
    }
}

/// A status that can end an exchange.
pub(super) fn final_status(status: u16) -> Result<StatusCode, String> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or_else(|| format!("`{status}` is not the status of an answer, use 200 to 599"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fault::tests::{answer_of, compass_request};

    #[test]
    fn the_answer_is_as_asked_for() {
        let request = compass_request(1, &["configuration"]);
        let parameters = json!({
            "status": 503,
            "retryAfter": "7s",
            "headers": {"x-envoy-upstream-service-time": "3"},
            "body": {"text": "no healthy upstream"}
        });
        let answer = answer_of("http.answer", parameters, &request);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(answer.headers()["x-envoy-upstream-service-time"], "3");
        assert_eq!(answer.body(), "no healthy upstream");
    }

    #[test]
    fn a_body_can_be_a_word() {
        let request = compass_request(1, &[]);
        let body = |body: &str| {
            answer_of("http.answer", json!({"status": 200, "body": body}), &request).into_body()
        };
        assert!(body("empty").is_empty());
        assert!(std::str::from_utf8(&body("garbage")).is_err());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for parameters in [
            json!({"status": 100}),
            json!({"status": 700}),
            json!({"status": 200, "headers": {"bad name": "x"}}),
            json!({"status": 200, "headers": {"good": "bad\nvalue"}}),
            json!({"status": 200, "body": "unknown"}),
            json!({"status": 200, "retryAfter": "soon"}),
            json!({}),
        ] {
            assert!(crate::fault::read("http.answer", parameters.clone()).is_err(), "{parameters}");
        }
    }
}
