//! `tcp.refuse`: nobody listens, so the kernel answers for us.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fault, Parameters};

/// `tcp.refuse` has no parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpRefuse {}

impl Parameters for TcpRefuse {
    const MEANING: &'static str =
        "nobody listens: new connections are refused, those that are open are closed";
    const CLASSES: &'static [&'static str] = &["connection-refused"];

    fn fault(self) -> Result<Fault, String> {
        Ok(Fault::Refuse)
    }
}
