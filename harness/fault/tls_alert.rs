//! `tls.alert`: a handshake that we refuse with an alert of the scenario's choice.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fault, HandshakeAct, HandshakeEnd, Parameters, Stage};

/// The parameters of `tls.alert`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TlsAlert {
    /// Which alert.
    #[serde(default)]
    alert: Alert,
}

/// The alerts of RFC 8446, section 6.2, and of its forerunners, that can end a handshake.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Alert {
    UnexpectedMessage,
    BadRecordMac,
    RecordOverflow,
    #[default]
    HandshakeFailure,
    BadCertificate,
    UnsupportedCertificate,
    CertificateRevoked,
    CertificateExpired,
    CertificateUnknown,
    IllegalParameter,
    UnknownCa,
    AccessDenied,
    DecodeError,
    DecryptError,
    ProtocolVersion,
    InsufficientSecurity,
    InternalError,
    InappropriateFallback,
    MissingExtension,
    UnsupportedExtension,
    UnrecognizedName,
    UnknownPskIdentity,
    CertificateRequired,
    NoApplicationProtocol,
}

impl Alert {
    fn code(self) -> u8 {
        match self {
            Self::UnexpectedMessage => 10,
            Self::BadRecordMac => 20,
            Self::RecordOverflow => 22,
            Self::HandshakeFailure => 40,
            Self::BadCertificate => 42,
            Self::UnsupportedCertificate => 43,
            Self::CertificateRevoked => 44,
            Self::CertificateExpired => 45,
            Self::CertificateUnknown => 46,
            Self::IllegalParameter => 47,
            Self::UnknownCa => 48,
            Self::AccessDenied => 49,
            Self::DecodeError => 50,
            Self::DecryptError => 51,
            Self::ProtocolVersion => 70,
            Self::InsufficientSecurity => 71,
            Self::InternalError => 80,
            Self::InappropriateFallback => 86,
            Self::MissingExtension => 109,
            Self::UnsupportedExtension => 110,
            Self::UnrecognizedName => 112,
            Self::UnknownPskIdentity => 115,
            Self::CertificateRequired => 116,
            Self::NoApplicationProtocol => 120,
        }
    }
}

impl Parameters for TlsAlert {
    const MEANING: &'static str = "the TLS handshake is refused with a fatal alert";
    const CLASSES: &'static [&'static str] = &["tls-alert"];

    fn fault(self) -> Result<Fault, String> {
        // An alert can be sent in the clear only before there are keys.
        let then = HandshakeEnd::Alert(self.alert.code());
        Ok(Fault::Handshake(HandshakeAct { after: Stage::ClientHello, then }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fault::tests::fault;

    #[test]
    fn the_alert_has_its_number() {
        let fault = fault("tls.alert", json!({"alert": "certificate-required"}));
        let Fault::Handshake(act) = fault else { panic!("{fault:?}") };
        assert_eq!(act.then, HandshakeEnd::Alert(116));
    }
}
