//! The scenario language: the keys of a YAML file as types.
//!
//! [`load_all`] reads files and directories. A [`Scenario`] keeps the place of everything that a
//! finding or a later check may have to point to; each part shows itself as prose with `Display`.

mod claim;
mod fact;
mod given;
mod inject;
mod load;
mod prose;
mod requirement;
mod step;
pub mod words;

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::Deserializer;

pub use claim::{Claim, Nature, UNSAID_WITHIN, Use};
pub use fact::{
    AgentFact, ApplicationsFact, CertificateFact, CertificatesFact, Fact, FaultsFact, FlagsFact,
    LifeLeft, RenewalFact, RequestsFact, RuntimeLabelsFact, SecretsFact, StateFact, StatusFact,
    TokenFact, Transition,
};
pub use given::{
    Given, GivenAgent, GivenCertificates, GivenConnector, GivenDirector, GivenRuntime,
};
pub use inject::Inject;
pub use load::{load_all, parse};
pub use requirement::{Catalogue, Level, Requirement, catalogue};
pub use step::{
    Action, BurnToken, Change, ConnectorChange, DirectorChange, Doing, Heal, IssueToken, Patch,
    PatchTarget, Rename, Revoke, RevokeTarget, RuntimeLabel, Step, TokenTarget,
};

use crate::document::{Kind, Node, Period, Problem, Source, Span, Spanned, Value};

/// One story about an agent, from a file.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Who it is.
    pub metadata: Metadata,
    /// What happens.
    pub spec: Spec,
    /// The file, as it was given or found.
    pub path: PathBuf,
    /// The file without the directory that was given: names tests and snapshots.
    pub relative: PathBuf,
    /// Its text, for findings that point into it.
    pub source: Source,
}

impl Scenario {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.metadata.id
    }

    /// `file:line` of a place in it.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.path.display(), span.line)
    }
}

/// A file of kind `Scenario`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScenarioFile {
    metadata: Metadata,
    spec: Spec,
}

impl Kind for ScenarioFile {
    const KIND: &'static str = "Scenario";
}

/// Who a scenario is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Metadata {
    /// `CC-AREA-000`; never reused, never changed.
    pub id: Spanned<ScenarioId>,
    /// One line.
    pub title: String,
    /// The requirement in whole sentences.
    pub requirement: String,
    /// The ids of the catalogue that it proves.
    pub proves: Vec<Spanned<String>>,
    /// Words to select by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
}

/// `CC-AREA-000`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScenarioId(String);

impl std::ops::Deref for ScenarioId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ScenarioId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut parts = text.split('-');
        let area = |part: &str| {
            !part.is_empty()
                && part.starts_with(|c: char| c.is_ascii_uppercase())
                && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        let number = |part: &str| part.len() == 3 && part.chars().all(|c| c.is_ascii_digit());
        let good = parts.next() == Some("CC")
            && parts.next().is_some_and(area)
            && parts.next().is_some_and(number)
            && parts.next().is_none();
        if good {
            return Ok(Self(text));
        }
        Err(Problem::new(format!("`{text}` is no scenario id"))
            .help("its form is `CC-AREA-000`, such as `CC-RENEW-001`")
            .raise())
    }
}

/// What happens in a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The run may take this long.
    pub time_limit: Period,
    /// Governs all that is random.
    #[serde(default)]
    pub seed: u64,
    /// What is there before the first step.
    #[serde(default)]
    pub given: Given,
    /// What holds from the first second to the last.
    #[serde(default)]
    pub always: Promises<{ ALWAYS }>,
    /// The story.
    pub steps: Vec<Step>,
    /// What holds at the end.
    #[serde(default)]
    pub afterwards: Promises<{ AFTERWARDS }>,
    /// What is compared with a recorded run.
    #[serde(default)]
    pub snapshot: Option<Snapshot>,
}

const ALWAYS: bool = true;
const AFTERWARDS: bool = false;

/// A list of claims about the whole run, or about its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Promises<const WHOLE: bool>(pub Vec<Claim>);

impl<'de, const WHOLE: bool> Deserialize<'de> for Promises<WHOLE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usage = if WHOLE { Use::Always } else { Use::Afterwards };
        let node = Node::deserialize(deserializer)?;
        let Value::List(items) = &node.value else {
            return Err(Problem::mismatch("a list of facts", &node).at(node.at).raise());
        };
        let read = |item: &Node| item.read::<claim::Facts>()?.claim(item.at, usage, None);
        items.iter().map(read).collect::<Result<_, _>>().map(Self).map_err(Problem::raise)
    }
}

/// What of a run is kept and compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Its name, unique in the scenario.
    pub name: String,
    /// What is shown.
    pub show: words::OneOrMore<Shown>,
}

/// A part of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    /// The way of the state.
    Transitions,
    /// What was issued, stored and reported.
    Certificates,
    /// What was asked of Compass, in kinds.
    Requests,
    /// What was injected.
    Faults,
}

#[cfg(test)]
mod tests;
