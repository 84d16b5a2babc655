//! `tcp.close`: the connection ends with FIN.

use schemars::JsonSchema;
use serde::Deserialize;

use super::point::{Point, end_at};
use super::{Ending, Fault, Parameters};

/// The parameters of `tcp.close`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TcpClose {
    /// When.
    #[serde(default)]
    point: Point,
}

impl Parameters for TcpClose {
    const MEANING: &'static str = "the connection ends with FIN, without a word from TLS";
    const CLASSES: &'static [&'static str] = &["connection-closed", "connection-reset"];

    fn fault(self) -> Result<Fault, String> {
        Ok(end_at(self.point, Ending::Close))
    }
}
