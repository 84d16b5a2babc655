//! Claims: facts that are judged as one, and where which fact makes sense.

use serde::Deserialize;

use super::fact::{
    AgentFact, ApplicationsFact, CertificateFact, CertificatesFact, Fact, FaultsFact, FlagsFact,
    LifeLeft, RenewalFact, RequestsFact, RuntimeLabelsFact, SecretsFact, StateFact, StatusFact,
    TokenFact, Transition,
};
use super::words::OneOrMore;
use crate::document::{Period, Problem, Span, Spanned};

/// How long a fact may take to come true when nothing is said: what happened already must reach
/// the record, and a fact about the cluster may come by another watch than the one before.
pub const UNSAID_WITHIN: Period = Period::seconds(5);

/// Facts that are judged as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its name, if it has one of its own.
    pub name: Option<String>,
    /// The facts; at least one.
    pub facts: Vec<Spanned<Fact>>,
    /// How long they may take to come true.
    pub within: Option<Period>,
    /// How long they must then stay true.
    pub stable_for: Option<Period>,
    /// Where it stands.
    pub span: Span,
}

/// Where facts stand: not every fact makes sense everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// In `waitFor`: it becomes true.
    WaitFor,
    /// In `expect`: it becomes true, and nothing forbidden happens meanwhile.
    Expect,
    /// In `always`: nothing forbidden happens, and what adds up is reached by the end.
    Always,
    /// In `afterwards`: it is true at the end.
    Afterwards,
}

/// The keys under `expect` and the like.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    transitions: Option<Spanned<Vec<Spanned<Transition>>>>,
    #[serde(default)]
    state: Option<Spanned<StateFact>>,
    #[serde(default)]
    status: Option<Spanned<StatusFact>>,
    #[serde(default)]
    certificate_issued: Option<Spanned<u32>>,
    #[serde(default)]
    certificates: Option<Spanned<CertificatesFact>>,
    #[serde(default)]
    certificate: Option<Spanned<CertificateFact>>,
    #[serde(default)]
    renewal: Option<Spanned<RenewalFact>>,
    #[serde(default)]
    requests: Option<Spanned<RequestsFact>>,
    #[serde(default)]
    token: Option<Spanned<TokenFact>>,
    #[serde(default)]
    secrets: Option<Spanned<SecretsFact>>,
    #[serde(default)]
    applications: Option<Spanned<ApplicationsFact>>,
    #[serde(default)]
    runtime_labels: Option<Spanned<RuntimeLabelsFact>>,
    #[serde(default)]
    flags: Option<Spanned<FlagsFact>>,
    #[serde(default)]
    agent: Option<Spanned<AgentFact>>,
    #[serde(default)]
    faults: Option<Spanned<FaultsFact>>,
    #[serde(default)]
    within: Option<Spanned<Period>>,
    #[serde(default)]
    stable_for: Option<Spanned<Period>>,
}

impl Facts {
    /// Makes one claim of them; `within` comes from beside `waitFor`.
    pub(super) fn claim(
        self,
        span: Span,
        usage: Use,
        within: Option<Period>,
    ) -> Result<Claim, Problem> {
        let timed = matches!(usage, Use::Expect);
        for (key, value) in [("within", &self.within), ("stableFor", &self.stable_for)] {
            if let Some(value) = value
                && !timed
                && !(key == "stableFor" && usage == Use::WaitFor)
            {
                return Err(Problem::new(format!("`{key}` has no meaning here"))
                    .at(value.span)
                    .help(match usage {
                        Use::WaitFor => "put it beside `waitFor`",
                        _ => "what stands here holds from the first second to the last",
                    }));
            }
        }
        if let (Some(name), Use::WaitFor | Use::Expect) = (&self.name, usage) {
            let problem = Problem::new("the name of a step stands beside its action");
            return Err(problem.at(name.span));
        }
        let mut facts = Vec::new();
        macro_rules! take {
            ($($key:ident => $fact:ident),+ $(,)?) => {
                $(facts.extend(self.$key.map(|value| value.map(Fact::$fact)));)+
            };
        }
        take! {
            transitions => Transitions, state => State, status => Status,
            certificate_issued => CertificateIssued, certificates => Certificates,
            certificate => Certificate, renewal => Renewal, requests => Requests, token => Token,
            secrets => Secrets, applications => Applications, runtime_labels => RuntimeLabels,
            flags => Flags, agent => Agent, faults => Faults,
        }
        if facts.is_empty() {
            return Err(Problem::new("no fact is named here").at(span));
        }
        for fact in &facts {
            fact.value.check(fact.span, usage)?;
        }
        Ok(Claim {
            name: self.name.map(|name| name.value),
            facts,
            within: within.or_else(|| self.within.map(|within| within.value)),
            stable_for: self.stable_for.map(|stable| stable.value),
            span,
        })
    }
}

/// How a fact is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It becomes true at some time.
    Reached,
    /// It is broken by what must not happen.
    Kept,
}

impl Fact {
    /// The natures of its parts.
    #[must_use]
    pub fn natures(&self) -> Vec<Nature> {
        let reached = |is: bool| is.then_some(Nature::Reached);
        let kept = |is: bool| is.then_some(Nature::Kept);
        let parts = match self {
            Self::Transitions(_)
            | Self::Status(_)
            | Self::CertificateIssued(_)
            | Self::Certificate(_)
            | Self::Renewal(_)
            | Self::RuntimeLabels(_)
            | Self::Flags(_)
            | Self::Faults(_)
            | Self::State(StateFact::Is(_) | StateFact::OneOf(_) | StateFact::StaysIn { .. }) => {
                [Some(Nature::Reached), None]
            }
            Self::State(StateFact::Never(_)) | Self::Token(_) | Self::Agent(_) => {
                [None, Some(Nature::Kept)]
            }
            Self::Certificates(fact) => {
                [reached(fact.issued_at_least.is_some()), kept(fact.issued_at_most.is_some())]
            }
            Self::Requests(fact) => [reached(fact.is_reached()), kept(fact.is_kept())],
            Self::Secrets(fact) => {
                [reached(fact.present.is_some()), kept(fact.never_missing.is_some())]
            }
            Self::Applications(fact) => [
                reached(fact.exactly.is_some() || fact.include.is_some() || fact.count.is_some()),
                kept(fact.never_fewer_than.is_some() || fact.unchanged.is_some()),
            ],
        };
        parts.into_iter().flatten().collect()
    }

    /// The faults that it names.
    pub fn faults(&self) -> impl Iterator<Item = &Spanned<String>> {
        let because: &[Spanned<Transition>] = match self {
            Self::Transitions(list) => list,
            _ => &[],
        };
        let fired = match self {
            Self::Faults(FaultsFact { fired: Some(OneOrMore(ids)), .. }) => ids.as_slice(),
            _ => &[],
        };
        because.iter().filter_map(|transition| transition.because.as_ref()).chain(fired)
    }

    /// Refuses what would say nothing, and what cannot be decided where it stands.
    fn check(&self, span: Span, usage: Use) -> Result<(), Problem> {
        let natures = self.natures();
        let says_nothing = |keys: &str| {
            Err(Problem::new("this fact says nothing").at(span).help(format!("give it {keys}")))
        };
        match self {
            Self::Transitions(list) if list.is_empty() => {
                return says_nothing("at least one transition");
            }
            Self::Status(StatusFact { connection_error: None, synchronization_error: None }) => {
                return says_nothing("`connectionError` or `synchronizationError`");
            }
            Self::Flags(FlagsFact { resync_now: None, refresh_now: None }) => {
                return says_nothing("`resyncNow` or `refreshNow`");
            }
            Self::Faults(FaultsFact { all_fired: None, fired: None }) => {
                return says_nothing("`allFired` or `fired`");
            }
            Self::Renewal(RenewalFact {
                requested_when_life_left: LifeLeft { below: None, above: None },
                ..
            }) => return says_nothing("`below` or `above`"),
            Self::Certificate(CertificateFact {
                stored_within: None,
                used_by_next_request: None,
                new_key: None,
                reported_within: None,
                same_in: None,
                ..
            }) => {
                return says_nothing(
                    "one of `storedWithin`, `usedByNextRequest`, `newKey`, `reportedWithin`, `sameIn`",
                );
            }
            Self::Requests(fact) => fact.check(span)?,
            Self::Secrets(fact) if fact.since.is_some() && fact.never_missing.is_none() => {
                return Err(Problem::new("`since` belongs to `neverMissing`").at(span));
            }
            Self::Applications(fact) if fact.since.is_some() && fact.never_fewer_than.is_none() => {
                return Err(Problem::new("`since` belongs to `neverFewerThan`").at(span));
            }
            _ if natures.is_empty() => return says_nothing("something that can be true or false"),
            _ => {}
        }
        let fits = match usage {
            Use::WaitFor => natures.iter().all(|nature| *nature == Nature::Reached),
            Use::Expect => true,
            // What adds up over the run can be promised for all of it; the rest is true sometimes.
            Use::Always => {
                natures.iter().all(|nature| *nature == Nature::Kept)
                    || matches!(self, Self::Certificates(_) | Self::Faults(_))
            }
            Use::Afterwards => {
                !matches!(self, Self::Transitions(_) | Self::State(StateFact::StaysIn { .. }))
            }
        };
        if fits {
            return Ok(());
        }
        Err(match usage {
            Use::WaitFor => {
                Problem::new("nothing can be waited for here: this holds until it is broken")
                    .at(span)
                    .help("put it under `expect` or `always`")
            }
            _ => Problem::new("this becomes true at some time, it cannot be promised here")
                .at(span)
                .help("put it under `expect`"),
        })
    }
}
