//! A fact that becomes true within a time, and then stays so for a time.

use std::time::Duration;

use super::condition::{Condition, asks};
use super::finding::{Finding, Outcome};
use super::observed::Observed;
use crate::journal::{Entry, Event, Peer};
use crate::scenario::words::{Operation, PeerWord, State};

/// Waits for a condition.
///
/// What is true now may be false again before the facts beside it are true, so nothing is final
/// here but a deadline that was missed; the claim as a whole is decided when all are true at once.
#[derive(Debug)]
pub(super) struct Reach {
    condition: Condition,
    deadline: Duration,
    stable_for: Option<Duration>,
    /// Since when it is true, and the entry that made it so.
    since: Option<(Duration, u64)>,
    now: Duration,
    seq: u64,
    broken: Option<Box<Finding>>,
}

#[derive(Debug, Clone)]
enum Decided {
    Held(u64),
    Broken(Box<Finding>),
}

impl Decided {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Held(_) => Outcome::Held,
            Self::Broken(finding) => Outcome::Broken(finding.clone()),
        }
    }

    fn held_at(&self) -> Option<u64> {
        match self {
            Self::Held(seq) => Some(*seq),
            Self::Broken(_) => None,
        }
    }
}

impl Reach {
    pub(super) fn new(
        condition: Condition,
        within: Duration,
        stable_for: Option<Duration>,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let deadline = begun.saturating_add(observed.terms.stretch(within));
        let (now, seq) = (begun, observed.seq);
        let mut reach =
            Self { condition, deadline, stable_for, since: None, now, seq, broken: None };
        reach.look(begun, observed);
        reach
    }

    pub(super) fn see(&mut self, entry: &Entry, observed: &Observed) {
        if self.broken.is_none() && self.condition.concerns(&entry.event) {
            self.look(observed.now, observed);
        } else {
            (self.now, self.seq) = (observed.now, observed.seq);
        }
    }

    fn look(&mut self, now: Duration, observed: &Observed) {
        (self.now, self.seq) = (now, observed.seq);
        match (self.condition.holds(observed), self.since) {
            (true, None) => self.since = Some((now, observed.seq)),
            (false, Some(_)) => self.since = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        self.now = self.now.max(now);
        let in_time = self.since.is_some_and(|(since, _)| since <= self.deadline);
        if self.broken.is_some() || in_time || now <= self.deadline {
            return;
        }
        let seen = match self.since {
            Some((since, _)) => {
                let late = since.saturating_sub(self.deadline);
                format!("that, but {} ms too late", late.as_millis())
            }
            None => self.condition.seen(observed),
        };
        self.broken = Some(Box::new(Finding::new("", "", seen, observed, now)));
    }

    /// The entry that made it true.
    pub(super) fn held_at(&self) -> Option<u64> {
        match self.stable_for {
            None => self.since.map(|(_, seq)| seq),
            Some(_) => Some(self.seq),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        if let Some(finding) = &self.broken {
            return Outcome::Broken(finding.clone());
        }
        match (self.since, self.stable_for) {
            (Some((since, _)), None) if since <= self.deadline => Outcome::Held,
            (Some((since, _)), Some(stable)) if since <= self.deadline => {
                let until = since.saturating_add(stable);
                if self.now >= until {
                    Outcome::Held
                } else {
                    Outcome::Pending { until: Some(until) }
                }
            }
            _ => Outcome::Pending { until: Some(self.deadline) },
        }
    }
}

/// The state stays in some states for a time from the start of the step.
#[derive(Debug)]
pub(super) struct Stay {
    states: Vec<State>,
    until: Duration,
    decided: Option<Decided>,
}

impl Stay {
    pub(super) fn new(
        states: Vec<State>,
        duration: Duration,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let mut stay = Self { states, until: begun.saturating_add(duration), decided: None };
        stay.see(observed);
        stay
    }

    pub(super) fn see(&mut self, observed: &Observed) {
        if self.decided.is_none() && !Condition::State(self.states.clone()).holds(observed) {
            let finding = Finding::new("", "", observed.state_words(), observed, observed.now);
            self.decided = Some(Decided::Broken(Box::new(finding)));
        }
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if self.decided.is_none() && now >= self.until {
            self.decided = Some(Decided::Held(observed.seq));
        }
    }

    pub(super) fn held_at(&self) -> Option<u64> {
        self.decided.as_ref().and_then(Decided::held_at)
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.decided.as_ref().map_or(Outcome::Pending { until: Some(self.until) }, Decided::outcome)
    }
}

/// Requests come within a time.
#[derive(Debug)]
pub(super) struct Arrivals {
    to: Vec<PeerWord>,
    operation: Option<Operation>,
    wanted: u32,
    count: u32,
    deadline: Duration,
    decided: Option<Decided>,
}

impl Arrivals {
    pub(super) fn new(
        to: Vec<PeerWord>,
        operation: Option<Operation>,
        wanted: u32,
        within: Duration,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let deadline = begun.saturating_add(observed.terms.stretch(within));
        Self { to, operation, wanted, count: 0, deadline, decided: None }
    }

    pub(super) fn see(&mut self, entry: &Entry) {
        if self.decided.is_some() || !goes(entry, &self.to, self.operation) {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.count >= self.wanted && entry.elapsed() <= self.deadline {
            self.decided = Some(Decided::Held(entry.seq));
        }
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if self.decided.is_none() && now > self.deadline {
            let seen = match self.count {
                0 => "no such request".to_owned(),
                1 => "one such request".into(),
                count => format!("{count} such requests"),
            };
            let finding = Finding::new("", "", seen, observed, now);
            self.decided = Some(Decided::Broken(Box::new(finding)));
        }
    }

    pub(super) fn held_at(&self) -> Option<u64> {
        self.decided.as_ref().and_then(Decided::held_at)
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.decided
            .as_ref()
            .map_or(Outcome::Pending { until: Some(self.deadline) }, Decided::outcome)
    }
}

/// Whether an entry is a request to one of these, for this.
pub(super) fn goes(entry: &Entry, to: &[PeerWord], operation: Option<Operation>) -> bool {
    let Event::Request(request) = &entry.event else { return false };
    let peer = match request.peer {
        Peer::Connector => PeerWord::Connector,
        Peer::Director => PeerWord::Director,
        Peer::Kubernetes | Peer::Nobody => return false,
    };
    to.contains(&peer) && asks(&request.operations, operation)
}
