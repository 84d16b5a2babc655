//! The rules for every revision of every run: STAT-01 to STAT-11, and those beside them that a
//! revision alone can break (CERT-03, CERT-05, CERT-07, CONN-06, SYNC-01, SYNC-04); and RES-01.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Connection;
use super::finding::Finding;
use super::observed::{Observed, describes};
use super::schema;
use super::writers::AgentWrite;
use crate::journal::{AgentEvent, Entry, Event, Identity, Revision};
use crate::scenario::catalogue;
use crate::scenario::words::{Flag, State};

mod rules;

/// The rules that are not of the chapter STAT.
pub(super) const BESIDE: [&str; 7] =
    ["CERT-03", "CERT-05", "CERT-07", "CONN-06", "RES-01", "SYNC-01", "SYNC-04"];

/// Watches all rules over one run.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    broken: BTreeMap<&'static str, Finding>,
    /// Whether there was anything to judge.
    pub judged: bool,
    certificate: CertificateWatch,
    /// STAT-11: the agent's last write told nothing but the time of its call to the Connector.
    told_sync_only: bool,
    /// The entry of the last transition to `Connected`.
    connected: Option<u64>,
    /// The entry of the last establishing: a certificate for a token.
    established: Option<u64>,
    /// The request by which the agent told of its last attempt to synchronise.
    attempted: u64,
    /// RES-01: the agent was asked to end.
    asked_to_end: bool,
}

/// What STAT-07 remembers.
#[derive(Debug, Default)]
struct CertificateWatch {
    /// The numbers in the Secret now and before.
    stored: Option<u32>,
    previous: Option<u32>,
    /// Whether the Secret changed since the agent wrote the CompassConnection.
    fresh: bool,
    /// Whether the Secret was there and is not any more.
    taken_away: bool,
}

impl Invariants {
    /// Takes in an entry; `before` is the CompassConnection before it, `observed` the picture after.
    pub(super) fn see(
        &mut self,
        entry: &Arc<Entry>,
        before: Option<&Connection>,
        observed: &mut Observed,
    ) {
        match &entry.event {
            Event::Revision(revision) => self.see_revision(revision, before, observed),
            Event::Request(request) => {
                if let Identity::Certificate { number } = request.identity {
                    self.check_shown(number, observed);
                }
            }
            Event::Certificate(crate::journal::CertificateEvent::Issued { to, .. }) => {
                if matches!(to, Identity::Token { .. }) {
                    self.established = Some(entry.seq);
                }
            }
            Event::Agent(event) => self.see_agent(event, observed),
            _ => {}
        }
        for write in observed.writers.take_known() {
            self.check_write(&write, observed);
        }
    }

    /// RES-01: whoever asked the agent to end waited for its grace period before using force.
    fn see_agent(&mut self, event: &AgentEvent, observed: &Observed) {
        match event {
            AgentEvent::Started { .. } => self.asked_to_end = false,
            AgentEvent::Told { signal } if signal == "SIGTERM" => self.asked_to_end = true,
            AgentEvent::Told { signal } if signal == "SIGKILL" && self.asked_to_end => {
                let words = "the agent did not end within its grace period and was killed";
                self.broken("RES-01", words.into(), observed);
            }
            AgentEvent::Told { .. } | AgentEvent::Exited { .. } => {}
        }
    }

    /// The first finding for each rule that was broken.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.broken.values()
    }

    fn see_revision(
        &mut self,
        revision: &Revision,
        before: Option<&Connection>,
        observed: &Observed,
    ) {
        if revision.object == observed.terms.client_certificate {
            self.see_secret(revision, observed);
        }
        let about = revision.object.kind == "CompassConnection"
            && revision.object.name == observed.terms.connection;
        let Some(now) = observed.connection.as_ref().filter(|now| about && now.seq == observed.seq)
        else {
            return;
        };
        self.judged = true;
        // A new object of the same name has a history of its own.
        let before = before.filter(|before| before.uid == now.uid);
        for (id, broken) in [
            ("STAT-01", rules::valid(now)),
            ("STAT-02", before.and_then(|before| rules::no_time_goes_back(before, now))),
            ("STAT-03", rules::times_are_in_order(now)),
            ("STAT-04", rules::failure_has_its_error(now)),
            ("STAT-05", rules::synchronized_is_clean(now)),
            ("STAT-06", rules::no_stale_connection_error(now)),
            ("STAT-07", self.certificate_is_described(before, now, observed)),
            ("STAT-08", self.transition_is_legal(before, now, observed)),
            ("STAT-09", rules::no_secret(now)),
            ("CONN-06", rules::establishing_is_told(before, now)),
            ("CERT-03", rules::renewal_is_told(before, now)),
            ("SYNC-01", rules::complete_round_is_told(now)),
            ("CERT-07", before.and_then(|b| rules::failed_maintenance_keeps_what_was(b, now))),
            ("SYNC-04", before.and_then(|b| rules::failed_fetch_keeps_what_was(b, now))),
        ] {
            if let Some(words) = broken {
                self.broken(id, words, observed);
            }
        }
        if now.state() == Some(State::Connected)
            && before.is_none_or(|before| before.state() != Some(State::Connected))
        {
            self.connected = Some(now.seq);
        }
        if observed.by_agent {
            self.certificate.fresh = false;
        }
    }

    fn see_secret(&mut self, revision: &Revision, observed: &Observed) {
        let stored = observed.stored_certificate();
        if revision.change == crate::journal::ObjectChange::Deleted {
            self.certificate.taken_away = true;
            self.certificate.stored = None;
            return;
        }
        self.certificate.taken_away = false;
        if stored != self.certificate.stored {
            self.certificate.previous = self.certificate.stored;
            self.certificate.stored = stored;
            self.certificate.fresh = true;
        }
        if let Some(words) = rules::key_and_certificate_belong_together(&revision.secret) {
            self.broken("CERT-05", words, observed);
        }
    }

    /// STAT-07: the certificate in the Secret. The Secret is written first, so for a moment the
    /// CompassConnection still describes the one before.
    fn certificate_is_described(
        &self,
        before: Option<&Connection>,
        now: &Connection,
        observed: &Observed,
    ) -> Option<String> {
        let watch = &self.certificate;
        let reported = now.certificate();
        if watch.taken_away || now.state() == Some(State::ConnectionFailed) {
            return None;
        }
        let is = |number: Option<u32>| {
            let issued = number.and_then(|number| observed.certificates.get(&number));
            issued.zip(reported).is_some_and(|(issued, dates)| describes(dates, &issued.facts))
        };
        let Some(stored) = watch.stored else {
            return reported
                .map(|_| "a certificate is described, and none of ours is stored".into());
        };
        if is(Some(stored)) {
            return None;
        }
        let unchanged = before.is_some_and(|before| before.certificate() == reported);
        let failed = now.state() == Some(State::ConnectionMaintenanceFailed);
        let kept = unchanged && (!observed.by_agent || failed);
        let moment_before = is(watch.previous) && (watch.fresh || kept);
        (!moment_before).then(|| {
            let words = reported.map_or_else(
                || "no certificate".to_owned(),
                |(from, to)| format!("a certificate valid from {from} to {to}"),
            );
            format!("{words} is described, and certificate {stored} is stored")
        })
    }

    /// STAT-07 on the wire: the one that is stored, or the one before until the new one is reported.
    fn check_shown(&mut self, number: u32, observed: &Observed) {
        let watch = &self.certificate;
        let Some(stored) = watch.stored.filter(|_| !watch.taken_away) else { return };
        if number == stored || !observed.is_reported(stored) {
            return;
        }
        let words = format!(
            "a request showed certificate {number}, and certificate {stored} is stored and reported"
        );
        self.broken("STAT-07", words, observed);
    }

    /// STAT-08.
    fn transition_is_legal(
        &self,
        before: Option<&Connection>,
        now: &Connection,
        observed: &Observed,
    ) -> Option<String> {
        let (from, to) = (before.map(Connection::state_name), now.state()?);
        if from == Some(to.word()) {
            return None;
        }
        let words = || format!("from {} to {to}", from.unwrap_or("absent"));
        let unestablished = matches!(from, None | Some("ConnectionFailed"));
        match to {
            State::Connected => {
                let fresh = self.established > self.connected;
                (!fresh).then(|| format!("{}, and nothing was established", words()))
            }
            State::ConnectionFailed => {
                // CERT-11: pairing again is deliberate when there is a token for it.
                let fresh_token = observed.tokens.values().any(|token| {
                    token.by_operator && token.used.is_none_or(|used| Some(used) > self.connected)
                });
                (!unestablished && !fresh_token).then(words)
            }
            _ => unestablished.then(words),
        }
    }

    /// STAT-05, STAT-10 and STAT-11, for a revision that is known to be the agent's.
    fn check_write(&mut self, write: &AgentWrite, observed: &Observed) {
        let Some(after) = &write.after else { return };
        let attempt = |object: &Arc<serde_json::Value>| {
            object.pointer("/status/synchronizationStatus/lastAttempt").cloned()
        };
        if attempt(after) != write.before.as_ref().and_then(attempt) {
            let state = after.pointer("/status/connectionState");
            let fetched = write.asked.fetched.is_some_and(|fetched| fetched > self.attempted);
            if state.is_some_and(|state| state == State::Synchronized.word()) && !fetched {
                let words = "`Synchronized`, and the Director answered no question for applications \
                             since the attempt before";
                self.broken("STAT-05", words.into(), observed);
            }
            self.attempted = self.attempted.max(write.asked.seq);
        }
        let Some(before) = &write.before else { return };
        if let Some(words) = rules::writes_only_its_own(before, after) {
            self.broken("STAT-10", words, observed);
        }
        // Rounds differ in both times, failed ones in one; only a round that is written down in two
        // goes changes first the one and then the other.
        let same = rules::says_nothing_new(before, after);
        let sync_differs = rules::differs(before, after, "/status/connectionStatus/lastSync");
        let attempt_differs = attempt(before) != attempt(after);
        if same && attempt_differs && !sync_differs && self.told_sync_only {
            self.broken("STAT-11", "two writes in one unchanged round".into(), observed);
        }
        self.told_sync_only = same && sync_differs && !attempt_differs;
    }

    fn broken(&mut self, id: &'static str, words: String, observed: &Observed) {
        if let Some(finding) = self.broken.get_mut(id) {
            finding.times = finding.times.saturating_add(1);
            return;
        }
        let required = catalogue().find(id).map_or("", |rule| rule.requirement.as_str());
        let finding = Finding::new(required, required, words, observed, observed.now);
        self.broken.insert(id, Finding { requirement: Some(id.into()), ..finding });
    }
}

/// Whether flags of both are the same.
fn same_flags(before: &serde_json::Value, after: &serde_json::Value) -> bool {
    [Flag::ResyncNow, Flag::RefreshNow].into_iter().all(|flag| {
        let is = |object: &serde_json::Value| {
            object.get("spec").and_then(|spec| spec.get(flag.field()))
                == Some(&serde_json::Value::Bool(true))
        };
        is(before) == is(after)
    })
}
