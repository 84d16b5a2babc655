//! Each scenario file is a test of its own, against the reference agent on the embedded cluster.
//!
//! `cargo test --test scenarios -- renewal` selects by path; nextest works too. Snapshots follow
//! insta's rules: `INSTA_UPDATE=always` keeps what was seen, `CI=true` never writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compass_harness::cli::{Trial as Run, agent_file};
use compass_harness::engine::{Candidate, RunOptions, SpeedFactor};
use compass_harness::report::{Word, console};
use compass_harness::scenario::{Scenario, load_all};
use compass_harness::snapshot::SnapshotMode;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

/// Scenarios wait most of their time, so more of them run at once than there are cores.
const JOBS_PER_CORE: usize = 4;

fn main() {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(cores * JOBS_PER_CORE);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let trials = match load_all(&[PathBuf::from("scenarios")]) {
        Ok(scenarios) if scenarios.is_empty() => {
            vec![Trial::test("scenarios", || Err("there are no scenarios".into()))]
        }
        Ok(scenarios) => {
            let runtime = Arc::new(Runtime::new().expect("a runtime"));
            let run = Arc::new(against_the_reference_agent());
            scenarios.into_iter().map(|scenario| trial(scenario, &runtime, &run)).collect()
        }
        Err(errors) => {
            let text: Vec<_> = errors.iter().map(|error| error.render(false)).collect();
            vec![Trial::test("scenarios", move || Err(text.join("\n").into()))]
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(scenario: Scenario, runtime: &Arc<Runtime>, run: &Arc<Run>) -> Trial {
    let (runtime, run) = (Arc::clone(runtime), Arc::clone(run));
    let name = scenario.relative.with_extension("").display().to_string();
    let id = scenario.id().to_owned();
    let test = move || {
        let finished = runtime.block_on(run.run(Arc::new(scenario), 1, &|_| {}));
        match finished.word() {
            Word::Pass => Ok(()),
            word => {
                let details = console::details(&finished);
                Err(Failed::from(format!(
                    "{} {}\n{details}",
                    word.text(),
                    console::line(&finished)
                )))
            }
        }
    };
    Trial::test(name, test).with_kind(id)
}

fn against_the_reference_agent() -> Run {
    let word = agent_file::REFERENCE;
    let file = agent_file::load(word).expect("the built-in agent file is valid").content;
    Run {
        candidate: Candidate {
            file,
            path: agent_file::path(word),
            ourselves: Path::new(env!("CARGO_BIN_EXE_compass-harness")).into(),
        },
        agent_word: word.into(),
        options: RunOptions { speed_factor: SpeedFactor::measure(), seed: None },
        snapshots: SnapshotMode::from_environment(),
        snapshots_dir: "snapshots".into(),
        runs_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs"),
    }
}
