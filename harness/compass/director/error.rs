//! The errors of the Director: its codes, their names and their words.

use serde_json::Map;
use uuid::Uuid;

use crate::compass::graphql::{Failure, SentError};
use crate::compass::landscape::{FORMATION_TEMPLATE, LandscapeError};

/// An error with the Director's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectorError {
    code: u16,
    name: &'static str,
    message: String,
}

impl DirectorError {
    /// 10, with the whole text of what went wrong inside.
    pub(crate) fn internal(reason: &str) -> Self {
        let id = Uuid::new_v4();
        let message = format!("Internal Server Error [errorID={id}, reason: {reason}]");
        Self { code: 10, name: "InternalError", message }
    }

    /// 10, where only the log says what went wrong.
    pub(crate) fn internal_without_reason() -> Self {
        let message = format!("Internal Server Error [errorID={}]", Uuid::new_v4());
        Self { code: 10, name: "InternalError", message }
    }

    /// 20
    pub(crate) fn not_found(object: &str) -> Self {
        let message = format!("Object not found [object={object}]");
        Self { code: 20, name: "NotFound", message }
    }

    /// 20, for an object with this id.
    pub(crate) fn not_found_with_id(object: &str, id: Uuid) -> Self {
        let message = format!("Object not found [ID={id}; object={object}]");
        Self { code: 20, name: "NotFound", message }
    }

    /// 21
    pub(crate) fn not_unique(object: &str) -> Self {
        let message = format!("Object is not unique [object={object}]");
        Self { code: 21, name: "NotUnique", message }
    }

    /// 22
    pub(crate) fn invalid_data(reason: &str) -> Self {
        Self { code: 22, name: "InvalidData", message: format!("Invalid data [reason={reason}]") }
    }

    /// 22, for an input object; each wrong field with its reason, in the order of their names.
    pub(crate) fn invalid_input(input: &str, wrong: &[(&str, &str)]) -> Self {
        let mut wrong =
            Vec::from_iter(wrong.iter().map(|(field, reason)| format!("{field}={reason}")));
        wrong.sort();
        let message = format!("Invalid data {input} [{}]", wrong.join("; "));
        Self { code: 22, name: "InvalidData", message }
    }

    /// 23
    pub(crate) fn insufficient_scopes<'a>(
        actual: impl Iterator<Item = &'a str>,
        required: &str,
    ) -> Self {
        let actual = Vec::from_iter(actual).join(";");
        let message =
            format!("insufficient scopes provided [actual={actual}; required={required}]");
        Self { code: 23, name: "InsufficientScopes", message }
    }

    /// 24
    pub(crate) fn tenant_required() -> Self {
        Self { code: 24, name: "TenantRequired", message: "Tenant is required".into() }
    }

    /// 25
    pub(crate) fn tenant_not_found(external: &str) -> Self {
        let message = format!("Tenant not found [externalTenant={external}]");
        Self { code: 25, name: "TenantNotFound", message }
    }

    /// 26
    pub(crate) fn unauthorized(reason: &str) -> Self {
        Self { code: 26, name: "Unauthorized", message: format!("Unauthorized [reason={reason}]") }
    }

    /// 27
    pub(crate) fn invalid_operation(reason: &str) -> Self {
        let message = format!("The operation is not allowed [reason={reason}]");
        Self { code: 27, name: "InvalidOperation", message }
    }

    /// 27, for what the database refuses.
    pub(crate) fn refused_by_database(object: &str, reason: &str) -> Self {
        let message = format!("The operation is not allowed [object={object}; reason={reason}]");
        Self { code: 27, name: "InvalidOperation", message }
    }

    /// 31
    pub(crate) fn not_unique_name(object: &str) -> Self {
        let message = format!("Object name is not unique [object={object}]");
        Self { code: 31, name: "NotUniqueName", message }
    }

    fn extensions(&self) -> Map<String, serde_json::Value> {
        [("error_code".into(), self.code.into()), ("error".into(), self.name.into())]
            .into_iter()
            .collect()
    }
}

impl From<DirectorError> for Failure {
    fn from(error: DirectorError) -> Self {
        Self { extensions: error.extensions(), message: error.message }
    }
}

impl From<DirectorError> for SentError {
    /// An error that belongs to no field.
    fn from(error: DirectorError) -> Self {
        let extensions = error.extensions();
        Self { message: error.message, path: Vec::new(), locations: Vec::new(), extensions }
    }
}

impl From<LandscapeError> for DirectorError {
    fn from(error: LandscapeError) -> Self {
        match error {
            LandscapeError::UnknownRuntime(_) => Self::not_found("runtime"),
            LandscapeError::UnknownApplication(_) => Self::not_found("application"),
            LandscapeError::UnknownFormation(_) => Self::not_found("formations"),
            LandscapeError::UnknownIntegrationSystem(id) => {
                Self::not_found_with_id("integrationSystem", id)
            }
            LandscapeError::UnknownSystemAuth(_) => Self::not_found("systemAuth"),
            LandscapeError::FormationExists(_) => Self::not_unique("formations"),
            LandscapeError::FormationNotEmpty(id) => Self::internal(&format!(
                "cannot delete formation with ID \"{id}\", because it is not empty"
            )),
            LandscapeError::InFormations { name, formations } => Self::invalid_operation(&format!(
                "System {name} is part of the following formations : {}",
                formations.join(", ")
            )),
            LandscapeError::NameTaken(_) => Self::not_unique_name("application"),
            LandscapeError::Referred(_) => Self::refused_by_database(
                "integrationSystem",
                "The record cannot be deleted because another record refers to it",
            ),
            LandscapeError::NoType("runtimeType") => Self::not_found("runtimeLabel"),
            LandscapeError::NoType(_) => Self::not_found("applicationLabel"),
            LandscapeError::UnsupportedType { key, value } => Self::invalid_operation(&format!(
                "unsupported {key} \"{value}\" for formation template \"{FORMATION_TEMPLATE}\""
            )),
            error @ (LandscapeError::IdTwice(_) | LandscapeError::UnknownCertificate(_)) => {
                Self::internal(&error.to_string())
            }
        }
    }
}

impl From<LandscapeError> for Failure {
    fn from(error: LandscapeError) -> Self {
        DirectorError::from(error).into()
    }
}
