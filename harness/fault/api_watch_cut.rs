//! `api.watch-cut`: open watches break off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fault, Parameters, StreamAct};

/// `api.watch-cut` has no parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiWatchCut {}

impl Parameters for ApiWatchCut {
    const MEANING: &'static str =
        "watches break off, those that are open and those that begin while it is armed";
    const CLASSES: &'static [&'static str] = &[];

    fn fault(self) -> Result<Fault, String> {
        Ok(Fault::on_stream(|_, _| Some(StreamAct { last: None, clean: false })))
    }
}
