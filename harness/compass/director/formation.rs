//! Formations: made and removed, with their members.

use serde_json::Value;

use super::error::DirectorError;
use super::page::{Limit, Page, PageOf};
use super::{Director, database_id};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{FORMATION_TEMPLATE, Formation, Landscape, Member};

/// `Formation`
pub(super) struct FormationObject(Formation);

impl Object for FormationObject {
    fn type_name(&self) -> &'static str {
        "Formation"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(self.0.id.to_string()),
            "name" => Resolved::text(&self.0.name),
            "formationTemplateId" => {
                Resolved::owned(Landscape::formation_template_id().to_string())
            }
            "tenantID" => Resolved::text(&self.0.tenant),
            // No webhook could keep it from being so at once.
            "state" => Resolved::text("READY"),
            "status" => Resolved::object(StatusObject),
            "formationAssignments" => {
                let page = Page::asked(field, 0, Limit::UpTo200)?;
                Resolved::object(PageOf::new("FormationAssignmentPage", page, Vec::<Self>::new()))
            }
            "error"
            | "formationAssignment"
            | "lastStateChangeTimestamp"
            | "lastNotificationSentTimestamp" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

struct StatusObject;

impl Object for StatusObject {
    fn type_name(&self) -> &'static str {
        "FormationStatus"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "condition" => Resolved::text("READY"),
            _ => Resolved::Null,
        })
    }
}

/// `createFormation`
pub(super) fn create(
    director: &Director<'_>,
    field: &Field,
) -> Result<FormationObject, DirectorError> {
    let tenant = director.tenant()?;
    let name = name_of(field)?;
    let template = of_input(field, "templateName");
    if !template.is_empty() && template != FORMATION_TEMPLATE {
        return Err(DirectorError::not_found("formationTemplate"));
    }
    Ok(FormationObject(director.landscape.create_formation(tenant, name)?))
}

/// `deleteFormation`
pub(super) fn delete(
    director: &Director<'_>,
    field: &Field,
) -> Result<FormationObject, DirectorError> {
    let tenant = director.tenant()?;
    Ok(FormationObject(director.landscape.delete_formation(tenant, name_of(field)?)?))
}

/// `assignFormation`
pub(super) fn assign(
    director: &Director<'_>,
    field: &Field,
) -> Result<FormationObject, DirectorError> {
    let tenant = director.tenant()?;
    let (name, member) = (name_of(field)?, member_of(field)?);
    Ok(FormationObject(director.landscape.assign(tenant, name, member)?))
}

/// `unassignFormation`
pub(super) fn unassign(
    director: &Director<'_>,
    field: &Field,
) -> Result<FormationObject, DirectorError> {
    let tenant = director.tenant()?;
    let (name, member) = (name_of(field)?, member_of(field)?);
    Ok(FormationObject(director.landscape.unassign(tenant, name, member)?))
}

fn of_input<'f>(field: &'f Field, key: &str) -> &'f str {
    let input = field.arguments.get("formation").and_then(|input| input.get(key));
    input.and_then(Value::as_str).unwrap_or_default()
}

fn name_of(field: &Field) -> Result<&str, DirectorError> {
    match of_input(field, "name") {
        "" => Err(DirectorError::invalid_input("FormationInput", &[("name", "cannot be blank")])),
        name => Ok(name),
    }
}

fn member_of(field: &Field) -> Result<Member, DirectorError> {
    let id = database_id(field.text("objectID"))?;
    match field.text("objectType") {
        "APPLICATION" => Ok(Member::Application(id)),
        "RUNTIME" => Ok(Member::Runtime(id)),
        other => {
            let reason = format!("unknown formation type {other}");
            Err(DirectorError::internal(&reason))
        }
    }
}
