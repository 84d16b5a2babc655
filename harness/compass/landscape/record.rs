//! Applications and runtimes as the Director keeps them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::names::normalised;
use crate::compass::application::{Api, Application, Bundle, Credentials, EventDefinition};

/// The names of everything are derived from this, so that ids are the same in every run.
const NAMESPACE: Uuid = Uuid::from_u128(0x7a1e_9d52_3c0f_4b6e_9a47_c0a7_0c0d_e5e7);

/// The id of a thing with this name below that parent.
pub(super) fn stable_id(parent: Uuid, kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&parent, format!("{kind}/{name}").as_bytes())
}

/// The id of a thing that stands for itself.
pub(super) fn stable_root_id(kind: &str, name: &str) -> Uuid {
    stable_id(NAMESPACE, kind, name)
}

/// What the Director says of an object's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) condition: &'static str,
    pub(crate) since: Timestamp,
}

impl Status {
    /// Nobody has used the object yet.
    pub(super) fn initial() -> Self {
        Self::now("INITIAL")
    }

    /// A condition that begins now.
    pub(super) fn now(condition: &'static str) -> Self {
        Self { condition, since: Timestamp::now() }
    }

    /// Its owner talks to the Director.
    pub(super) fn connect(&mut self) {
        if self.condition != "CONNECTED" {
            *self = Self::now("CONNECTED");
        }
    }
}

/// A runtime.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) tenant: String,
    /// All labels but `scenarios`.
    pub(crate) labels: BTreeMap<String, Value>,
    /// The formations that it belongs to: the label `scenarios`.
    pub(crate) formations: BTreeSet<String>,
    pub(crate) status: Status,
    pub(crate) created: Timestamp,
    pub(crate) namespace: Option<String>,
    pub(crate) webhooks: Vec<ExtraRecord>,
}

/// Something that is kept as it was given and is of no consequence: a webhook, a document.
#[derive(Debug, Clone)]
pub(crate) struct ExtraRecord {
    pub(crate) id: Uuid,
    pub(crate) fields: Map<String, Value>,
    pub(crate) created: Timestamp,
}

impl ExtraRecord {
    /// A new one with these fields.
    pub(crate) fn new(fields: Map<String, Value>) -> Self {
        Self { id: Uuid::new_v4(), fields, created: Timestamp::now() }
    }
}

impl Runtime {
    /// Whether the Director writes names of applications in their normalised form for it.
    pub(crate) fn wants_normal_names(&self) -> bool {
        match self.labels.get("isNormalized") {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text == "true",
            Some(_) => false,
        }
    }

    /// The name under which the Director lists an application for this runtime.
    pub(crate) fn name_of(&self, application: &ApplicationRecord) -> String {
        let mut name = if self.wants_normal_names() {
            normalised(&application.name)
        } else {
            application.name.clone()
        };
        if let Some(number) = &application.system_number {
            name.push('-');
            name.push_str(number);
        }
        name
    }

    /// Whether this runtime sees that application.
    pub(crate) fn sees(&self, application: &ApplicationRecord) -> bool {
        self.tenant == application.tenant && !self.formations.is_disjoint(&application.formations)
    }
}

/// An application.
#[derive(Debug, Clone)]
pub(crate) struct ApplicationRecord {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) provider_name: Option<String>,
    pub(crate) system_number: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) tenant: String,
    /// All labels but `scenarios`.
    pub(crate) labels: BTreeMap<String, Value>,
    /// The formations that it belongs to: the label `scenarios`.
    pub(crate) formations: BTreeSet<String>,
    pub(crate) status: Status,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) bundles: Vec<BundleRecord>,
    pub(crate) integration_system: Option<Uuid>,
    pub(crate) template: Option<Uuid>,
    pub(crate) health_check_url: Option<String>,
    pub(crate) local_tenant_id: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) webhooks: Vec<ExtraRecord>,
}

impl ApplicationRecord {
    /// An application as somebody wrote it, under this id.
    pub(super) fn new(
        id: Uuid,
        tenant: &str,
        formations: BTreeSet<String>,
        written: &Application,
    ) -> Self {
        let now = Timestamp::now();
        let mut record = Self {
            id,
            name: String::new(),
            description: None,
            provider_name: None,
            system_number: None,
            base_url: None,
            tenant: tenant.into(),
            labels: BTreeMap::new(),
            formations,
            status: Status::initial(),
            created: now,
            updated: now,
            bundles: Vec::new(),
            integration_system: None,
            template: None,
            health_check_url: None,
            local_tenant_id: None,
            namespace: None,
            webhooks: Vec::new(),
        };
        record.rewrite(written);
        record
    }

    /// Takes over everything that is written; id, tenant, formations and status stay.
    pub(super) fn rewrite(&mut self, written: &Application) {
        self.rename(&written.name);
        self.description.clone_from(&written.description);
        self.provider_name.clone_from(&written.provider_name);
        self.system_number.clone_from(&written.system_number);
        self.labels.extend(written.labels.clone());
        self.bundles.clear();
        self.base_url = None;
        for bundle in written.all_bundles() {
            self.add_bundle(bundle);
        }
        self.updated = Timestamp::now();
    }

    /// Adds a bundle; without a base URL, that of its first API is taken.
    pub(super) fn add_bundle(&mut self, bundle: Bundle) -> &mut BundleRecord {
        let id = free_id(&self.bundles, |known| known.id, self.id, "bundle", &bundle.name);
        if self.base_url.is_none() {
            self.base_url = bundle.apis.first().and_then(|api| origin(&api.url));
        }
        self.updated = Timestamp::now();
        self.bundles.push(BundleRecord::new(id, bundle));
        let last = self.bundles.len() - 1;
        &mut self.bundles[last]
    }

    /// Gives it another name; it stays the same application.
    pub(super) fn rename(&mut self, name: &str) {
        self.name = name.into();
        self.labels.insert("name".into(), normalised(name).into());
        self.labels.entry("managed".into()).or_insert_with(|| "false".into());
        self.updated = Timestamp::now();
    }
}

/// A bundle of an application.
#[derive(Debug, Clone)]
pub(crate) struct BundleRecord {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) instance_auth_request_input_schema: Option<String>,
    pub(crate) auth: Option<AuthRecord>,
    pub(crate) apis: Vec<(Uuid, Api)>,
    pub(crate) events: Vec<(Uuid, EventDefinition)>,
    pub(crate) documents: Vec<ExtraRecord>,
    pub(crate) correlation_ids: Vec<String>,
    pub(crate) created: Timestamp,
}

impl BundleRecord {
    fn new(id: Uuid, written: Bundle) -> Self {
        let mut record = Self {
            id,
            name: written.name,
            description: written.description,
            instance_auth_request_input_schema: written.instance_auth_request_input_schema,
            auth: AuthRecord::new(written.credentials, written.headers, written.query_parameters),
            apis: Vec::new(),
            events: Vec::new(),
            documents: Vec::new(),
            correlation_ids: Vec::new(),
            created: Timestamp::now(),
        };
        for api in written.apis {
            let id = free_id(&record.apis, |known| known.0, id, "api", &api.name);
            record.apis.push((id, api));
        }
        for event in written.events {
            let id = free_id(&record.events, |known| known.0, id, "event", &event.name);
            record.events.push((id, event));
        }
        record
    }
}

/// How callers of a bundle prove who they are.
#[derive(Debug, Clone)]
pub(crate) struct AuthRecord {
    pub(crate) credentials: Credentials,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) query_parameters: BTreeMap<String, Vec<String>>,
}

impl AuthRecord {
    fn new(
        credentials: Option<Credentials>,
        headers: BTreeMap<String, Vec<String>>,
        query_parameters: BTreeMap<String, Vec<String>>,
    ) -> Option<Self> {
        let nothing = credentials.is_none() && headers.is_empty() && query_parameters.is_empty();
        let auth = Self { credentials: credentials.unwrap_or_default(), headers, query_parameters };
        (!nothing).then_some(auth)
    }
}

/// A stable id for the name; things of one name are told apart by counting.
fn free_id<T>(
    known: &[T],
    id_of: impl Fn(&T) -> Uuid,
    parent: Uuid,
    kind: &str,
    name: &str,
) -> Uuid {
    let id = stable_id(parent, kind, name);
    if known.iter().all(|one| id_of(one) != id) {
        return id;
    }
    stable_id(parent, kind, &format!("{name}#{}", known.len()))
}

/// Scheme and authority of a URL, from which the Director derives `baseUrl`.
fn origin(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}
