//! Steps, claims and facts as prose: what reports, snapshots and findings call them.

use std::fmt::{self, Display, Formatter};

use super::claim::Claim;
use super::fact::{
    AgentFact, ApplicationsFact, CertificateFact, CertificatesFact, Fact, FaultsFact, FlagsFact,
    RenewalFact, RequestsFact, RuntimeLabelsFact, SecretsFact, StateFact, StatusFact, TokenFact,
    Transition,
};
use super::inject::Inject;
use super::step::{Action, Change, ConnectorChange, DirectorChange, Doing, Heal, Patch, Step};
use super::words::{FlagState, OneOrMore, Origin, Presence, listed};

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.does.fmt(f),
        }
    }
}

impl Display for Doing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(action) => action.fmt(f),
            Self::WaitFor(claim) => write!(f, "wait until {claim}"),
            Self::Expect(claim) => write!(f, "expect that {claim}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(_) => f.write_str("start the agent"),
            Self::Stop(_) => f.write_str("stop the agent"),
            Self::Kill(_) => f.write_str("kill the agent"),
            Self::Restart(_) => f.write_str("restart the agent"),
            Self::Inject(inject) => inject.fmt(f),
            Self::Heal(Heal::All) => f.write_str("lift all faults"),
            Self::Heal(Heal::These(ids)) => write!(f, "lift {}", listed(ids, "and")),
            Self::Change(change) => change.fmt(f),
            Self::IssueToken(_) => {
                f.write_str("write a fresh token into the agent's configuration")
            }
            Self::BurnToken(_) => f.write_str("use up the token in the agent's configuration"),
            Self::Revoke(_) => f.write_str("revoke the current certificate"),
            Self::Ask(flags) => write!(f, "set {} in the CompassConnection", listed(flags, "and")),
            Self::Delete(object) => write!(f, "delete {object}"),
            Self::Patch(patch) => patch.fmt(f),
        }
    }
}

impl Display for Inject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "inject {} at {}, called {}", self.fault, self.at, self.id)
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Director(DirectorChange::AddApplications(applications)) => {
                let names: Vec<&str> = applications.iter().map(|one| one.name.as_str()).collect();
                write!(f, "add {} to the Director", listed(&names, "and"))
            }
            Self::Director(DirectorChange::RemoveApplications(OneOrMore(names))) => {
                write!(f, "remove {} from the Director", listed(names, "and"))
            }
            Self::Director(DirectorChange::RenameApplication(rename)) => {
                write!(f, "rename {} to {} in the Director", rename.from, rename.to)
            }
            Self::Director(DirectorChange::SetRuntimeLabel(label)) => {
                write!(
                    f,
                    "set the runtime's label {} to {} in the Director",
                    label.key, label.value
                )
            }
            Self::Connector(ConnectorChange::SetCertificates(certificates)) => {
                match certificates.valid_for {
                    Some(life) => write!(f, "let the Connector sign certificates for {life}"),
                    None => f.write_str("let the Connector sign certificates as Compass does"),
                }
            }
        }
    }
}

impl Display for Patch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let labels = self.labels.keys().map(|key| format!("label {key}"));
        let annotations = self.annotations.keys().map(|key| format!("annotation {key}"));
        let keys: Vec<String> = labels.chain(annotations).collect();
        write!(f, "set {} of the CompassConnection by other hands", listed(&keys, "and"))
    }
}

impl Display for Claim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, fact) in self.facts.iter().enumerate() {
            let between = if n == 0 { "" } else { ", and " };
            write!(f, "{between}{fact}")?;
        }
        if let Some(within) = self.within {
            write!(f, ", within {within}")?;
        }
        if let Some(stable) = self.stable_for {
            write!(f, ", and stays so for {stable}")?;
        }
        Ok(())
    }
}

impl Display for Fact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transitions(list) => write_transitions(f, list.iter().map(|one| &one.value)),
            Self::State(fact) => fact.fmt(f),
            Self::Status(fact) => fact.fmt(f),
            Self::CertificateIssued(number) => write!(f, "certificate {number} was issued"),
            Self::Certificates(fact) => fact.fmt(f),
            Self::Certificate(fact) => fact.fmt(f),
            Self::Renewal(fact) => fact.fmt(f),
            Self::Requests(fact) => fact.fmt(f),
            Self::Token(TokenFact { used_at_most }) => {
                write!(f, "no token is used more than {}", times(*used_at_most))
            }
            Self::Secrets(fact) => fact.fmt(f),
            Self::Applications(fact) => fact.fmt(f),
            Self::RuntimeLabels(RuntimeLabelsFact { set, .. }) => {
                write!(f, "the runtime's labels {} are set", listed(&set.0, "and"))
            }
            Self::Flags(fact) => fact.fmt(f),
            Self::Agent(AgentFact { unplanned_restarts: 0 }) => {
                f.write_str("the agent does not end by itself")
            }
            Self::Agent(AgentFact { unplanned_restarts }) => {
                write!(f, "the agent ends by itself at most {}", times(*unplanned_restarts))
            }
            Self::Faults(fact) => fact.fmt(f),
        }
    }
}

fn write_transitions<'a>(
    f: &mut Formatter<'_>,
    list: impl Iterator<Item = &'a Transition>,
) -> fmt::Result {
    f.write_str("the state goes")?;
    for (n, transition) in list.enumerate() {
        match (n, transition.from) {
            (0, Some(from)) => write!(f, " from {from}")?,
            (0, None) => {}
            (_, _) => f.write_str(", then")?,
        }
        write!(f, " {transition}")?;
    }
    Ok(())
}

impl Display for Transition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "to {}", self.to)?;
        if let Some(because) = &self.because {
            write!(f, " because of {because}")?;
        }
        if let Some(within) = self.within {
            write!(f, " within {within}")?;
        }
        Ok(())
    }
}

impl Display for StateFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(state) => write!(f, "the state is {state}"),
            Self::OneOf(states) => write!(f, "the state is {}", listed(states, "or")),
            Self::Never(states) => write!(f, "the state is never {}", listed(states, "or")),
            Self::StaysIn { states, duration } => {
                write!(f, "the state stays {} for {duration}", listed(states, "or"))
            }
        }
    }
}

impl Display for StatusFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let one = |name, presence: Option<Presence>| {
            presence.map(|presence| match presence {
                Presence::Empty => format!("no {name} error"),
                Presence::Present => format!("a {name} error"),
            })
        };
        let parts = [
            one("connection", self.connection_error),
            one("synchronization", self.synchronization_error),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(f, "the status has {}", listed(&parts, "and"))
    }
}

impl Display for CertificatesFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = self.issued_at_most.map(|most| format!("at most {most}"));
        let least = self.issued_at_least.map(|least| format!("at least {least}"));
        let parts: Vec<String> = [least, most].into_iter().flatten().collect();
        write!(f, "{} certificates are issued", listed(&parts, "and"))
    }
}

impl Display for CertificateFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let places = self
            .same_in
            .as_ref()
            .map(|places| format!("is the one in {}", listed(&places.0, "and")));
        let parts = [
            self.stored_within.map(|within| format!("is stored within {within}")),
            self.used_by_next_request.map(|_| "is used by the next request".to_owned()),
            self.new_key.map(|_| "has a new key".to_owned()),
            self.reported_within.map(|within| format!("is reported within {within}")),
            places,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(f, "certificate {} {}", self.number, listed(&parts, "and"))
    }
}

impl Display for RenewalFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let life = self.requested_when_life_left;
        let below = life.below.map(|share| format!("less than {share}"));
        let above = life.above.map(|share| format!("more than {share}"));
        let parts: Vec<String> = [below, above].into_iter().flatten().collect();
        let parts = listed(&parts, "and");
        write!(f, "certificate {} is renewed when {parts} of its life is left", self.of)
    }
}

impl Display for RequestsFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operation = self.operation.map(|word| format!("{word} ")).unwrap_or_default();
        let peers = listed(&self.to.0, "or");
        match self.none {
            Some(_) => write!(f, "no {operation}request goes to the {peers}")?,
            None => write!(f, "{operation}requests go to the {peers}")?,
        }
        if let Some(least) = self.at_least {
            write!(f, ", at least {least}")?;
        }
        if let Some(most) = self.at_most {
            write!(f, ", at most {most}")?;
        }
        if let Some(per) = self.per {
            write!(f, " in {per}")?;
        }
        if let Some(OneOrMore(headers)) = &self.all_have {
            write!(f, ", each with {}", listed(headers, "and"))?;
        }
        if let Some(within) = self.within {
            write!(f, ", within {within}")?;
        }
        if let Some(since) = self.since {
            write!(f, ", from {since} on")?;
        }
        if let Some(before) = self.before {
            write!(f, ", before {before}")?;
        }
        Ok(())
    }
}

impl Display for SecretsFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kept = self.never_missing.as_ref().map(|OneOrMore(names)| {
            let since = self.since.map(|since| format!(" from {since} on")).unwrap_or_default();
            format!("{} never disappear{since}", listed(names, "and"))
        });
        let present = self.present.as_ref().map(|OneOrMore(names)| {
            let within = self.within.map(|within| format!(" within {within}")).unwrap_or_default();
            format!("{} are there{within}", listed(names, "and"))
        });
        let parts: Vec<String> = [kept, present].into_iter().flatten().collect();
        write!(f, "the Secrets {}", listed(&parts, "and"))
    }
}

impl Display for ApplicationsFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let since = self.since.map(|since| format!(" from {since} on")).unwrap_or_default();
        let parts = [
            self.exactly.as_ref().map(|names| format!("are exactly {}", listed(names, "and"))),
            self.include.as_ref().map(|names| format!("include {}", listed(&names.0, "and"))),
            self.count.map(|count| format!("are {count}")),
            self.never_fewer_than.map(|least| format!("are never fewer than {least}{since}")),
            self.unchanged.map(|_| "are not touched".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(f, "the Applications in the cluster {}", listed(&parts, "and"))?;
        match self.within {
            Some(within) => write!(f, ", within {within}"),
            None => Ok(()),
        }
    }
}

impl Display for FlagsFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .flags()
            .map(|(flag, state)| match state {
                FlagState::Set => format!("{flag} is set"),
                FlagState::Gone => format!("{flag} is gone"),
            })
            .collect();
        f.write_str(&listed(&parts, "and"))
    }
}

impl Display for FaultsFact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.fired, self.all_fired) {
            (Some(OneOrMore(ids)), None) => write!(f, "{} fired", listed(ids, "and")),
            (Some(_), Some(_)) | (None, _) => f.write_str("every fault fired"),
        }
    }
}

/// `absent` is a word for a place without an object; in prose it needs none.
impl Origin {
    /// Whether a state, or the lack of a CompassConnection, is meant.
    #[must_use]
    pub fn is(self, state: Option<super::words::State>) -> bool {
        match state {
            Some(state) => self.word() == state.word(),
            None => self == Self::Absent,
        }
    }
}

fn times(number: u32) -> String {
    match number {
        1 => "once".into(),
        2 => "twice".into(),
        number => format!("{number} times"),
    }
}
