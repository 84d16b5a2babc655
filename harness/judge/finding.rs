//! What a claim comes to: held, pending, or broken with a finding.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::lines;
use super::observed::Observed;
use crate::document::Span;

/// Where a claim stands at some time.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is true, and no later entry changes that.
    Held,
    /// It is open; at `until`, if given, time alone will decide.
    Pending {
        /// Since the start of the run.
        until: Option<Duration>,
    },
    /// It is false, and no later entry changes that.
    Broken(Box<Finding>),
}

impl Outcome {
    /// Open until something happens.
    pub const OPEN: Self = Self::Pending { until: None };

    /// Whether it is decided.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !matches!(self, Self::Pending { .. })
    }
}

/// Something that a requirement or a scenario says, and that did not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The id of the catalogue, when it is a rule for every run.
    pub requirement: Option<String>,
    /// The step, when it is one; from 0.
    pub step: Option<usize>,
    /// What was claimed, as prose.
    pub claim: String,
    /// Where the claim stands in the scenario's file.
    pub span: Option<Span>,
    /// What was expected.
    pub expected: String,
    /// What was observed.
    pub observed: String,
    /// The expected and the seen way of the state, when the claim is about it.
    pub walks: Vec<WalkLine>,
    /// When it was found, since the start of the run.
    pub at: Duration,
    /// The entry of the journal at which it was found.
    pub seq: u64,
    /// How often a rule was broken; the finding shows the first time.
    pub times: u32,
    /// The last telling entries of the journal before it.
    pub entries: Vec<String>,
}

/// A line of two ways beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalkLine {
    /// What was expected here; none when something came that was not expected.
    pub expected: Option<String>,
    /// What was seen here; none when it did not come.
    pub seen: Option<String>,
    /// Whether they agree.
    pub agrees: bool,
}

impl Finding {
    /// A finding at the last entry that was seen.
    #[must_use]
    pub fn new(
        claim: impl Into<String>,
        expected: impl Into<String>,
        observed_words: impl Into<String>,
        observed: &Observed,
        at: Duration,
    ) -> Self {
        Self {
            requirement: None,
            step: None,
            claim: claim.into(),
            span: None,
            expected: expected.into(),
            observed: observed_words.into(),
            walks: Vec::new(),
            at,
            seq: observed.seq,
            times: 1,
            entries: observed.recent().iter().map(|entry| lines::line(entry)).collect(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(requirement) = &self.requirement {
            writeln!(f, "{requirement} {}", self.claim)?;
        }
        writeln!(f, "expected {}", self.expected)?;
        write!(f, "observed {}", self.observed)?;
        if self.times > 1 {
            write!(f, " (the first of {} times)", self.times)?;
        }
        let width = self.walks.iter().filter_map(|line| line.expected.as_ref()).map(String::len);
        let width = width.max().unwrap_or(0).max("expected".len());
        if !self.walks.is_empty() {
            write!(f, "\n    {:width$}   seen", "expected")?;
        }
        for line in &self.walks {
            let mark = if line.agrees { ' ' } else { '>' };
            let expected = line.expected.as_deref().unwrap_or("-");
            let seen = line.seen.as_deref().unwrap_or("-");
            write!(f, "\n  {mark} {expected:width$}   {seen}")?;
        }
        Ok(())
    }
}
