//! A run as stable prose: what happened and in which order, never when or how often.
//!
//! Clock times become `set` or `null`, tokens are named by who issued them, repeated rounds are
//! folded; so a quick and a loaded machine write the same text.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use serde_json::Value;

use crate::journal::{
    AgentEvent, CertificateEvent, CertificateFacts, Entry, Event, FaultEvent, Identity,
    ObjectChange, Peer, Request, Revision, TokenEvent,
};
use crate::judge::Change;

/// A part of the prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// The states of the CompassConnection.
    Transitions,
    /// The certificates that the Connector issued.
    Certificates,
    /// What was asked of Compass, each different request once.
    Requests,
    /// The faults and whether they fired.
    Faults,
}

/// The prose of a run under the given heading; `walk` is the judge's, who knows what led to what.
#[must_use]
pub fn prose(
    heading: &str,
    sections: &[Section],
    walk: &[Change],
    entries: &[Arc<Entry>],
) -> String {
    let because = walk.iter().map(|change| (change.seq, change.because.join(", ")));
    let mut told = Told { because: because.collect(), ..Told::default() };
    for entry in entries {
        told.see(entry);
    }
    let mut text = format!("{heading}\n");
    for section in sections {
        let (name, lines) = match section {
            Section::Transitions => ("transitions", &told.transitions),
            Section::Certificates => ("certificates", &told.certificates),
            Section::Requests => ("requests", &told.requests),
            Section::Faults => ("faults", &told.faults()),
        };
        let _ = write!(text, "\n{name}\n");
        if lines.is_empty() {
            text.push_str("  none\n");
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// The fold.
#[derive(Debug, Default)]
struct Told {
    transitions: Vec<String>,
    certificates: Vec<String>,
    requests: Vec<String>,
    faults: BTreeMap<String, (String, bool)>,
    /// The faults that led to the transition at an entry.
    because: BTreeMap<u64, String>,
    /// The life of `CompassConnection`, `None` while there is none.
    connection: Option<Shown>,
    /// Who issued each token.
    tokens: BTreeMap<u32, String>,
    issued: Vec<(u32, CertificateFacts)>,
}

impl Told {
    fn see(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Revision(revision) if revision.object.kind == "CompassConnection" => {
                self.see_connection(entry.seq, revision);
            }
            Event::Request(request) => self.see_request(request),
            Event::Token(TokenEvent::Issued { number, by, .. }) => {
                self.tokens.insert(*number, by.clone());
            }
            Event::Certificate(event) => self.see_certificate(event),
            Event::Fault(FaultEvent::Armed { id, fault, at }) => {
                self.faults.insert(id.clone(), (format!("{id}  {fault} at {at}"), false));
            }
            Event::Fault(FaultEvent::Fired { id, .. }) => {
                if let Some((_, fired)) = self.faults.get_mut(id) {
                    *fired = true;
                }
            }
            Event::Agent(AgentEvent::Started { number, .. }) if *number > 1 => {
                self.transitions.push("(the agent starts again)".into());
            }
            Event::Agent(AgentEvent::Exited { planned: false, .. }) => {
                self.transitions.push("(the agent ends by itself)".into());
            }
            _ => {}
        }
    }

    fn see_connection(&mut self, seq: u64, revision: &Revision) {
        let now = (revision.change != ObjectChange::Deleted).then(|| self.shown(&revision.content));
        let before = std::mem::replace(&mut self.connection, now);
        let now = self.connection.as_ref();
        let state = |shown: Option<&Shown>| {
            shown.map_or_else(|| "absent".to_owned(), |shown| shown.state.clone())
        };
        let (from, to) = (state(before.as_ref()), state(now));
        if from != to {
            let because = match self.because.get(&seq) {
                Some(faults) if failed(&to) && !faults.is_empty() => format!("  because {faults}"),
                _ => String::new(),
            };
            self.transitions.push(format!("{from} -> {to}{because}"));
            if let Some(now) = now {
                self.transitions.extend(now.to_string().lines().map(|line| format!("    {line}")));
            }
        }
        let (Some(before), Some(now)) = (before, now) else { return };
        if from == to && before.certificate != now.certificate {
            self.transitions.push(format!("({} is reported)", now.certificate));
        }
        for (flag, was, is) in [
            ("resyncNow", before.resync, now.resync),
            ("refreshCredentialsNow", before.refresh, now.refresh),
        ] {
            if was != is {
                self.transitions
                    .push(format!("({flag} is {})", if is { "set" } else { "cleared" }));
            }
        }
    }

    fn see_request(&mut self, request: &Request) {
        if !matches!(request.peer, Peer::Connector | Peer::Director) {
            return;
        }
        let peer = if request.peer == Peer::Connector { "Connector" } else { "Director " };
        let mut operations = request.operations.clone();
        operations.sort_unstable();
        let by = match &request.identity {
            Identity::None => "by nobody".into(),
            Identity::Token { number } => format!("by {}", self.token(Some(*number))),
            Identity::RefusedToken { number, reason } => {
                format!("by {}, refused: {reason}", self.token(*number))
            }
            Identity::Certificate { number } => format!("by certificate {number}"),
            Identity::Administrator => "by an administrator".into(),
            Identity::Bearer { client_id: Some(_) } => "with a bearer token".into(),
            Identity::Bearer { client_id: None } => "with a bearer token that is not good".into(),
            Identity::RefusedCertificate { reason, .. } => {
                format!("by certificate, refused: {reason}")
            }
        };
        let line = format!("{peer}  {}  {by}", operations.join(" + "));
        if !self.requests.contains(&line) {
            self.requests.push(line);
        }
    }

    fn see_certificate(&mut self, event: &CertificateEvent) {
        match event {
            CertificateEvent::Issued { number, facts, to, key_algorithm, key_bits, .. } => {
                let to = match to {
                    Identity::Token { number } => self.token(Some(*number)),
                    Identity::Certificate { number } => format!("certificate {number}"),
                    _ => "nobody".into(),
                };
                self.certificates
                    .push(format!("{number}  {key_algorithm} {key_bits}, issued to {to}"));
                self.issued.push((*number, facts.clone()));
            }
            CertificateEvent::Revoked { number } => {
                self.certificates.push(format!("{number}  revoked"))
            }
        }
    }

    fn faults(&self) -> Vec<String> {
        let said = |fired| if fired { "fired" } else { "did not fire" };
        self.faults.values().map(|(line, fired)| format!("{line}  {}", said(*fired))).collect()
    }

    fn token(&self, number: Option<u32>) -> String {
        match number.and_then(|number| self.tokens.get(&number)) {
            Some(by) => format!("token of {by}"),
            None => "unknown token".into(),
        }
    }

    fn shown(&self, content: &Value) -> Shown {
        let at = |pointer: &str| content.pointer(pointer).filter(|value| !value.is_null());
        let is_set = |pointer: &str| at(pointer).is_some();
        let text = |pointer: &str| at(pointer).and_then(Value::as_str).unwrap_or_default();
        let flag = |pointer: &str| at(pointer) == Some(&Value::Bool(true));
        let life = |name: &str| -> Option<jiff::Timestamp> {
            text(&format!("/status/connectionStatus/certificateStatus/{name}")).parse().ok()
        };
        let certificate = match (life("notBefore"), life("notAfter")) {
            (None, None) => "no certificate".into(),
            life => self
                .issued
                .iter()
                .rev()
                .find(|(_, facts)| (Some(facts.not_before), Some(facts.not_after)) == life)
                .map_or_else(
                    || "unknown certificate".to_owned(),
                    |(number, _)| format!("certificate {number}"),
                ),
        };
        Shown {
            state: text("/status/connectionState").into(),
            certificate,
            connection: ["lastSync", "lastSuccess", "established", "renewed", "error"]
                .map(|name| (name, is_set(&format!("/status/connectionStatus/{name}")))),
            synchronization: at("/status/synchronizationStatus").map(|_| {
                ["lastAttempt", "lastSuccessfulFetch", "lastSuccessfulApplication", "error"]
                    .map(|name| (name, is_set(&format!("/status/synchronizationStatus/{name}"))))
            }),
            resync: flag("/spec/resyncNow"),
            refresh: flag("/spec/refreshCredentialsNow"),
        }
    }
}

/// A CompassConnection without clock times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    state: String,
    certificate: String,
    connection: [(&'static str, bool); 5],
    synchronization: Option<[(&'static str, bool); 4]>,
    resync: bool,
    refresh: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |fields: &[(&str, bool)]| {
            let said = |set| if set { "set" } else { "null" };
            let fields: Vec<_> =
                fields.iter().map(|(name, set)| format!("{name} {}", said(*set))).collect();
            fields.join(", ")
        };
        writeln!(f, "{}", self.certificate)?;
        writeln!(f, "connection: {}", fields(&self.connection))?;
        match &self.synchronization {
            Some(synchronization) => writeln!(f, "synchronization: {}", fields(synchronization)),
            None => writeln!(f, "synchronization: null"),
        }
    }
}

fn failed(state: &str) -> bool {
    state.ends_with("Failed")
}
