//! Several replicas agree on the one that acts, by a Lease (CONN-17).

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, timeout};

use super::chain::chain;
use super::cluster::{ClusterError, calling};

/// Name of the Lease, in the namespace of the configuration Secret.
const NAME: &str = "compass-runtime-agent";
/// How long a Lease is respected that nobody renews.
const DURATION: Duration = Duration::from_secs(15);
/// How long the leader may go without renewing; the rest of [`DURATION`] is there to finish.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(2);

/// One candidate.
#[derive(Debug)]
pub(super) struct Election {
    leases: Api<Lease>,
    identity: String,
}

/// What a candidate saw of the Lease, and since when by its own clock: clocks of others count for
/// nothing (as in client-go).
#[derive(Debug)]
struct Sighting {
    version: Option<String>,
    since: Instant,
}

impl Election {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, identity: uuid::Uuid::new_v4().to_string() }
    }

    /// Resolves when this candidate leads.
    pub(super) async fn won(&self) {
        let mut sighting = None;
        loop {
            match self.try_to_win(&mut sighting).await {
                Ok(true) => return tracing::info!("this replica leads"),
                Ok(false) => {}
                Err(error) => tracing::warn!(error = chain(&error), "the Lease cannot be had"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Keeps the lead; resolves when it is lost.
    pub(super) async fn lost(&self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < PATIENCE {
            sleep(PAUSE).await;
            let left = PATIENCE.saturating_sub(renewed.elapsed());
            match timeout(left, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => break,
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "the Lease is not renewed"),
                Err(_) => {}
            }
        }
        tracing::warn!("this replica does not lead any more");
    }

    /// Gives the lead away, so that the next one need not wait for the Lease to run out.
    pub(super) async fn release(&self) {
        let release = async {
            let lease = calling(|| self.leases.get(NAME).boxed()).await?;
            if holder(&lease) == Some(&self.identity) {
                self.write(lease, "").await?;
            }
            Ok::<_, ClusterError>(())
        };
        if let Ok(Err(error)) = timeout(PAUSE, release).await {
            tracing::debug!(error = chain(&error), "the Lease was not released");
        }
    }

    async fn try_to_win(&self, sighting: &mut Option<Sighting>) -> Result<bool, ClusterError> {
        let Some(lease) = calling(|| self.leases.get_opt(NAME).boxed()).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(NAME.into());
            let lease = self.held(lease, &self.identity);
            let parameters = PostParams::default();
            let made = calling(|| self.leases.create(&parameters, &lease).boxed());
            return unless_conflict(made.await);
        };
        let version = lease.metadata.resource_version.clone();
        if sighting.as_ref().is_none_or(|sighting| sighting.version != version) {
            *sighting = Some(Sighting { version, since: Instant::now() });
        }
        let over = sighting.as_ref().is_some_and(|sighting| sighting.since.elapsed() > DURATION);
        let free =
            holder(&lease).is_none_or(|holder| holder.is_empty() || *holder == self.identity);
        if free || over { self.write(lease, &self.identity).await } else { Ok(false) }
    }

    async fn renew(&self) -> Result<bool, ClusterError> {
        let lease = calling(|| self.leases.get(NAME).boxed()).await?;
        match holder(&lease) {
            Some(holder) if *holder == self.identity => self.write(lease, &self.identity).await,
            _ => Ok(false),
        }
    }

    /// False when somebody else was faster.
    async fn write(&self, lease: Lease, identity: &str) -> Result<bool, ClusterError> {
        let lease = self.held(lease, identity);
        let parameters = PostParams::default();
        let written = calling(|| self.leases.replace(NAME, &parameters, &lease).boxed());
        unless_conflict(written.await)
    }

    fn held(&self, mut lease: Lease, identity: &str) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_deref() != Some(identity) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.holder_identity = Some(identity.into());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

fn unless_conflict<T>(result: Result<T, ClusterError>) -> Result<bool, ClusterError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_code(409) => Ok(false),
        Err(error) => Err(error),
    }
}
