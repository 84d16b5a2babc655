//! The snapshot of a scenario: which prose, and where it is kept.

use std::path::Path;
use std::sync::Arc;

use super::{Golden, Section, prose};
use crate::journal::Entry;
use crate::judge::Verdict;
use crate::scenario::{Scenario, Shown};

/// What is kept of a scenario that does not say.
const USUALLY: &[Section] = &[Section::Transitions];

/// The prose of a run, as its scenario wants it.
#[must_use]
pub fn of_run(scenario: &Scenario, verdict: &Verdict, entries: &[Arc<Entry>]) -> String {
    let snapshot = scenario.spec.snapshot.as_ref();
    let name = snapshot.map_or(&*scenario.metadata.title, |snapshot| &snapshot.name);
    let sections: Option<Vec<_>> =
        snapshot.map(|snapshot| snapshot.show.0.iter().map(|shown| section(*shown)).collect());
    let heading = format!("{} {name}", scenario.id());
    prose(&heading, sections.as_deref().unwrap_or(USUALLY), &verdict.walk, entries)
}

impl Golden {
    /// The snapshot of a scenario below `directory`, under the scenario's own relative path.
    #[must_use]
    pub fn of(directory: &Path, scenario: &Scenario) -> Self {
        let path = directory.join(&scenario.relative).with_extension("snap");
        Self::new(path, scenario.path.display().to_string())
    }
}

fn section(shown: Shown) -> Section {
    match shown {
        Shown::Transitions => Section::Transitions,
        Shown::Certificates => Section::Certificates,
        Shown::Requests => Section::Requests,
        Shown::Faults => Section::Faults,
    }
}
