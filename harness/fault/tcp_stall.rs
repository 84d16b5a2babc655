//! `tcp.stall`: the connection stays open and nothing moves on it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::point::{Point, stall_at};
use super::{Fault, Parameters, period};

/// The parameters of `tcp.stall`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TcpStall {
    /// When.
    #[serde(default)]
    point: Point,
    /// For how long; until the fault is healed when not given.
    #[serde(default, deserialize_with = "period::optional")]
    #[schemars(with = "Option<String>")]
    hold: Option<Duration>,
}

impl Parameters for TcpStall {
    const MEANING: &'static str = "the connection stays open and nothing moves on it";
    const CLASSES: &'static [&'static str] = &["timeout"];

    fn fault(self) -> Result<Fault, String> {
        Ok(stall_at(self.point, self.hold))
    }
}
