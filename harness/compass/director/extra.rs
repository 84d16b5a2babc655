//! Webhooks and documents, which the Director keeps and shows and does nothing with.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::timestamp;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::ExtraRecord;

/// `Webhook` and `Document`
pub(super) struct Extra<'d> {
    type_name: &'static str,
    record: &'d ExtraRecord,
    /// The field that names the owner of a webhook, and its id.
    owner: Option<(&'static str, Uuid)>,
}

impl<'d> Extra<'d> {
    /// A document of a bundle.
    pub(super) fn document(record: &'d ExtraRecord) -> Self {
        Self { type_name: "Document", record, owner: None }
    }

    /// A webhook of a runtime or application.
    pub(super) fn webhook(record: &'d ExtraRecord, owner: &'static str, id: Uuid) -> Self {
        Self { type_name: "Webhook", record, owner: Some((owner, id)) }
    }
}

impl Object for Extra<'_> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let name = field.name.as_str();
        if let Some((owner, id)) = self.owner
            && owner == name
        {
            return Ok(Resolved::owned(id.to_string()));
        }
        Ok(match name {
            "id" => Resolved::owned(self.record.id.to_string()),
            "createdAt" => timestamp(self.record.created),
            "updatedAt" if self.type_name == "Document" => timestamp(self.record.created),
            name => match self.record.fields.get(name) {
                None | Some(Value::Null) => Resolved::Null,
                Some(value) => Resolved::Json(Cow::Borrowed(value)),
            },
        })
    }
}
