//! What the Director reads, and the little that it writes by itself.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::record::{ApplicationRecord, Runtime};
use super::{Landscape, LandscapeError};
use crate::compass::caller::Consumer;
use crate::journal::LandscapeEvent;

impl Landscape {
    /// A runtime of a tenant.
    pub(crate) fn runtime(&self, tenant: &str, id: Uuid) -> Option<Arc<Runtime>> {
        self.state().runtimes.get(&id).filter(|one| one.tenant == tenant).cloned()
    }

    /// An application of a tenant.
    pub(crate) fn application(&self, tenant: &str, id: Uuid) -> Option<Arc<ApplicationRecord>> {
        self.state().applications.get(&id).filter(|one| one.tenant == tenant).cloned()
    }

    /// All runtimes of a tenant.
    pub(crate) fn runtimes_of(&self, tenant: &str) -> Vec<Arc<Runtime>> {
        self.state().runtimes.values().filter(|one| one.tenant == tenant).cloned().collect()
    }

    /// All applications of a tenant, in the Director's order.
    pub(crate) fn applications_of(&self, tenant: &str) -> Vec<Arc<ApplicationRecord>> {
        self.state().applications.values().filter(|one| one.tenant == tenant).cloned().collect()
    }

    /// The applications that a runtime sees, in the Director's order.
    pub(crate) fn applications_for(&self, runtime: &Runtime) -> Vec<Arc<ApplicationRecord>> {
        let state = self.state();
        state.applications.values().filter(|one| runtime.sees(one)).cloned().collect()
    }

    /// A runtime that shares a formation with an application.
    pub(crate) fn runtime_beside(&self, application: &ApplicationRecord) -> Option<Arc<Runtime>> {
        self.state().runtimes.values().find(|one| one.sees(application)).cloned()
    }

    /// The owner of a certificate has talked to the Director.
    pub(crate) fn mark_connected(&self, consumer: Consumer) {
        let connected = {
            let state = self.state();
            let status = match consumer {
                Consumer::Runtime(id) => state.runtimes.get(&id).map(|one| one.status),
                Consumer::Application(id) => state.applications.get(&id).map(|one| one.status),
                // They have no status.
                Consumer::Administrator | Consumer::IntegrationSystem(_) => None,
            };
            status.is_none_or(|status| status.condition == "CONNECTED")
        };
        if connected {
            return;
        }
        let mut state = self.state_mut();
        match consumer {
            Consumer::Runtime(id) => {
                state.runtimes.entry(id).and_modify(|one| Arc::make_mut(one).status.connect());
            }
            Consumer::Application(id) => {
                state.applications.entry(id).and_modify(|one| Arc::make_mut(one).status.connect());
            }
            Consumer::Administrator | Consumer::IntegrationSystem(_) => {}
        }
    }

    /// Sets a label that the Director sets by itself; nobody asked for it, so the journal is not told.
    pub(crate) fn set_own_label(&self, runtime: Uuid, key: &str, value: &str) {
        let known = self.state().runtimes.get(&runtime).cloned();
        let known = known.is_none_or(|one| one.labels.contains_key(key));
        if !known && let Some(runtime) = self.state_mut().runtimes.get_mut(&runtime) {
            Arc::make_mut(runtime).labels.insert(key.into(), value.into());
        }
    }

    /// Takes a label away and gives what it was.
    pub(crate) fn take_runtime_label(
        &self,
        runtime: Uuid,
        key: &str,
    ) -> Result<Option<Value>, LandscapeError> {
        let mut taken = None;
        self.change_runtime(runtime, |runtime| {
            taken = runtime.labels.remove(key);
            taken
                .is_some()
                .then(|| LandscapeEvent::RuntimeLabel { key: key.into(), value: Value::Null })
        })?;
        Ok(taken)
    }
}
