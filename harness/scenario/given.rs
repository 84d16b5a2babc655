//! What is there before the first step.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Deserializer;

use super::words::TokenWord;
use crate::document::{Node, Period, Problem, Share, Spanned, Value};

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
    pub applications: Applications,
}

/// The runtime that the agent stands for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GivenRuntime {
    /// Its labels; the value may be anything that JSON has.
    pub labels: BTreeMap<String, serde_json::Value>,
}

/// Applications: listed, or made from a pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Applications {
    /// One by one.
    Listed(Vec<Application>),
    /// Many of a kind.
    Generated(Generated),
}

impl Default for Applications {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Applications {
    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Listed(list) => list.iter().map(|one| one.name.value.clone()).collect(),
            Self::Generated(generated) => generated.names(),
        }
    }
}

/// An application in the Director.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: Spanned<String>,
}

/// Many applications of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// How many.
    pub count: u32,
    /// Their name; `{n}` is the number from 1 on.
    pub name: String,
}

impl Generated {
    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        (1..=self.count).map(|n| self.name.replace("{n}", &n.to_string())).collect()
    }
}

impl<'de> Deserialize<'de> for Applications {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// More would only fill memory: the catalogue's largest cluster has two thousand.
        const MOST: u32 = 10_000;
        #[derive(Deserialize)]
        struct Keys {
            generate: Spanned<u32>,
            name: Spanned<String>,
        }
        let node = Node::deserialize(deserializer)?;
        let read = || {
            if !matches!(node.value, Value::Map(_)) {
                return node.read().map(Self::Listed);
            }
            let Keys { generate, name } = node.read()?;
            if !(1..=MOST).contains(&generate.value) {
                return Err(
                    Problem::new(format!("expected a number from 1 to {MOST}")).at(generate.span)
                );
            }
            if !name.contains("{n}") {
                return Err(Problem::new("without `{n}` all of them would have one name")
                    .at(name.span)
                    .help(format!("write `{}-{{n}}`", name.value)));
            }
            Ok(Self::Generated(Generated { count: generate.value, name: name.value }))
        };
        read().map_err(Problem::raise)
    }
}
