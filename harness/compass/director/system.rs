//! Integration systems and their OAuth clients.

use super::auth::{OwnerKind, SystemAuthObject};
use super::error::DirectorError;
use super::input::Input;
use super::{Director, database_id};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::IntegrationSystem;

/// `IntegrationSystem`
pub(super) struct SystemObject<'d> {
    director: &'d Director<'d>,
    system: IntegrationSystem,
}

impl Object for SystemObject<'_> {
    fn type_name(&self) -> &'static str {
        "IntegrationSystem"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let (director, system) = (self.director, &self.system);
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(system.id.to_string()),
            "name" => Resolved::text(&system.name),
            "description" => Resolved::optional(system.description.as_deref()),
            "auths" => {
                let ids = director.landscape.auth_ids(system.id);
                Resolved::objects(ids.into_iter().map(move |id| SystemAuthObject {
                    director,
                    kind: OwnerKind::IntegrationSystem,
                    id,
                    owner: system.id,
                    tenant: "",
                    client_secret: director.landscape.client_secret(id),
                }))
            }
            other => return Err(unknown_field(other)),
        })
    }
}

/// `registerIntegrationSystem`
pub(super) fn register<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<SystemObject<'d>, DirectorError> {
    let input = Input::of(field, "in");
    let name = input.text("name").unwrap_or_default();
    if name.is_empty() {
        let wrong = [("name", "cannot be blank")];
        return Err(DirectorError::invalid_input("IntegrationSystemInput", &wrong));
    }
    let system = director.landscape.register_integration_system(&name, input.text("description"));
    Ok(SystemObject { director, system })
}

/// `unregisterIntegrationSystem`
pub(super) fn unregister<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<SystemObject<'d>, DirectorError> {
    let id = database_id(field.text("id"))?;
    let system = director.landscape.unregister_integration_system(id)?;
    Ok(SystemObject { director, system })
}

/// `requestClientCredentialsForIntegrationSystem`
pub(super) fn request_credentials<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<SystemAuthObject<'d>, DirectorError> {
    let owner = database_id(field.text("id"))?;
    let id = director.landscape.add_client_credentials(owner)?;
    let client_secret = director.landscape.client_secret(id);
    let kind = OwnerKind::IntegrationSystem;
    Ok(SystemAuthObject { director, kind, id, owner, tenant: "", client_secret })
}

/// `deleteSystemAuthForIntegrationSystem`
pub(super) fn delete_credentials<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<SystemAuthObject<'d>, DirectorError> {
    let id = database_id(field.text("authID"))?;
    let (owner, client_secret) = director.landscape.delete_client(id)?;
    let kind = OwnerKind::IntegrationSystem;
    Ok(SystemAuthObject { director, kind, id, owner, tenant: "", client_secret })
}
