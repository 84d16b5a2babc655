//! `http.redirect`: the client is sent elsewhere.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http_answer::final_status;
use super::{Fault, Parameters, RequestAct};

/// The parameters of `http.redirect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HttpRedirect {
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    status: u16,
    /// Where to (`Location`).
    #[serde(default = "login")]
    to: String,
}

fn found() -> u16 {
    302
}

/// What a proxy that has lost a session says.
fn login() -> String {
    "/login".into()
}

impl Parameters for HttpRedirect {
    const MEANING: &'static str = "the client is redirected, the server behind is not asked";
    const CLASSES: &'static [&'static str] = &["http-status", "body-not-json", "other"];

    fn fault(self) -> Result<Fault, String> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return Err(format!("`{}` is not a redirection", self.status));
        }
        let status = final_status(self.status)?;
        let to = HeaderValue::try_from(&self.to)
            .map_err(|_| format!("`{}` cannot stand in a header", self.to))?;
        Ok(Fault::on_request(move |_| {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = status;
            answer.headers_mut().insert(LOCATION, to.clone());
            Some(RequestAct::Answer(answer))
        }))
    }
}
