//! Facts that hold until something forbidden happens.

use std::collections::VecDeque;
use std::time::Duration;

use super::condition::words;
use super::finding::{Finding, Outcome};
use super::observed::Observed;
use super::reach::goes;
use crate::journal::{Entry, Event, ObjectChange, Request};
use crate::scenario::words::{HeaderWord, Moment, Operation, PeerWord, SecretWord, State};
use crate::scenario::{
    AgentFact, ApplicationsFact, CertificatesFact, Fact, RequestsFact, SecretsFact, StateFact,
    TokenFact,
};

/// Watches for what must not happen.
#[derive(Debug)]
pub(super) struct Kept {
    rule: Rule,
    broken: Option<Box<Finding>>,
}

#[derive(Debug)]
enum Rule {
    StateNever(Vec<State>),
    IssuedAtMost(u32),
    Requests(Requests),
    TokenAtMost(u32),
    SecretsThere { words: Vec<SecretWord>, since: Option<Moment> },
    ApplicationsAtLeast { least: u32, since: Option<Moment> },
    ApplicationsUntouched,
    UnplannedEnds(u32),
}

#[derive(Debug)]
struct Requests {
    to: Vec<PeerWord>,
    operation: Option<Operation>,
    all_have: Vec<HeaderWord>,
    /// None at all is at most 0.
    at_most: Option<u32>,
    per: Option<Duration>,
    since: Option<Moment>,
    before: Option<Moment>,
    /// When the ones that count came.
    times: VecDeque<Duration>,
    /// What came before its moment was seen: the agent may have been past it already.
    suspect: Option<(u64, String)>,
}

impl Kept {
    /// The watches that a fact needs.
    pub(super) fn of(fact: &Fact) -> Vec<Self> {
        let rules = match fact {
            Fact::State(StateFact::Never(states)) => vec![Rule::StateNever(states.clone())],
            Fact::Certificates(CertificatesFact { issued_at_most: Some(most), .. }) => {
                vec![Rule::IssuedAtMost(*most)]
            }
            Fact::Requests(fact) if fact.is_kept() => vec![Rule::Requests(Requests::of(fact))],
            Fact::Token(TokenFact { used_at_most }) => vec![Rule::TokenAtMost(*used_at_most)],
            Fact::Secrets(SecretsFact { never_missing: Some(list), since, .. }) => {
                vec![Rule::SecretsThere { words: words(list), since: *since }]
            }
            Fact::Applications(ApplicationsFact { never_fewer_than, since, unchanged, .. }) => {
                let least = never_fewer_than
                    .map(|least| Rule::ApplicationsAtLeast { least, since: *since });
                let untouched = unchanged.map(|_| Rule::ApplicationsUntouched);
                least.into_iter().chain(untouched).collect()
            }
            Fact::Agent(AgentFact { unplanned_restarts }) => {
                vec![Rule::UnplannedEnds(*unplanned_restarts)]
            }
            _ => Vec::new(),
        };
        rules.into_iter().map(|rule| Self { rule, broken: None }).collect()
    }

    pub(super) fn see(&mut self, entry: &Entry, observed: &Observed) {
        if self.broken.is_some() {
            return;
        }
        if let Some(seen) = self.rule.see(entry, observed) {
            let finding = Finding::new("", "", seen, observed, entry.elapsed());
            self.broken = Some(Box::new(Finding { seq: entry.seq, ..finding }));
        }
    }

    /// The run is over: what waited for a moment waits no longer.
    pub(super) fn end(&mut self, observed: &Observed) {
        if let (None, Rule::Requests(Requests { suspect: Some((_, words)), .. })) =
            (&self.broken, &self.rule)
        {
            let finding = Finding::new("", "", words.clone(), observed, observed.now);
            self.broken = Some(Box::new(finding));
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.broken.clone().map_or(Outcome::OPEN, Outcome::Broken)
    }
}

impl Rule {
    /// What was seen that must not be.
    fn see(&mut self, entry: &Entry, observed: &Observed) -> Option<String> {
        match (self, &entry.event) {
            (Self::StateNever(states), Event::Revision(revision)) => {
                let about = revision.object.kind == "CompassConnection"
                    && revision.object.name == observed.terms.connection
                    && revision.change != ObjectChange::Deleted;
                let state = revision.content.pointer("/status/connectionState")?.as_str()?;
                let state = State::named(state).filter(|state| about && states.contains(state))?;
                let because = observed.walk.last().map(|change| change.because.join(", "));
                let because = because.filter(|because| !because.is_empty());
                let because = because.map(|ids| format!(" because of {ids}")).unwrap_or_default();
                Some(format!("the state is {state}{because}"))
            }
            (Self::IssuedAtMost(most), Event::Certificate(_)) => {
                let issued = observed.certificates.len();
                (issued > *most as usize).then(|| format!("{issued} certificates were issued"))
            }
            (Self::Requests(requests), Event::Request(request)) => {
                requests.see(entry, request, observed)
            }
            (Self::Requests(requests), Event::Revision(_)) => requests.decide(observed),
            (Self::TokenAtMost(most), Event::Request(_)) => {
                let worn = observed.tokens.iter().find(|(_, token)| token.uses > *most)?;
                Some(format!("token {} was used {} times", worn.0, worn.1.uses))
            }
            (Self::SecretsThere { words, since }, Event::Revision(_)) => {
                if !is_after(entry, *since, observed) {
                    return None;
                }
                let missing = words
                    .iter()
                    .find(|word| !observed.secrets.contains_key(observed.terms.secret(**word)))?;
                Some(format!("{missing} is not there"))
            }
            (Self::ApplicationsAtLeast { least, since }, Event::Revision(_)) => {
                let count = observed.applications.len();
                (is_after(entry, *since, observed) && count < *least as usize)
                    .then(|| format!("{count} Applications"))
            }
            (Self::ApplicationsUntouched, Event::Revision(revision)) => {
                (revision.object.kind == "Application").then(|| {
                    let change = match revision.change {
                        ObjectChange::Added => "created",
                        ObjectChange::Modified => "changed",
                        ObjectChange::Deleted => "deleted",
                    };
                    format!("{} was {change}", revision.object.name)
                })
            }
            (Self::UnplannedEnds(most), Event::Agent(_)) => {
                let ends = observed.unplanned_ends;
                (ends > *most).then(|| format!("the agent ended by itself, {ends} times in all"))
            }
            _ => None,
        }
    }
}

impl Requests {
    fn of(fact: &RequestsFact) -> Self {
        Self {
            to: words(&fact.to),
            operation: fact.operation,
            all_have: fact.all_have.as_ref().map(words).unwrap_or_default(),
            at_most: fact.none.map(|_| 0).or(fact.at_most),
            per: fact.per.map(|per| per.duration()),
            since: fact.since,
            before: fact.before,
            times: VecDeque::new(),
            suspect: None,
        }
    }

    fn see(&mut self, entry: &Entry, request: &Request, observed: &Observed) -> Option<String> {
        if !goes(entry, &self.to, self.operation)
            || !is_after(entry, self.since, observed)
            || self.before.is_some_and(|moment| has_begun(entry, moment, observed))
        {
            return None;
        }
        let what = request.operations.first().map_or(request.path.as_str(), String::as_str);
        let lacking = self.all_have.iter().find(|header| {
            let value = match header {
                HeaderWord::RequestId => &request.request_id,
                HeaderWord::Tenant => &request.tenant,
            };
            value.as_ref().is_none_or(String::is_empty)
        });
        if let Some(header) = lacking {
            return Some(format!("a request for {what} without {header}"));
        }
        let most = self.at_most?;
        let now = entry.elapsed();
        self.times.push_back(now);
        if let Some(per) = self.per {
            while self.times.front().is_some_and(|first| now.saturating_sub(*first) >= per) {
                self.times.pop_front();
            }
        }
        let count = self.times.len();
        if count <= most as usize {
            return None;
        }
        let stretch = self.per.map(|per| format!(" within {:.1} s", per.as_secs_f64()));
        let peer = &request.address;
        let words = match most {
            0 => format!("a request for {what} at {peer}"),
            _ => format!("{count} requests{}", stretch.unwrap_or_default()),
        };
        if self.before.is_none() {
            return Some(words);
        }
        // The revision that tells of the moment may be on its way: it decides when it is here.
        self.suspect.get_or_insert((entry.seq, words));
        None
    }

    /// Decides about what came before its moment was seen.
    fn decide(&mut self, observed: &Observed) -> Option<String> {
        let came = observed.moments.get(&self.before?)?;
        let (seq, words) = self.suspect.take()?;
        (seq < came.began).then_some(words)
    }
}

/// Whether an entry comes after a moment; without one every entry does.
fn is_after(entry: &Entry, moment: Option<Moment>, observed: &Observed) -> bool {
    moment.is_none_or(|moment| {
        observed.moments.get(&moment).is_some_and(|came| entry.seq >= came.seen)
    })
}

/// Whether the agent was past a moment when an entry was made.
fn has_begun(entry: &Entry, moment: Moment, observed: &Observed) -> bool {
    observed.moments.get(&moment).is_some_and(|came| entry.seq > came.began)
}
