//! The status after each outcome: pure, one function an outcome.

use jiff::Timestamp;

use super::resource::{CertificateStatus, ConnectionStatus, State, Status, SynchronizationStatus};

/// What is reported of the certificate in use (STAT-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) acquired: Timestamp,
    /// When it took the place of another one; none for the first one after pairing.
    pub(super) renewed: Option<Timestamp>,
}

/// The time of an outcome in whole seconds.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

impl Status {
    /// Pairing succeeded.
    pub(super) fn connected(&mut self, at: Timestamp, certificate: Certificate) {
        let at = later(self.connection_status.last_sync, at);
        // CONN-06: one time for all, `renewed` null, no error; STAT-02 allows the reset of `renewed`.
        self.connection_status = ConnectionStatus {
            certificate_status: CertificateStatus {
                acquired: Some(at),
                not_before: Some(certificate.not_before),
                not_after: Some(certificate.not_after),
            },
            established: Some(at),
            renewed: None,
            last_sync: Some(at),
            last_success: Some(at),
            error: None,
        };
        self.connection_state = Some(State::Connected);
    }

    /// Pairing failed (CONN-07).
    pub(super) fn connection_failed(&mut self, at: Timestamp, error: String) {
        self.connection_state = Some(State::ConnectionFailed);
        let connection = &mut self.connection_status;
        connection.last_sync = Some(later(connection.last_sync, at));
        connection.error = Some(error);
    }

    /// The certificate was replaced; the state says what it said (CERT-20).
    pub(super) fn renewed(&mut self, certificate: Certificate) {
        let connection = &mut self.connection_status;
        let reported = &mut connection.certificate_status;
        reported.not_before = Some(certificate.not_before);
        reported.not_after = Some(certificate.not_after);
        reported.acquired = Some(certificate.acquired);
        // CERT-03: `renewed` = `acquired`. STAT-02: it never goes back.
        if let Some(renewed) = certificate.renewed {
            let renewed = later(connection.renewed, renewed);
            connection.renewed = Some(renewed);
            reported.acquired = Some(renewed);
        }
    }

    /// The Connector answered and knows us.
    pub(super) fn maintained(&mut self, at: Timestamp, certificate: Certificate) {
        self.renewed(certificate);
        let connection = &mut self.connection_status;
        let at = later(connection.last_sync, at);
        connection.last_sync = Some(at);
        connection.last_success = Some(at);
        // A connection that was made by an older version, or by hand, is established from now on.
        connection.established.get_or_insert(at);
        // CERT-09, STAT-06: a good answer ends the old complaint.
        connection.error = None;
    }

    /// The Connector was not reached, did not know us, or a renewal failed (CERT-07).
    pub(super) fn maintenance_failed(&mut self, at: Timestamp, error: String) {
        self.connection_state = Some(State::ConnectionMaintenanceFailed);
        let connection = &mut self.connection_status;
        connection.last_sync = Some(later(connection.last_sync, at));
        connection.error = Some(error);
    }

    /// Nothing could be fetched (SYNC-04): the times of success stay as they were.
    pub(super) fn fetch_failed(&mut self, at: Timestamp, error: String) {
        self.connection_state = Some(State::SynchronizationFailed);
        let synchronization = self.synchronization_status.get_or_insert_default();
        synchronization.last_attempt = Some(later(synchronization.last_attempt, at));
        synchronization.error = Some(error);
    }

    /// Something could not be applied (SYNC-06, SYNC-08, SYNC-17).
    pub(super) fn application_failed(&mut self, at: Timestamp, error: String) {
        self.fetched(State::ResourceApplicationFailed, at, error);
    }

    /// The Director did not take the labels (SYNC-09).
    pub(super) fn labels_failed(&mut self, at: Timestamp, error: String) {
        self.fetched(State::MetadataUpdateFailed, at, error);
    }

    /// Everything was fetched and applied, and the Director knows it (SYNC-01, SYNC-10).
    pub(super) fn synchronized(&mut self, at: Timestamp) {
        let last = self.synchronization_status.as_ref().and_then(|last| last.last_attempt);
        let at = Some(later(last, at));
        self.connection_state = Some(State::Synchronized);
        self.synchronization_status = Some(SynchronizationStatus {
            last_attempt: at,
            last_successful_fetch: at,
            last_successful_application: at,
            error: None,
        });
    }

    fn fetched(&mut self, state: State, at: Timestamp, error: String) {
        self.connection_state = Some(state);
        let synchronization = self.synchronization_status.get_or_insert_default();
        let at = later(synchronization.last_attempt, at);
        synchronization.last_attempt = Some(at);
        // SYNC-06: the fetch is of this round. SYNC-07: the last successful application stays.
        synchronization.last_successful_fetch = Some(at);
        synchronization.error = Some(error);
    }
}

/// STAT-02: no time goes back, whatever the clock does.
fn later(before: Option<Timestamp>, at: Timestamp) -> Timestamp {
    let at = whole_seconds(at);
    before.map_or(at, |before| before.max(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn certificate(renewed: Option<i64>) -> Certificate {
        Certificate {
            not_before: at(90),
            not_after: at(200),
            acquired: at(renewed.unwrap_or(100)),
            renewed: renewed.map(at),
        }
    }

    fn synchronized() -> Status {
        let mut status = Status::default();
        status.connected(at(100), certificate(None));
        status.synchronized(at(101));
        status
    }

    #[test]
    fn pairing_writes_one_time_everywhere_and_no_renewal() {
        let mut status = Status::default();
        status.connection_failed(at(50), "no".into());
        assert_eq!(status.connection_status.established, None);
        status.connected(at(100), certificate(None));
        let connection = &status.connection_status;
        for time in [
            connection.established,
            connection.last_sync,
            connection.last_success,
            connection.certificate_status.acquired,
        ] {
            assert_eq!(time, Some(at(100)));
        }
        assert_eq!((connection.renewed, connection.error.as_ref()), (None, None));
    }

    #[test]
    fn a_failed_maintenance_leaves_all_but_the_attempt_and_the_error() {
        let before = synchronized();
        let mut status = before.clone();
        status.maintenance_failed(at(150), "gone".into());
        assert_eq!(status.connection_status.last_sync, Some(at(150)));
        status.connection_state = before.connection_state;
        status.connection_status.last_sync = before.connection_status.last_sync;
        status.connection_status.error = None;
        assert_eq!(status, before);
    }

    #[test]
    fn a_renewal_is_visible_before_anything_else_and_keeps_the_state() {
        let mut status = synchronized();
        status.renewed(certificate(Some(160)));
        assert_eq!(status.connection_state, Some(State::Synchronized));
        assert_eq!(status.connection_status.renewed, Some(at(160)));
        assert_eq!(status.connection_status.certificate_status.acquired, Some(at(160)));
    }

    #[test]
    fn a_recovery_clears_both_errors() {
        let mut status = synchronized();
        status.maintenance_failed(at(150), "gone".into());
        status.fetch_failed(at(151), "gone too".into());
        status.maintained(at(160), certificate(None));
        status.synchronized(at(161));
        assert_eq!(status.connection_status.error, None);
        assert_eq!(status.synchronization_status.expect("there").error, None);
    }

    #[test]
    fn failures_after_the_fetch_keep_the_last_application() {
        for fail in [Status::application_failed, Status::labels_failed] {
            let mut status = synchronized();
            fail(&mut status, at(170), "no".into());
            let synchronization = status.synchronization_status.expect("there");
            assert_eq!(synchronization.last_attempt, Some(at(170)));
            assert_eq!(synchronization.last_successful_fetch, Some(at(170)));
            assert_eq!(synchronization.last_successful_application, Some(at(101)));
        }
    }

    #[test]
    fn no_time_goes_back_with_the_clock() {
        let mut status = synchronized();
        status.maintained(at(10), certificate(None));
        status.synchronized(at(10));
        assert_eq!(status.connection_status.last_sync, Some(at(100)));
        assert_eq!(status.synchronization_status.expect("there").last_attempt, Some(at(101)));
    }
}
