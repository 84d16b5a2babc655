//! Formations: their templates, their members, and what an assignment demands.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::record::{ApplicationRecord, Runtime, stable_root_id};
use super::{Landscape, LandscapeError, State};

/// The only formation template (Director, seeded at the start).
pub(crate) const FORMATION_TEMPLATE: &str = "Side-by-Side Extensibility with Kyma";
/// The types of applications that it takes, and the application templates of the same names.
const APPLICATION_TYPES: [&str; 4] = [
    "SAP Cloud for Customer",
    "SAP Commerce Cloud",
    "SAP Field Service Management",
    "SAP Marketing Cloud",
];
const RUNTIME_TYPES: [&str; 1] = ["kyma"];

/// A formation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Formation {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) tenant: String,
}

/// What can belong to a formation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    /// An application.
    Application(Uuid),
    /// A runtime.
    Runtime(Uuid),
}

/// What applications are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: Uuid,
    pub(crate) application_type: String,
}

impl Landscape {
    /// The id of the formation template.
    pub(crate) fn formation_template_id() -> Uuid {
        stable_root_id("formationTemplate", FORMATION_TEMPLATE)
    }

    /// Makes a formation.
    pub(crate) fn create_formation(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Formation, LandscapeError> {
        let mut state = self.state_mut();
        if state.formations.contains_key(&(tenant.into(), name.into())) {
            return Err(LandscapeError::FormationExists(name.into()));
        }
        let formation = Formation { id: Uuid::new_v4(), name: name.into(), tenant: tenant.into() };
        state.formations.insert((tenant.into(), name.into()), formation.clone());
        Ok(formation)
    }

    /// Removes a formation that nobody belongs to.
    pub(crate) fn delete_formation(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Formation, LandscapeError> {
        let mut state = self.state_mut();
        let formation = state.formation(tenant, name)?;
        let has_runtime = state
            .runtimes
            .values()
            .any(|one| one.tenant == tenant && one.formations.contains(name));
        let has_application = state
            .applications
            .values()
            .any(|one| one.tenant == tenant && one.formations.contains(name));
        if has_runtime || has_application {
            return Err(LandscapeError::FormationNotEmpty(formation.id));
        }
        state.formations.remove(&(tenant.into(), name.into()));
        Ok(formation)
    }

    /// Makes an object a member of a formation, if its type is among those that may be.
    pub(crate) fn assign(
        &self,
        tenant: &str,
        name: &str,
        member: Member,
    ) -> Result<Formation, LandscapeError> {
        let mut state = self.state_mut();
        let formation = state.formation(tenant, name)?;
        match member {
            Member::Application(id) => {
                let application = state.application_in(tenant, id)?;
                demand(&application.labels, "applicationType", &APPLICATION_TYPES)?;
                Arc::make_mut(application).formations.insert(name.into());
            }
            Member::Runtime(id) => {
                let runtime = state.runtime_in(tenant, id)?;
                demand(&runtime.labels, "runtimeType", &RUNTIME_TYPES)?;
                Arc::make_mut(runtime).formations.insert(name.into());
            }
        }
        self.note_names(&mut state);
        Ok(formation)
    }

    /// Takes an object out of a formation; one that is not in it stays what it is.
    pub(crate) fn unassign(
        &self,
        tenant: &str,
        name: &str,
        member: Member,
    ) -> Result<Formation, LandscapeError> {
        let mut state = self.state_mut();
        let formation = state.formation(tenant, name)?;
        match member {
            Member::Application(id) => {
                Arc::make_mut(state.application_in(tenant, id)?).formations.remove(name);
            }
            Member::Runtime(id) => {
                Arc::make_mut(state.runtime_in(tenant, id)?).formations.remove(name);
            }
        }
        self.note_names(&mut state);
        Ok(formation)
    }

    /// An application template.
    pub(crate) fn template(&self, name: &str) -> Option<Template> {
        self.state().templates.get(name).cloned()
    }
}

impl State {
    /// The templates that every landscape has.
    pub(super) fn add_templates(&mut self) {
        for name in APPLICATION_TYPES {
            self.add_template(name, name);
        }
    }

    pub(super) fn add_template(&mut self, name: &str, application_type: &str) {
        let id = stable_root_id("applicationTemplate", name);
        let application_type = application_type.into();
        self.templates.insert(name.into(), Template { id, application_type });
    }

    /// A formation exists as soon as somebody belongs to it.
    pub(super) fn ensure_formations<'a>(
        &mut self,
        tenant: &str,
        names: impl IntoIterator<Item = &'a String>,
    ) {
        for name in names {
            let id = stable_root_id("formation", &format!("{tenant}/{name}"));
            self.formations.entry((tenant.into(), name.clone())).or_insert_with(|| Formation {
                id,
                name: name.clone(),
                tenant: tenant.into(),
            });
        }
    }

    fn formation(&self, tenant: &str, name: &str) -> Result<Formation, LandscapeError> {
        let found = self.formations.get(&(tenant.into(), name.into()));
        found.cloned().ok_or_else(|| LandscapeError::UnknownFormation(name.into()))
    }

    pub(super) fn application_in(
        &mut self,
        tenant: &str,
        id: Uuid,
    ) -> Result<&mut Arc<ApplicationRecord>, LandscapeError> {
        let found = self.applications.get_mut(&id).filter(|one| one.tenant == tenant);
        found.ok_or_else(|| LandscapeError::UnknownApplication(id.to_string()))
    }

    pub(super) fn runtime_in(
        &mut self,
        tenant: &str,
        id: Uuid,
    ) -> Result<&mut Arc<Runtime>, LandscapeError> {
        let found = self.runtimes.get_mut(&id).filter(|one| one.tenant == tenant);
        found.ok_or(LandscapeError::UnknownRuntime(id))
    }
}

/// A member has the label of its type, with a value that the formation template lists.
fn demand(
    labels: &std::collections::BTreeMap<String, Value>,
    key: &'static str,
    allowed: &[&str],
) -> Result<(), LandscapeError> {
    let value = labels.get(key).ok_or(LandscapeError::NoType(key))?;
    let text = value.as_str().unwrap_or_default();
    if allowed.contains(&text) {
        return Ok(());
    }
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Err(LandscapeError::UnsupportedType { key, value: shown })
}
