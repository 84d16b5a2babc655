//! What the judge must know besides scenario and journal: names, the clock, the speed of the machine.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::ObjectRef;
use crate::scenario::words::SecretWord;

/// What the judge must know besides scenario and journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The clock time at which the journal begins.
    pub started_at: Timestamp,
    /// By how much every bound in time is stretched; 1 on a quiet machine.
    pub speed_factor: f64,
    /// The name of the agent's CompassConnection.
    pub connection: String,
    /// The Secret with key, certificate and chain.
    pub client_certificate: ObjectRef,
    /// The Secret with the certificate of the CA.
    pub ca_certificate: ObjectRef,
}

impl Terms {
    /// The terms for an agent that keeps its certificates in these Secrets (namespace, name).
    #[must_use]
    pub fn new(
        started_at: Timestamp,
        speed_factor: f64,
        client_certificate: (&str, &str),
        ca_certificate: (&str, &str),
    ) -> Self {
        let secret = |(namespace, name): (&str, &str)| ObjectRef {
            kind: "Secret".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        };
        Self {
            started_at,
            speed_factor,
            connection: "compass-connection".into(),
            client_certificate: secret(client_certificate),
            ca_certificate: secret(ca_certificate),
        }
    }

    /// The Secret that a word stands for.
    #[must_use]
    pub fn secret(&self, word: SecretWord) -> &ObjectRef {
        match word {
            SecretWord::ClientCertificate => &self.client_certificate,
            SecretWord::CaCertificate => &self.ca_certificate,
        }
    }

    /// A bound as it counts on this machine.
    #[must_use]
    pub fn stretch(&self, bound: Duration) -> Duration {
        Duration::try_from_secs_f64(bound.as_secs_f64() * self.speed_factor.max(1.0))
            .unwrap_or(Duration::MAX)
    }

    /// The clock time of a time of the journal.
    #[must_use]
    pub fn clock(&self, at: Duration) -> Timestamp {
        self.started_at.checked_add(at).unwrap_or(Timestamp::MAX)
    }
}
