//! One scenario from its file to a finished report: run, journal kept, snapshot compared.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::agent_file;
use crate::engine::{self, Candidate, Run, RunOptions};
use crate::journal::write_run_file;
use crate::judge::Judgement;
use crate::report::{Finished, Outcome};
use crate::scenario::Scenario;
use crate::snapshot::{Golden, SnapshotMode, of_run};

/// What all scenarios of a call share.
#[derive(Debug)]
pub struct Trial {
    /// The agent under test.
    pub candidate: Candidate,
    /// The agent as the caller named it.
    pub agent_word: String,
    /// How scenarios are run.
    pub options: RunOptions,
    /// What to do with snapshots that are new or changed.
    pub snapshots: SnapshotMode,
    /// Where snapshots are kept.
    pub snapshots_dir: PathBuf,
    /// Where journals are kept.
    pub runs_dir: PathBuf,
}

impl Trial {
    /// Runs one scenario for the `round`th time, from 1; `on_step` hears each step that begins.
    pub async fn run(
        &self,
        scenario: Arc<Scenario>,
        round: u16,
        on_step: &(dyn Fn(&str) + Sync),
    ) -> Finished {
        let started = Instant::now();
        let again = self.again(&scenario);
        let run = engine::run(Arc::clone(&scenario), &self.candidate, self.options, on_step).await;
        let mut finished = Finished {
            scenario,
            outcome: Outcome::NoVerdict { causes: Vec::new() },
            took: started.elapsed(),
            run_file: None,
            last_lines: Vec::new(),
            again,
        };
        match run {
            Ok(run) => self.conclude(&mut finished, round, run),
            Err(error) => finished.outcome = no_verdict(&error),
        }
        finished
    }

    /// Keeps the journal, and compares the prose of a run that passed.
    fn conclude(&self, finished: &mut Finished, round: u16, run: Run) {
        // A round that passes must not replace the journal of one that failed.
        let name = match round {
            1 => format!("{}.run", run.scenario.id()),
            _ => format!("{}.{round}.run", run.scenario.id()),
        };
        let path = self.runs_dir.join(name);
        finished.last_lines = run.last_lines;
        if let Err(error) = write_run_file(&path, &run.header, &run.entries) {
            finished.outcome = no_verdict(&error);
            return;
        }
        finished.run_file = Some(path);
        let mut snapshot = None;
        if run.verdict.judgement == Judgement::Passed {
            let golden = Golden::of(&self.snapshots_dir, &run.scenario);
            match golden.check(&of_run(&run.scenario, &run.verdict, &run.entries), self.snapshots) {
                Ok(comparison) => snapshot = Some(comparison),
                Err(error) => {
                    finished.outcome = no_verdict(&error);
                    return;
                }
            }
        }
        finished.outcome = Outcome::Judged { verdict: Box::new(run.verdict), snapshot };
    }

    /// The command that runs the scenario again.
    fn again(&self, scenario: &Scenario) -> String {
        let agent = if self.agent_word == agent_file::REFERENCE {
            String::new()
        } else {
            format!(" --agent {}", self.agent_word)
        };
        let seed = self.options.seed.unwrap_or(scenario.spec.seed);
        format!("compass-harness run {}{agent} --seed {seed}", scenario.path.display())
    }
}

/// An error and what led to it.
fn no_verdict(error: &dyn Error) -> Outcome {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    Outcome::NoVerdict { causes }
}
