//! The exit codes of the program: documented, tested, stable.

use std::process::ExitCode;

/// Why the program ends the way it does.
///
/// The discriminants are the codes. When several apply to one run, the most telling wins, see
/// [`Exit::of_all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// All selected scenarios passed.
    Passed = 0,
    /// At least one scenario failed: the agent's fault.
    Failed = 1,
    /// A wrong call: the caller's fault.
    Usage = 2,
    /// A scenario, agent or settings file is not valid: the author's fault.
    Invalid = 3,
    /// Nothing was selected, or everything was skipped; never green.
    NothingRan = 4,
    /// No verdict: the environment, or a fault that never met its occasion.
    NotJudged = 5,
    /// Everything passed, but snapshots are new or changed.
    Snapshots = 6,
    /// The harness contradicts itself: our fault.
    Harness = 8,
    /// Interrupted (SIGINT).
    Interrupted = 130,
    /// Ended from outside (SIGTERM).
    Terminated = 143,
}

impl Exit {
    /// The order in which reasons outweigh each other: a harness that doubts itself comes before
    /// any verdict.
    const WEIGHT: [Self; 5] =
        [Self::Harness, Self::Invalid, Self::Failed, Self::NotJudged, Self::Snapshots];

    /// The one code for a set of outcomes.
    #[must_use]
    pub fn of_all(outcomes: &[Self]) -> Self {
        Self::WEIGHT.into_iter().find(|exit| outcomes.contains(exit)).unwrap_or(Self::Passed)
    }

    /// The reason in one sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Passed => "all selected scenarios passed",
            Self::Failed => "the agent did not do what a scenario demands",
            Self::Usage => "the command was called wrongly",
            Self::Invalid => "a scenario or agent file is not valid",
            Self::NothingRan => "no scenario was run",
            Self::NotJudged => "a scenario could not be judged, which says nothing about the agent",
            Self::Snapshots => {
                "the agent passed, but snapshots are new or changed and wait for review"
            }
            Self::Harness => "the harness contradicts itself, which is its own defect",
            Self::Interrupted | Self::Terminated => "the run was interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_reason_wins() {
        assert_eq!(Exit::of_all(&[]), Exit::Passed);
        assert_eq!(Exit::of_all(&[Exit::Passed, Exit::Snapshots]), Exit::Snapshots);
        assert_eq!(Exit::of_all(&[Exit::Snapshots, Exit::NotJudged]), Exit::NotJudged);
        assert_eq!(Exit::of_all(&[Exit::NotJudged, Exit::Failed, Exit::Snapshots]), Exit::Failed);
        assert_eq!(Exit::of_all(&[Exit::Failed, Exit::Harness]), Exit::Harness);
    }
}
