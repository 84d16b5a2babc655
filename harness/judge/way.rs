//! The way of a certificate from the Connector to where it is used, and the time of its renewal.

use std::time::Duration;

use super::condition::{Condition, resolve, words};
use super::finding::{Finding, Outcome};
use super::observed::{Issued, Observed};
use crate::scenario::{CertificateFact, RenewalFact};

/// Follows one certificate.
#[derive(Debug)]
pub(super) struct Way {
    fact: CertificateFact,
    deadline: Duration,
    decided: Option<(u64, Outcome)>,
}

impl Way {
    pub(super) fn new(
        fact: CertificateFact,
        within: Duration,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let deadline = begun.saturating_add(observed.terms.stretch(within));
        let mut way = Self { fact, deadline, decided: None };
        way.advance(begun, observed);
        way
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if self.decided.is_none() {
            let outcome = self.judge(now, observed);
            if outcome.is_decided() {
                self.decided = Some((observed.seq, outcome));
            }
        }
    }

    pub(super) fn held_at(&self) -> Option<u64> {
        self.decided.as_ref().map(|(seq, _)| *seq)
    }

    pub(super) fn outcome(&self, observed: &Observed) -> Outcome {
        match &self.decided {
            Some((_, outcome)) => outcome.clone(),
            None => self.judge(observed.now, observed),
        }
    }

    fn judge(&self, now: Duration, observed: &Observed) -> Outcome {
        let broken =
            |seen: String| Outcome::Broken(Box::new(Finding::new("", "", seen, observed, now)));
        let number = self.fact.number;
        let issued = resolve(number, observed).and_then(|found| observed.certificates.get(&found));
        let Some(issued) = issued else {
            if now > self.deadline {
                return broken(format!("certificate {number} was not issued"));
            }
            return Outcome::Pending { until: Some(self.deadline) };
        };
        let mut open = None;
        let mut wait = |until: Duration| {
            open = Some(open.map_or(until, |open: Duration| open.min(until)));
        };
        for (what, within, came) in [
            ("stored", self.fact.stored_within, issued.stored.map(|(at, _)| at)),
            ("reported", self.fact.reported_within, issued.reported),
        ] {
            let Some(within) = within else { continue };
            let until = issued.at.saturating_add(observed.terms.stretch(within.duration()));
            match came {
                Some(at) if at <= until => {}
                Some(at) => {
                    let took = at.saturating_sub(issued.at).as_millis();
                    return broken(format!("certificate {number} was {what} after {took} ms"));
                }
                None if now > until => {
                    return broken(format!("certificate {number} was not {what}"));
                }
                None => wait(until),
            }
        }
        if self.fact.new_key.is_some() {
            let key = &issued.facts.public_key;
            let earlier = observed
                .certificates
                .iter()
                .find(|(_, other)| other.at < issued.at && other.facts.public_key == *key);
            if let Some((other, _)) = earlier {
                return broken(format!("certificate {number} has the key of certificate {other}"));
            }
        }
        if self.fact.used_by_next_request.is_some() {
            match issued.first_request_after {
                Some(shown) if is_shown(issued, shown, observed) => {}
                Some(Some(other)) => {
                    return broken(format!("the next request showed certificate {other}"));
                }
                Some(None) => {
                    return broken("the next request showed no certificate of ours".into());
                }
                None if now > self.deadline => {
                    return broken("no request after it was stored".into());
                }
                None => wait(self.deadline),
            }
        }
        if let Some(places) = &self.fact.same_in {
            let same = Condition::SameIn(number, words(places));
            if !same.holds(observed) {
                if now > self.deadline {
                    return broken(same.seen(observed));
                }
                wait(self.deadline);
            }
        }
        open.map_or(Outcome::Held, |until| Outcome::Pending { until: Some(until) })
    }
}

/// Whether the certificate that was shown is this one.
fn is_shown(issued: &Issued, shown: Option<u32>, observed: &Observed) -> bool {
    let shown = shown.and_then(|number| observed.certificates.get(&number));
    shown.is_some_and(|shown| shown.facts.fingerprint == issued.facts.fingerprint)
}

/// Waits for the renewal of one certificate and looks at how much of its life was left.
#[derive(Debug)]
pub(super) struct Renewal {
    fact: RenewalFact,
    deadline: Duration,
    decided: Option<(u64, Outcome)>,
}

/// Times in the CompassConnection and in certificates are whole seconds.
const GRAIN: f64 = 1.0;

impl Renewal {
    pub(super) fn new(
        fact: RenewalFact,
        within: Duration,
        begun: Duration,
        observed: &Observed,
    ) -> Self {
        let deadline = begun.saturating_add(observed.terms.stretch(within));
        let mut renewal = Self { fact, deadline, decided: None };
        renewal.advance(begun, observed);
        renewal
    }

    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if self.decided.is_none() {
            let outcome = self.judge(now, observed);
            if outcome.is_decided() {
                self.decided = Some((observed.seq, outcome));
            }
        }
    }

    pub(super) fn held_at(&self) -> Option<u64> {
        self.decided.as_ref().map(|(seq, _)| *seq)
    }

    pub(super) fn outcome(&self) -> Outcome {
        match &self.decided {
            Some((_, outcome)) => outcome.clone(),
            None => Outcome::Pending { until: Some(self.deadline) },
        }
    }

    fn judge(&self, now: Duration, observed: &Observed) -> Outcome {
        let broken =
            |seen: String| Outcome::Broken(Box::new(Finding::new("", "", seen, observed, now)));
        let asked = resolve(self.fact.of, observed).and_then(|number| {
            observed.certificates.get(&number).zip(observed.renewals.get(&number))
        });
        let Some((old, asked)) = asked else {
            if now > self.deadline {
                return broken(format!("no renewal of certificate {}", self.fact.of));
            }
            return Outcome::Pending { until: Some(self.deadline) };
        };
        let seconds =
            |from: jiff::Timestamp, to: jiff::Timestamp| to.duration_since(from).as_secs_f64();
        let life = seconds(old.facts.not_before, old.facts.not_after);
        let left = seconds(observed.terms.clock(*asked), old.facts.not_after);
        let bounds = self.fact.requested_when_life_left;
        let late = bounds.above.is_some_and(|above| left + GRAIN < above.fraction() * life);
        let early = bounds.below.is_some_and(|below| left - GRAIN > below.fraction() * life);
        if !late && !early {
            return Outcome::Held;
        }
        let word = if early { "too early" } else { "too late" };
        broken(format!(
            "a renewal {word}, with {left:.1} s of {life:.0} s left ({:.0}%)",
            100.0 * left / life
        ))
    }
}
