//! What the agent knows while it runs, and one round from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;
use tokio::sync::watch;
use tokio::time::Instant;

use super::chain::chain;
use super::cluster::{Cluster, version};
use super::compass_client::{ClientError, CompassClient, Trace};
use super::credentials::{Credentials, CredentialsError};
use super::critical::Critical;
use super::environment::Environment;
use super::pairing::Paired;
use super::resource::{self, Change, Flags, ManagementInfo, State, Status};
use super::schedule::{Schedule, Timing};
use super::secrets::{Provenance, Versions};
use super::status::Certificate;
use super::watches::Observed;

/// One agent; all of it is owned by one task.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) environment: Arc<Environment>,
    pub(super) timing: Timing,
    pub(super) cluster: Cluster,
    pub(super) observed: watch::Receiver<Observed>,
    pub(super) critical: Critical,
    pub(super) schedule: Schedule,
    pub(super) memory: Memory,
}

/// What is known beyond the cluster's objects; none of it is needed after a restart.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The identity in use.
    pub(super) held: Option<Held>,
    /// A pairing that is not in the CompassConnection yet.
    pub(super) paired: Option<Paired>,
    /// Whether this process has ever had an established connection.
    pub(super) was_established: bool,
    /// Digest of a token that this process used up.
    pub(super) spent: Option<String>,
    /// Digest of the token that the credentials were had for.
    pub(super) paired_with: Option<String>,
    /// Digest of a token that was refused when it was to replace a dead certificate.
    pub(super) refused: Option<String>,
    /// The Secrets as the last round saw them.
    pub(super) versions: Versions,
    /// The edits of the CompassConnection that were answered.
    pub(super) answered: Answered,
    /// For the correlation id, once it is known.
    pub(super) runtime_id: String,
}

/// How far the edits of the CompassConnection were looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answered {
    /// What the watch had seen when the last round began.
    begun: Observed,
    /// The version that the last round began with.
    read: u64,
    /// The last version that this process wrote itself.
    written: u64,
}

/// An identity with all that belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) credentials: Credentials,
    pub(super) certificate: Certificate,
    pub(super) provenance: Provenance,
    pub(super) client: CompassClient,
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("Failed to read credentials")]
    Credentials(#[source] CredentialsError),
    #[error("Failed to prepare Certificate-secured Connector client")]
    Client(#[source] ClientError),
}

impl Held {
    pub(super) fn new(
        environment: &Environment,
        credentials: Credentials,
        certificate: Certificate,
        provenance: Provenance,
    ) -> Result<Self, IdentityError> {
        let identity = credentials.identity().map_err(IdentityError::Credentials)?;
        // CERT-06: a client of its own for each certificate, so that no old session lives on.
        let client =
            CompassClient::new(environment, Some(identity)).map_err(IdentityError::Client)?;
        Ok(Self { credentials, certificate, provenance, client })
    }
}

/// A round under way: the object it began with, and what is to become of it.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) object: Option<DynamicObject>,
    pub(super) status: Status,
    pub(super) management_info: Option<ManagementInfo>,
    /// The flags that were set when the round began, and the version that they were seen at.
    asked: Flags,
    seen: u64,
    /// The flags that were honoured since.
    pub(super) done: Flags,
    /// Whether the object was deleted meanwhile.
    pub(super) gone: bool,
    pub(super) trace: Trace,
}

impl Round {
    fn new(object: Option<DynamicObject>, trace: Trace) -> Self {
        Self {
            status: object.as_ref().map(resource::status).unwrap_or_default(),
            asked: object.as_ref().map(resource::flags).unwrap_or_default(),
            seen: object.as_ref().map_or(0, version),
            object,
            management_info: None,
            done: Flags::default(),
            gone: false,
            trace,
        }
    }

    /// Whether a renewal was asked for.
    pub(super) fn refresh_asked(&self) -> bool {
        self.asked.refresh
    }

    /// The management URLs in force.
    pub(super) fn urls(&self) -> ManagementInfo {
        self.management_info
            .clone()
            .or_else(|| self.object.as_ref().map(resource::management_info))
            .unwrap_or_default()
    }

    /// What a write is to change, given what the watch saw meanwhile.
    fn change(&self, observed: Observed) -> Change {
        Change {
            management_info: self.management_info.clone(),
            // K8S-05: a flag that was set again after the round began is a new request, and stays.
            clear: Flags {
                resync: self.asked.resync && self.done.resync && observed.resync_set <= self.seen,
                refresh: self.asked.refresh
                    && self.done.refresh
                    && observed.refresh_set <= self.seen,
            },
            status: self.status.clone(),
        }
    }
}

impl Agent {
    /// Takes note of what the watches have seen, and says when the next round is due.
    pub(super) fn due(&mut self) -> Option<Instant> {
        let observed = *self.observed.borrow_and_update();
        let Memory { answered: Answered { begun, read, written }, versions, .. } = &self.memory;
        // SYNC-03, K8S-05: each setting of a flag that nobody has looked at gets a look at once.
        let asked =
            [(observed.resync_set, begun.resync_set), (observed.refresh_set, begun.refresh_set)];
        let asked = asked.iter().any(|(seen, begun)| seen > begun && seen > read);
        // CONN-13: and so does a deletion, unless it is of an object before the present one.
        let deleted = observed.gone > begun.gone && observed.gone > *read.max(written);
        self.schedule.at_once |= asked || deleted;
        // CONN-09, CERT-14, CERT-15: a Secret that changed waits for nothing but `M`.
        self.schedule.soon |= observed.secrets.any_newer_than(versions);
        self.schedule.due(Instant::now(), &self.timing)
    }

    /// Picks up the thread of an earlier run: attempts keep their distance over a restart, too.
    pub(super) async fn resume(&mut self) {
        let now = Instant::now();
        self.schedule.regular = Some(now);
        // Only for the correlation id, so a failure is no news here.
        if let Ok(configuration) = self.cluster.configuration(&self.environment).await {
            self.memory.runtime_id = configuration.runtime_id;
        }
        let Ok(Some(object)) = self.cluster.connection().await else { return };
        let status = resource::status(&object);
        let synchronization = status.synchronization_status.unwrap_or_default();
        let last = status.connection_status.last_sync.max(synchronization.last_attempt);
        // What is written as a whole second may have been up to a second later.
        let age = last.map(|last| Timestamp::now().duration_since(last));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        self.schedule.last_attempt =
            age.and_then(|age| now.checked_sub(age.saturating_sub(Duration::from_secs(1))));
    }

    /// One pass of establish or maintain, then synchronise.
    pub(super) async fn round(&mut self) {
        let now = Instant::now();
        self.schedule.begin(now, &self.timing);
        self.schedule.last_attempt = Some(now);
        let observed = *self.observed.borrow();
        self.memory.answered.begun = observed;
        self.memory.versions.raise(observed.secrets);
        let object = match self.cluster.connection().await {
            Ok(object) => object,
            Err(error) => {
                // K8S-02: nothing is known, so nothing is done; the next round comes after `M`.
                tracing::warn!(error = chain(&error), "the CompassConnection cannot be read");
                self.schedule.soon = true;
                return;
            }
        };
        let mut round = Round::new(object, Trace::new(&self.memory.runtime_id));
        self.memory.answered.read = round.seen;
        let established =
            !matches!(round.status.connection_state, None | Some(State::ConnectionFailed));
        self.memory.was_established |= established;
        // A pairing that was not reported yet comes first.
        let connected = if established && self.memory.paired.is_none() {
            self.maintain(&mut round).await
        } else {
            self.establish(&mut round).await
        };
        // CONN-10: nothing is asked of the Director before the connection stands.
        if connected && !round.gone {
            self.synchronise(&mut round).await;
        }
        self.plan(&round);
    }

    /// Writes what has become of the round so far. False when the object went away meanwhile.
    pub(super) async fn report(&mut self, round: &mut Round) -> bool {
        let observed = self.observed.clone();
        let change = |object: &mut DynamicObject| round.change(*observed.borrow()).apply(object);
        match self.cluster.put_connection(round.object.clone(), change).await {
            Ok(Some(object)) => {
                let before = round.object.as_ref().map(resource::status).unwrap_or_default();
                if before.connection_state != round.status.connection_state {
                    tracing::info!(
                        state = round.status.connection_state.map(tracing::field::debug),
                        "the state changed"
                    );
                }
                round.object = Some(object);
                round.management_info = None;
                self.memory.answered.written = round.object.as_ref().map_or(0, version);
                true
            }
            Ok(None) => {
                tracing::info!("the CompassConnection was deleted while a round ran");
                self.schedule.soon = true;
                round.gone = true;
                false
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the CompassConnection cannot be written");
                self.schedule.soon = true;
                false
            }
        }
    }

    /// Decides what the next round waits for.
    fn plan(&mut self, round: &Round) {
        // CONN-04: an adopted connection may lack its CA certificate, which a renewal brings.
        self.schedule.soon |=
            self.memory.held.as_ref().is_some_and(|held| held.credentials.ca.is_none());
        // A flag that is still there was not honoured; the next try keeps its distance (CONN-11).
        if let Some(object) = &round.object {
            let flags = resource::flags(object);
            self.schedule.soon |= flags.resync || flags.refresh;
        }
        // CERT-01: the renewal does not wait for the period when that would be too late. When it is
        // too late, nothing is gained by haste.
        let now = Timestamp::now();
        let held = self.memory.held.as_ref().filter(|held| !held.credentials.expired(now));
        self.schedule.renewal = held.and_then(|held| {
            let Credentials { not_before, not_after, .. } = held.credentials;
            Instant::now().checked_add(self.timing.until_renewal(not_before, not_after, now))
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn round(resync: bool, refresh: bool) -> Round {
        let mut object = resource::blank();
        object.metadata.resource_version = Some("10".into());
        object.data = json!({"spec": {"resyncNow": resync, "refreshCredentialsNow": refresh}});
        let mut round = Round::new(Some(object), Trace::new(""));
        round.done = Flags { resync: true, refresh: true };
        round
    }

    #[test]
    fn a_flag_that_was_honoured_goes() {
        let change = round(true, true).change(Observed::default());
        assert_eq!(change.clear, Flags { resync: true, refresh: true });
    }

    #[test]
    fn a_flag_that_was_set_after_the_round_began_stays() {
        // Nobody had asked when the round began, and somebody does now.
        let change = round(false, false).change(Observed::default());
        assert_eq!(change.clear, Flags::default());
        // Somebody asked, took it back, and asked again while the round ran.
        let mut observed = Observed::default();
        (observed.resync_set, observed.refresh_set) = (11, 10);
        let change = round(true, true).change(observed);
        assert_eq!(change.clear, Flags { resync: false, refresh: true });
    }

    #[test]
    fn a_flag_that_was_not_honoured_stays() {
        let mut round = round(true, true);
        round.done = Flags::default();
        assert_eq!(round.change(Observed::default()).clear, Flags::default());
    }
}
