//! A step: one action, one wait, or one expectation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Deserializer;

use super::claim::{Claim, Facts, Use};
use super::given::{GivenCertificates, check_pattern};
use super::inject::Inject;
use super::words::{AgentWord, Flag, ObjectWord, OneOrMore};
use crate::compass::Application;
use crate::document::{Node, Period, Problem, Span, Spanned, Value};

/// One step of the story.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, if it has one of its own.
    pub name: Option<String>,
    /// What it does.
    pub does: Doing,
    /// Where it stands.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Doing {
    /// Does something to the world.
    Act(Action),
    /// Goes on when all facts are there.
    WaitFor(Claim),
    /// Judges.
    Expect(Claim),
}

/// Something that is done to the world.
#[derive(Debug, Clone)]
pub enum Action {
    /// Start the agent.
    Start(AgentWord),
    /// Ask the agent to end, and wait until it has.
    Stop(AgentWord),
    /// Kill the agent.
    Kill(AgentWord),
    /// Stop and start it.
    Restart(AgentWord),
    /// Arm a fault.
    Inject(Box<Inject>),
    /// Lift faults.
    Heal(Heal),
    /// Change what Compass knows or does.
    Change(Change),
    /// Make a fresh token.
    IssueToken(IssueToken),
    /// Use up the token that the agent finds in its configuration.
    BurnToken(BurnToken),
    /// Revoke a certificate.
    Revoke(Revoke),
    /// Set flags in the CompassConnection.
    Ask(Vec<Flag>),
    /// Delete an object.
    Delete(ObjectWord),
    /// Change an object as other hands in the cluster would.
    Patch(Patch),
}

/// The faults to lift.
#[derive(Debug, Clone, PartialEq)]
pub enum Heal {
    /// All that are armed.
    All,
    /// These.
    These(Vec<Spanned<String>>),
}

/// What changes in Compass.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub enum Change {
    /// In the Director.
    #[serde(rename = "director")]
    Director(DirectorChange),
    /// In the Connector.
    #[serde(rename = "connector")]
    Connector(ConnectorChange),
}

/// What changes in the Director.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DirectorChange {
    /// More applications.
    #[serde(deserialize_with = "applications")]
    AddApplications(Vec<Application>),
    /// Fewer applications, by name.
    RemoveApplications(OneOrMore<Spanned<String>>),
    /// Another name for one.
    RenameApplication(Rename),
    /// Another label at the runtime.
    SetRuntimeLabel(RuntimeLabel),
}

fn applications<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Application>, D::Error> {
    let items = Vec::<Node>::deserialize(deserializer)?;
    let read = |item: &Node| check_pattern(item).and_then(|()| item.read());
    items.iter().map(read).collect::<Result<_, _>>().map_err(Problem::raise)
}

/// What changes in the Connector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectorChange {
    /// The certificates that it signs from now on.
    SetCertificates(GivenCertificates),
}

/// Another name for an application.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rename {
    /// Its name now.
    pub from: String,
    /// Its name from now on.
    pub to: String,
}

/// A label of the runtime.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RuntimeLabel {
    /// Key.
    pub key: String,
    /// Value.
    pub value: serde_json::Value,
}

/// Where a fresh token goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct IssueToken {
    /// The Secret that holds it then.
    pub into: TokenTarget,
}

/// A Secret that can hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TokenTarget {
    /// The Secret that configures the agent.
    #[serde(rename = "agent-configuration")]
    AgentConfiguration,
}

/// A token to use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum BurnToken {
    /// The one in the agent's configuration.
    #[serde(rename = "current")]
    Current,
}

/// A certificate to revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Revoke {
    /// Which.
    pub certificate: RevokeTarget,
}

/// A certificate that can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RevokeTarget {
    /// The last that was issued.
    #[serde(rename = "current")]
    Current,
}

/// A change by other hands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Patch {
    /// Which object.
    pub object: PatchTarget,
    /// Labels to set.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// An object that other hands change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum PatchTarget {
    /// The agent's CompassConnection.
    CompassConnection,
}

/// The words that begin an action, for errors.
const ACTIONS: &[&str] = &[
    "start",
    "stop",
    "kill",
    "restart",
    "inject",
    "heal",
    "change",
    "issueToken",
    "burnToken",
    "revoke",
    "ask",
    "delete",
    "patch",
    "waitFor",
    "expect",
];
/// The words that go beside one.
const BESIDE: &[&str] = &["name", "within"];

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Self::read(&node).map_err(Problem::raise)
    }
}

impl Step {
    fn read(node: &Node) -> Result<Self, Problem> {
        let Value::Map(entries) = &node.value else {
            return Err(Problem::mismatch("a step", node)
                .at(node.at)
                .help(format!("a step is a mapping with one of {}", ACTIONS.join(", "))));
        };
        let words = || ACTIONS.iter().chain(BESIDE).copied();
        let mut name = None;
        let mut within: Option<Spanned<Period>> = None;
        let mut action = None;
        for (key, value) in entries {
            match key.text.as_str() {
                "name" => name = Some(value.read()?),
                "within" => within = Some(value.read()?),
                word if !ACTIONS.contains(&word) => {
                    return Err(Problem::unknown("key", word, words()).at(key.span));
                }
                _ if action.is_some() => {
                    return Err(Problem::new("a step does one thing; this is a second one")
                        .at(key.span)
                        .help("begin a new step with `-`"));
                }
                _ => action = Some((key, value)),
            }
        }
        let Some((key, value)) = action else {
            return Err(Problem::new("this step does nothing")
                .at(node.at)
                .help(format!("give it one of {}", ACTIONS.join(", "))));
        };
        if let Some(within) = &within
            && key.text != "waitFor"
        {
            return Err(Problem::new("`within` stands beside `waitFor` only")
                .at(within.span)
                .help(if key.text == "expect" {
                    "put it inside `expect`"
                } else {
                    "leave it out"
                }));
        }
        let does = match key.text.as_str() {
            "waitFor" => {
                let facts: Facts = value.read()?;
                let within = within.ok_or_else(|| {
                    Problem::new("`within` is missing beside `waitFor`")
                        .at(key.span)
                        .help("say how long it may take, such as `within: 30s`")
                })?;
                Doing::WaitFor(facts.claim(key.span, Use::WaitFor, Some(within.value))?)
            }
            "expect" => {
                let facts: Facts = value.read()?;
                Doing::Expect(facts.claim(key.span, Use::Expect, None)?)
            }
            word => Doing::Act(Action::read(word, value)?),
        };
        Ok(Self { name, does, span: node.at })
    }
}

impl Action {
    fn read(word: &str, value: &Node) -> Result<Self, Problem> {
        Ok(match word {
            "start" => Self::Start(value.read()?),
            "stop" => Self::Stop(value.read()?),
            "kill" => Self::Kill(value.read()?),
            "restart" => Self::Restart(value.read()?),
            "inject" => Self::Inject(Box::new(value.read()?)),
            "heal" => {
                let OneOrMore::<Spanned<String>>(ids) = value.read()?;
                match ids.as_slice() {
                    [one] if one.value == "all" => Self::Heal(Heal::All),
                    _ => Self::Heal(Heal::These(ids)),
                }
            }
            "change" => Self::Change(value.read()?),
            "issueToken" => Self::IssueToken(value.read()?),
            "burnToken" => Self::BurnToken(value.read()?),
            "revoke" => Self::Revoke(value.read()?),
            "ask" => {
                let OneOrMore::<Flag>(flags) = value.read()?;
                Self::Ask(flags)
            }
            "delete" => Self::Delete(value.read()?),
            "patch" => {
                let patch: Patch = value.read()?;
                if patch.labels.is_empty() && patch.annotations.is_empty() {
                    return Err(Problem::new("this patch changes nothing")
                        .at(value.at)
                        .help("give it `labels` or `annotations`"));
                }
                Self::Patch(patch)
            }
            other => return Err(Problem::unknown("key", other, ACTIONS.iter().copied())),
        })
    }
}
