//! The steps of a scenario: one match arm each.

use std::error::Error;
use std::time::Duration;

use super::hands::HandsError;
use super::tempo::SpeedFactor;
use super::world::{World, WorldError};
use crate::agent::{Process, Runner, RunnerError};
use crate::compass::{Applications, LandscapeError};
use crate::journal::{Action as Acted, Reader, StepEvent, StepResult};
use crate::judge::{Outcome, Verdict, Watch};
use crate::scenario::{
    Action, BurnToken, Change, ConnectorChange, DirectorChange, Doing, Heal, IssueToken,
    RevokeTarget, Scenario, TokenTarget,
};

/// How long the recorder of a quiet machine may take to see what our own hands did.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Why a step cannot be done; the run has no verdict then, unless the agent is to blame.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// The agent cannot be started, or was not there to be ended.
    #[error("the agent cannot be told")]
    Agent(#[source] RunnerError),
    /// The cluster refused our own hands.
    #[error("the cluster refused")]
    Cluster(#[source] HandsError),
    /// Compass does not know what the step speaks of.
    #[error("Compass cannot do it")]
    Compass(#[source] LandscapeError),
    /// The step lifts a fault that is not armed.
    #[error("the fault `{0}` is not armed")]
    NotArmed(String),
    /// There is no certificate yet.
    #[error("no certificate was issued yet")]
    NoCertificate,
    /// Something of the world broke.
    #[error("the world is broken")]
    World(#[source] WorldError),
}

/// A world with an agent in it, and the judge who watches.
#[derive(Debug)]
pub(super) struct Stage<'w> {
    pub(super) world: &'w World,
    pub(super) agent: Process,
    /// How long the agent may take to end when it is asked to.
    pub(super) grace: Duration,
    speed_factor: SpeedFactor,
    watch: Watch,
    reader: Reader,
}

impl<'w> Stage<'w> {
    pub(super) fn new(
        world: &'w World,
        agent: Process,
        watch: Watch,
        grace: Duration,
        speed_factor: SpeedFactor,
    ) -> Self {
        // A machine that is slow ends an agent slowly.
        let grace = speed_factor.stretch(grace);
        Self { world, agent, grace, speed_factor, watch, reader: world.journal.reader() }
    }

    /// Walks the steps until one fails or cannot be done; the journal says which and why.
    pub(super) async fn walk(&mut self, scenario: &Scenario, on_step: &(dyn Fn(&str) + Sync)) {
        for (index, step) in scenario.spec.steps.iter().enumerate() {
            let name = step.to_string();
            on_step(&name);
            self.world.journal.record(StepEvent::Began { index, name });
            let result = match &step.does {
                Doing::Act(action) => match self.act(action).await {
                    Ok(()) => StepResult::Done,
                    Err(error) => StepResult::Impossible(with_causes(&error)),
                },
                Doing::WaitFor(_) | Doing::Expect(_) => self.wait().await,
            };
            let over = result != StepResult::Done;
            self.world.journal.record(StepEvent::Ended { index, result });
            self.catch_up();
            // A broken promise is not mended by what comes later.
            if over || !self.watch.findings().is_empty() {
                return;
            }
        }
    }

    /// The verdict about everything in the journal.
    pub(super) fn verdict(mut self) -> Verdict {
        let now = self.world.journal.elapsed();
        self.catch_up();
        self.watch.finish(now)
    }

    /// Waits until the claim of the step that is under way is decided.
    async fn wait(&mut self) -> StepResult {
        loop {
            let now = self.world.journal.elapsed();
            self.catch_up();
            self.watch.advance(now);
            let until = match self.watch.step() {
                Outcome::Held => return StepResult::Done,
                Outcome::Broken(_) => return StepResult::Failed,
                Outcome::Pending { until } => until,
            };
            // Nothing that is waited for can come any more.
            if self.watch.observed().ended_by_itself.is_some() {
                return StepResult::Failed;
            }
            tokio::select! {
                batch = self.reader.next_batch() => batch.iter().for_each(|entry| self.watch.see(entry)),
                () = sleep_until(until, now) => {}
            }
        }
    }

    fn catch_up(&mut self) {
        for entry in self.reader.read_new() {
            self.watch.see(&entry);
        }
    }

    async fn act(&mut self, action: &Action) -> Result<(), StepError> {
        let World { compass, hands, faults, journal, .. } = self.world;
        let landscape = compass.landscape();
        match action {
            Action::Start(_) => self.agent.start().await.map(drop).map_err(StepError::Agent)?,
            Action::Stop(_) => {
                self.agent.stop(self.grace).await.map(drop).map_err(StepError::Agent)?;
            }
            Action::Kill(_) => self.agent.kill().await.map(drop).map_err(StepError::Agent)?,
            Action::Restart(_) => {
                self.agent.stop(self.grace).await.map_err(StepError::Agent)?;
                self.agent.start().await.map_err(StepError::Agent)?;
            }
            Action::Inject(inject) => faults.arm(inject.armed.clone()),
            Action::Heal(Heal::All) => faults.heal_all(),
            Action::Heal(Heal::These(ids)) => {
                for id in ids {
                    if !faults.heal(id) {
                        return Err(StepError::NotArmed(id.value.clone()));
                    }
                }
            }
            Action::Change(change) => {
                journal.record(Acted { text: change.to_string() });
                self.change(change).map_err(StepError::Compass)?;
            }
            Action::IssueToken(IssueToken { into: TokenTarget::AgentConfiguration }) => {
                let token =
                    landscape.issue_token(landscape.runtime_id()).map_err(StepError::Compass)?;
                hands.hand_over(token).await.map_err(StepError::Cluster)?;
            }
            Action::BurnToken(BurnToken::Current) => landscape.burn_tokens(landscape.runtime_id()),
            Action::Revoke(revoke) => {
                let RevokeTarget::Current = revoke.certificate;
                let latest = u32::try_from(landscape.certificates_issued()).unwrap_or(u32::MAX);
                if latest == 0 {
                    return Err(StepError::NoCertificate);
                }
                landscape.revoke(latest).map_err(StepError::Compass)?;
            }
            Action::Ask(flags) => hands.ask(flags).await.map_err(StepError::Cluster)?,
            Action::Delete(object) => hands.delete(*object).await.map_err(StepError::Cluster)?,
            Action::Patch(patch) => {
                let marked = hands.mark(&patch.labels, &patch.annotations).await;
                marked.map_err(StepError::Cluster)?;
            }
        }
        let by_hand = matches!(
            action,
            Action::IssueToken(_) | Action::Ask(_) | Action::Delete(_) | Action::Patch(_)
        );
        if by_hand {
            // A step that follows is judged by what the record holds: a flag that was set must be
            // in it before anybody asks whether it is gone.
            let limit = self.speed_factor.stretch(SEEN_WITHIN);
            self.world.settle(limit).await.map_err(StepError::World)?;
        }
        Ok(())
    }

    fn change(&self, change: &Change) -> Result<(), LandscapeError> {
        let landscape = self.world.compass.landscape();
        match change {
            Change::Director(DirectorChange::AddApplications(applications)) => {
                landscape.add_applications(&Applications::from(applications.clone()))
            }
            Change::Director(DirectorChange::RemoveApplications(names)) => {
                let names: Vec<_> = names.0.iter().map(|name| name.value.clone()).collect();
                landscape.remove_applications(&names)
            }
            Change::Director(DirectorChange::RenameApplication(rename)) => {
                landscape.rename_application(&rename.from, &rename.to)
            }
            Change::Director(DirectorChange::SetRuntimeLabel(label)) => {
                landscape.set_runtime_label(landscape.runtime_id(), &label.key, label.value.clone())
            }
            Change::Connector(ConnectorChange::SetCertificates(certificates)) => {
                if let Some(life) = certificates.valid_for {
                    landscape.set_certificate_validity(life.duration());
                }
                Ok(())
            }
        }
    }
}

/// An error and what led to it, as the journal keeps it.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(", because ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Ends at a time of the run; never, when only an entry can decide.
async fn sleep_until(until: Option<Duration>, now: Duration) {
    match until {
        Some(until) => tokio::time::sleep(until.saturating_sub(now)).await,
        None => std::future::pending().await,
    }
}
