//! `http.slow-answer`: the server's own answer, late or in drops.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AnswerAct, Drip, Fault, Parameters, period};

/// The parameters of `http.slow-answer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HttpSlowAnswer {
    /// By how much the answer is late.
    #[serde(default, deserialize_with = "period::optional")]
    #[schemars(with = "Option<String>")]
    delay: Option<Duration>,
    /// Whether status and headers come in time and only the body is late.
    #[serde(default)]
    headers_first: bool,
    /// The body comes in small pieces.
    #[serde(default)]
    drip: Option<Drip>,
}

impl Parameters for HttpSlowAnswer {
    const MEANING: &'static str = "the server's answer comes late, or in small pieces";
    const CLASSES: &'static [&'static str] = &["timeout"];

    fn fault(self) -> Result<Fault, String> {
        let Self { delay, headers_first, drip } = self;
        if delay.is_none() && drip.is_none() {
            return Err("`delay` or `drip` must be given".into());
        }
        let delay = delay.unwrap_or_default();
        Ok(Fault::on_answer(move |_, answer| {
            // What is streamed can be late, but it cannot drip.
            let slow = answer.body.is_some() || !delay.is_zero();
            slow.then_some(AnswerAct::Slow { delay, headers_first, drip })
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fault::read;

    #[test]
    fn something_must_be_slow() {
        assert!(read("http.slow-answer", json!({})).is_err());
        assert!(read("http.slow-answer", json!({"delay": "6s"})).is_ok());
        let drip = json!({"drip": {"bytes": 10, "every": "100ms"}});
        assert!(read("http.slow-answer", drip).is_ok());
        let nothing = json!({"drip": {"bytes": 0, "every": "100ms"}});
        assert!(read("http.slow-answer", nothing).is_err());
    }
}
