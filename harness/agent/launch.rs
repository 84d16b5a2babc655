//! Everything that is fixed before an agent's process starts: program, arguments, environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::{AgentFile, Run};
use super::program::{self, ProgramError};
use super::settings::{Settings, SettingsError};

/// What is started, and with which environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, OsString>,
    /// Its working directory and home, where its log is kept too.
    pub scratch: PathBuf,
}

/// Why an agent cannot be launched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program is missing or cannot be run.
    #[error("the agent `{agent}` has no program to run")]
    Program {
        /// The agent.
        agent: String,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// The agent cannot be told a setting.
    #[error("the agent `{agent}` cannot be configured")]
    Settings {
        /// The agent.
        agent: String,
        /// Why.
        #[source]
        source: SettingsError,
    },
}

/// What a launch needs to know of the run.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Path of the agent file.
    pub agent_file: &'a Path,
    /// Path of this very program.
    pub ourselves: &'a Path,
    /// Path of the kubeconfig that the agent is to use.
    pub kubeconfig: &'a Path,
    /// A directory of this run only, which exists.
    pub scratch: &'a Path,
}

impl Launch {
    /// Prepares the launch of `agent` with these settings.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] when the program cannot be found or a setting cannot be told.
    pub fn new(
        agent: &AgentFile,
        settings: &Settings,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, LaunchError> {
        let Run::Process(run) = &agent.spec.run;
        let name = || agent.metadata.name.clone();
        let (program, arguments) = match run.command.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments.to_vec()),
            None => ("", Vec::new()),
        };
        let directory = surroundings.agent_file.parent().unwrap_or_else(|| Path::new("."));
        let search_path = std::env::var_os("PATH");
        let program =
            program::find(program, surroundings.ourselves, directory, search_path.as_deref())
                .map_err(|source| LaunchError::Program { agent: name(), source })?;
        let told = settings
            .environment(agent)
            .map_err(|source| LaunchError::Settings { agent: name(), source })?;
        // Nothing of ours leaks into the agent, and what it leaves behind stays in the scratch.
        let scratch = surroundings.scratch.as_os_str();
        let mut environment = BTreeMap::from([
            ("HOME".into(), scratch.into()),
            ("TMPDIR".into(), scratch.into()),
            ("KUBECONFIG".into(), surroundings.kubeconfig.into()),
        ]);
        environment.extend(search_path.map(|path| ("PATH".into(), path)));
        environment.extend(told);
        Ok(Self { program, arguments, environment, scratch: scratch.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_environment_is_what_was_told_and_nothing_of_ours() {
        let text = include_str!("../../fixtures/agents/reference.yaml");
        let agent: AgentFile =
            crate::document::parse("reference.yaml", text).expect("valid").content;
        let settings = Settings {
            resync_every: Duration::from_secs(2),
            at_most_one_sync_every: Duration::from_secs(1),
            renew_when_life_left_below: 0.25,
            trust_our_ca: "/ca.pem".into(),
            extra: BTreeMap::new(),
        };
        let surroundings = Surroundings {
            agent_file: Path::new("fixtures/agents/reference.yaml"),
            ourselves: Path::new("/bin/sh"),
            kubeconfig: Path::new("/kubeconfig"),
            scratch: Path::new("/scratch"),
        };
        let launch = Launch::new(&agent, &settings, surroundings).expect("launchable");
        assert_eq!(launch.program, Path::new("/bin/sh"));
        assert_eq!(launch.arguments, ["agent"]);
        let names: Vec<_> = launch.environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "APP_CERT_VALIDITY_RENEWAL_THRESHOLD",
                "APP_CONTROLLER_SYNC_PERIOD",
                "APP_HEALTH_PORT",
                "APP_MINIMAL_COMPASS_SYNC_TIME",
                "HOME",
                "KUBECONFIG",
                "PATH",
                "SSL_CERT_FILE",
                "TMPDIR",
            ]
        );
        assert_eq!(launch.environment["HOME"], "/scratch");
    }
}
