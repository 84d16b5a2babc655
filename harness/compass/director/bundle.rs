//! Bundles with their APIs and events, as the Director shows them.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::application::is_id;
use super::auth::AuthObject;
use super::extra::Extra;
use super::page::{Limit, Page, PageOf};
use super::runtime::nothing;
use super::{Director, timestamp};
use crate::compass::application::{Api, EventDefinition, Spec, Version};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{ApplicationRecord, BundleRecord};

/// `Bundle` as an operation returns it, with the application that it belongs to.
pub(super) struct LastBundle<'d> {
    pub(super) director: &'d Director<'d>,
    pub(super) application: Arc<ApplicationRecord>,
}

impl Object for LastBundle<'_> {
    fn type_name(&self) -> &'static str {
        "Bundle"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let last = self.application.bundles.last();
        last.map_or(Ok(Resolved::Null), |record| resolve(self.director, record, field))
    }
}

/// `Bundle`
pub(super) struct BundleObject<'d> {
    pub(super) director: &'d Director<'d>,
    pub(super) record: &'d BundleRecord,
}

impl Object for BundleObject<'_> {
    fn type_name(&self) -> &'static str {
        "Bundle"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        resolve(self.director, self.record, field)
    }
}

fn resolve<'a>(
    director: &'a Director<'a>,
    record: &'a BundleRecord,
    field: &Field,
) -> Result<Resolved<'a>, Failure> {
    let created = record.created;
    let may_see_auths = director.caller.may("bundle.instance_auths:read");
    Ok(match field.name.as_str() {
        "id" => Resolved::owned(record.id.to_string()),
        "name" => Resolved::text(&record.name),
        "description" => Resolved::optional(record.description.as_deref()),
        "instanceAuthRequestInputSchema" => {
            Resolved::optional(record.instance_auth_request_input_schema.as_deref())
        }
        "defaultInstanceAuth" if may_see_auths => {
            Resolved::optional_object(record.auth.as_ref().map(AuthObject::Bundle))
        }
        "instanceAuths" if may_see_auths => nothing(),
        "apiDefinitions" => {
            let all = of_group(field, &record.apis, |api| api.group.as_deref());
            let page = Page::asked(field, all.len(), Limit::UpTo200)?;
            let object = |(id, api): &&'a (Uuid, Api)| ApiObject { id: *id, api, created };
            let items = all[page.range()].iter().map(object).collect();
            Resolved::object(PageOf::new("APIDefinitionPage", page, items))
        }
        "eventDefinitions" => {
            let all = of_group(field, &record.events, |event| event.group.as_deref());
            let page = Page::asked(field, all.len(), Limit::UpTo200)?;
            let object =
                |(id, event): &&'a (Uuid, EventDefinition)| EventObject { id: *id, event, created };
            let items = all[page.range()].iter().map(object).collect();
            Resolved::object(PageOf::new("EventDefinitionPage", page, items))
        }
        "apiDefinition" => {
            let found = record.apis.iter().find(|(id, _)| is_id(field, *id));
            Resolved::optional_object(found.map(|(id, api)| ApiObject { id: *id, api, created }))
        }
        "eventDefinition" => {
            let found = record.events.iter().find(|(id, _)| is_id(field, *id));
            Resolved::optional_object(found.map(|(id, event)| EventObject {
                id: *id,
                event,
                created,
            }))
        }
        "documents" => {
            let all = &record.documents;
            let page = Page::asked(field, all.len(), Limit::UpTo200)?;
            let items = all[page.range()].iter().map(Extra::document).collect();
            Resolved::object(PageOf::new("DocumentPage", page, items))
        }
        "document" => {
            let found = record.documents.iter().find(|one| is_id(field, one.id));
            Resolved::optional_object(found.map(Extra::document))
        }
        "createdAt" | "updatedAt" => timestamp(created),
        "correlationIDs" => {
            let ids = &record.correlation_ids;
            Resolved::List(ids.iter().map(|id| Resolved::text(id)).collect())
        }
        "defaultInstanceAuth" | "instanceAuths" | "instanceAuth" | "deletedAt" | "error" => {
            Resolved::Null
        }
        other => return Err(unknown_field(other)),
    })
}

/// The items of the group that is asked for, or all.
fn of_group<'a, T>(
    field: &Field,
    all: &'a [(Uuid, T)],
    group_of: impl Fn(&T) -> Option<&str>,
) -> Vec<&'a (Uuid, T)> {
    let wanted = field.arguments.get("group").and_then(serde_json::Value::as_str);
    let is_wanted = |item: &T| wanted.is_none() || group_of(item) == wanted;
    all.iter().filter(|(_, item)| is_wanted(item)).collect()
}

/// `APIDefinition`
pub(super) struct ApiObject<'d> {
    pub(super) id: Uuid,
    pub(super) api: &'d Api,
    pub(super) created: Timestamp,
}

impl Object for ApiObject<'_> {
    fn type_name(&self) -> &'static str {
        "APIDefinition"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(self.id.to_string()),
            "name" => Resolved::text(&self.api.name),
            "description" => Resolved::optional(self.api.description.as_deref()),
            "targetURL" => Resolved::text(&self.api.url),
            "group" => Resolved::optional(self.api.group.as_deref()),
            "version" => Resolved::optional_object(self.api.version.as_ref().map(VersionObject)),
            "created_at" | "updated_at" => timestamp(self.created),
            "spec" => Resolved::optional_object(self.api.spec.as_ref().map(|spec| SpecObject {
                type_name: "APISpec",
                id: self.id,
                spec,
            })),
            "deleted_at" | "error" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

/// `EventDefinition`
pub(super) struct EventObject<'d> {
    pub(super) id: Uuid,
    pub(super) event: &'d EventDefinition,
    pub(super) created: Timestamp,
}

impl Object for EventObject<'_> {
    fn type_name(&self) -> &'static str {
        "EventDefinition"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(self.id.to_string()),
            "name" => Resolved::text(&self.event.name),
            "description" => Resolved::optional(self.event.description.as_deref()),
            "group" => Resolved::optional(self.event.group.as_deref()),
            "version" => Resolved::optional_object(self.event.version.as_ref().map(VersionObject)),
            "createdAt" | "updatedAt" => timestamp(self.created),
            "spec" => Resolved::optional_object(self.event.spec.as_ref().map(|spec| SpecObject {
                type_name: "EventSpec",
                id: self.id,
                spec,
            })),
            "deletedAt" | "error" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

/// `APISpec` and `EventSpec`
struct SpecObject<'d> {
    type_name: &'static str,
    /// Of the API or event, which has one specification.
    id: Uuid,
    spec: &'d Spec,
}

impl Object for SpecObject<'_> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(Uuid::new_v5(&self.id, b"spec").to_string()),
            "data" => Resolved::optional(self.spec.data.as_deref()),
            "type" => Resolved::text(&self.spec.kind),
            "format" => Resolved::text(&self.spec.format),
            "fetchRequest" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

struct VersionObject<'d>(&'d Version);

impl Object for VersionObject<'_> {
    fn type_name(&self) -> &'static str {
        "Version"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let flag = |value: Option<bool>| value.map_or(Resolved::Null, Resolved::Bool);
        Ok(match field.name.as_str() {
            "value" => Resolved::text(&self.0.value),
            "deprecated" => flag(self.0.deprecated),
            "deprecatedSince" => Resolved::optional(self.0.deprecated_since.as_deref()),
            "forRemoval" => flag(self.0.for_removal),
            other => return Err(unknown_field(other)),
        })
    }
}
