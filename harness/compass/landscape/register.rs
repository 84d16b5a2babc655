//! What administrators and integration systems register, change and remove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::record::{ApplicationRecord, ExtraRecord, Runtime, Status};
use super::{Landscape, LandscapeError, Owner};
use crate::compass::application::{Application, Bundle};

/// A runtime as it is registered.
#[derive(Debug)]
pub(crate) struct NewRuntime {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) labels: BTreeMap<String, Value>,
    pub(crate) namespace: Option<String>,
    pub(crate) webhooks: Vec<ExtraRecord>,
    pub(crate) condition: &'static str,
}

/// An application as it is registered.
#[derive(Debug)]
pub(crate) struct NewApplication {
    /// All that landscape files know too; its bundles are added apart.
    pub(crate) written: Application,
    pub(crate) bundles: Vec<NewBundle>,
    pub(crate) integration_system: Option<Uuid>,
    pub(crate) template: Option<Uuid>,
    pub(crate) base_url: Option<String>,
    pub(crate) health_check_url: Option<String>,
    pub(crate) local_tenant_id: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) webhooks: Vec<ExtraRecord>,
    pub(crate) condition: &'static str,
}

/// A bundle as it is added.
#[derive(Debug)]
pub(crate) struct NewBundle {
    pub(crate) written: Bundle,
    pub(crate) documents: Vec<ExtraRecord>,
    pub(crate) correlation_ids: Vec<String>,
}

/// What an update changes; the rest stays.
#[derive(Debug, Default)]
pub(crate) struct ApplicationPatch {
    pub(crate) provider_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) health_check_url: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) local_tenant_id: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) integration_system: Option<Uuid>,
    pub(crate) condition: Option<&'static str>,
}

impl Landscape {
    /// Registers a runtime.
    pub(crate) fn register_runtime(&self, tenant: &str, new: NewRuntime) -> Arc<Runtime> {
        let mut labels = new.labels;
        labels.entry("isNormalized".into()).or_insert_with(|| "true".into());
        let status = Status::now(new.condition);
        let runtime = Arc::new(Runtime {
            id: Uuid::new_v4(),
            name: new.name,
            description: new.description,
            tenant: tenant.into(),
            labels,
            formations: BTreeSet::new(),
            status,
            created: status.since,
            namespace: new.namespace,
            webhooks: new.webhooks,
        });
        let mut state = self.state_mut();
        state.runtimes.insert(runtime.id, Arc::clone(&runtime));
        runtime
    }

    /// Removes a runtime with all that belongs to it; formations let it go without a word.
    pub(crate) fn unregister_runtime(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Arc<Runtime>, LandscapeError> {
        let mut state = self.state_mut();
        let runtime = Arc::clone(state.runtime_in(tenant, id)?);
        state.runtimes.remove(&id);
        state.forget_auths_of(id);
        self.note_names(&mut state);
        Ok(runtime)
    }

    /// Registers an application.
    pub(crate) fn register_application(
        &self,
        tenant: &str,
        new: NewApplication,
    ) -> Result<Arc<ApplicationRecord>, LandscapeError> {
        let mut state = self.state_mut();
        if let Some(system) = new.integration_system
            && !state.systems.contains_key(&system)
        {
            return Err(LandscapeError::UnknownIntegrationSystem(system));
        }
        if state.is_name_taken(tenant, &new.written.name) {
            return Err(LandscapeError::NameTaken(new.written.name));
        }
        for bundle in &new.bundles {
            self.hide_credentials_of(&mut state, &bundle.written);
        }
        let id = Uuid::new_v4();
        let mut record = ApplicationRecord::new(id, tenant, BTreeSet::new(), &new.written);
        if let Some(system) = new.integration_system {
            record.labels.insert("integrationSystemID".into(), system.to_string().into());
        }
        record.base_url = new.base_url;
        for bundle in new.bundles {
            bundle.add_to(&mut record);
        }
        record.integration_system = new.integration_system;
        record.template = new.template;
        record.health_check_url = new.health_check_url;
        record.local_tenant_id = new.local_tenant_id;
        record.namespace = new.namespace;
        record.webhooks = new.webhooks;
        record.status = Status::now(new.condition);
        let record = Arc::new(record);
        state.insert_application(Arc::clone(&record));
        Ok(record)
    }

    /// Removes an application that belongs to no formation.
    pub(crate) fn unregister_application(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Arc<ApplicationRecord>, LandscapeError> {
        let mut state = self.state_mut();
        let record = Arc::clone(state.application_in(tenant, id)?);
        if !record.formations.is_empty() {
            let formations = Vec::from_iter(record.formations.iter().cloned());
            return Err(LandscapeError::InFormations { name: record.name.clone(), formations });
        }
        state.remove_application(id);
        state.forget_auths_of(id);
        Ok(record)
    }

    /// Changes what the patch names; without a condition in it the application is new again.
    pub(crate) fn update_application(
        &self,
        tenant: &str,
        id: Uuid,
        patch: ApplicationPatch,
    ) -> Result<Arc<ApplicationRecord>, LandscapeError> {
        let mut state = self.state_mut();
        if let Some(system) = patch.integration_system
            && !state.systems.contains_key(&system)
        {
            return Err(LandscapeError::UnknownIntegrationSystem(system));
        }
        let shared = state.application_in(tenant, id)?;
        let record = Arc::make_mut(shared);
        for (old, new) in [
            (&mut record.provider_name, patch.provider_name),
            (&mut record.description, patch.description),
            (&mut record.health_check_url, patch.health_check_url),
            (&mut record.base_url, patch.base_url),
            (&mut record.local_tenant_id, patch.local_tenant_id),
            (&mut record.namespace, patch.namespace),
        ] {
            if new.is_some() {
                *old = new;
            }
        }
        if let Some(system) = patch.integration_system {
            record.integration_system = Some(system);
            record.labels.insert("integrationSystemID".into(), system.to_string().into());
        }
        record.status = Status::now(patch.condition.unwrap_or("INITIAL"));
        record.updated = Timestamp::now();
        Ok(Arc::clone(shared))
    }

    /// Adds a bundle to an application and gives both; the bundle is the last one.
    pub(crate) fn add_bundle(
        &self,
        tenant: &str,
        id: Uuid,
        bundle: NewBundle,
    ) -> Result<Arc<ApplicationRecord>, LandscapeError> {
        let mut state = self.state_mut();
        self.hide_credentials_of(&mut state, &bundle.written);
        let shared = state.application_in(tenant, id)?;
        bundle.add_to(Arc::make_mut(shared));
        Ok(Arc::clone(shared))
    }

    /// Sets a label of an application.
    pub(crate) fn set_application_label(
        &self,
        tenant: &str,
        id: Uuid,
        key: &str,
        value: Value,
    ) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let record = Arc::make_mut(state.application_in(tenant, id)?);
        record.labels.insert(key.into(), value);
        Ok(())
    }

    /// Makes a one-time token: for the client with this id, or for a new one.
    pub(crate) fn request_token(
        &self,
        tenant: &str,
        owner: Owner,
        auth: Option<Uuid>,
    ) -> Result<Uuid, LandscapeError> {
        let mut state = self.state_mut();
        match owner {
            Owner::Application(id) => {
                state.application_in(tenant, id)?;
            }
            Owner::Runtime(id) => {
                state.runtime_in(tenant, id)?;
            }
            Owner::IntegrationSystem(id) => {
                return Err(LandscapeError::UnknownIntegrationSystem(id));
            }
        }
        let auth = match auth {
            None => state.add_auth(Uuid::new_v4(), owner, tenant)?,
            Some(auth) if state.auths.get(&auth).is_some_and(|one| one.owner == owner) => auth,
            Some(auth) => return Err(LandscapeError::UnknownSystemAuth(auth)),
        };
        self.issue_token_for(&mut state, auth, "operator");
        Ok(auth)
    }
}

impl NewBundle {
    fn add_to(self, record: &mut ApplicationRecord) {
        let added = record.add_bundle(self.written);
        added.documents = self.documents;
        added.correlation_ids = self.correlation_ids;
    }
}
