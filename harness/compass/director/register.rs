//! Runtimes and applications: registered, changed, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::application::ApplicationObject;
use super::bundle::LastBundle;
use super::error::DirectorError;
use super::input::{Input, Wrong, bundle};
use super::labels::{is_protected, refuse_scenarios};
use super::runtime::RuntimeObject;
use super::{Director, database_id};
use crate::compass::application::Application;
use crate::compass::caller::Consumer;
use crate::compass::graphql::Field;
use crate::compass::landscape::{
    ApplicationPatch, ExtraRecord, NewApplication, NewRuntime, Runtime,
};

/// Longest name of a runtime or application.
const LONGEST_NAME: usize = 256;
const LONGEST_DESCRIPTION: usize = 2000;

/// `registerRuntime`
pub(super) fn register_runtime<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<RuntimeObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let input = Input::of(field, "in");
    let name = input.text("name").unwrap_or_default();
    let mut labels = input.labels();
    let mut wrong = Wrong::default();
    wrong.required("name", Some(&name), LONGEST_NAME);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !name.bytes().all(allowed) {
        wrong.add("name", "must be in a valid format");
    }
    wrong.text("description", input.text("description").as_deref(), LONGEST_DESCRIPTION);
    wrong.labels(&labels);
    wrong.none_in("RuntimeRegisterInput")?;
    refuse_scenarios(&labels)?;
    // Such labels are dropped without a word.
    labels.retain(|key, _| !is_protected(key));
    let mut webhooks = input.extras("webhooks");
    let mut namespace = input.text("applicationNamespace");
    if matches!(director.caller.consumer, Some(Consumer::IntegrationSystem(_))) {
        labels.insert("runtimeType".into(), "kyma".into());
        labels.insert("region".into(), "".into());
        namespace = Some("sap.kyma".into());
        let webhook = [("type", "CONFIGURATION_CHANGED"), ("mode", "ASYNC_CALLBACK")];
        let webhook = webhook.map(|(key, value)| (key.to_owned(), Value::from(value)));
        webhooks.push(ExtraRecord::new(Map::from_iter(webhook)));
    }
    let condition = condition(&input).unwrap_or("INITIAL");
    let description = input.text("description");
    let new = NewRuntime { name, description, labels, namespace, webhooks, condition };
    Ok(shown(director, director.landscape.register_runtime(tenant, new), false))
}

/// `unregisterRuntime`
pub(super) fn unregister_runtime<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<RuntimeObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("id"))?;
    Ok(shown(director, director.landscape.unregister_runtime(tenant, id)?, true))
}

fn shown<'d>(director: &'d Director<'d>, record: Arc<Runtime>, gone: bool) -> RuntimeObject<'d> {
    RuntimeObject { director, record, gone }
}

/// `registerApplication`
pub(super) fn register_application<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<ApplicationObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let input = Input::of(field, "in");
    let labels = input.labels();
    let mut wrong = Wrong::default();
    wrong.required("name", input.text("name").as_deref(), LONGEST_NAME);
    wrong.text("description", input.text("description").as_deref(), LONGEST_DESCRIPTION);
    wrong.text("providerName", input.text("providerName").as_deref(), LONGEST_NAME);
    wrong.labels(&labels);
    let bundles = input.objects("bundles").map(|one| bundle(one, &mut wrong)).collect();
    wrong.none_in("ApplicationRegisterInput")?;
    refuse_scenarios(&labels)?;
    let written = Application {
        description: input.text("description"),
        provider_name: input.text("providerName"),
        labels,
        ..Application::named(input.text("name").unwrap_or_default())
    };
    let new = NewApplication {
        written,
        bundles,
        integration_system: optional_id(&input, "integrationSystemID")?,
        template: None,
        base_url: input.text("baseUrl"),
        health_check_url: input.text("healthCheckURL"),
        local_tenant_id: input.text("localTenantID"),
        namespace: input.text("applicationNamespace"),
        webhooks: input.extras("webhooks"),
        condition: condition(&input).unwrap_or("INITIAL"),
    };
    let record = director.landscape.register_application(tenant, new)?;
    Ok(ApplicationObject::new(director, record))
}

/// `registerApplicationFromTemplate`
pub(super) fn register_from_template<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<ApplicationObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let input = Input::of(field, "in");
    let template_name = input.text("templateName").unwrap_or_default();
    let template = director.landscape.template(&template_name);
    let template = template.ok_or_else(|| DirectorError::not_found("applicationTemplate"))?;
    let values: BTreeMap<String, String> = input
        .objects("values")
        .filter_map(|one| Some((one.text("placeholder")?, one.text("value")?)))
        .collect();
    let Some(name) = values.get("name").filter(|name| !name.is_empty()) else {
        return Err(DirectorError::internal(&format!(
            "while preparing ApplicationCreateInput JSON from Application Template with name \
             {template_name}: required placeholder not provided: value for placeholder name \
             'name' was not found"
        )));
    };
    let mut labels = input.labels();
    refuse_scenarios(&labels)?;
    labels.insert("applicationType".into(), template.application_type.into());
    if let Some(display_name) = values.get("display-name") {
        labels.insert("displayName".into(), display_name.as_str().into());
    }
    let written = Application { labels, ..Application::named(&**name) };
    let new = NewApplication {
        written,
        bundles: Vec::new(),
        integration_system: None,
        template: Some(template.id),
        base_url: None,
        health_check_url: None,
        local_tenant_id: None,
        namespace: None,
        webhooks: Vec::new(),
        condition: "INITIAL",
    };
    let record = director.landscape.register_application(tenant, new)?;
    Ok(ApplicationObject::new(director, record))
}

/// `updateApplication`
pub(super) fn update_application<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<ApplicationObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("id"))?;
    let input = Input::of(field, "in");
    let mut wrong = Wrong::default();
    wrong.text("description", input.text("description").as_deref(), LONGEST_DESCRIPTION);
    wrong.text("providerName", input.text("providerName").as_deref(), LONGEST_NAME);
    wrong.none_in("ApplicationUpdateInput")?;
    let patch = ApplicationPatch {
        provider_name: input.text("providerName"),
        description: input.text("description"),
        health_check_url: input.text("healthCheckURL"),
        base_url: input.text("baseUrl"),
        local_tenant_id: input.text("localTenantID"),
        namespace: input.text("applicationNamespace"),
        integration_system: optional_id(&input, "integrationSystemID")?,
        condition: condition(&input),
    };
    let record = director.landscape.update_application(tenant, id, patch)?;
    Ok(ApplicationObject::new(director, record))
}

/// `unregisterApplication`
pub(super) fn unregister_application<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<ApplicationObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("id"))?;
    let record = director.landscape.unregister_application(tenant, id)?;
    Ok(ApplicationObject { gone: true, ..ApplicationObject::new(director, record) })
}

/// `addBundle`
pub(super) fn add_bundle<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<LastBundle<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("applicationID"))?;
    let mut wrong = Wrong::default();
    let new = bundle(Input::of(field, "in"), &mut wrong);
    wrong.none_in("BundleCreateInput")?;
    let application = director.landscape.add_bundle(tenant, id, new)?;
    Ok(LastBundle { director, application })
}

fn optional_id(input: &Input<'_>, key: &str) -> Result<Option<Uuid>, DirectorError> {
    input.text(key).filter(|id| !id.is_empty()).map(|id| database_id(&id)).transpose()
}

/// The condition that a caller gives; validation has seen that it is one of the enum.
fn condition(input: &Input<'_>) -> Option<&'static str> {
    const CONDITIONS: [&str; 15] = [
        "INITIAL",
        "CONNECTED",
        "FAILED",
        "PROVISIONING",
        "CREATING",
        "CREATE_FAILED",
        "CREATE_SUCCEEDED",
        "UPDATING",
        "UPDATE_FAILED",
        "UPDATE_SUCCEEDED",
        "DELETING",
        "DELETE_FAILED",
        "DELETE_SUCCEEDED",
        "UNPAIRING",
        "UNPAIR_FAILED",
    ];
    let given = input.text("statusCondition")?;
    CONDITIONS.into_iter().find(|condition| *condition == given)
}
