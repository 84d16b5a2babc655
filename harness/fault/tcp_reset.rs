//! `tcp.reset`: the connection ends with RST.

use schemars::JsonSchema;
use serde::Deserialize;

use super::point::{Point, end_at};
use super::{Ending, Fault, Parameters};

/// The parameters of `tcp.reset`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TcpReset {
    /// When.
    #[serde(default)]
    point: Point,
}

impl Parameters for TcpReset {
    const MEANING: &'static str = "the connection ends with RST: what was under way is lost";
    const CLASSES: &'static [&'static str] = &["connection-reset"];

    fn fault(self) -> Result<Fault, String> {
        Ok(end_at(self.point, Ending::Reset))
    }
}
