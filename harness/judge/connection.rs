//! One revision of the CompassConnection, read for what its requirements speak of.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::scenario::words::{Flag, State};

/// One revision of the CompassConnection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Tells an object from its successor of the same name.
    pub uid: String,
    /// Tells a revision from the next.
    pub resource_version: String,
    /// The whole object.
    pub content: Arc<Value>,
    /// Its entry in the journal.
    pub seq: u64,
    /// When it was seen.
    pub at: Duration,
}

impl Connection {
    /// The name of the state; empty when there is none.
    #[must_use]
    pub fn state_name(&self) -> &str {
        self.text("/status/connectionState").unwrap_or_default()
    }

    /// The state, when it is one of the seven.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::named(self.state_name())
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn flag(&self, flag: Flag) -> bool {
        let spec = self.content.get("spec");
        spec.and_then(|spec| spec.get(flag.field())) == Some(&Value::Bool(true))
    }

    /// A text that is there and not empty.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.content.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A time, when it is there and is one.
    #[must_use]
    pub fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer).and_then(|text| text.parse().ok())
    }

    /// `status.connectionStatus.error`
    #[must_use]
    pub fn connection_error(&self) -> Option<&str> {
        self.text("/status/connectionStatus/error")
    }

    /// `status.synchronizationStatus.error`
    #[must_use]
    pub fn synchronization_error(&self) -> Option<&str> {
        self.text("/status/synchronizationStatus/error")
    }

    /// `notBefore` and `notAfter` of the certificate that it reports.
    #[must_use]
    pub fn certificate(&self) -> Option<(Timestamp, Timestamp)> {
        let of = |name| self.time(&format!("/status/connectionStatus/certificateStatus/{name}"));
        Some((of("notBefore")?, of("notAfter")?))
    }

    /// `status.synchronizationStatus.lastAttempt`
    #[must_use]
    pub fn last_attempt(&self) -> Option<Timestamp> {
        self.time("/status/synchronizationStatus/lastAttempt")
    }
}
