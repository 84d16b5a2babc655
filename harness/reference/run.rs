//! Starts the agent: the cluster's client, the health endpoint, the rounds; and its exit code.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};

use super::chain::chain;
use super::cluster::Cluster;
use super::environment::Environment;
use super::{health, rounds};

/// Longest silence on a watch; the API server is asked to end it before.
const SILENCE: Duration = Duration::from_secs(310);

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No way to a cluster is configured.
    #[error("Failed to set up client config\n[set `KUBECONFIG`, or run it in a pod]")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The configured way leads nowhere.
    #[error("Failed to set up client config")]
    Client(#[source] Box<kube::Error>),
    /// The process cannot be told to stop.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

/// Runs the agent as this process, until SIGTERM or SIGINT.
pub async fn run(environment: Environment) -> ExitCode {
    let stop = match told_to_stop() {
        Ok(stop) => stop,
        Err(error) => return failed(&RunError::Signals(error)),
    };
    match serve(environment, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Runs the agent as part of this process, until `stop` resolves. Nothing of it outlives the call.
///
/// # Errors
///
/// [`RunError`] when there is no way to a cluster; a cluster that does not answer is waited for.
pub async fn serve(
    environment: Environment,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let config = cluster_config(&environment).await?;
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    let environment = Arc::new(environment);
    // RES-06: the endpoint is there from the start and knows nothing of the rounds.
    let health = health::serve(environment.health_port);
    let rounds = rounds::run(environment, Cluster::new(client), stop);
    tokio::select! {
        () = rounds => {}
        () = health => {}
    }
    Ok(())
}

async fn cluster_config(environment: &Environment) -> Result<Config, RunError> {
    let mut config = match &environment.kubeconfig {
        Some(path) => {
            let file =
                Kubeconfig::read_from(path).map_err(|error| RunError::Config(error.into()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|error| RunError::Config(error.into()))?
        }
        None => Config::incluster().map_err(|error| RunError::Config(error.into()))?,
    };
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(SILENCE);
    Ok(config)
}

fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn failed(error: &RunError) -> ExitCode {
    tracing::error!(error = chain(error), "the agent ends");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_run_as_a_task_of_a_bigger_process() {
        fn may_move<T: Send>(_: T) {}
        let environment = Environment::read(|_| None).expect("defaults");
        may_move(serve(environment, std::future::pending()));
    }

    #[tokio::test]
    async fn without_a_way_to_a_cluster_it_does_not_start() {
        let environment = Environment::read(|name| {
            (name == "KUBECONFIG").then(|| "/no/such/kubeconfig".to_owned())
        });
        let error = serve(environment.expect("valid"), std::future::pending()).await;
        let error = chain(&error.expect_err("no kubeconfig"));
        assert!(error.contains("/no/such/kubeconfig"), "{error}");
    }
}
