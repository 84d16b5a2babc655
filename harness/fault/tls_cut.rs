//! `tls.cut`: a handshake that is broken off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fault, HandshakeAct, HandshakeEnd, Parameters, Stage};

/// The parameters of `tls.cut`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TlsCut {
    /// How far the handshake gets.
    #[serde(default)]
    after: Stage,
}

impl Parameters for TlsCut {
    const MEANING: &'static str = "the connection is closed in the middle of the TLS handshake";
    const CLASSES: &'static [&'static str] = &["connection-closed", "connection-reset"];

    fn fault(self) -> Result<Fault, String> {
        Ok(Fault::Handshake(HandshakeAct { after: self.after, then: HandshakeEnd::Cut }))
    }
}
