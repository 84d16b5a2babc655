//! An application as the Director shows it.

use std::sync::Arc;

use super::auth::{OwnerKind, SystemAuthObject};
use super::bundle::{ApiObject, BundleObject, EventObject};
use super::extra::Extra;
use super::page::{Limit, Page, PageOf};
use super::runtime::{Eventing, StatusObject, events_url, nothing};
use super::{Director, labels, timestamp};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{ApplicationRecord, normalised};

/// `Application`
pub(super) struct ApplicationObject<'d> {
    pub(super) director: &'d Director<'d>,
    pub(super) record: Arc<ApplicationRecord>,
    /// Its name as this answer has it.
    pub(super) name: String,
    /// It was removed by the operation that returns it: what is read apart is not there any more.
    pub(super) gone: bool,
}

impl<'d> ApplicationObject<'d> {
    /// An application with the name that it has.
    pub(super) fn new(director: &'d Director<'d>, record: Arc<ApplicationRecord>) -> Self {
        let name = record.name.clone();
        Self { director, record, name, gone: false }
    }
}

impl Object for ApplicationObject<'_> {
    fn type_name(&self) -> &'static str {
        "Application"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let record = &*self.record;
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(record.id.to_string()),
            "name" => Resolved::text(&self.name),
            "providerName" => Resolved::optional(record.provider_name.as_deref()),
            "description" => Resolved::optional(record.description.as_deref()),
            "systemNumber" => Resolved::optional(record.system_number.as_deref()),
            "baseUrl" => Resolved::optional(record.base_url.as_deref()),
            "labels" | "webhooks" if self.gone => Resolved::Null,
            "bundles" if self.gone => {
                let page = Page::asked(field, 0, Limit::UpTo200)?;
                Resolved::object(PageOf::new("BundlePage", page, Vec::<BundleObject<'_>>::new()))
            }
            "labels" => labels(field, &record.labels, &record.formations, |_| false),
            "status" => Resolved::object(StatusObject {
                type_name: "ApplicationStatus",
                status: record.status,
            }),
            "bundles" => self.bundles(field)?,
            "bundle" => {
                let found = record.bundles.iter().find(|one| is_id(field, one.id));
                Resolved::optional_object(found.map(|record| self.bundle(record)))
            }
            "apiDefinition" => {
                let mut apis = record.bundles.iter().flat_map(|bundle| &bundle.apis);
                let found = apis.find(|(id, _)| is_id(field, *id));
                Resolved::optional_object(found.map(|(id, api)| ApiObject {
                    id: *id,
                    api,
                    created: record.created,
                }))
            }
            "eventDefinition" => {
                let mut events = record.bundles.iter().flat_map(|bundle| &bundle.events);
                let found = events.find(|(id, _)| is_id(field, *id));
                Resolved::optional_object(found.map(|(id, event)| EventObject {
                    id: *id,
                    event,
                    created: record.created,
                }))
            }
            "auths" => {
                let ids = self.director.landscape.auth_ids(record.id);
                let kind = OwnerKind::Application;
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
                type_name: "ApplicationEventingConfiguration",
                default_url: self.events_url(),
            }),
            "integrationDependencies" => {
                let page = Page::asked(field, 0, Limit::UpTo200)?;
                Resolved::object(PageOf::new("IntegrationDependencyPage", page, Vec::<Self>::new()))
            }
            "webhooks" if self.director.caller.may("application.webhooks:read") => {
                let all = record.webhooks.iter();
                Resolved::objects(all.map(|one| Extra::webhook(one, "applicationID", record.id)))
            }
            "localTenantID" => Resolved::optional(record.local_tenant_id.as_deref()),
            "healthCheckURL" => Resolved::optional(record.health_check_url.as_deref()),
            "applicationNamespace" => Resolved::optional(record.namespace.as_deref()),
            "integrationSystemID" => optional_id(record.integration_system),
            "applicationTemplateID" => optional_id(record.template),
            "operations" => nothing(),
            "createdAt" => timestamp(record.created),
            "updatedAt" => timestamp(record.updated),
            "webhooks" | "deletedAt" | "systemStatus" | "error" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

impl ApplicationObject<'_> {
    fn bundle<'a>(
        &'a self,
        record: &'a crate::compass::landscape::BundleRecord,
    ) -> BundleObject<'a> {
        BundleObject { director: self.director, record }
    }

    fn bundles(&self, field: &Field) -> Result<Resolved<'_>, Failure> {
        let all = &self.record.bundles;
        let page = Page::asked(field, all.len(), Limit::UpTo200)?;
        let items = all[page.range()].iter().map(|record| self.bundle(record)).collect();
        Ok(Resolved::object(PageOf::new("BundlePage", page, items)))
    }

    /// Where the application sends events: a path of its own at a runtime beside it.
    fn events_url(&self) -> String {
        let Some(runtime) = self.director.landscape.runtime_beside(&self.record) else {
            return String::new();
        };
        let uri: Option<http::Uri> = events_url(&runtime).parse().ok();
        let Some((scheme, authority)) =
            uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)))
        else {
            return String::new();
        };
        format!("{scheme}://{authority}/{}/v1/events", normalised(&self.record.name))
    }
}

fn optional_id(id: Option<uuid::Uuid>) -> Resolved<'static> {
    id.map_or(Resolved::Null, |id| Resolved::owned(id.to_string()))
}

/// Whether the argument `id` is this id.
pub(super) fn is_id(field: &Field, id: uuid::Uuid) -> bool {
    uuid::Uuid::parse_str(field.text("id")) == Ok(id)
}
