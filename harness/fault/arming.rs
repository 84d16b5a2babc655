//! A fault in its place, with its occasions: what can be armed, and what never could fire.

use super::{Fault, Narrowing, Parsed, Place};

/// A fault with its name, its place and its occasions, ready to be armed.
#[derive(Debug, Clone)]
pub struct Armed {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) at: Place,
    pub(super) only: Narrowing,
    pub(super) fault: Fault,
}

/// Why a fault cannot be armed as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmError {
    /// Below HTTP there is no request yet.
    #[error("`{fault}` acts before there is a request, it cannot be narrowed by `{key}`")]
    NoRequestYet {
        /// Which fault.
        fault: &'static str,
        /// Which key of `only`.
        key: &'static str,
    },
    /// A listener refuses everybody.
    #[error("`{fault}` closes the port for everybody, it cannot be narrowed")]
    NotNarrow {
        /// Which fault.
        fault: &'static str,
    },
    /// The fault speaks another protocol than the place.
    #[error("`{fault}` has no meaning at `{at}`")]
    WrongPlace {
        /// Which fault.
        fault: &'static str,
        /// Where.
        at: String,
    },
}

impl Armed {
    /// Puts a fault in its place.
    ///
    /// # Errors
    ///
    /// [`ArmError`] when the fault could never fire there, or not under this narrowing.
    pub fn new(id: String, fault: Parsed, at: Place, only: Narrowing) -> Result<Self, ArmError> {
        let Parsed { kind, fault } = fault;
        match &fault {
            Fault::Refuse if only != Narrowing::default() => {
                return Err(ArmError::NotNarrow { fault: kind });
            }
            Fault::Connection(_) | Fault::Handshake(_) => {
                if let Some(key) = only.asks_for_a_request() {
                    return Err(ArmError::NoRequestYet { fault: kind, key });
                }
            }
            Fault::Refuse | Fault::Request(_) | Fault::Answer(_) | Fault::Stream(_) => {}
        }
        let misplaced = match at {
            Place::Kubernetes => kind.starts_with("graphql."),
            Place::Connector | Place::Director | Place::TokenDoor | Place::CertificateDoor => {
                kind.starts_with("api.")
            }
            Place::Address(_) => false,
        };
        if misplaced {
            return Err(ArmError::WrongPlace { fault: kind, at: at.to_string() });
        }
        Ok(Self { id, kind, at, only, fault })
    }

    /// The scenario's name for it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fault::ConnectionAct;

    #[test]
    fn a_fault_that_could_never_fire_is_refused() {
        let stall =
            || Parsed { kind: "tls.stall", fault: Fault::Connection(ConnectionAct::Stall(None)) };
        let only: Narrowing = serde_json::from_value(json!({"verb": "get"})).expect("keys");
        assert_eq!(
            Armed::new("x".into(), stall(), Place::Kubernetes, only.clone()).expect_err("refused"),
            ArmError::NoRequestYet { fault: "tls.stall", key: "verb" }
        );
        let refuse = Parsed { kind: "tcp.refuse", fault: Fault::Refuse };
        assert!(Armed::new("x".into(), refuse, Place::Kubernetes, only).is_err());
        let api = Parsed { kind: "api.answer", fault: Fault::on_request(|_| None) };
        assert!(Armed::new("x".into(), api, Place::Director, Narrowing::default()).is_err());
    }
}
