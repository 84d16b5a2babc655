//! The picture of the world that the entries of a journal draw, one entry after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::terms::Terms;
use super::writers::{Asked, Writers};
use crate::journal::{
    AgentEvent, Answer, CertificateEvent, CertificateFacts, Door, Entry, Event, FaultEvent,
    Identity, LandscapeEvent, ObjectChange, ObjectRef, Peer, RecorderEvent, Request, Revision,
    SecretValue, TokenEvent,
};
use crate::scenario::words::Moment;

/// Entries that a finding shows.
const SHOWN: usize = 12;

/// The picture of the world after some entries of a journal.
#[derive(Debug)]
pub struct Observed {
    /// What is known besides.
    pub terms: Arc<Terms>,
    /// The time of the last entry.
    pub now: Duration,
    /// Position of the last entry.
    pub seq: u64,
    /// The CompassConnection as it is.
    pub connection: Option<Connection>,
    /// Each change of the state, in order.
    pub walk: Vec<Change>,
    /// The Secrets as they are.
    pub secrets: BTreeMap<ObjectRef, BTreeMap<String, SecretValue>>,
    /// The Applications that the agent manages.
    pub applications: BTreeSet<String>,
    /// The certificates that were issued, by number.
    pub certificates: BTreeMap<u32, Issued>,
    /// For each certificate that was renewed, when the first renewal was asked for.
    pub renewals: BTreeMap<u32, Duration>,
    /// The certificate that the last request at the certificate door showed.
    pub shown: Option<u32>,
    /// The one-time tokens, by number.
    pub tokens: BTreeMap<u32, TokenSeen>,
    /// The faults that were armed, by id.
    pub faults: BTreeMap<String, FaultSeen>,
    /// Keys of the runtime's labels that were set.
    pub labels: BTreeSet<String>,
    /// Starts of the agent.
    pub starts: u32,
    /// Ends of the agent that nobody asked for.
    pub unplanned_ends: u32,
    /// How its last run ended, when that was such an end.
    pub ended_by_itself: Option<String>,
    /// Why the record may have holes.
    pub lost: Option<String>,
    /// When the moments of the language came.
    pub moments: BTreeMap<Moment, MomentSeen>,
    /// The last good answer of the Director to a question for applications.
    pub fetched: Option<u64>,
    /// Who wrote which revision.
    pub writers: Writers,
    /// Whether the agent wrote the CompassConnection as it is, as far as is known.
    pub by_agent: bool,
    /// The request by which the agent wrote the CompassConnection the last time.
    pub agent_asked: Option<u64>,
    /// Number of revisions of the CompassConnection.
    pub revisions: u64,
    fingerprints: BTreeMap<String, u32>,
    signing: BTreeMap<u32, Duration>,
    fetching: BTreeSet<u64>,
    fired: Vec<(u64, String)>,
    /// Faults that close a port: they fire once, and act unseen until they are lifted.
    closing: BTreeSet<String>,
    closed: BTreeSet<String>,
    recent: VecDeque<Arc<Entry>>,
}

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name of the state before; none when there was no CompassConnection.
    pub from: Option<String>,
    /// The name of the state after; none when there is no CompassConnection any more.
    pub to: Option<String>,
    /// Its entry in the journal.
    pub seq: u64,
    /// When.
    pub at: Duration,
    /// The faults that fired since the agent wrote the CompassConnection before, the last one last.
    pub because: Vec<String>,
    /// Revisions of the CompassConnection in this state.
    pub revisions: u64,
}

/// A certificate on its way from the Connector to where it is used.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its facts.
    pub facts: CertificateFacts,
    /// Whom it was issued to.
    pub to: Identity,
    /// When it was issued.
    pub at: Duration,
    /// When the Secret had it, and the entry that says so.
    pub stored: Option<(Duration, u64)>,
    /// When the CompassConnection reported it.
    pub reported: Option<Duration>,
    /// The certificate that the first request showed after this one was stored; none inside when
    /// it showed none that we know.
    pub first_request_after: Option<Option<u32>>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A moment of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MomentSeen {
    /// The entry with the request that made it so; what the agent asks after it comes after it.
    pub began: u64,
    /// The entry with the revision, which comes by a watch and may be later.
    pub seen: u64,
}

/// A one-time token.
#[derive(Debug, Clone, Default)]
pub struct TokenSeen {
    /// Whether it was made for the operator, and not as an answer to `configuration`.
    pub by_operator: bool,
    /// How often it was tried on the Connector, with success or when it was spent.
    pub uses: u32,
    /// The entry in which it was accepted.
    pub used: Option<u64>,
}

/// A fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultSeen {
    /// How often it reached the wire.
    pub fired: u32,
}

impl Observed {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(terms: Arc<Terms>) -> Self {
        Self {
            terms,
            now: Duration::ZERO,
            seq: 0,
            connection: None,
            walk: Vec::new(),
            secrets: BTreeMap::new(),
            applications: BTreeSet::new(),
            certificates: BTreeMap::new(),
            renewals: BTreeMap::new(),
            shown: None,
            tokens: BTreeMap::new(),
            faults: BTreeMap::new(),
            labels: BTreeSet::new(),
            starts: 0,
            unplanned_ends: 0,
            ended_by_itself: None,
            lost: None,
            moments: BTreeMap::new(),
            fetched: None,
            writers: Writers::default(),
            by_agent: false,
            agent_asked: None,
            revisions: 0,
            fingerprints: BTreeMap::new(),
            signing: BTreeMap::new(),
            fetching: BTreeSet::new(),
            fired: Vec::new(),
            closing: BTreeSet::new(),
            closed: BTreeSet::new(),
            recent: VecDeque::new(),
        }
    }

    /// Takes in the next entry.
    pub fn see(&mut self, entry: &Arc<Entry>) {
        self.now = entry.elapsed();
        self.seq = entry.seq;
        if is_telling(&entry.event) {
            if self.recent.len() == SHOWN {
                self.recent.pop_front();
            }
            self.recent.push_back(Arc::clone(entry));
        }
        match &entry.event {
            Event::Revision(revision) => self.see_revision(entry, revision),
            Event::Request(request) => self.see_request(entry, request),
            Event::Answer(answer) => self.see_answer(entry, answer),
            Event::Fault(event) => self.see_fault(entry, event),
            Event::Token(event) => self.see_token(entry, event),
            Event::Certificate(event) => self.see_certificate(entry, event),
            Event::Landscape(LandscapeEvent::RuntimeLabel { key, .. }) => {
                self.labels.insert(key.clone());
            }
            Event::Agent(AgentEvent::Started { number, .. }) => {
                self.starts = *number;
                self.ended_by_itself = None;
            }
            Event::Agent(AgentEvent::Exited { code, signal, planned: false }) => {
                self.unplanned_ends += 1;
                self.ended_by_itself = Some(match (code, signal) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("signal {signal}"),
                    (None, None) => "unknown cause".into(),
                });
            }
            Event::Recorder(RecorderEvent::Lost { reason }) => {
                self.lost.get_or_insert_with(|| reason.clone());
            }
            Event::Landscape(LandscapeEvent::Applications { .. })
            | Event::Agent(AgentEvent::Told { .. } | AgentEvent::Exited { .. })
            | Event::Recorder(RecorderEvent::Watching { .. })
            | Event::Handshake(_)
            | Event::Step(_)
            | Event::Action(_) => {}
        }
    }

    /// The name of the state as it is; none without a CompassConnection.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.connection.as_ref().map(Connection::state_name)
    }

    /// The state as it is, in words.
    #[must_use]
    pub fn state_words(&self) -> String {
        match self.state() {
            None => "there is no CompassConnection".into(),
            Some("") => "the CompassConnection has no state".into(),
            Some(state) => format!("the state is {state}"),
        }
    }

    /// The number of the last certificate that was issued.
    #[must_use]
    pub fn latest_certificate(&self) -> Option<u32> {
        self.certificates.keys().next_back().copied()
    }

    /// The number of the certificate in the client-certificate Secret, when we issued it.
    #[must_use]
    pub fn stored_certificate(&self) -> Option<u32> {
        leaf(self.secrets.get(&self.terms.client_certificate)?, &self.fingerprints)
    }

    /// Whether a certificate is the one that the CompassConnection reports.
    #[must_use]
    pub fn is_reported(&self, number: u32) -> bool {
        let reported = self.connection.as_ref().and_then(Connection::certificate);
        let issued = self.certificates.get(&number);
        issued.zip(reported).is_some_and(|(issued, reported)| describes(reported, &issued.facts))
    }

    /// The last telling entries, the newest last.
    #[must_use]
    pub fn recent(&self) -> Vec<Arc<Entry>> {
        self.recent.iter().cloned().collect()
    }

    fn see_revision(&mut self, entry: &Arc<Entry>, revision: &Revision) {
        let gone = revision.change == ObjectChange::Deleted;
        match revision.object.kind.as_str() {
            "CompassConnection" if revision.object.name == self.terms.connection => {
                self.see_connection(entry, revision, gone);
            }
            "Secret" if gone => {
                self.secrets.remove(&revision.object);
            }
            "Secret" => {
                self.secrets.insert(revision.object.clone(), revision.secret.clone());
                if revision.object == self.terms.client_certificate
                    && let Some(number) = leaf(&revision.secret, &self.fingerprints)
                    && let Some(issued) = self.certificates.get_mut(&number)
                {
                    issued.stored.get_or_insert_with(|| (entry.elapsed(), entry.seq));
                }
            }
            "Application" => {
                // Without `spec.compassMetadata` it is somebody else's (APP-06).
                let managed = revision.content.pointer("/spec/compassMetadata").is_some();
                if gone || !managed {
                    self.applications.remove(&revision.object.name);
                } else {
                    self.applications.insert(revision.object.name.clone());
                }
            }
            _ => {}
        }
    }

    fn see_connection(&mut self, entry: &Arc<Entry>, revision: &Revision, gone: bool) {
        let now = (!gone).then(|| Connection {
            uid: revision.uid.clone(),
            resource_version: revision.resource_version.clone(),
            content: Arc::new(revision.content.clone()),
            seq: entry.seq,
            at: entry.elapsed(),
        });
        let before = self.connection.take();
        self.revisions += 1;
        let name = |connection: &Option<Connection>| {
            connection.as_ref().map(|connection| connection.state_name().to_owned())
        };
        let (from, to) = (name(&before), name(&now));
        if from != to || before.as_ref().map(|b| &b.uid) != now.as_ref().map(|n| &n.uid) {
            let since = self.agent_asked.unwrap_or(0);
            let recent = self.fired.iter().rev().take_while(|(seq, _)| *seq >= since);
            let mut because: Vec<String> = Vec::new();
            for id in recent.map(|(_, id)| id).chain(&self.closed) {
                if !because.contains(id) {
                    because.insert(0, id.clone());
                }
            }
            let (seq, at) = (entry.seq, entry.elapsed());
            self.walk.push(Change { from, to: to.clone(), seq, at, because, revisions: 0 });
        }
        if let Some(last) = self.walk.last_mut() {
            last.revisions += 1;
        }
        let moment = match to.as_deref() {
            Some("Connected") => Some(Moment::FirstConnected),
            Some("Synchronized") => Some(Moment::FirstSynchronized),
            _ => None,
        };
        let before = before.map(|before| before.content);
        let after = now.as_ref().map(|now| Arc::clone(&now.content));
        let asked = self.writers.see_revision(&revision.resource_version, before, after);
        self.by_agent = asked.is_some();
        if let Some(asked) = asked {
            self.agent_asked = self.agent_asked.max(Some(asked.seq));
            // Nobody asks for faults before this point again.
            self.fired.retain(|(fired, _)| *fired > asked.seq);
        }
        if let Some(moment) = moment {
            let began = asked.map_or(entry.seq, |asked| asked.seq);
            self.moments.entry(moment).or_insert(MomentSeen { began, seen: entry.seq });
        }
        self.connection = now;
        if let Some(reported) = self.connection.as_ref().and_then(Connection::certificate) {
            let at = entry.elapsed();
            for issued in self.certificates.values_mut().rev() {
                if describes(reported, &issued.facts) {
                    issued.reported.get_or_insert(at);
                    break;
                }
            }
        }
    }

    fn see_request(&mut self, entry: &Arc<Entry>, request: &Request) {
        let asked = Asked { seq: entry.seq, fetched: self.fetched };
        self.writers.see_request(request, &self.terms.connection, asked);
        // A good token is used when it is let in, not when a fault answers in its place.
        if let Identity::RefusedToken { number: Some(number), .. } = &request.identity {
            self.tokens.entry(*number).or_default().uses += 1;
        }
        let asks = |field: &str| request.operations.iter().any(|operation| operation == field);
        if request.peer == Peer::Director && asks("applicationsForRuntime") {
            self.fetching.insert(request.id);
        }
        if request.door != Door::Certificate {
            return;
        }
        let shown = match request.identity {
            Identity::Certificate { number } => Some(number),
            Identity::RefusedCertificate { number, .. } => number,
            _ => None,
        };
        if let Some(number) = shown {
            self.shown = Some(number);
            if asks("signCertificateSigningRequest") {
                self.signing.insert(number, entry.elapsed());
            }
        }
        // Only certificates that were stored a moment ago still wait for their first request.
        for issued in self.certificates.values_mut().rev() {
            match (issued.stored, issued.first_request_after) {
                (Some(_), None) => issued.first_request_after = Some(shown),
                (Some(_), Some(_)) => break,
                (None, _) => {}
            }
        }
    }

    fn see_answer(&mut self, entry: &Arc<Entry>, answer: &Answer) {
        if self.fetching.remove(&answer.request)
            && answer.status == Some(200)
            && answer.errors.is_empty()
        {
            self.fetched = Some(entry.seq);
        }
        self.writers.see_answer(answer);
    }

    fn see_fault(&mut self, entry: &Arc<Entry>, event: &FaultEvent) {
        match event {
            FaultEvent::Armed { id, fault, .. } => {
                self.faults.entry(id.clone()).or_default();
                if fault == "tcp.refuse" {
                    self.closing.insert(id.clone());
                }
            }
            FaultEvent::Fired { id, .. } => {
                self.faults.entry(id.clone()).or_default().fired += 1;
                self.fired.push((entry.seq, id.clone()));
                if self.closing.contains(id) {
                    self.closed.insert(id.clone());
                }
            }
            FaultEvent::Healed { id } => {
                // What it did until now may still be on its way to the CompassConnection.
                if self.closed.remove(id) {
                    self.fired.push((entry.seq, id.clone()));
                }
            }
        }
    }

    fn see_token(&mut self, entry: &Arc<Entry>, event: &TokenEvent) {
        match event {
            TokenEvent::Issued { number, by, .. } => {
                self.tokens.entry(*number).or_default().by_operator = by == "operator";
            }
            TokenEvent::Used { number } => {
                let token = self.tokens.entry(*number).or_default();
                token.uses += 1;
                token.used.get_or_insert(entry.seq);
            }
        }
    }

    fn see_certificate(&mut self, entry: &Arc<Entry>, event: &CertificateEvent) {
        match event {
            CertificateEvent::Issued { number, facts, to, .. } => {
                self.fingerprints.insert(facts.fingerprint.clone(), *number);
                if let Identity::Certificate { number: old } = to {
                    let asked = self.signing.get(old).copied().unwrap_or_else(|| entry.elapsed());
                    self.renewals.entry(*old).or_insert(asked);
                }
                self.certificates.insert(
                    *number,
                    Issued {
                        facts: facts.clone(),
                        to: to.clone(),
                        at: entry.elapsed(),
                        stored: None,
                        reported: None,
                        first_request_after: None,
                        revoked: false,
                    },
                );
            }
            CertificateEvent::Revoked { number } => {
                if let Some(issued) = self.certificates.get_mut(number) {
                    issued.revoked = true;
                }
            }
        }
    }
}

/// The name in the cluster of an application of the Director (APP-01): `mp-`, lower case, every
/// other character a dash, no two dashes in a row and none at the end.
///
/// Either the Director writes it so or the agent does, whatever the label `isNormalized` says.
pub(super) fn resulting_name(name: &str) -> String {
    let normal = normalise(name);
    if normal == name && name.starts_with("mp-") {
        return normal;
    }
    normalise(&format!("mp-{name}"))
}

fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
            normal.push(letter);
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    if normal.ends_with('-') {
        normal.pop();
    }
    normal
}

/// The number of the first certificate in a Secret that we issued.
fn leaf(secret: &BTreeMap<String, SecretValue>, known: &BTreeMap<String, u32>) -> Option<u32> {
    let certificates = secret.values().flat_map(|value| &value.certificates);
    certificates.filter_map(|certificate| known.get(&certificate.fingerprint)).max().copied()
}

/// Whether the dates in the CompassConnection, whole seconds, are those of a certificate.
pub(super) fn describes(
    (not_before, not_after): (jiff::Timestamp, jiff::Timestamp),
    facts: &CertificateFacts,
) -> bool {
    let same = |a: jiff::Timestamp, b: jiff::Timestamp| a.as_second() == b.as_second();
    same(not_before, facts.not_before) && same(not_after, facts.not_after)
}

/// Whether a reader of a finding wants to see it: reads and watches of the cluster tell nothing.
fn is_telling(event: &Event) -> bool {
    match event {
        Event::Request(request) => match &request.kubernetes {
            Some(call) => !matches!(call.verb.as_str(), "get" | "list" | "watch"),
            None => request.door != Door::Kubernetes,
        },
        Event::Answer(answer) => {
            answer.fault.is_some()
                || answer.status.is_none_or(|status| status >= 400 && status != 404)
        }
        Event::Handshake(handshake) => {
            matches!(handshake.outcome, crate::journal::HandshakeOutcome::Failed { .. })
        }
        Event::Recorder(RecorderEvent::Watching { .. }) => false,
        _ => true,
    }
}
