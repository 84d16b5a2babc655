//! The errors of the Director: its codes, their names and their words.

use serde_json::Map;
use uuid::Uuid;

use crate::compass::graphql::{Failure, SentError};

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

    /// 22
    pub(crate) fn invalid_data(reason: &str) -> Self {
        Self { code: 22, name: "InvalidData", message: format!("Invalid data [reason={reason}]") }
    }

    /// 22, for an input object; each wrong field with its reason, in the order of their names.
    pub(crate) fn invalid_input(input: &str, wrong: &[(&str, &str)]) -> Self {
        let wrong = Vec::from_iter(wrong.iter().map(|(field, reason)| format!("{field}={reason}")));
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
