//! `api.answer`: the Kubernetes API refuses, in its own words.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use schemars::JsonSchema;
use serde::Deserialize;

use super::graphql_errors::json_answer;
use super::{Fault, Parameters, RequestAct, period, status};

/// The parameters of `api.answer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ApiAnswer {
    /// 401, 403, 404, 409, 410, 429, 500, 503 or 504.
    status: u16,
    /// After what time the client may come again; a second for 429 when not given.
    #[serde(default, deserialize_with = "period::optional")]
    #[schemars(with = "Option<String>")]
    retry_after: Option<Duration>,
}

impl Parameters for ApiAnswer {
    const MEANING: &'static str = "the Kubernetes API refuses with a Status, nothing is changed";
    const CLASSES: &'static [&'static str] =
        &["conflict", "forbidden", "unauthorised", "too-many-requests", "http-status"];

    fn fault(self) -> Result<Fault, String> {
        let code = self.status;
        if !matches!(code, 401 | 403 | 404 | 409 | 410 | 429 | 500 | 503 | 504) {
            return Err(format!(
                "`{code}` is not a refusal of the Kubernetes API, use 401, 403, 404, 409, 410, \
                 429, 500, 503 or 504"
            ));
        }
        let retry_after = match (self.retry_after, code) {
            (Some(after), _) => Some(after.as_secs()),
            (None, 429) => Some(1),
            (None, _) => None,
        };
        Ok(Fault::on_request(move |request| {
            let mut body = status::failure(code, request, retry_after)?.to_string();
            body.push('\n');
            let mut answer = json_answer(StatusCode::from_u16(code).ok()?, body.into());
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Some(RequestAct::Answer(answer))
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fault::tests::{answer_of, kubernetes_request};

    #[test]
    fn too_many_requests_say_when_to_come_again() {
        let request = kubernetes_request(1, "list", "secrets", None);
        let answer = answer_of("api.answer", json!({"status": 429}), &request);
        assert_eq!(answer.headers()["retry-after"], "1");
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(body["reason"], "TooManyRequests");
        assert_eq!(body["details"]["retryAfterSeconds"], 1);
    }

    #[test]
    fn every_status_that_is_allowed_has_words() {
        for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
            let request = kubernetes_request(1, verb, "secrets", Some("a"));
            for status in [401, 403, 404, 409, 410, 429, 500, 503, 504] {
                let answer = answer_of("api.answer", json!({"status": status}), &request);
                assert_eq!(answer.status().as_u16(), status);
            }
        }
        assert!(crate::fault::read("api.answer", json!({"status": 200})).is_err());
    }
}
