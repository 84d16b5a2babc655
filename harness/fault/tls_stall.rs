//! `tls.stall`: a handshake that comes to a rest.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fault, HandshakeAct, HandshakeEnd, Parameters, Stage, period};

/// The parameters of `tls.stall`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TlsStall {
    /// How far the handshake gets.
    #[serde(default)]
    after: Stage,
    /// For how long it rests before it goes on; until the fault is healed when not given.
    #[serde(default, deserialize_with = "period::optional")]
    #[schemars(with = "Option<String>")]
    hold: Option<Duration>,
}

impl Parameters for TlsStall {
    const MEANING: &'static str = "the TLS handshake comes to a rest, and goes on after it";
    const CLASSES: &'static [&'static str] = &["timeout"];

    fn fault(self) -> Result<Fault, String> {
        let then = HandshakeEnd::Stall(self.hold);
        Ok(Fault::Handshake(HandshakeAct { after: self.after, then }))
    }
}
