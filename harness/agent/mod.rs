//! How an agent is described, started and ended.
//!
//! An [`AgentFile`] says what to run and how that agent is told the neutral [`Settings`]; a [`Runner`]
//! starts and ends it and writes its life into the journal. The list of runners: [`Process`].

mod file;
mod launch;
mod log;
mod process;
mod program;
mod settings;

use std::time::Duration;

use futures::future::BoxFuture;

pub use file::{
    AgentFile, ConfigurationSecret, ConfigurationValue, Form, Metadata, ProcessRun, Run,
    SecretName, SecretNameError, Secrets, Setting, Spec,
};
pub use launch::{Launch, LaunchError, Surroundings};
pub use log::Log;
pub use process::{Process, RunnerError};
pub use program::ProgramError;
pub use settings::{Settings, SettingsError};

/// How a run of the agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether we asked for it.
    pub planned: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(out, "exit code {code}"),
            (None, Some(signal)) => match nix::sys::signal::Signal::try_from(signal) {
                Ok(signal) => write!(out, "ended by {signal}"),
                Err(_) => write!(out, "ended by signal {signal}"),
            },
            (None, None) => out.write_str("ended in an unknown way"),
        }
    }
}

/// Something that can run an agent, again and again, one at a time.
pub trait Runner: Send {
    /// Starts the agent and returns its process id.
    ///
    /// # Errors
    ///
    /// [`RunnerError::Running`] when it runs already, and what kept it from starting.
    fn start(&mut self) -> BoxFuture<'_, Result<u32, RunnerError>>;

    /// Asks the agent to end and ends it by force after `grace`.
    ///
    /// # Errors
    ///
    /// [`RunnerError::NotRunning`] when there is nothing to stop.
    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, Result<Exit, RunnerError>>;

    /// Ends the agent at once, without asking.
    ///
    /// # Errors
    ///
    /// [`RunnerError::NotRunning`] when there is nothing to kill.
    fn kill(&mut self) -> BoxFuture<'_, Result<Exit, RunnerError>>;

    /// Takes the processor away from the agent.
    ///
    /// # Errors
    ///
    /// [`RunnerError::NotRunning`] when there is nothing to pause.
    fn pause(&self) -> Result<(), RunnerError>;

    /// Gives the processor back.
    ///
    /// # Errors
    ///
    /// [`RunnerError::NotRunning`] when there is nothing to resume.
    fn resume(&self) -> Result<(), RunnerError>;

    /// Resolves when the present run of the agent ends; at once, to none, when none is under way.
    /// It borrows nothing, so it can be awaited beside other steps.
    fn exited(&self) -> BoxFuture<'static, Option<Exit>>;

    /// The last lines that the agent printed, oldest first.
    fn last_lines(&self, count: usize) -> Vec<String>;
}
