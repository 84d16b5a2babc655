//! The way of the state, compared with the one that is expected.

use std::time::Duration;

use super::condition::begins;
use super::finding::{Finding, Outcome, WalkLine};
use super::observed::{Change, Observed};
use crate::document::Spanned;
use crate::scenario::{Transition, UNSAID_WITHIN};

/// Follows the state and compares each change with the next expected one.
///
/// Exact about order: whatever comes must be what is expected next. That the CompassConnection
/// disappears is no change of state; where the next one begins (`from: absent`) tells it.
#[derive(Debug)]
pub(super) struct Walk {
    expected: Vec<Spanned<Transition>>,
    unsaid: Duration,
    matched: Vec<(u64, Duration)>,
    seen: Vec<Change>,
    /// Changes of the picture that were looked at.
    looked_at: usize,
    begun: Duration,
    outcome: Outcome,
}

impl Walk {
    /// Follows from the first change after `from_seq`.
    pub(super) fn new(
        expected: Vec<Spanned<Transition>>,
        within: Option<Duration>,
        from_seq: Option<u64>,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let looked_at =
            from_seq.map_or(0, |from| observed.walk.partition_point(|change| change.seq <= from));
        let unsaid = within.unwrap_or_else(|| UNSAID_WITHIN.duration());
        let matched = Vec::new();
        let (seen, outcome) = (Vec::new(), Outcome::OPEN);
        Self { expected, unsaid, matched, seen, looked_at, begun, outcome }
    }

    /// The entry at which it was complete.
    pub(super) fn held_at(&self) -> Option<u64> {
        (self.outcome == Outcome::Held).then(|| self.matched.last().map(|(seq, _)| *seq)).flatten()
    }

    pub(super) fn see(&mut self, observed: &Observed) {
        while !self.outcome.is_decided() && self.looked_at < observed.walk.len() {
            let change = observed.walk[self.looked_at].clone();
            self.looked_at += 1;
            if change.to.is_none() {
                continue;
            }
            self.take(change, observed);
        }
    }

    fn take(&mut self, change: Change, observed: &Observed) {
        let next = &self.expected[self.matched.len()];
        // One that came too late is not what was expected, whatever it is.
        let late = change.at > self.deadline(observed);
        let fits = change.to.as_deref() == Some(next.to.word())
            && begins(change.from.as_deref(), next.from);
        let blamed = next.because.as_ref().is_none_or(|because| change.because.contains(because));
        let (seq, at) = (change.seq, change.at);
        self.seen.push(change);
        if fits && blamed && !late {
            self.matched.push((seq, at));
            if self.matched.len() == self.expected.len() {
                self.outcome = Outcome::Held;
            }
            return;
        }
        let words = match (late, fits, &next.because) {
            (true, _, _) => {
                let late = at.saturating_sub(self.deadline(observed));
                format!("that change {} ms too late", late.as_millis())
            }
            (_, true, Some(because)) => {
                match self.seen.last().map(|seen| seen.because.as_slice()) {
                    Some([.., other]) => {
                        format!("that change, but {other} fired before it, not {because}")
                    }
                    _ => format!("that change, but {because} had not fired before it"),
                }
            }
            _ => "another change".into(),
        };
        self.fail(&words, observed, at);
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if !self.outcome.is_decided() && now > self.deadline(observed) {
            let words = match self.seen.last() {
                None => format!("no change; {}", observed.state_words()),
                Some(_) => format!("no further change; {}", observed.state_words()),
            };
            self.fail(&words, observed, now);
        }
    }

    pub(super) fn outcome(&self, observed: &Observed) -> Outcome {
        match &self.outcome {
            Outcome::Pending { .. } => Outcome::Pending { until: Some(self.deadline(observed)) },
            decided => decided.clone(),
        }
    }

    fn deadline(&self, observed: &Observed) -> Duration {
        let next = self.expected.get(self.matched.len());
        let within =
            next.and_then(|next| next.within).map_or(self.unsaid, |within| within.duration());
        let base = self.matched.last().map_or(self.begun, |(_, at)| (*at).max(self.begun));
        base.saturating_add(observed.terms.stretch(within))
    }

    fn fail(&mut self, words: &str, observed: &Observed, at: Duration) {
        let next = &self.expected[self.matched.len().min(self.expected.len() - 1)];
        let mut finding =
            Finding::new("", format!("the state goes {}", next.value), words, observed, at);
        finding.span = Some(next.span);
        finding.walks = self.lines();
        self.outcome = Outcome::Broken(Box::new(finding));
    }

    /// The two ways beside each other.
    fn lines(&self) -> Vec<WalkLine> {
        let expected = |transition: &Transition| {
            let from = transition.from.map(|from| format!("{from} ")).unwrap_or_default();
            let because = transition.because.as_ref().map(|id| format!(" because of {id}"));
            format!("{from}-> {}{}", transition.to, because.unwrap_or_default())
        };
        let seen = |change: &Change| {
            let state = |name: &Option<String>| name.clone().unwrap_or_else(|| "absent".into());
            let because = match change.because.as_slice() {
                [] => String::new(),
                ids => format!(" because of {}", ids.join(", ")),
            };
            format!("{} -> {}{because}", state(&change.from), state(&change.to))
        };
        let length = self.expected.len().max(self.seen.len());
        (0..length)
            .map(|n| WalkLine {
                expected: self.expected.get(n).map(|one| expected(one)),
                seen: self.seen.get(n).map(seen),
                agrees: n < self.matched.len(),
            })
            .collect()
    }
}
