//! `compass-harness agent`: the reference agent as a process of its own.

use std::process::ExitCode;

use clap::Args;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::reference::{self, Environment};

/// Run the reference agent: it pairs, renews and synchronises until it is told to stop.
///
/// It is configured by the environment, as the agent that it stands for: KUBECONFIG, SSL_CERT_FILE
/// and APP_*. RUST_LOG sets how much it says (error, warn, info, debug, trace).
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct AgentArgs {}

/// Runs it; returns when it ends.
pub(super) async fn run(_arguments: AgentArgs) -> ExitCode {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    log(level.unwrap_or(LevelFilter::INFO));
    match Environment::of_process() {
        Ok(environment) => reference::run(environment).await,
        Err(error) => {
            tracing::error!(%error, "Failed to process environment variables");
            ExitCode::FAILURE
        }
    }
}

/// Our own events at the level asked for. Those of the libraries stay at warnings at any level:
/// what they trace are bytes on the wire, tokens and passwords among them (SEC-04).
fn log(level: LevelFilter) {
    let filter = format!("warn,{}={level}", env!("CARGO_CRATE_NAME"));
    let filter = EnvFilter::try_new(filter).unwrap_or_default();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // There is one already when the agent is run by somebody who logs; theirs is as good.
    let _ = log.try_init();
}
