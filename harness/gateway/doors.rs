//! The gateway itself: opens all listeners, numbers what passes, and stops in order.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::forward::Forward;
use super::listener::Listener;
use super::{DoorPlan, ListenError, Reception, tls};
use crate::fault::{ConnectionFacts, Faults, ListenerFacts};
use crate::journal::{self, Journal};

/// How long exchanges that are under way may take when the gateway stops.
const GRACE: Duration = Duration::from_secs(2);

/// The doors of one run, open. Dropping it ends every connection at once.
#[derive(Debug)]
pub struct Gateway {
    addresses: BTreeMap<String, SocketAddr>,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Gateway {
    /// Opens every listener; when it returns, all of them accept connections.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; then none is open.
    pub fn open(
        plans: Vec<DoorPlan>,
        journal: Journal,
        faults: Faults,
    ) -> Result<Self, ListenError> {
        let stopping = CancellationToken::new();
        let numbers = Arc::new(Numbers::default());
        let mut addresses = BTreeMap::new();
        let mut listeners = Vec::with_capacity(plans.len());
        for plan in plans {
            let door = Arc::new(Door {
                door: plan.door,
                address: plan.address.clone(),
                journal: journal.clone(),
                faults: faults.clone(),
                numbers: Arc::clone(&numbers),
                stopping: stopping.clone(),
                tls: tls::server_config(&plan)?,
                forward: Forward::new(&plan)?,
                reception: plan.reception,
            });
            let listener = Listener::bind(door, plan.listen).map_err(|source| {
                let (address, listen) = (plan.address.clone(), plan.listen);
                ListenError::Bind { address, listen, source }
            })?;
            if addresses.insert(plan.address.clone(), listener.local()).is_some() {
                return Err(ListenError::Duplicate { address: plan.address });
            }
            listeners.push(listener);
        }
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener.run());
        }
        Ok(Self { addresses, stopping, tasks })
    }

    /// Where the listener of this name listens.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.get(name).copied()
    }

    /// Stops in order: no new connections, open watches end, exchanges under way may finish for a
    /// short while, and then everything is cut.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        let orderly = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, orderly).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// What all connections of one listener share.
pub(super) struct Door {
    pub(super) door: journal::Door,
    pub(super) address: String,
    pub(super) journal: Journal,
    pub(super) faults: Faults,
    pub(super) numbers: Arc<Numbers>,
    pub(super) stopping: CancellationToken,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) forward: Forward,
    pub(super) reception: Arc<dyn Reception>,
}

impl Door {
    pub(super) fn listener_facts(&self) -> ListenerFacts<'_> {
        ListenerFacts { door: self.door, address: &self.address }
    }

    pub(super) fn connection_facts(&self, connection: u64) -> ConnectionFacts<'_> {
        ConnectionFacts { connection, listener: self.listener_facts() }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("door", &self.door)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Counts connections and requests over all doors, from 1.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    connections: AtomicU64,
    requests: AtomicU64,
}

impl Numbers {
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}
