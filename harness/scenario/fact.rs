//! Facts that a scenario waits for, expects or promises.

use serde::Deserialize;
use serde::de::Deserializer;

use super::words::{
    CertificateWord, Flag, FlagState, HeaderWord, Moment, OneOrMore, Operation, Origin, PeerWord,
    Place, Presence, SecretWord, State, Yes,
};
use crate::document::{Node, Period, Problem, Share, Span, Spanned, Value};

/// Something that can be true of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The state goes exactly this way.
    Transitions(Vec<Spanned<Transition>>),
    /// About the state now, or always.
    State(StateFact),
    /// About errors in the status.
    Status(StatusFact),
    /// So many certificates were issued.
    CertificateIssued(u32),
    /// How many certificates are issued.
    Certificates(CertificatesFact),
    /// The way of one certificate.
    Certificate(CertificateFact),
    /// When a renewal is asked for.
    Renewal(RenewalFact),
    /// About requests.
    Requests(RequestsFact),
    /// About one-time tokens.
    Token(TokenFact),
    /// About the agent's Secrets.
    Secrets(SecretsFact),
    /// About the Applications that the agent manages.
    Applications(ApplicationsFact),
    /// About the labels of the runtime in the Director.
    RuntimeLabels(RuntimeLabelsFact),
    /// About flags in the CompassConnection.
    Flags(FlagsFact),
    /// About the agent's process.
    Agent(AgentFact),
    /// About faults.
    Faults(FaultsFact),
}

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Transition {
    /// The state before.
    #[serde(default)]
    pub from: Option<Origin>,
    /// The state after.
    pub to: State,
    /// How long it may take from the transition before, or from the start of the step.
    #[serde(default)]
    pub within: Option<Period>,
    /// The fault that led to it.
    #[serde(default)]
    pub because: Option<Spanned<String>>,
}

/// About the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateFact {
    /// It is this one.
    Is(State),
    /// It is one of these.
    OneOf(Vec<State>),
    /// It is never one of these.
    Never(Vec<State>),
    /// It is one of these all the time.
    StaysIn {
        /// The states.
        states: Vec<State>,
        /// For how long, from the start of the step.
        duration: Period,
    },
}

/// About errors in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusFact {
    /// `status.connectionStatus.error`
    #[serde(default)]
    pub connection_error: Option<Presence>,
    /// `status.synchronizationStatus.error`
    #[serde(default)]
    pub synchronization_error: Option<Presence>,
}

/// How many certificates are issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatesFact {
    /// Not more than this in the whole run.
    #[serde(default)]
    pub issued_at_most: Option<u32>,
    /// Not fewer than this in the whole run.
    #[serde(default)]
    pub issued_at_least: Option<u32>,
}

/// The way of one certificate from the Connector to where it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFact {
    /// Which.
    pub number: CertificateWord,
    /// Time from issuing to the Secret.
    #[serde(default)]
    pub stored_within: Option<Period>,
    /// The first request after it was stored shows it.
    #[serde(default)]
    pub used_by_next_request: Option<Yes>,
    /// Its key is the key of no earlier certificate.
    #[serde(default)]
    pub new_key: Option<Yes>,
    /// Time from issuing to the CompassConnection.
    #[serde(default)]
    pub reported_within: Option<Period>,
    /// The places that all have it.
    #[serde(default)]
    pub same_in: Option<OneOrMore<Place>>,
}

/// When a renewal is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalFact {
    /// The certificate that is renewed.
    pub of: CertificateWord,
    /// How much of its life is left when the new one is asked for.
    pub requested_when_life_left: LifeLeft,
}

/// A share of a certificate's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LifeLeft {
    /// Less than this.
    #[serde(default)]
    pub below: Option<Share>,
    /// More than this.
    #[serde(default)]
    pub above: Option<Share>,
}

/// About requests to Compass.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestsFact {
    /// Whom they go to.
    pub to: OneOrMore<PeerWord>,
    /// What they ask for.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// Headers that each of them carries.
    #[serde(default)]
    pub all_have: Option<OneOrMore<HeaderWord>>,
    /// Not more than this.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// In any stretch of this length.
    #[serde(default)]
    pub per: Option<Period>,
    /// Not fewer than this.
    #[serde(default)]
    pub at_least: Option<u32>,
    /// Not one.
    #[serde(default)]
    pub none: Option<Yes>,
    /// How long they may take to come.
    #[serde(default)]
    pub within: Option<Period>,
    /// Those from this moment on.
    #[serde(default)]
    pub since: Option<Moment>,
    /// Those before this moment.
    #[serde(default)]
    pub before: Option<Moment>,
}

/// About one-time tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenFact {
    /// No token is shown to the Connector more often than this.
    pub used_at_most: u32,
}

/// About the agent's Secrets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretsFact {
    /// These never disappear.
    #[serde(default)]
    pub never_missing: Option<OneOrMore<SecretWord>>,
    /// From this moment on.
    #[serde(default)]
    pub since: Option<Moment>,
    /// These are there.
    #[serde(default)]
    pub present: Option<OneOrMore<SecretWord>>,
    /// How long they may take to be there.
    #[serde(default)]
    pub within: Option<Period>,
}

/// About the Applications that the agent manages, by their names in the Director.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationsFact {
    /// These and no others.
    #[serde(default)]
    pub exactly: Option<Vec<String>>,
    /// These, and perhaps others.
    #[serde(default)]
    pub include: Option<OneOrMore<String>>,
    /// So many.
    #[serde(default)]
    pub count: Option<u32>,
    /// Never fewer than this.
    #[serde(default)]
    pub never_fewer_than: Option<u32>,
    /// From this moment on.
    #[serde(default)]
    pub since: Option<Moment>,
    /// Not one is created, changed or deleted.
    #[serde(default)]
    pub unchanged: Option<Yes>,
    /// How long it may take.
    #[serde(default)]
    pub within: Option<Period>,
}

/// About the labels of the runtime in the Director.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RuntimeLabelsFact {
    /// These keys were set.
    pub set: OneOrMore<String>,
    /// How long it may take.
    #[serde(default)]
    pub within: Option<Period>,
}

/// About flags in the CompassConnection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlagsFact {
    /// [`Flag::ResyncNow`]
    #[serde(default)]
    pub resync_now: Option<FlagState>,
    /// [`Flag::RefreshNow`]
    #[serde(default)]
    pub refresh_now: Option<FlagState>,
}

impl FlagsFact {
    /// The flags that it speaks of.
    pub fn flags(self) -> impl Iterator<Item = (Flag, FlagState)> {
        let one = |flag, state: Option<FlagState>| state.map(|state| (flag, state));
        [one(Flag::ResyncNow, self.resync_now), one(Flag::RefreshNow, self.refresh_now)]
            .into_iter()
            .flatten()
    }
}

/// About the agent's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentFact {
    /// How often it may end without being asked to.
    pub unplanned_restarts: u32,
}

/// About faults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultsFact {
    /// Each fault that was armed has reached the wire.
    #[serde(default)]
    pub all_fired: Option<Yes>,
    /// These have reached the wire.
    #[serde(default)]
    pub fired: Option<OneOrMore<Spanned<String>>>,
}

impl RequestsFact {
    /// Whether it waits for requests.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.at_least.is_some() || self.within.is_some() || !self.is_kept()
    }

    /// Whether it forbids requests.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.all_have.is_some() || self.at_most.is_some() || self.none.is_some()
    }

    pub(super) fn check(&self, span: Span) -> Result<(), Problem> {
        if self.per.is_some() && self.at_most.is_none() {
            return Err(Problem::new("`per` belongs to `atMost`").at(span));
        }
        if self.none.is_some() && self.is_reached() {
            let problem = Problem::new("requests are both forbidden and waited for");
            return Err(problem.at(span).help("keep either `none` or `within` and `atLeast`"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for StateFact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Keys {
            #[serde(default)]
            never: Option<OneOrMore<State>>,
            #[serde(default)]
            stays_in: Option<OneOrMore<State>>,
            #[serde(default)]
            r#for: Option<Spanned<Period>>,
            #[serde(default)]
            one_of: Option<OneOrMore<State>>,
        }
        let node = Node::deserialize(deserializer)?;
        let read = || {
            if !matches!(node.value, Value::Map(_)) {
                return node.read().map(Self::Is);
            }
            let Keys { never, stays_in, r#for: duration, one_of } = node.read()?;
            match (never, stays_in, one_of, duration) {
                (Some(OneOrMore(states)), None, None, None) => Ok(Self::Never(states)),
                (None, None, Some(OneOrMore(states)), None) => Ok(Self::OneOf(states)),
                (None, Some(OneOrMore(states)), None, Some(duration)) => {
                    Ok(Self::StaysIn { states, duration: duration.value })
                }
                (None, Some(_), None, None) => {
                    Err(Problem::new("`for` is missing beside `staysIn`")
                        .at(node.at)
                        .help("say for how long, such as `for: 5s`"))
                }
                (_, None, _, Some(duration)) => {
                    Err(Problem::new("`for` belongs to `staysIn`").at(duration.span))
                }
                _ => Err(Problem::new("expected exactly one of `never`, `oneOf` and `staysIn`")
                    .at(node.at)),
            }
        };
        read().map_err(Problem::raise)
    }
}
