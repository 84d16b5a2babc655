//! `http.cut`: a body that breaks off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AnswerAct, Declared, Fault, Parameters};

/// The parameters of `http.cut`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HttpCut {
    /// How many bytes of the body are sent; half of it when not given.
    #[serde(default)]
    after_bytes: Option<u64>,
    /// What `Content-Length` says; the real length when not given.
    #[serde(default)]
    declared_length: Option<u64>,
    /// The body is sent in chunks, and the last chunk never comes.
    #[serde(default)]
    broken_chunk: bool,
}

impl Parameters for HttpCut {
    const MEANING: &'static str = "the body of the server's answer breaks off";
    const CLASSES: &'static [&'static str] = &["body-cut"];

    fn fault(self) -> Result<Fault, String> {
        let declared = match (self.declared_length, self.broken_chunk) {
            (Some(_), true) => {
                return Err("`declaredLength` and `brokenChunk` exclude each other".into());
            }
            (Some(length), false) => Declared::Other(length),
            (None, true) => Declared::Chunked,
            (None, false) => Declared::Real,
        };
        let after = self.after_bytes;
        if let (Some(after), Declared::Other(length)) = (after, declared)
            && length <= after
        {
            return Err("a body of `declaredLength` is not cut after as many bytes".into());
        }
        Ok(Fault::on_answer(move |_, answer| {
            answer.body.map(|_| AnswerAct::CutBody { after, declared })
        }))
    }
}
