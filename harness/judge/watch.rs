//! The judge at work: fed with entries, it says at any time where a run stands.
//!
//! The engine feeds it while the run goes on, a replay feeds it from a file: the same entries give
//! the same verdict. Time is that of the entries. Before an entry is taken in, all that time alone
//! decides up to then is decided; so it does not matter whether somebody asked in between.

use std::sync::Arc;
use std::time::Duration;

use super::claim::{Watched, Window};
use super::finding::{Finding, Outcome};
use super::invariant::Invariants;
use super::observed::Observed;
use super::terms::Terms;
use super::verdict::{Grounds, StepVerdict, Verdict, binding, is_must};
use crate::document::{Problem, Spanned};
use crate::journal::{AgentEvent, Entry, Event, StepEvent, StepResult};
use crate::scenario::{AgentFact, Claim, Doing, Fact, Scenario};

/// A run under watch.
#[derive(Debug)]
pub struct Watch {
    scenario: Arc<Scenario>,
    observed: Observed,
    invariants: Invariants,
    /// What is promised for the whole run, and what of it was broken.
    promises: Vec<Watched>,
    step: Option<Current>,
    steps: Vec<StepVerdict>,
    findings: Vec<Finding>,
    impossible: Option<String>,
    /// The last entry that a judged step has used up.
    used: Option<u64>,
    /// Entries after that: what the actions since then have caused.
    since: Vec<Arc<Entry>>,
    /// The first action since then.
    acted: Option<u64>,
    /// Whether the story is over.
    over: bool,
}

/// The step that is under way.
#[derive(Debug)]
struct Current {
    index: usize,
    claim: Option<Watched>,
}

impl Watch {
    /// Watches a run of this scenario from its first entry on.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, terms: Terms) -> Self {
        let spec = &scenario.spec;
        let observed = Observed::new(Arc::new(terms));
        let promises = spec.always.0.iter().chain(&spec.afterwards.0);
        let promises = promises.chain(&unsaid(&scenario)).map(Watched::kept).collect();
        Self {
            scenario,
            observed,
            invariants: Invariants::default(),
            promises,
            step: None,
            steps: Vec::new(),
            findings: Vec::new(),
            impossible: None,
            used: None,
            since: Vec::new(),
            acted: None,
            over: false,
        }
    }

    /// Takes in the next entry. Entries must come in the order of the journal, without gaps.
    pub fn see(&mut self, entry: &Arc<Entry>) {
        self.advance(entry.elapsed());
        let revised = matches!(entry.event, Event::Revision(_));
        let before = self.observed.connection.clone().filter(|_| revised);
        self.observed.see(entry);
        self.invariants.see(entry, before.as_ref(), &mut self.observed);
        self.since.push(Arc::clone(entry));
        // What an agent writes because it is told to end after the last step is no part of the story.
        let told = matches!(entry.event, Event::Agent(AgentEvent::Told { .. }));
        self.over |= told && self.is_complete();
        if !self.over {
            for promise in &mut self.promises {
                promise.see(entry, &self.observed);
            }
        }
        match &entry.event {
            Event::Step(StepEvent::Began { index, name }) => self.begin(*index, name, entry),
            Event::Step(StepEvent::Ended { index, result }) => self.end(*index, result, entry),
            event => {
                // What an earlier process of the agent did is not what came of a new start.
                if self.acted.is_some() && matches!(event, Event::Agent(AgentEvent::Started { .. }))
                {
                    self.acted = Some(entry.seq);
                }
                if let Some(Current { claim: Some(claim), .. }) = &mut self.step {
                    claim.see(entry, &self.observed);
                }
            }
        }
    }

    /// Lets time pass without an entry.
    ///
    /// Whoever waits takes the time first, then feeds all entries there are, then calls this: an
    /// entry from before a deadline must be seen before the deadline is judged.
    pub fn advance(&mut self, now: Duration) {
        if let Some(Current { claim: Some(claim), .. }) = &mut self.step {
            claim.advance(now, &self.observed);
        }
    }

    /// Where the step that is under way stands; held when it judges nothing.
    #[must_use]
    pub fn step(&self) -> Outcome {
        match &self.step {
            Some(Current { claim: Some(claim), .. }) => claim.outcome(&self.observed),
            _ => Outcome::Held,
        }
    }

    /// What was found so far that fails the run: promises and rules that are broken already, and
    /// failed steps. Deviations that only make remarks are not among them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let binding = binding(&self.scenario);
        let promises =
            self.promises.iter().filter_map(|promise| match promise.outcome(&self.observed) {
                Outcome::Broken(finding) => Some(*finding),
                _ => None,
            });
        let rules = self
            .invariants
            .findings()
            .filter(|rule| rule.requirement.as_deref().is_none_or(is_must));
        let claims = self.findings.iter().cloned().chain(promises).filter(|_| binding);
        claims.chain(rules.cloned()).collect()
    }

    /// The picture of the world after the entries so far.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Ends the watch; `now` is the time at which the run was over.
    #[must_use]
    pub fn finish(mut self, now: Duration) -> Verdict {
        self.advance(now);
        if let Some(Current { index, claim }) = self.step.take() {
            self.cut_short(index, claim, now);
        }
        let spec = &self.scenario.spec;
        let complete = self.is_complete();
        for promise in &mut self.promises {
            promise.end(&self.observed);
            if let Outcome::Broken(finding) = promise.outcome(&self.observed) {
                self.findings.push(*finding);
            }
        }
        // What was cut short has no end to judge.
        if complete {
            let ends = spec.always.0.iter().chain(&spec.afterwards.0);
            let broken: Vec<Finding> =
                ends.filter_map(|claim| at_the_end(claim, now, &self.observed)).collect();
            self.findings.extend(broken);
        } else if self.impossible.is_none() && self.findings.is_empty() {
            self.impossible = Some(format!(
                "the run ended after {} of {} steps",
                self.steps.iter().filter(|step| step.result.is_some()).count(),
                spec.steps.len()
            ));
        }
        let silent = self.observed.faults.iter().filter(|(_, fault)| fault.fired == 0);
        let grounds = Grounds {
            findings: self.findings,
            invariants: self.invariants.findings().cloned().collect(),
            invariants_judged: self.invariants.judged,
            lost: self.observed.lost.clone(),
            impossible: self.impossible,
            silent_faults: silent.map(|(id, _)| id.clone()).collect(),
            steps: self.steps,
            walk: std::mem::take(&mut self.observed.walk),
            length: now,
        };
        grounds.verdict(&self.scenario)
    }

    fn is_complete(&self) -> bool {
        self.steps.len() == self.scenario.spec.steps.len()
            && self.steps.iter().all(|step| {
                // How a step that judges ended is judged here, not by whoever ran it.
                matches!(step.result, Some(StepResult::Done | StepResult::Failed))
            })
    }

    fn begin(&mut self, index: usize, name: &str, entry: &Arc<Entry>) {
        self.steps.push(StepVerdict {
            index,
            name: name.to_owned(),
            began: entry.elapsed(),
            ended: None,
            result: None,
        });
        let claim = match self.scenario.spec.steps.get(index).map(|step| &step.does) {
            Some(Doing::WaitFor(claim) | Doing::Expect(claim)) => {
                let window = Window { begun: entry.elapsed(), used: self.used };
                let mut watched = Watched::new(claim, Some(index), window, &self.observed);
                // What counts is what came of the actions before; without one, what is new.
                let from = self.acted.unwrap_or_else(|| self.used.map_or(0, |used| used + 1));
                for past in self.since.iter().filter(|past| past.seq >= from) {
                    watched.catch_up(past, &self.observed);
                }
                watched.advance(entry.elapsed(), &self.observed);
                Some(watched)
            }
            Some(Doing::Act(_)) => {
                self.acted.get_or_insert(entry.seq);
                None
            }
            None => None,
        };
        self.step = Some(Current { index, claim });
    }

    fn end(&mut self, index: usize, result: &StepResult, entry: &Arc<Entry>) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| step.index == index) {
            step.ended = Some(entry.elapsed());
            step.result = Some(result.clone());
        }
        if let StepResult::Impossible(reason) = result {
            let reason = || format!("step {} cannot be done: {reason}", index + 1);
            self.impossible.get_or_insert_with(reason);
        }
        let Some(current) = self.step.take_if(|step| step.index == index) else { return };
        let Some(claim) = current.claim else { return };
        match claim.outcome(&self.observed) {
            Outcome::Held => {
                self.used = claim.held_at().max(self.used);
                let used = self.used;
                self.since.retain(|past| Some(past.seq) > used);
                self.acted = None;
            }
            Outcome::Broken(finding) => self.findings.push(*finding),
            Outcome::Pending { .. } if *result == StepResult::Done => {
                self.impossible.get_or_insert_with(|| {
                    format!("step {} was left before it was decided", index + 1)
                });
            }
            Outcome::Pending { .. } => self.cut_short(index, Some(claim), entry.elapsed()),
        }
    }

    /// A step that was neither held nor broken when the run ended.
    fn cut_short(&mut self, index: usize, claim: Option<Watched>, now: Duration) {
        let Some(claim) = claim else { return };
        if let Outcome::Broken(finding) = claim.outcome(&self.observed) {
            self.findings.push(*finding);
            return;
        }
        if self.impossible.is_some() {
            return;
        }
        let step = &self.scenario.spec.steps[index];
        let expected = match &step.does {
            Doing::WaitFor(claim) | Doing::Expect(claim) => claim.to_string(),
            Doing::Act(action) => action.to_string(),
        };
        let end = match &self.observed.ended_by_itself {
            Some(how) => format!("the agent ended by itself with {how}"),
            None => "the run ended before that".into(),
        };
        let seen = format!("{end}; {}", self.observed.state_words());
        let mut finding = Finding::new(step.to_string(), expected, seen, &self.observed, now);
        finding.step = Some(index);
        finding.span = Some(step.span);
        self.findings.push(finding);
    }
}

/// What is promised for an agent of which the scenario does not say how often it may end: an agent
/// that is gone keeps its last state, which must not pass for staying in it.
fn unsaid(scenario: &Scenario) -> Option<Claim> {
    let spec = &scenario.spec;
    let steps = spec.steps.iter().filter_map(|step| match &step.does {
        Doing::WaitFor(claim) | Doing::Expect(claim) => Some(claim),
        Doing::Act(_) => None,
    });
    let mut facts = spec
        .always
        .0
        .iter()
        .chain(&spec.afterwards.0)
        .chain(steps)
        .flat_map(|claim| claim.facts.iter().map(|fact| &fact.value));
    if facts.any(|fact| matches!(fact, Fact::Agent(_))) {
        return None;
    }
    let span = scenario.metadata.id.span;
    let value = Fact::Agent(AgentFact { unplanned_restarts: 0 });
    Some(Claim {
        name: Some("The agent does not end by itself".into()),
        facts: vec![Spanned { value, span }],
        within: None,
        stable_for: None,
        span,
    })
}

/// What must be true at the end of the run, and is not.
fn at_the_end(claim: &Claim, now: Duration, observed: &Observed) -> Option<Finding> {
    // That every fault fired is asked of every run, and is no finding about the agent.
    let facts: Vec<_> = claim
        .facts
        .iter()
        .filter(|fact| !matches!(&fact.value, Fact::Faults(fault) if fault.fired.is_none()))
        .cloned()
        .collect();
    if facts.is_empty() {
        return None;
    }
    let claim = Claim { facts, within: None, stable_for: None, ..claim.clone() };
    let window = Window { begun: now, used: Some(observed.seq) };
    let mut watched = Watched::new(&claim, None, window, observed);
    // Longer than any bound: at the end nothing is pending.
    watched.advance(Duration::MAX, observed);
    match watched.outcome(observed) {
        Outcome::Broken(finding) => Some(Finding { at: now, ..*finding }),
        Outcome::Held | Outcome::Pending { .. } => None,
    }
}

/// Where a finding points to, as an error of the scenario's file: the excerpt for reports.
#[must_use]
pub fn excerpt(scenario: &Scenario, finding: &Finding) -> Option<String> {
    let span = finding.span?;
    let problem = Problem::new(format!("expected {}", finding.expected)).at(span);
    Some(
        scenario.source.error(problem.help(format!("observed {}", finding.observed))).render(false),
    )
}

/// Judges a whole journal at once.
#[must_use]
pub fn judge(scenario: Arc<Scenario>, terms: Terms, entries: &[Arc<Entry>]) -> Verdict {
    let mut watch = Watch::new(scenario, terms);
    for entry in entries {
        watch.see(entry);
    }
    let now = entries.last().map_or(Duration::ZERO, |entry| entry.elapsed());
    watch.finish(now)
}
