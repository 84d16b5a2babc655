//! What people and machines read of a run: folds over journal and verdict.
//!
//! A report is made of [`Finished`] scenarios. The list: [`console`] for people, [`json`] for programs.

pub mod console;
pub mod json;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::judge::{Judgement, Verdict};
use crate::scenario::Scenario;
use crate::snapshot::Comparison;

/// A scenario whose run is over, with everything that a report may say of it.
#[derive(Debug)]
pub struct Finished {
    /// What was run.
    pub scenario: Arc<Scenario>,
    /// What came of it.
    pub outcome: Outcome,
    /// From the first to the last moment.
    pub took: Duration,
    /// Where the journal is kept.
    pub run_file: Option<PathBuf>,
    /// The last lines that the agent printed.
    pub last_lines: Vec<String>,
    /// The command that does it again.
    pub again: String,
}

/// What came of a run.
#[derive(Debug)]
pub enum Outcome {
    /// There is a verdict.
    Judged {
        /// It.
        verdict: Box<Verdict>,
        /// How the prose of the run compares with what is kept; none unless the run passed.
        snapshot: Option<Comparison>,
    },
    /// There is none: what happened, and what led to it, each said once.
    NoVerdict {
        /// The error and its causes.
        causes: Vec<String>,
    },
}

/// The result in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Everything held, and the snapshot is the same.
    Pass,
    /// The agent's fault.
    Fail,
    /// Everything held; the snapshot is new or changed.
    Snap,
    /// No verdict: the environment's or the script's fault.
    Error,
    /// No verdict: the record is broken, which is our fault.
    Doubt,
}

impl Word {
    /// As printed; always four letters.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Snap => "SNAP",
            Self::Error => "ERR ",
            Self::Doubt => "OURS",
        }
    }
}

impl Finished {
    /// The result in one word.
    #[must_use]
    pub fn word(&self) -> Word {
        match &self.outcome {
            Outcome::NoVerdict { .. } => Word::Error,
            Outcome::Judged { verdict, snapshot } => match &verdict.judgement {
                Judgement::Failed => Word::Fail,
                Judgement::NotJudged { record_is_broken: true, .. } => Word::Doubt,
                Judgement::NotProven { .. } | Judgement::NotJudged { .. } => Word::Error,
                Judgement::Passed => match snapshot {
                    Some(Comparison::Missing | Comparison::Changed(_)) => Word::Snap,
                    Some(Comparison::Same | Comparison::Recorded) | None => Word::Pass,
                },
            },
        }
    }
}
