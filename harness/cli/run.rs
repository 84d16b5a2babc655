//! `run`: scenarios in parallel, against one agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::progress::Progress;
use super::signals::ended;
use super::trial::Trial;
use super::{Exit, Terminal, Tone, agent_file};
use crate::engine::{Candidate, RunOptions, SpeedFactorChoice};
use crate::report::{Finished, Word, console, json};
use crate::scenario::{self, Scenario};
use crate::snapshot::SnapshotMode;

/// Scenarios wait most of their time, so more of them run at once than there are cores.
const JOBS_PER_CORE: usize = 4;
/// CI systems end a job that is silent for long.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Run scenarios against an agent and judge it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, directories of them, or ids.
    #[arg(value_name = "PATH|ID", default_value = "scenarios")]
    scenarios: Vec<String>,
    /// Only scenarios with this tag; may be given several times, one of them is enough.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Agent file; `reference` is the one that is built in.
    #[arg(long, value_name = "FILE", default_value = agent_file::REFERENCE, env = "COMPASS_HARNESS_AGENT")]
    agent: String,
    /// How many scenarios run at once [default: four for each core].
    #[arg(short, long, value_name = "N", env = "COMPASS_HARNESS_JOBS", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// What to do with snapshots that are new or changed [default: propose, or check where CI is set].
    #[arg(long, value_enum, env = "COMPASS_HARNESS_SNAPSHOTS")]
    snapshots: Option<Snapshots>,
    /// Where snapshots are kept.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "snapshots",
        env = "COMPASS_HARNESS_SNAPSHOTS_DIR"
    )]
    snapshots_dir: PathBuf,
    /// Where the journals of the runs are kept.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/compass-harness/runs",
        env = "COMPASS_HARNESS_RUNS_DIR"
    )]
    runs_dir: PathBuf,
    /// Form of the results on stdout.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Takes the place of each scenario's seed.
    #[arg(long, value_name = "N", env = "COMPASS_HARNESS_SEED")]
    seed: Option<u64>,
    /// By how much bounds in time are stretched: `auto` measures this machine.
    #[arg(long, value_name = "N", default_value = "auto", env = "COMPASS_HARNESS_SPEED_FACTOR")]
    speed_factor: SpeedFactorChoice,
    /// Run everything this many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Do not begin more scenarios once one has not passed.
    #[arg(long)]
    fail_fast: bool,
    /// Print failures and the closing line only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Snapshots {
    /// Compare; write nothing.
    Check,
    /// Compare; leave what differs for `cargo insta review`.
    Propose,
    /// Keep what was seen.
    Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document; nothing else on stdout.
    Json,
}

pub(super) async fn run(args: Args, terminal: &Terminal) -> Exit {
    let call = match prepare(&args, terminal) {
        Ok(call) => Arc::new(call),
        Err(exit) => return exit,
    };
    let mut scenarios = match select(&args.scenarios, terminal) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    if !args.tags.is_empty() {
        let wanted = |tag: &String| args.tags.contains(tag);
        scenarios.retain(|scenario| scenario.metadata.tags.iter().any(wanted));
    }
    if scenarios.is_empty() {
        terminal.note("no scenario was selected");
        return Exit::NothingRan;
    }
    let ended = match ended() {
        Ok(ended) => ended,
        Err(error) => {
            terminal.error(&error);
            return Exit::NotJudged;
        }
    };
    let rounds = 1..=args.repeat;
    let scenarios: Vec<_> = rounds
        .flat_map(|round| scenarios.iter().map(move |scenario| (Arc::clone(scenario), round)))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores * JOBS_PER_CORE, usize::from);
    let mut results = Results { selected: scenarios.len(), ..Results::default() };
    let interrupted = tokio::select! {
        () = run_all(&scenarios, jobs, &call, &args, terminal, &mut results) => None,
        exit = ended => Some(exit),
    };
    conclude(&results, interrupted, &call, &args, terminal)
}

/// What came of a call.
#[derive(Debug, Default)]
struct Results {
    selected: usize,
    finished: Vec<Finished>,
    /// Runs that ended in a panic of ours.
    panicked: usize,
}

fn prepare(args: &Args, terminal: &Terminal) -> Result<Trial, Exit> {
    let agent = agent_file::load(&args.agent).map_err(|error| {
        terminal.report(&error);
        Exit::Invalid
    })?;
    let ourselves = std::env::current_exe().map_err(|error| {
        terminal.error(&error);
        Exit::NotJudged
    })?;
    let speed_factor = args.speed_factor.settle();
    Ok(Trial {
        candidate: Candidate {
            file: agent.content,
            path: agent_file::path(&args.agent),
            ourselves,
        },
        agent_word: args.agent.clone(),
        options: RunOptions { speed_factor, seed: args.seed },
        snapshots: match args.snapshots {
            None => SnapshotMode::from_environment(),
            Some(Snapshots::Check) => SnapshotMode::Check,
            Some(Snapshots::Propose) => SnapshotMode::Propose,
            Some(Snapshots::Record) => SnapshotMode::Record,
        },
        snapshots_dir: args.snapshots_dir.clone(),
        runs_dir: args.runs_dir.clone(),
    })
}

/// The scenarios that paths and ids stand for; ids are looked for in `scenarios/`.
fn select(words: &[String], terminal: &Terminal) -> Result<Vec<Arc<Scenario>>, Exit> {
    let (ids, paths): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| word.starts_with("CC-") && !Path::new(word).exists());
    let load = |paths: &[PathBuf]| {
        scenario::load_all(paths).map_err(|errors| {
            errors.iter().for_each(|error| terminal.report(error));
            Exit::Invalid
        })
    };
    let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
    let mut selected = if paths.is_empty() { Vec::new() } else { load(&paths)? };
    let all = if ids.is_empty() { Vec::new() } else { load(&["scenarios".into()])? };
    for id in &ids {
        if !all.iter().any(|scenario| scenario.id() == id.as_str()) {
            let known: Vec<_> = all.iter().map(Scenario::id).collect();
            let nearest = crate::document::nearest(id, known.iter().copied());
            let hint =
                nearest.map_or_else(String::new, |near| format!("\n[did you mean `{near}`?]"));
            terminal.note(format!("error: there is no scenario `{id}`{hint}"));
            return Err(Exit::Usage);
        }
    }
    for scenario in all {
        let named = ids.iter().any(|id| *id == scenario.id());
        if named && !selected.iter().any(|other| other.id() == scenario.id()) {
            selected.push(scenario);
        }
    }
    Ok(selected.into_iter().map(Arc::new).collect())
}

async fn run_all(
    scenarios: &[(Arc<Scenario>, u16)],
    jobs: usize,
    call: &Arc<Trial>,
    args: &Args,
    terminal: &Terminal,
    results: &mut Results,
) {
    let turns = Arc::new(Semaphore::new(jobs));
    let progress = Arc::new(Progress::new(terminal, scenarios.len()));
    let mut running = JoinSet::new();
    for (scenario, round) in scenarios {
        let round = *round;
        let (scenario, call) = (Arc::clone(scenario), Arc::clone(call));
        let (turns, progress) = (Arc::clone(&turns), Arc::clone(&progress));
        running.spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire_owned().await.ok();
            let line = progress.begin(scenario.id());
            call.run(scenario, round, &|step| line.step(step)).await
        });
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        tokio::select! {
            finished = running.join_next() => {
                let Some(finished) = finished else { break };
                heartbeat.reset();
                // A task is never aborted while it is joined here, so it can only have panicked,
                // and the panic has been printed.
                let Ok(finished) = finished else {
                    results.panicked += 1;
                    continue;
                };
                progress.finished();
                if args.format == Format::Human && !(args.quiet && finished.word() == Word::Pass) {
                    let number = results.finished.len() + 1;
                    progress.above(|| print(&finished, number, scenarios.len(), terminal));
                }
                let stop = args.fail_fast && finished.word() != Word::Pass;
                results.finished.push(finished);
                if stop {
                    running.shutdown().await;
                    break;
                }
            }
            _ = heartbeat.tick() => progress.heartbeat(terminal),
        }
    }
    progress.clear();
}

fn print(finished: &Finished, number: usize, of: usize, terminal: &Terminal) {
    let word = finished.word();
    let tone = match word {
        Word::Pass => Tone::Good,
        Word::Fail => Tone::Bad,
        Word::Snap | Word::Error | Word::Doubt => Tone::Doubtful,
    };
    let counter = terminal.paint(Tone::Quiet, &format!("{number}/{of}"));
    let details = console::details(finished);
    let details = if details.is_empty() { details } else { format!("\n{}", details.trim_end()) };
    let word = terminal.paint(tone, word.text());
    terminal.result(format!("{word} {counter} {}{details}", console::line(finished)));
}

fn conclude(
    results: &Results,
    interrupted: Option<Exit>,
    call: &Trial,
    args: &Args,
    terminal: &Terminal,
) -> Exit {
    let words: Vec<_> = results.finished.iter().map(Finished::word).collect();
    let exits: Vec<_> = words.iter().map(|word| exit_of(*word)).collect();
    let skipped = results.selected - words.len() - results.panicked;
    let exit = match interrupted {
        Some(exit) => exit,
        None if results.panicked > 0 => Exit::Harness,
        // Without an early stop every scenario has a result.
        None if skipped > 0 && !args.fail_fast => Exit::Harness,
        None => Exit::of_all(&exits),
    };
    let speed_factor = call.options.speed_factor;
    match args.format {
        Format::Json => {
            let agent = &call.candidate.file.metadata.name;
            let document = json::Document::new(
                agent,
                speed_factor.get(),
                exit as u8,
                &results.finished,
                skipped,
            );
            terminal.result(serde_json::to_string_pretty(&document).unwrap_or_default());
        }
        Format::Human => {
            let count = |wanted: &[Word]| words.iter().filter(|word| wanted.contains(word)).count();
            // Simple readers count by this line, so whatever did not pass has failed in it.
            let passed = count(&[Word::Pass]);
            let failed = words.len() - passed + results.panicked;
            let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
            terminal.result(format!("\n{passed} passed, {failed} failed{skipped}"));
            for (number, what) in [
                (count(&[Word::Snap]), "passed with a new or changed snapshot"),
                (count(&[Word::Error, Word::Doubt]) + results.panicked, "could not be judged"),
            ] {
                if number > 0 {
                    terminal.result(format!("of the failed, {number} {what}"));
                }
            }
            if exit != Exit::Passed {
                terminal.result(format!("exit code {}: {}", exit as u8, exit.reason()));
            }
        }
    }
    exit
}

fn exit_of(word: Word) -> Exit {
    match word {
        Word::Pass => Exit::Passed,
        Word::Fail => Exit::Failed,
        Word::Snap => Exit::Snapshots,
        Word::Error => Exit::NotJudged,
        Word::Doubt => Exit::Harness,
    }
}
