//! A runtime as the Director shows it.

use std::sync::Arc;

use super::auth::{OwnerKind, SystemAuthObject};
use super::extra::Extra;
use super::labels::is_hidden;
use super::page::{Limit, Page, PageOf};
use super::{Director, labels, timestamp};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{Runtime, Status};

/// `Runtime`
pub(super) struct RuntimeObject<'d> {
    pub(super) director: &'d Director<'d>,
    pub(super) record: Arc<Runtime>,
    /// It was removed by the operation that returns it: what is read apart is not there any more.
    pub(super) gone: bool,
}

impl Object for RuntimeObject<'_> {
    fn type_name(&self) -> &'static str {
        "Runtime"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let record = &*self.record;
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(record.id.to_string()),
            "name" => Resolved::text(&record.name),
            "description" => Resolved::optional(record.description.as_deref()),
            "metadata" => Resolved::object(Metadata(record)),
            "status" => {
                Resolved::object(StatusObject { type_name: "RuntimeStatus", status: record.status })
            }
            "labels" if self.gone => Resolved::Null,
            "labels" => labels(field, &record.labels, &record.formations, is_hidden),
            "auths" => {
                let ids = self.director.landscape.auth_ids(record.id);
                let kind = OwnerKind::Runtime;
                Resolved::objects(ids.into_iter().map(move |id| SystemAuthObject {
                    director: self.director,
                    kind,
                    id,
                    owner: record.id,
                    tenant: &record.tenant,
                    client_secret: None,
                }))
            }
            "eventingConfiguration" => Resolved::object(Eventing {
                type_name: "RuntimeEventingConfiguration",
                default_url: events_url(record).into(),
            }),
            "webhooks" if self.gone => Resolved::Null,
            "webhooks" if self.director.caller.may("runtime.webhooks:read") => {
                let all = record.webhooks.iter();
                Resolved::objects(all.map(|one| Extra::webhook(one, "runtimeID", record.id)))
            }
            "applicationNamespace" => Resolved::optional(record.namespace.as_deref()),
            "runtimeContexts" => {
                let page = Page::asked(field, 0, Limit::UpTo200)?;
                Resolved::object(PageOf::new("RuntimeContextPage", page, Vec::<Self>::new()))
            }
            "webhooks" | "runtimeContext" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

/// Where a runtime takes events, as its agent has said.
pub(super) fn events_url(runtime: &Runtime) -> &str {
    let label = runtime.labels.get("runtime_eventServiceUrl");
    label.and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// A list of which the landscape has no items.
pub(super) fn nothing() -> Resolved<'static> {
    Resolved::List(Vec::new())
}

struct Metadata<'a>(&'a Runtime);

impl Object for Metadata<'_> {
    fn type_name(&self) -> &'static str {
        "RuntimeMetadata"
    }

    fn resolve<'a>(&'a self, _field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(timestamp(self.0.created))
    }
}

/// `RuntimeStatus` and `ApplicationStatus`
pub(super) struct StatusObject {
    pub(super) type_name: &'static str,
    pub(super) status: Status,
}

impl Object for StatusObject {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "condition" => Resolved::text(self.status.condition),
            _ => timestamp(self.status.since),
        })
    }
}

/// `RuntimeEventingConfiguration` and `ApplicationEventingConfiguration`
pub(super) struct Eventing {
    pub(super) type_name: &'static str,
    pub(super) default_url: String,
}

impl Object for Eventing {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn resolve<'a>(&'a self, _field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(Resolved::text(&self.default_url))
    }
}
