//! The loop: waits for the next round, runs it, and ends it in good order when told to.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::agent::{Agent, Memory};
use super::cluster::Cluster;
use super::critical::Critical;
use super::environment::Environment;
use super::schedule::{Schedule, Timing};
use super::watches::Watches;

/// How long a stop waits for a stretch that must not be cut short.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs rounds until `stop` resolves. A round under way is abandoned then, with nothing written
/// about the calls that this interrupts (RES-01), unless it is just spending a token or keeping a key.
pub(super) async fn run(
    environment: Arc<Environment>,
    cluster: Cluster,
    stop: impl Future<Output = ()>,
) {
    let critical = Critical::new();
    let watches = Watches::start(&cluster, &environment);
    let agent = Agent {
        timing: Timing::new(&environment),
        environment,
        cluster,
        observed: watches.observed.clone(),
        critical: critical.clone(),
        schedule: Schedule::default(),
        memory: Memory::default(),
    };
    tokio::select! {
        biased;
        () = rounds(agent) => {}
        () = stopped(stop, &critical) => {}
    }
}

async fn stopped(stop: impl Future<Output = ()>, critical: &Critical) {
    stop.await;
    tracing::info!("told to stop");
    if tokio::time::timeout(PATIENCE, critical.over()).await.is_err() {
        tracing::warn!("stopping in the middle of an exchange of credentials");
    }
}

async fn rounds(mut agent: Agent) {
    // A cluster that does not serve CompassConnections would cost a token and keep nothing.
    if agent.observed.wait_for(|observed| observed.listed).await.is_err() {
        return;
    }
    agent.resume().await;
    loop {
        let due = agent.due();
        let now = tokio::time::Instant::now();
        if due.is_some_and(|due| due <= now) {
            agent.round().await;
            continue;
        }
        let wake = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake => {}
            changed = agent.observed.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}
