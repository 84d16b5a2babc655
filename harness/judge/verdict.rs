//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::finding::Finding;
use super::invariant::BESIDE;
use super::observed::Change;
use crate::journal::StepResult;
use crate::scenario::{Level, Scenario, catalogue};

/// What a run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In one word, with its reason.
    pub judgement: Judgement,
    /// What did not hold.
    pub findings: Vec<Finding>,
    /// What did not hold and does not fail the run: deviations from SHOULD.
    pub remarks: Vec<Finding>,
    /// For each requirement that this run has something to say about, what it says.
    pub requirements: BTreeMap<String, RequirementResult>,
    /// How each step ended; missing for those that were not reached.
    pub steps: Vec<StepVerdict>,
    /// The way of the state.
    pub walk: Vec<Change>,
    /// How long the run was.
    pub length: Duration,
}

/// A verdict in one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum Judgement {
    /// Everything held.
    Passed,
    /// Something did not hold: the agent's fault.
    Failed,
    /// A scripted fault never met its occasion: nothing was shown.
    NotProven {
        /// The faults that did not fire.
        faults: Vec<String>,
    },
    /// The harness could not do its part.
    NotJudged {
        /// Why.
        reason: String,
        /// Whether the record itself has holes, which casts doubt on every finding.
        record_is_broken: bool,
    },
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed => f.write_str("failed"),
            Self::NotProven { faults } => {
                write!(f, "not proven: {} did not fire", faults.join(", "))
            }
            Self::NotJudged { reason, .. } => write!(f, "not judged: {reason}"),
        }
    }
}

/// What a run says about a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RequirementResult {
    /// It held.
    Held,
    /// It did not.
    Broken,
    /// The run has no verdict about it.
    Open,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StepVerdict {
    /// From 0.
    pub index: usize,
    /// The step in words.
    pub name: String,
    /// When it began, since the start of the run.
    pub began: Duration,
    /// When it ended; not yet when the run was cut.
    pub ended: Option<Duration>,
    /// How it ended.
    pub result: Option<StepResult>,
}

pub(super) fn is_must(id: &str) -> bool {
    catalogue().find(id).is_none_or(|requirement| requirement.level == Level::Must)
}

/// Whether a scenario can fail anybody. A level is a property of the requirement: one that proves
/// nothing that must be can only remark.
pub(super) fn binding(scenario: &Scenario) -> bool {
    scenario.metadata.proves.iter().any(|id| is_must(&id.value))
}

/// What the verdict is made of.
pub(super) struct Grounds {
    pub findings: Vec<Finding>,
    pub invariants: Vec<Finding>,
    pub invariants_judged: bool,
    pub lost: Option<String>,
    pub impossible: Option<String>,
    pub silent_faults: Vec<String>,
    pub steps: Vec<StepVerdict>,
    pub walk: Vec<Change>,
    pub length: Duration,
}

impl Grounds {
    pub(super) fn verdict(self, scenario: &Scenario) -> Verdict {
        let (failing, deviating): (Vec<Finding>, Vec<Finding>) = self
            .invariants
            .into_iter()
            .partition(|finding| finding.requirement.as_deref().is_none_or(is_must));
        let proves = &scenario.metadata.proves;
        let claims_hold = self.findings.is_empty();
        let (mut findings, mut remarks) = if binding(scenario) {
            (self.findings, Vec::new())
        } else {
            (Vec::new(), self.findings)
        };
        findings.extend(failing);
        remarks.extend(deviating);
        let judgement = if let Some(reason) = self.lost {
            Judgement::NotJudged { reason, record_is_broken: true }
        } else if !findings.is_empty() {
            Judgement::Failed
        } else if let Some(reason) = self.impossible {
            Judgement::NotJudged { reason, record_is_broken: false }
        } else if !self.silent_faults.is_empty() {
            Judgement::NotProven { faults: self.silent_faults }
        } else {
            Judgement::Passed
        };
        let mut requirements = BTreeMap::new();
        let open = matches!(judgement, Judgement::NotJudged { .. } | Judgement::NotProven { .. });
        for id in proves {
            let result = match (claims_hold, open) {
                (_, true) => RequirementResult::Open,
                (true, false) => RequirementResult::Held,
                (false, false) => RequirementResult::Broken,
            };
            requirements.insert(id.value.clone(), result);
        }
        let broken = |id: &str| {
            findings.iter().chain(&remarks).any(|one| one.requirement.as_deref() == Some(id))
        };
        let rules = catalogue().ids().filter(|id| id.starts_with("STAT-"));
        for id in rules.chain(BESIDE.into_iter().filter(|id| broken(id))) {
            let result = if broken(id) {
                RequirementResult::Broken
            } else if self.invariants_judged && !open {
                RequirementResult::Held
            } else {
                RequirementResult::Open
            };
            requirements.insert(id.to_owned(), result);
        }
        Verdict {
            judgement,
            findings,
            remarks,
            requirements,
            steps: self.steps,
            walk: self.walk,
            length: self.length,
        }
    }
}
