//! What an operator does to the landscape while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use uuid::Uuid;

use super::record::{ApplicationRecord, Runtime, Status, stable_id, stable_root_id};
use super::{DEFAULT_FORMATION, Landscape, LandscapeError, Owner, RuntimeFile, State, normalised};
use crate::compass::application::{Application, Applications, Bundle, Credential};
use crate::journal::{LandscapeEvent, TokenEvent};

impl Landscape {
    /// Makes a one-time token for a runtime, as `requestOneTimeTokenForRuntime` does: with a client
    /// id of its own, so tokens made before stay good.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownRuntime`].
    pub fn issue_token(&self, runtime: Uuid) -> Result<String, LandscapeError> {
        let mut state = self.state_mut();
        let known = state.runtimes.get(&runtime).ok_or(LandscapeError::UnknownRuntime(runtime))?;
        let tenant = known.tenant.clone();
        let auth = state.add_auth(Uuid::new_v4(), Owner::Runtime(runtime), &tenant)?;
        Ok(self.issue_token_for(&mut state, auth, "operator"))
    }

    /// Uses up every unused token of a runtime, as if somebody else had shown it.
    pub fn burn_tokens(&self, runtime: Uuid) {
        let mut state = self.state_mut();
        for auth in state.auths_of.get(&runtime).cloned().unwrap_or_default() {
            state.tokens.burn(auth);
        }
    }

    /// Adds applications to the tenant of the first runtime.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::IdTwice`] when a system auth of theirs exists already; then none is added.
    pub fn add_applications(&self, applications: &Applications) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let applications = applications.written_out();
        let mut new_ids = BTreeSet::new();
        for auth in applications.iter().flat_map(|one| &one.auths) {
            if state.auths.contains_key(auth) || !new_ids.insert(*auth) {
                return Err(LandscapeError::IdTwice(*auth));
            }
        }
        let tenant = state.runtimes.get(&state.first_runtime).map(|one| one.tenant.clone());
        let tenant = tenant.unwrap_or_default();
        for application in &applications {
            self.add_application(&mut state, &tenant, application)?;
        }
        self.note_names(&mut state);
        Ok(())
    }

    /// Removes applications by the names that they were written with.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownApplication`]; then none is removed.
    pub fn remove_applications(&self, names: &[String]) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let ids: Result<Vec<_>, _> = names.iter().map(|name| state.application_id(name)).collect();
        for id in ids? {
            state.remove_application(id);
            state.forget_auths_of(id);
        }
        self.note_names(&mut state);
        Ok(())
    }

    /// Gives an application another name; it keeps its id.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownApplication`].
    pub fn rename_application(&self, from: &str, to: &str) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let id = state.application_id(from)?;
        state.edit_application(id, |application| application.rename(to));
        self.note_names(&mut state);
        Ok(())
    }

    /// Writes an application anew; it is found by its name and keeps its id and its formations.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownApplication`].
    pub fn change_application(&self, written: &Application) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let id = state.application_id(&written.name)?;
        self.hide_credentials(&mut state, written);
        state.edit_application(id, |application| application.rewrite(written));
        self.note_names(&mut state);
        Ok(())
    }

    /// Sets a label of a runtime, whatever the Director would say to it.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownRuntime`].
    pub fn set_runtime_label(
        &self,
        runtime: Uuid,
        key: &str,
        value: Value,
    ) -> Result<(), LandscapeError> {
        self.change_runtime(runtime, |runtime| {
            runtime.labels.insert(key.into(), value.clone());
            Some(LandscapeEvent::RuntimeLabel { key: key.into(), value })
        })
    }

    /// Takes a label away from a runtime; in the journal its value is null then.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownRuntime`].
    pub fn forget_runtime_label(&self, runtime: Uuid, key: &str) -> Result<(), LandscapeError> {
        self.change_runtime(runtime, |runtime| {
            let gone = runtime.labels.remove(key).is_some();
            gone.then(|| LandscapeEvent::RuntimeLabel { key: key.into(), value: Value::Null })
        })
    }

    /// How long certificates are valid that are issued from now on.
    pub fn set_certificate_validity(&self, validity: Duration) {
        self.state_mut().certificates.validity = validity;
    }

    /// The validities of the next certificates, one each; after them the usual one holds again.
    pub fn set_next_certificate_validities(&self, validities: impl IntoIterator<Item = Duration>) {
        self.state_mut().certificates.next_validities = validities.into_iter().collect();
    }

    /// When certificates that are issued from now on start to be valid, from their issuing.
    pub fn set_certificate_start(&self, start: SignedDuration) {
        self.state_mut().certificates.start = start;
    }

    /// Removes a runtime with its clients; its certificates give no identity any more.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownRuntime`].
    pub fn remove_runtime(&self, runtime: Uuid) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        state.runtimes.remove(&runtime).ok_or(LandscapeError::UnknownRuntime(runtime))?;
        state.forget_auths_of(runtime);
        Ok(())
    }

    /// Changes a runtime and tells the journal what the change says of itself.
    pub(super) fn change_runtime(
        &self,
        id: Uuid,
        change: impl FnOnce(&mut Runtime) -> Option<LandscapeEvent>,
    ) -> Result<(), LandscapeError> {
        let mut state = self.state_mut();
        let runtime = state.runtimes.get_mut(&id).ok_or(LandscapeError::UnknownRuntime(id))?;
        let event = change(Arc::make_mut(runtime));
        if let Some(event) = event {
            self.shared.journal.record(event);
        }
        // A label decides how names are written.
        if id == state.first_runtime {
            self.note_names(&mut state);
        }
        Ok(())
    }

    pub(super) fn issue_token_for(&self, state: &mut State, auth: Uuid, by: &str) -> String {
        let owner = state.auths.get(&auth).map(|auth| auth.owner);
        let valid_for = match owner {
            Some(Owner::Application(_)) => self.shared.tokens.applications,
            Some(Owner::Runtime(_) | Owner::IntegrationSystem(_)) | None => {
                self.shared.tokens.runtimes
            }
        };
        let valid_for = Duration::try_from(valid_for).unwrap_or_default();
        let token = state.tokens.issue(auth, valid_for).clone();
        self.shared.journal.hide(&token.text);
        self.shared.journal.record(TokenEvent::Issued {
            number: token.number,
            client_id: auth.to_string(),
            by: by.into(),
        });
        token.text
    }

    fn add_application(
        &self,
        state: &mut State,
        tenant: &str,
        written: &Application,
    ) -> Result<(), LandscapeError> {
        self.hide_credentials(state, written);
        let formations = match &written.formations {
            Some(names) => names.iter().cloned().collect(),
            None => BTreeSet::from([DEFAULT_FORMATION.to_owned()]),
        };
        state.ensure_formations(tenant, &formations);
        // The id comes from the name, unless an application of this name has it already.
        let mut id = stable_root_id("application", &written.name);
        let mut copy = 1;
        while state.applications.contains_key(&id) {
            copy += 1;
            id = stable_root_id("application", &format!("{}#{copy}", written.name));
        }
        let record = ApplicationRecord::new(id, tenant, formations, written);
        state.insert_application(Arc::new(record));
        for auth in &written.auths {
            state.add_auth(*auth, Owner::Application(id), tenant)?;
        }
        if written.auths.is_empty() {
            // Whoever connects an application has a client id for it.
            let auth = stable_id(id, "auth", &written.name);
            state.add_auth(auth, Owner::Application(id), tenant)?;
        }
        Ok(())
    }

    fn hide_credentials(&self, state: &mut State, written: &Application) {
        for bundle in written.all_bundles() {
            self.hide_credentials_of(state, &bundle);
        }
    }

    pub(super) fn hide_credentials_of(&self, state: &mut State, bundle: &Bundle) {
        match bundle.credentials.as_ref().and_then(|one| one.credential.as_ref()) {
            Some(Credential::Basic(basic)) => self.hide(state, basic.password.expose()),
            Some(Credential::OAuth(oauth)) => self.hide(state, oauth.client_secret.expose()),
            Some(Credential::CertificateOAuth(_)) | None => {}
        }
    }
}

impl State {
    pub(super) fn add_runtime(&mut self, file: &RuntimeFile) -> Result<(), LandscapeError> {
        let id = file.id.unwrap_or_else(|| stable_root_id("runtime", &file.name));
        if self.runtimes.contains_key(&id) {
            return Err(LandscapeError::IdTwice(id));
        }
        let mut labels = file.labels.clone();
        // Added at registration when the caller gave none (Director, `registerRuntime`).
        labels.entry("isNormalized".into()).or_insert_with(|| "true".into());
        labels.retain(|_, value| !value.is_null());
        let formations: BTreeSet<_> = file.formations.iter().cloned().collect();
        self.ensure_formations(&file.tenant, &formations);
        self.tenants.insert(file.tenant.clone());
        let status = Status::initial();
        let runtime = Runtime {
            id,
            name: file.name.clone(),
            description: file.description.clone(),
            tenant: file.tenant.clone(),
            labels,
            formations,
            status,
            created: status.since,
            namespace: None,
            webhooks: Vec::new(),
        };
        if self.runtimes.is_empty() {
            self.first_runtime = id;
        }
        self.runtimes.insert(id, Arc::new(runtime));
        Ok(())
    }

    pub(super) fn insert_application(&mut self, record: Arc<ApplicationRecord>) {
        *self.names.entry(name_key(&record)).or_default() += usize::from(counts(&record));
        self.applications.insert(record.id, record);
    }

    pub(super) fn remove_application(&mut self, id: Uuid) -> Option<Arc<ApplicationRecord>> {
        let record = self.applications.remove(&id)?;
        self.forget_name(&record);
        Some(record)
    }

    /// Changes what may be the name of an application.
    fn edit_application(&mut self, id: Uuid, change: impl FnOnce(&mut ApplicationRecord)) {
        if let Some(mut record) = self.remove_application(id) {
            change(Arc::make_mut(&mut record));
            self.insert_application(record);
        }
    }

    fn forget_name(&mut self, record: &ApplicationRecord) {
        let key = name_key(record);
        let left = self.names.get(&key).copied().unwrap_or_default();
        match left.checked_sub(usize::from(counts(record))) {
            None | Some(0) => self.names.remove(&key),
            Some(left) => self.names.insert(key, left),
        };
    }

    /// Whether the Director would refuse another application of this name.
    pub(super) fn is_name_taken(&self, tenant: &str, name: &str) -> bool {
        self.names.get(&(tenant.into(), normalised(name))).is_some_and(|count| *count > 0)
    }

    /// The first application of this name in the Director's order.
    fn application_id(&self, name: &str) -> Result<Uuid, LandscapeError> {
        // The usual case: the id still belongs to the name that it was made from.
        let usual = stable_root_id("application", name);
        if self.applications.get(&usual).is_some_and(|one| one.name == name) {
            return Ok(usual);
        }
        let found = self.applications.values().find(|one| one.name == name);
        found.map(|one| one.id).ok_or_else(|| LandscapeError::UnknownApplication(name.into()))
    }
}

/// The name by which an application is unique in its tenant.
fn name_key(record: &ApplicationRecord) -> (String, String) {
    (record.tenant.clone(), normalised(&record.name))
}

/// Applications with a system number may share a name.
fn counts(record: &ApplicationRecord) -> bool {
    record.system_number.is_none()
}
