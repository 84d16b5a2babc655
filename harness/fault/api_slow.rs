//! `api.slow`: the Kubernetes API takes its time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AnswerAct, Fault, Parameters, period};

/// The parameters of `api.slow`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ApiSlow {
    /// By how much each answer is late; a watch begins late.
    #[serde(deserialize_with = "period::required")]
    #[schemars(with = "String")]
    delay: Duration,
}

impl Parameters for ApiSlow {
    const MEANING: &'static str = "the answers of the Kubernetes API come late";
    const CLASSES: &'static [&'static str] = &["timeout"];

    fn fault(self) -> Result<Fault, String> {
        let delay = self.delay;
        Ok(Fault::on_answer(move |_, _| {
            Some(AnswerAct::Slow { delay, headers_first: false, drip: None })
        }))
    }
}
