//! One claim of a scenario while it is watched: all its facts, judged as one.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Condition, words};
use super::finding::{Finding, Outcome};
use super::kept::Kept;
use super::observed::{Observed, resulting_name};
use super::reach::{Arrivals, Reach, Stay};
use super::walk::Walk;
use super::way::{Renewal, Way};
use crate::document::{Period, Span};
use crate::journal::Entry;
use crate::scenario::{Claim, Fact, FlagsFact, StateFact, UNSAID_WITHIN};

/// Where a claim begins to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// When its step began.
    pub begun: Duration,
    /// The last entry that an earlier step has used up; changes of the state count from there.
    pub used: Option<u64>,
}

/// A claim that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    text: String,
    span: Span,
    step: Option<usize>,
    facts: Vec<WatchedFact>,
    /// How it was decided, and the last entry that it took.
    decided: Option<(Outcome, Option<u64>)>,
}

#[derive(Debug)]
struct WatchedFact {
    expected: String,
    span: Span,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Walk(Walk),
    Reach(Reach),
    Stay(Stay),
    Arrivals(Arrivals),
    Way(Way),
    Renewal(Renewal),
    Kept(Kept),
}

impl Watched {
    /// Watches what must not happen from the first entry on.
    pub(super) fn kept(claim: &Claim) -> Self {
        let mut watched = Self::empty(claim, None);
        for fact in &claim.facts {
            watched.add(fact, Kept::of(&fact.value).into_iter().map(Machine::Kept));
        }
        watched
    }

    /// Watches a claim of a step, or what must be true at the end.
    pub(super) fn new(
        claim: &Claim,
        step: Option<usize>,
        window: Window,
        observed: &Observed,
    ) -> Self {
        let mut watched = Self::empty(claim, step);
        for fact in &claim.facts {
            let reached = reached(claim, &fact.value, window, observed);
            watched.add(fact, reached.into_iter());
            watched.add(fact, Kept::of(&fact.value).into_iter().map(Machine::Kept));
        }
        watched
    }

    fn empty(claim: &Claim, step: Option<usize>) -> Self {
        let text = claim.name.clone().unwrap_or_else(|| claim.to_string());
        Self { text, span: claim.span, step, facts: Vec::new(), decided: None }
    }

    fn add(
        &mut self,
        fact: &crate::document::Spanned<Fact>,
        machines: impl Iterator<Item = Machine>,
    ) {
        self.facts.extend(machines.map(|machine| WatchedFact {
            expected: format!("that {}", fact.value),
            span: fact.span,
            machine,
        }));
    }

    /// Gives an entry from before the step began to those that count what happens.
    pub(super) fn catch_up(&mut self, entry: &Arc<Entry>, observed: &Observed) {
        for fact in &mut self.facts {
            match &mut fact.machine {
                Machine::Arrivals(machine) => machine.see(entry),
                Machine::Kept(machine) => machine.see(entry, observed),
                _ => {}
            }
        }
    }

    /// Takes in an entry that the picture has taken in already.
    pub(super) fn see(&mut self, entry: &Arc<Entry>, observed: &Observed) {
        if self.decided.is_some() {
            return;
        }
        for fact in &mut self.facts {
            match &mut fact.machine {
                Machine::Walk(machine) => machine.see(observed),
                Machine::Reach(machine) => machine.see(entry, observed),
                Machine::Stay(machine) => machine.see(observed),
                Machine::Arrivals(machine) => machine.see(entry),
                Machine::Way(machine) => machine.advance(observed.now, observed),
                Machine::Renewal(machine) => machine.advance(observed.now, observed),
                Machine::Kept(machine) => machine.see(entry, observed),
            }
        }
        self.decide(observed);
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Duration, observed: &Observed) {
        if self.decided.is_some() {
            return;
        }
        for fact in &mut self.facts {
            match &mut fact.machine {
                Machine::Walk(machine) => machine.advance(now, observed),
                Machine::Reach(machine) => machine.advance(now, observed),
                Machine::Stay(machine) => machine.advance(now, observed),
                Machine::Arrivals(machine) => machine.advance(now, observed),
                Machine::Way(machine) => machine.advance(now, observed),
                Machine::Renewal(machine) => machine.advance(now, observed),
                Machine::Kept(_) => {}
            }
        }
        self.decide(observed);
    }

    /// The run is over.
    pub(super) fn end(&mut self, observed: &Observed) {
        if self.decided.is_some() {
            return;
        }
        for fact in &mut self.facts {
            if let Machine::Kept(machine) = &mut fact.machine {
                machine.end(observed);
            }
        }
        self.decide(observed);
    }

    /// What was decided stays decided: later entries belong to later steps.
    fn decide(&mut self, observed: &Observed) {
        let outcome = self.together(observed);
        // What is only kept is decided by nothing but the end.
        let open = self.facts.iter().all(|fact| matches!(fact.machine, Machine::Kept(_)));
        if outcome.is_decided() && !(open && self.step.is_none() && outcome == Outcome::Held) {
            self.decided = Some((outcome, self.last_needed()));
        }
    }

    /// Where it stands.
    pub(super) fn outcome(&self, observed: &Observed) -> Outcome {
        match &self.decided {
            Some((outcome, _)) => outcome.clone(),
            None => self.together(observed),
        }
    }

    /// The last entry that it took to hold.
    pub(super) fn held_at(&self) -> Option<u64> {
        self.decided.as_ref().and_then(|(_, seq)| *seq)
    }

    /// Broken when one fact is; held when all that become true are true at once.
    fn together(&self, observed: &Observed) -> Outcome {
        let mut until: Option<Duration> = None;
        let mut pending = false;
        for fact in &self.facts {
            let outcome = match &fact.machine {
                Machine::Walk(machine) => machine.outcome(observed),
                Machine::Reach(machine) => machine.outcome(),
                Machine::Stay(machine) => machine.outcome(),
                Machine::Arrivals(machine) => machine.outcome(),
                Machine::Way(machine) => machine.outcome(observed),
                Machine::Renewal(machine) => machine.outcome(),
                Machine::Kept(machine) => match machine.outcome() {
                    // What was kept until the rest came true is held by that.
                    Outcome::Pending { .. } => Outcome::Held,
                    decided => decided,
                },
            };
            match outcome {
                Outcome::Held => {}
                Outcome::Broken(finding) => return Outcome::Broken(self.sign(fact, *finding)),
                Outcome::Pending { until: one } => {
                    pending = true;
                    until = match (until, one) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
        }
        if pending { Outcome::Pending { until } } else { Outcome::Held }
    }

    fn last_needed(&self) -> Option<u64> {
        let at = |fact: &WatchedFact| match &fact.machine {
            Machine::Walk(machine) => machine.held_at(),
            Machine::Reach(machine) => machine.held_at(),
            Machine::Stay(machine) => machine.held_at(),
            Machine::Arrivals(machine) => machine.held_at(),
            Machine::Way(machine) => machine.held_at(),
            Machine::Renewal(machine) => machine.held_at(),
            Machine::Kept(_) => None,
        };
        self.facts.iter().filter_map(at).max()
    }

    /// Says whose finding it is.
    fn sign(&self, fact: &WatchedFact, finding: Finding) -> Box<Finding> {
        let mut finding = finding;
        finding.claim.clone_from(&self.text);
        finding.step = self.step;
        if finding.expected.is_empty() {
            finding.expected.clone_from(&fact.expected);
        }
        finding.span.get_or_insert(if fact.span.line == 0 { self.span } else { fact.span });
        Box::new(finding)
    }
}

/// The machines for the parts of a fact that become true.
fn reached(claim: &Claim, fact: &Fact, window: Window, observed: &Observed) -> Vec<Machine> {
    let Window { begun, used } = window;
    let patience = patience(claim);
    let within = |own: Option<Period>| own.map_or(patience, Period::duration);
    let stable = claim.stable_for.map(Period::duration);
    let reach = |condition, own| {
        vec![Machine::Reach(Reach::new(condition, within(own), stable, begun, observed))]
    };
    match fact {
        Fact::Transitions(list) => {
            let within = claim.within.map(Period::duration);
            let mut walk = Walk::new(list.clone(), within, used, begun, observed);
            walk.see(observed);
            vec![Machine::Walk(walk)]
        }
        Fact::State(StateFact::Is(state)) => reach(Condition::State(vec![*state]), None),
        Fact::State(StateFact::OneOf(states)) => reach(Condition::State(states.clone()), None),
        Fact::State(StateFact::StaysIn { states, duration }) => {
            vec![Machine::Stay(Stay::new(states.clone(), duration.duration(), begun, observed))]
        }
        Fact::Status(fact) => reach(
            Condition::Errors {
                connection: fact.connection_error,
                synchronization: fact.synchronization_error,
            },
            None,
        ),
        Fact::CertificateIssued(number) => reach(Condition::Issued(*number), None),
        Fact::Certificates(fact) => match fact.issued_at_least {
            Some(least) => reach(Condition::Issued(least), None),
            None => Vec::new(),
        },
        Fact::Certificate(fact) => {
            vec![Machine::Way(Way::new(fact.clone(), within(None), begun, observed))]
        }
        Fact::Renewal(fact) => {
            vec![Machine::Renewal(Renewal::new(*fact, within(None), begun, observed))]
        }
        Fact::Requests(fact) if fact.is_reached() => {
            let wanted = fact.at_least.unwrap_or(1);
            let within = within(fact.within);
            let to = words(&fact.to);
            vec![Machine::Arrivals(Arrivals::new(
                to,
                fact.operation,
                wanted,
                within,
                begun,
                observed,
            ))]
        }
        Fact::Secrets(fact) => match &fact.present {
            Some(present) => reach(Condition::Secrets(words(present)), fact.within),
            None => Vec::new(),
        },
        Fact::Applications(fact) => {
            let named = |names: &[String]| {
                names.iter().map(|name| resulting_name(name)).collect::<Vec<_>>()
            };
            let conditions = [
                fact.exactly.as_ref().map(|names| Condition::Exactly(named(names))),
                fact.include.as_ref().map(|names| Condition::Include(named(&names.0))),
                fact.count.map(Condition::Count),
            ];
            conditions.into_iter().flatten().flat_map(|one| reach(one, fact.within)).collect()
        }
        Fact::RuntimeLabels(fact) => reach(Condition::Labels(words(&fact.set)), fact.within),
        Fact::Flags(fact) => reach(Condition::Flags(FlagsFact::flags(*fact).collect()), None),
        Fact::Faults(fact) => {
            let named = fact.fired.as_ref().map(|ids| ids.0.iter().map(|id| id.value.clone()));
            reach(Condition::Fired(named.map(Iterator::collect).unwrap_or_default()), None)
        }
        Fact::State(StateFact::Never(_)) | Fact::Requests(_) | Fact::Token(_) | Fact::Agent(_) => {
            Vec::new()
        }
    }
}

/// How long facts without a time of their own may take: as long as the claim says; else as long as
/// the facts beside them may, since all are true at once in the end.
fn patience(claim: &Claim) -> Duration {
    if let Some(within) = claim.within {
        return within.duration();
    }
    let own = |fact: &Fact| match fact {
        Fact::Transitions(list) => list
            .iter()
            .map(|transition| transition.within.unwrap_or(UNSAID_WITHIN).duration())
            .sum(),
        Fact::State(StateFact::StaysIn { duration, .. }) => duration.duration(),
        Fact::Requests(fact) => fact.within.map_or(Duration::ZERO, Period::duration),
        Fact::Secrets(fact) => fact.within.map_or(Duration::ZERO, Period::duration),
        Fact::Applications(fact) => fact.within.map_or(Duration::ZERO, Period::duration),
        Fact::RuntimeLabels(fact) => fact.within.map_or(Duration::ZERO, Period::duration),
        _ => Duration::ZERO,
    };
    let longest = claim.facts.iter().map(|fact| own(&fact.value)).max().unwrap_or_default();
    longest.max(UNSAID_WITHIN.duration())
}
