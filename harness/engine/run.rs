//! The whole way of one scenario: a world, an agent, the steps, the end, the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::steps::{Stage, with_causes};
use super::tempo::SpeedFactor;
use super::world::{World, WorldError, WorldPlan};
use crate::agent::{
    AgentFile, Launch, LaunchError, Process, Runner, RunnerError, SecretName, Settings,
    Surroundings,
};
use crate::compass::{CertificatesFile, LandscapeFile, RuntimeFile};
use crate::journal::{Entry, RunHeader};
use crate::judge::{Terms, Verdict, Watch};
use crate::scenario::words::TokenWord;
use crate::scenario::{Given, Scenario};

/// Rounds of an agent when the scenario does not say.
const RESYNC_EVERY: Duration = Duration::from_secs(2);
/// Space between rounds when the scenario does not say.
const AT_MOST_ONE_SYNC_EVERY: Duration = Duration::from_secs(1);
/// The known agent's own default.
const RENEW_WHEN_LIFE_LEFT_BELOW: f64 = 0.3;
/// The record of the last writes arrives within milliseconds on a quiet machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// How much of the agent's log a report may show.
const LAST_LINES: usize = 20;

/// The agent under test, as the caller knows it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// How it is run and told.
    pub file: AgentFile,
    /// Where its file lies: relative commands start there.
    pub path: PathBuf,
    /// The program that `compass-harness` in its command stands for: this one.
    pub ourselves: PathBuf,
}

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// By how much bounds are stretched.
    pub speed_factor: SpeedFactor,
    /// Takes the place of the scenario's seed.
    pub seed: Option<u64>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// What was run.
    pub scenario: Arc<Scenario>,
    /// What it came to.
    pub verdict: Verdict,
    /// Everything that was seen, in order.
    pub entries: Vec<Arc<Entry>>,
    /// The head of its run file.
    pub header: RunHeader,
    /// The last lines that the agent printed, without secrets.
    pub last_lines: Vec<String>,
}

/// Why there is no verdict. None of it is the agent's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no world.
    #[error("the world of the scenario cannot be built")]
    World(#[source] WorldError),
    /// The agent cannot be launched.
    #[error("the agent cannot be launched")]
    Launch(#[source] LaunchError),
    /// The agent cannot be run.
    #[error("the agent cannot be run")]
    Agent(#[source] RunnerError),
}

/// Runs a scenario from an empty world to its verdict. `on_step` hears each step that begins.
///
/// # Errors
///
/// [`RunError`] when the harness or the environment cannot do its part; an agent that misbehaves is
/// a verdict.
pub async fn run(
    scenario: Arc<Scenario>,
    candidate: &Candidate,
    options: RunOptions,
    on_step: &(dyn Fn(&str) + Sync),
) -> Result<Run, RunError> {
    let given = &scenario.spec.given;
    let plan = WorldPlan {
        agent: &candidate.file,
        landscape: landscape(given),
        token: given.connector.token.unwrap_or(TokenWord::OneTime),
    };
    let world = World::build(plan).await.map_err(RunError::World)?;
    let launch = launch(given, candidate, &world).map_err(RunError::Launch)?;
    let agent = Process::new(launch, world.journal.clone()).map_err(RunError::Agent)?;
    let watch = Watch::new(Arc::clone(&scenario), terms(candidate, &world, options.speed_factor));
    let grace = candidate.file.spec.grace_period.duration();
    let mut stage = Stage::new(&world, agent, watch, grace, options.speed_factor);
    let limit = options.speed_factor.stretch(scenario.spec.time_limit.duration());
    // What is not done by then, the judge finds undone.
    let _ = tokio::time::timeout(limit, stage.walk(&scenario, on_step)).await;
    let last_lines = stage.end(options.speed_factor.stretch(SETTLED_WITHIN)).await;
    let verdict = stage.verdict();
    let header = RunHeader {
        seed: options.seed.unwrap_or(scenario.spec.seed),
        speed_factor: options.speed_factor.get(),
        ..RunHeader::new(
            scenario.id().into(),
            scenario.path.display().to_string(),
            candidate.file.metadata.name.clone(),
            world.journal.started_at(),
        )
    };
    let entries = world.journal.snapshot();
    world.stop().await;
    Ok(Run { scenario, verdict, entries, header, last_lines })
}

/// What Compass knows at the start.
fn landscape(given: &Given) -> LandscapeFile {
    let defaults = CertificatesFile::default();
    let valid_for = given.connector.certificates.valid_for;
    LandscapeFile {
        runtimes: vec![RuntimeFile {
            labels: given.director.runtime.labels.clone(),
            ..RuntimeFile::default()
        }],
        applications: given.director.applications.clone(),
        certificates: CertificatesFile {
            valid_for: valid_for.map_or(defaults.valid_for, |life| signed(life.duration())),
            ..defaults
        },
        ..LandscapeFile::default()
    }
}

fn launch(given: &Given, candidate: &Candidate, world: &World) -> Result<Launch, LaunchError> {
    let agent = &given.agent;
    let settings = Settings {
        resync_every: agent.resync_every.map_or(RESYNC_EVERY, |every| every.duration()),
        at_most_one_sync_every: agent
            .at_most_one_sync_every
            .map_or(AT_MOST_ONE_SYNC_EVERY, |every| every.duration()),
        renew_when_life_left_below: agent
            .renew_when_life_left_below
            .map_or(RENEW_WHEN_LIFE_LEFT_BELOW, |share| share.fraction()),
        trust_our_ca: world.access.ca_file.clone(),
        extra: std::collections::BTreeMap::new(),
    };
    let surroundings = Surroundings {
        agent_file: &candidate.path,
        ourselves: &candidate.ourselves,
        kubeconfig: &world.access.kubeconfig,
        scratch: world.scratch(),
    };
    Launch::new(&candidate.file, &settings, surroundings)
}

fn terms(candidate: &Candidate, world: &World, speed_factor: SpeedFactor) -> Terms {
    let secrets = &candidate.file.spec.secrets;
    let name = |secret: &SecretName| (secret.namespace.clone(), secret.name.clone());
    let (client, ca) = (name(&secrets.client_certificate), name(&secrets.ca_certificate));
    Terms::new(
        world.journal.started_at(),
        speed_factor.get(),
        (&client.0, &client.1),
        (&ca.0, &ca.1),
    )
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

impl Stage<'_> {
    /// Stops the agent, waits for the record to be complete, and returns the agent's last lines.
    async fn end(&mut self, settled_within: Duration) -> Vec<String> {
        if self.agent.is_running() {
            // An agent that ended in this very moment needs no stopping.
            let _ = self.agent.stop(self.grace).await;
        }
        if let Err(error) = self.world.settle(settled_within).await {
            let reason = with_causes(&error);
            self.world.journal.record(crate::journal::RecorderEvent::Lost { reason });
        }
        self.agent.last_lines(LAST_LINES)
    }
}
