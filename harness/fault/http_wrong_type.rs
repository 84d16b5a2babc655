//! `http.wrong-type`: the server's own answer under a false `Content-Type`.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{AnswerAct, Fault, Parameters};

/// The parameters of `http.wrong-type`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HttpWrongType {
    /// The `Content-Type` that the answer claims.
    #[serde(default = "html")]
    content_type: String,
}

fn html() -> String {
    "text/html; charset=utf-8".into()
}

impl Parameters for HttpWrongType {
    const MEANING: &'static str = "the server's answer comes under a false Content-Type";
    const CLASSES: &'static [&'static str] = &["other"];

    fn fault(self) -> Result<Fault, String> {
        let content_type = HeaderValue::try_from(&self.content_type)
            .map_err(|_| format!("`{}` cannot stand in a header", self.content_type))?;
        Ok(Fault::on_answer(move |_, answer| {
            let mut replaced = Response::new(answer.body?.clone());
            *replaced.status_mut() = StatusCode::from_u16(answer.status).ok()?;
            *replaced.headers_mut() = answer.headers.clone();
            replaced.headers_mut().insert(CONTENT_TYPE, content_type.clone());
            Some(AnswerAct::Replace(replaced))
        }))
    }
}
