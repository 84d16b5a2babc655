//! Synchronisation: fetch from the Director, apply to the cluster, report the runtime's labels.

use futures::FutureExt;
use jiff::Timestamp;

use super::agent::{Agent, Held, Round};
use super::applications::{self, ApplyError};
use super::chain::chain;
use super::director::{Director, DirectorError, Fetched};
use super::environment::Environment;
use super::secrets::ConfigurationError;

/// What kept a round from being complete, in the order of its steps.
#[derive(Debug, thiserror::Error)]
enum SynchronisationError {
    #[error("Failed to read Runtime config: Failed to read Runtime config from {name} Secret")]
    Configuration {
        name: String,
        #[source]
        source: ConfigurationError,
    },
    #[error("Failed to fetch configuration")]
    Fetch(#[source] DirectorError),
    #[error("Failed to apply configuration")]
    Apply(#[source] ApplyError),
    #[error("Failed to reconcile Runtime labels with proper URLs")]
    Labels(#[source] DirectorError),
}

impl Agent {
    /// One synchronisation and its report, which carries that of the maintenance, too.
    pub(super) async fn synchronise(&mut self, round: &mut Round) {
        let Some(held) = self.memory.held.clone() else { return };
        let at = Timestamp::now();
        self.schedule.last_attempt = Some(tokio::time::Instant::now());
        let result = self.try_synchronise(round, &held).await;
        let status = &mut round.status;
        match &result {
            Ok(()) => {
                status.synchronized(at);
                // SYNC-03: the request is answered by success only.
                round.done.resync = true;
            }
            Err(error) => {
                let text = chain(error);
                tracing::warn!(error = text, "the synchronisation failed");
                match error {
                    SynchronisationError::Configuration { .. } | SynchronisationError::Fetch(_) => {
                        status.fetch_failed(at, text);
                    }
                    SynchronisationError::Apply(_) => status.application_failed(at, text),
                    SynchronisationError::Labels(_) => status.labels_failed(at, text),
                }
            }
        }
        // STAT-11: the one write of an ordinary round.
        self.report(round).await;
    }

    async fn try_synchronise(
        &mut self,
        round: &mut Round,
        held: &Held,
    ) -> Result<(), SynchronisationError> {
        // SYNC-11: as the Secret is at this moment.
        let configuration =
            self.cluster.configuration(&self.environment).await.map_err(|source| {
                let name = self.environment.configuration_secret.to_string();
                SynchronisationError::Configuration { name, source }
            })?;
        self.memory.versions.configuration =
            self.memory.versions.configuration.max(configuration.version);
        self.memory.runtime_id.clone_from(&configuration.runtime_id);
        let urls = round.urls();
        let director = Director {
            client: &held.client,
            url: &urls.director_url,
            tenant: &configuration.tenant,
            runtime_id: &configuration.runtime_id,
        };
        let fetched =
            director.fetch(&mut round.trace).await.map_err(SynchronisationError::Fetch)?;
        let applied = applications::apply(&self.cluster, &self.environment, &fetched).boxed().await;
        if let Err(error) = applied {
            // SYNC-17: the others are applied, so the Director is told all the same.
            if !error.is_total() {
                let told = tell(&director, round, &self.environment, &fetched).boxed().await;
                if let Err(error) = told {
                    tracing::warn!(error = chain(&error), "the runtime's labels were not set");
                }
            }
            return Err(SynchronisationError::Apply(error));
        }
        tell(&director, round, &self.environment, &fetched)
            .boxed()
            .await
            .map_err(SynchronisationError::Labels)
    }
}

/// SYNC-14: a label is set when it is absent or different, and not when it is equal.
async fn tell(
    director: &Director<'_>,
    round: &mut Round,
    environment: &Environment,
    fetched: &Fetched,
) -> Result<(), DirectorError> {
    for (key, url) in [
        ("runtime_eventServiceUrl", &environment.events_url),
        ("runtime_consoleUrl", &environment.console_url),
    ] {
        if fetched.labels.get(key).and_then(serde_json::Value::as_str) != Some(url) {
            director.set_label(&mut round.trace, key, url).await?;
        }
    }
    Ok(())
}
