//! The Director: what runtimes read of it, and what administrators and integration systems do.

mod application;
mod auth;
mod bundle;
mod error;
mod extra;
mod formation;
mod input;
mod labels;
mod page;
mod register;
mod runtime;
mod system;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use apollo_compiler::Schema;
use apollo_compiler::ast::OperationType;
use apollo_compiler::validation::Valid;
use jiff::Timestamp;
use serde::Serializer as _;
use serde_json::Value;
use uuid::Uuid;

use self::application::ApplicationObject;
use self::error::DirectorError;
use self::labels::{delete_runtime_label, set_application_label, set_runtime_label};
use self::page::{Limit, Page, PageOf};
use self::runtime::RuntimeObject;
use super::caller::{Caller, Consumer, Flow};
use super::connector::unknown_field;
use super::graphql::{
    Documents, Failure, Field, HttpAnswer, Object, Plan, RequestError, Resolved, Response,
    SentError, Server, answer, error_answer, execute,
};
use super::landscape::Landscape;
use super::servers::Asked;

/// The schema of the Director.
pub(crate) const SDL: &str = include_str!("../../../fixtures/compass/director.graphql");

static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(SDL, "director.graphql")
        .expect("the schema of the Director is valid")
});

/// The documents of the Director's schema.
pub(crate) fn documents() -> Documents {
    Documents::new(&SCHEMA)
}

/// Answers a request to the Director's `/graphql`.
pub(super) fn respond(
    landscape: &Landscape,
    documents: &Documents,
    asked: Asked<'_>,
) -> HttpAnswer {
    let Some(caller) = asked.caller else {
        // The edge gives everybody a bearer token; whoever has none did not come that way.
        return error_answer(400, DirectorError::unauthorized("invalid bearer token").into());
    };
    if let Some(foreign) = &caller.foreign_tenant {
        return error_answer(400, DirectorError::tenant_not_found(foreign).into());
    }
    if let Some(consumer) = caller.consumer.filter(|_| caller.flow == Flow::Certificate) {
        landscape.mark_connected(consumer);
    }
    let suggest_token = asked.headers.get("suggest_token").is_some_and(|value| value == "true");
    let director = Director { landscape, documents, caller, suggest_token };
    answer(&director, asked.into())
}

/// One request to the Director.
struct Director<'a> {
    landscape: &'a Landscape,
    documents: &'a Documents,
    caller: &'a Caller,
    /// The header `suggest_token`.
    suggest_token: bool,
}

impl Server for Director<'_> {
    fn documents(&self) -> &Documents {
        self.documents
    }

    fn present(&self, error: &RequestError) -> SentError {
        // gqlparser's text begins with the place.
        let place =
            error.location.map_or_else(String::new, |(line, column)| format!("{line}:{column}:"));
        DirectorError::internal(&format!("input:{place} {}", error.message)).into()
    }

    fn run(&self, plan: &Plan, text: &str) -> Response {
        let response = execute(plan, &Root { director: self, kind: plan.kind });
        // Written after the answer to the first request that knows bundles at all.
        if let Some(Consumer::Runtime(runtime)) = self.caller.consumer
            && (text.contains("bundle") || text.contains("Bundle"))
        {
            self.landscape.set_own_label(runtime, "useBundles", "true");
        }
        response
    }
}

struct Root<'a> {
    director: &'a Director<'a>,
    kind: OperationType,
}

impl Object for Root<'_> {
    fn type_name(&self) -> &'static str {
        match self.kind {
            OperationType::Mutation => "Mutation",
            OperationType::Query | OperationType::Subscription => "Query",
        }
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let director = self.director;
        match field.name.as_str() {
            "runtime" => director.runtime(field),
            "runtimes" => director.runtimes(field),
            "application" => director.application(field),
            "applications" => director.applications(field),
            "applicationsForRuntime" => {
                director.require("application:read")?;
                director.applications_for_runtime(field, field.text("runtimeID"))
            }
            name => match scope_of(name) {
                None => Err(unknown_field(name)),
                Some(scope) => {
                    director.require(scope)?;
                    mutate(director, field)
                }
            },
        }
    }
}

/// The scope that a mutation needs.
fn scope_of(mutation: &str) -> Option<&'static str> {
    Some(match mutation {
        "registerRuntime"
        | "unregisterRuntime"
        | "setRuntimeLabel"
        | "deleteRuntimeLabel"
        | "requestOneTimeTokenForRuntime" => "runtime:write",
        "registerApplication"
        | "registerApplicationFromTemplate"
        | "updateApplication"
        | "unregisterApplication"
        | "addBundle"
        | "setApplicationLabel"
        | "requestOneTimeTokenForApplication" => "application:write",
        "createFormation" | "deleteFormation" | "assignFormation" | "unassignFormation" => {
            "formation:write"
        }
        "registerIntegrationSystem"
        | "unregisterIntegrationSystem"
        | "requestClientCredentialsForIntegrationSystem"
        | "deleteSystemAuthForIntegrationSystem" => "integration_system:write",
        _ => return None,
    })
}

fn mutate<'d>(director: &'d Director<'d>, field: &Field) -> Result<Resolved<'d>, Failure> {
    Ok(match field.name.as_str() {
        "setRuntimeLabel" => Resolved::object(set_runtime_label(director, field)?),
        "deleteRuntimeLabel" => Resolved::object(delete_runtime_label(director, field)?),
        "setApplicationLabel" => Resolved::object(set_application_label(director, field)?),
        "registerRuntime" => Resolved::object(register::register_runtime(director, field)?),
        "unregisterRuntime" => Resolved::object(register::unregister_runtime(director, field)?),
        "registerApplication" => Resolved::object(register::register_application(director, field)?),
        "registerApplicationFromTemplate" => {
            Resolved::object(register::register_from_template(director, field)?)
        }
        "updateApplication" => Resolved::object(register::update_application(director, field)?),
        "unregisterApplication" => {
            Resolved::object(register::unregister_application(director, field)?)
        }
        "addBundle" => Resolved::object(register::add_bundle(director, field)?),
        "requestOneTimeTokenForRuntime" => Resolved::object(token::for_runtime(director, field)?),
        "requestOneTimeTokenForApplication" => {
            Resolved::object(token::for_application(director, field)?)
        }
        "createFormation" => Resolved::object(formation::create(director, field)?),
        "deleteFormation" => Resolved::object(formation::delete(director, field)?),
        "assignFormation" => Resolved::object(formation::assign(director, field)?),
        "unassignFormation" => Resolved::object(formation::unassign(director, field)?),
        "registerIntegrationSystem" => Resolved::object(system::register(director, field)?),
        "unregisterIntegrationSystem" => Resolved::object(system::unregister(director, field)?),
        "requestClientCredentialsForIntegrationSystem" => {
            Resolved::object(system::request_credentials(director, field)?)
        }
        "deleteSystemAuthForIntegrationSystem" => {
            Resolved::object(system::delete_credentials(director, field)?)
        }
        other => return Err(unknown_field(other)),
    })
}

impl Director<'_> {
    fn require(&self, scope: &str) -> Result<(), DirectorError> {
        if self.caller.may(scope) {
            return Ok(());
        }
        Err(DirectorError::insufficient_scopes(self.caller.scopes(), scope))
    }

    fn tenant(&self) -> Result<&str, DirectorError> {
        self.caller.tenant.as_deref().ok_or_else(DirectorError::tenant_required)
    }

    fn runtime(&self, field: &Field) -> Result<Resolved<'_>, Failure> {
        self.require("runtime:read")?;
        let tenant = self.tenant()?;
        let id = database_id(field.text("id"))?;
        let runtime = self.landscape.runtime(tenant, id);
        Ok(Resolved::optional_object(runtime.map(|record| RuntimeObject {
            director: self,
            record,
            gone: false,
        })))
    }

    fn runtimes(&self, field: &Field) -> Result<Resolved<'_>, Failure> {
        self.require("runtime:read")?;
        let mut all = self.landscape.runtimes_of(self.tenant()?);
        let page = Page::asked(field, all.len(), Limit::UpTo200)?;
        let object = |record| RuntimeObject { director: self, record, gone: false };
        let items = all.drain(page.range()).map(object).collect();
        Ok(Resolved::object(PageOf::new("RuntimePage", page, items)))
    }

    fn applications(&self, field: &Field) -> Result<Resolved<'_>, Failure> {
        self.require("application:read")?;
        // A runtime that asks so is given what it would be given for itself.
        if let Some(Consumer::Runtime(runtime)) = self.caller.consumer {
            return self.applications_for_runtime(field, &runtime.to_string());
        }
        let mut all = self.landscape.applications_of(self.tenant()?);
        let page = Page::asked(field, all.len(), Limit::UpTo200)?;
        let object = |record| ApplicationObject::new(self, record);
        let items = all.drain(page.range()).map(object).collect();
        Ok(Resolved::object(PageOf::new("ApplicationPage", page, items)))
    }

    fn application(&self, field: &Field) -> Result<Resolved<'_>, Failure> {
        self.require("application:read")?;
        let tenant = self.tenant()?;
        let id = database_id(field.text("id"))?;
        let Some(record) = self.landscape.application(tenant, id) else {
            return Ok(Resolved::Null);
        };
        // A runtime sees what it shares a formation with.
        if let Some(Consumer::Runtime(runtime)) = self.caller.consumer {
            let runtime = self.landscape.runtime(tenant, runtime);
            if !runtime.is_some_and(|runtime| runtime.sees(&record)) {
                return Err(
                    DirectorError::invalid_operation("Forbidden: Missing formations").into()
                );
            }
        }
        Ok(Resolved::object(ApplicationObject::new(self, record)))
    }

    fn applications_for_runtime(&self, field: &Field, id: &str) -> Result<Resolved<'_>, Failure> {
        if field.arguments.get("first").is_none_or(Value::is_null) {
            return Err(DirectorError::invalid_data("missing required parameter 'first'").into());
        }
        let id = Uuid::parse_str(id).map_err(|_| {
            let reason =
                format!("while converting runtimeID to UUID: invalid UUID length: {}", id.len());
            DirectorError::internal(&reason)
        })?;
        let tenant = self.tenant()?;
        let runtime = self.landscape.runtime(tenant, id);
        let runtime =
            runtime.ok_or_else(|| DirectorError::invalid_data("runtime does not exist"))?;
        if runtime.formations.is_empty() {
            let nothing = Vec::<ApplicationObject<'_>>::new();
            return Ok(Resolved::object(PageOf::new("ApplicationPage", Page::empty(), nothing)));
        }
        let mut applications = self.landscape.applications_for(&runtime);
        let page = Page::asked(field, applications.len(), Limit::AtLeastOne)?;
        let items = applications.drain(page.range()).map(|record| {
            let name = runtime.name_of(&record);
            ApplicationObject { director: self, record, name, gone: false }
        });
        let items = items.collect();
        Ok(Resolved::object(PageOf::new("ApplicationPage", page, items)))
    }
}

/// An id that goes to the database unchecked, where what is no UUID is a type error.
fn database_id(id: &str) -> Result<Uuid, DirectorError> {
    Uuid::parse_str(id).map_err(|_| DirectorError::internal_without_reason())
}

/// `Timestamp` on the wire: RFC 3339 in whole seconds.
fn timestamp(time: Timestamp) -> Resolved<'static> {
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or(time);
    Resolved::owned(seconds.to_string())
}

/// `Labels` on the wire: an object with all labels, or with the one that is asked for. The label
/// `scenarios` is there only for members of a formation.
fn labels(
    field: &Field,
    own: &BTreeMap<String, Value>,
    formations: &BTreeSet<String>,
    is_hidden: fn(&str) -> bool,
) -> Resolved<'static> {
    let wanted = field.arguments.get("key").and_then(Value::as_str);
    let scenarios = (!formations.is_empty()).then(|| formations.iter().cloned().collect());
    let mut all = Vec::from_iter(own.iter().map(|(key, value)| (key.as_str(), value)));
    all.extend(scenarios.as_ref().map(|names: &Value| ("scenarios", names)));
    all.retain(|(key, _)| !is_hidden(key) && wanted.is_none_or(|wanted| wanted == *key));
    all.sort_unstable_by_key(|(key, _)| *key);
    let mut out = Vec::with_capacity(128);
    serde_json::Serializer::new(&mut out)
        .collect_map(all)
        .expect("writing to memory does not fail");
    Resolved::Written(out)
}
