//! What is there before the first step.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Deserializer;

use super::words::TokenWord;
use crate::compass::Applications;
use crate::document::{Node, Period, Problem, Share, Value};

/// What is there before the first step.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Given {
    /// How the agent is set, in neutral words.
    pub agent: GivenAgent,
    /// The Connector.
    pub connector: GivenConnector,
    /// The Director.
    pub director: GivenDirector,
}

/// How the agent is set; its agent file translates.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GivenAgent {
    /// A round of maintaining and synchronising begins this often.
    pub resync_every: Option<Period>,
    /// Two rounds are at least this far apart.
    pub at_most_one_sync_every: Option<Period>,
    /// A certificate is renewed when less than this share of its life is left.
    pub renew_when_life_left_below: Option<Share>,
}

/// How the Connector is set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GivenConnector {
    /// The token in the agent's configuration; a good one unless said otherwise.
    pub token: Option<TokenWord>,
    /// The certificates that it signs.
    pub certificates: GivenCertificates,
}

/// The certificates that the Connector signs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GivenCertificates {
    /// Their life; Compass's own 90 days unless said otherwise.
    pub valid_for: Option<Period>,
}

/// What the Director knows.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GivenDirector {
    /// The runtime that the agent stands for.
    pub runtime: GivenRuntime,
    /// The applications of the runtime.
    #[serde(deserialize_with = "applications")]
    pub applications: Applications,
}

/// The runtime that the agent stands for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GivenRuntime {
    /// Its labels; the value may be anything that JSON has.
    pub labels: BTreeMap<String, serde_json::Value>,
}

/// Reads applications after a look at what would fill memory or give many of them one name.
fn applications<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Applications, D::Error> {
    let node = Node::deserialize(deserializer)?;
    let items = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![&node],
    };
    let checked = items.into_iter().try_for_each(check_pattern);
    checked.and_then(|()| node.read()).map_err(Problem::raise)
}

pub(super) fn check_pattern(application: &Node) -> Result<(), Problem> {
    /// More would only fill memory: the catalogue's largest cluster has two thousand (K8S-06).
    const MOST: u32 = 10_000;
    let Some(generate) = application.get("generate") else { return Ok(()) };
    let count: u32 = generate.read()?;
    if !(1..=MOST).contains(&count) {
        return Err(Problem::new(format!("expected a number from 1 to {MOST}")).at(generate.at));
    }
    let Some(name) = application.get("name") else { return Ok(()) };
    let text: String = name.read()?;
    if text.contains("{n}") {
        return Ok(());
    }
    Err(Problem::new("without `{n}` all of them would have one name")
        .at(name.at)
        .help(format!("write `{text}-{{n}}`")))
}
