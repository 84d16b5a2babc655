//! The loop: waits for the next round, runs it, and ends it in good order when told to.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::agent::{Agent, Memory};
use super::cluster::Cluster;
use super::critical::Critical;
use super::election::Election;
use super::environment::Environment;
use super::schedule::{Schedule, Timing};
use super::watches::Watches;

/// How long an end waits for a stretch that must not be cut short.
const STOPPING: Duration = Duration::from_secs(20);
/// The same when another replica is about to take over.
const HANDING_OVER: Duration = Duration::from_secs(4);

/// Runs rounds until `stop` resolves; with an election, only while this replica leads.
pub(super) async fn run(
    environment: Arc<Environment>,
    cluster: Cluster,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    if !environment.leader_election {
        let end = async {
            stop.await;
            STOPPING
        };
        return lead(environment.clone(), cluster.clone(), end).await;
    }
    let namespace = &environment.configuration_secret.namespace;
    let election = Election::new(cluster.client().clone(), namespace);
    loop {
        tokio::select! {
            () = election.won().boxed() => {}
            () = &mut stop => return,
        }
        let mut stopped = false;
        let end = async {
            tokio::select! {
                () = election.lost().boxed() => HANDING_OVER,
                () = &mut stop => {
                    stopped = true;
                    STOPPING
                }
            }
        };
        lead(environment.clone(), cluster.clone(), end).await;
        if stopped {
            return election.release().await;
        }
    }
}

/// Runs rounds until `end` resolves. A round under way is abandoned then, with nothing written
/// about the calls that this interrupts (RES-01), unless it is just spending a token or keeping a
/// key: that has as long to come to its end as `end` says.
async fn lead(
    environment: Arc<Environment>,
    cluster: Cluster,
    end: impl Future<Output = Duration>,
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
    let end = async {
        let patience = end.await;
        tracing::info!("the rounds end");
        if timeout(patience, critical.over()).await.is_err() {
            tracing::warn!("they end in the middle of an exchange of credentials");
        }
    };
    tokio::select! {
        biased;
        () = rounds(agent).boxed() => {}
        () = end => {}
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
        if due.is_some_and(|due| due <= Instant::now()) {
            agent.round().await;
            continue;
        }
        let wake = async {
            match due {
                Some(due) => sleep_until(due).await,
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
