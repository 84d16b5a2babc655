//! What Connector and Director know, behind one lock: data and rules, no I/O.
//!
//! Handles are cheap to clone and share the landscape. Everything that an operator can do to it
//! while it runs is a method; what changes for an agent goes to the journal under the same lock,
//! so that the journal's order is the landscape's.

mod certificates;
mod change;
mod clients;
mod file;
mod formations;
mod names;
mod record;
mod register;
mod systems;
mod tokens;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use uuid::Uuid;

pub use file::{
    CertificatesFile, DEFAULT_FORMATION, DEFAULT_TENANT, IntegrationSystemFile, LandscapeFile,
    RuntimeFile, SubjectFile, TemplateFile, TokensFile,
};
pub use names::normalised;

pub(crate) use clients::{ADMINISTRATOR, Client, Owner, Standing, TenantMapping};
pub(crate) use formations::{FORMATION_TEMPLATE, Formation, Member, Template};
pub(crate) use record::{
    ApplicationRecord, AuthRecord, BundleRecord, ExtraRecord, Runtime, Status,
};
pub(crate) use register::{ApplicationPatch, NewApplication, NewBundle, NewRuntime};
pub(crate) use systems::{BEARER_LIFE, IntegrationSystem};
pub(crate) use tokens::OneTimeToken;

use self::certificates::Certificates;
use self::clients::{Subject, SystemAuth};
use self::systems::Bearers;
use self::tokens::Tokens;
use crate::journal::{Journal, LandscapeEvent};
use crate::pki::Authority;

/// Why an operation on the landscape is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LandscapeError {
    /// There is no such runtime.
    #[error("there is no runtime `{0}`")]
    UnknownRuntime(Uuid),
    /// There is no such application.
    #[error("there is no application `{0}`")]
    UnknownApplication(String),
    /// No certificate with this number was issued.
    #[error("no certificate with number {0} was issued")]
    UnknownCertificate(u32),
    /// An id is given to two things.
    #[error("the id `{0}` is given twice")]
    IdTwice(Uuid),
    /// There is no such formation.
    #[error("there is no formation `{0}`")]
    UnknownFormation(String),
    /// There is a formation of this name already.
    #[error("there is a formation `{0}` already")]
    FormationExists(String),
    /// A formation with members cannot go.
    #[error("the formation `{0}` has members")]
    FormationNotEmpty(Uuid),
    /// An application that belongs to formations cannot go.
    #[error("the application `{name}` belongs to the formations `{}`", .formations.join("`, `"))]
    InFormations {
        /// Its name.
        name: String,
        /// Their names.
        formations: Vec<String>,
    },
    /// There is an application of this name already.
    #[error("there is an application `{0}` already")]
    NameTaken(String),
    /// There is no such integration system.
    #[error("there is no integration system `{0}`")]
    UnknownIntegrationSystem(Uuid),
    /// There is no such system auth.
    #[error("there is no system auth `{0}`")]
    UnknownSystemAuth(Uuid),
    /// An application refers to it.
    #[error("an application refers to the integration system `{0}`")]
    Referred(Uuid),
    /// A member of a formation needs this label.
    #[error("there is no label `{0}`")]
    NoType(&'static str),
    /// A member of a formation needs another value of this label.
    #[error("the label `{key}` may not be `{value}`")]
    UnsupportedType {
        /// The label.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

/// The URLs that clients are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The token-secured Connector.
    pub token_connector: String,
    /// The certificate-secured Connector.
    pub connector: String,
    /// The certificate-secured Director.
    pub director: String,
}

/// A handle to the landscape; clones share it.
#[derive(Clone)]
pub struct Landscape {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Journal,
    subject: SubjectFile,
    tokens: TokensFile,
    /// Changes of the revocation list.
    revocations: watch::Sender<u64>,
    state: RwLock<State>,
}

/// Everything that changes.
struct State {
    tenants: BTreeSet<String>,
    /// By tenant and name; members carry the name.
    formations: BTreeMap<(String, String), Formation>,
    /// Application templates by name.
    templates: BTreeMap<String, Template>,
    systems: BTreeMap<Uuid, IntegrationSystem>,
    bearers: Bearers,
    /// It signs what is issued from now on.
    authority: Arc<Authority>,
    /// Where OAuth clients get their tokens.
    token_endpoint: String,
    /// Subjects of the certificates that make an administrator.
    administrators: HashSet<Subject>,
    runtimes: BTreeMap<Uuid, Arc<Runtime>>,
    /// In the order in which the Director lists them.
    applications: BTreeMap<Uuid, Arc<ApplicationRecord>>,
    /// How many applications have a tenant and a normalised name, of those without a number.
    names: HashMap<(String, String), usize>,
    auths: BTreeMap<Uuid, SystemAuth>,
    auths_of: HashMap<Uuid, Vec<Uuid>>,
    tokens: Tokens,
    certificates: Certificates,
    addresses: Addresses,
    /// The runtime that an agent is started for.
    first_runtime: Uuid,
    /// What the journal was last told of the applications.
    listed: Option<Vec<String>>,
    hidden: HashSet<String>,
}

impl fmt::Debug for Landscape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter
            .debug_struct("Landscape")
            .field("runtimes", &state.runtimes.len())
            .field("applications", &state.applications.len())
            .finish_non_exhaustive()
    }
}

impl Landscape {
    /// A landscape as the file says, whose certificates are signed by `authority`.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::IdTwice`] when the file gives an id to two things.
    pub fn new(
        file: &LandscapeFile,
        authority: Arc<Authority>,
        journal: Journal,
    ) -> Result<Self, LandscapeError> {
        let mut state = State {
            tenants: file.tenants.iter().cloned().collect(),
            formations: BTreeMap::new(),
            templates: BTreeMap::new(),
            systems: BTreeMap::new(),
            bearers: Bearers::default(),
            authority,
            token_endpoint: String::new(),
            administrators: clients::administrators(&file.administrators),
            runtimes: BTreeMap::new(),
            applications: BTreeMap::new(),
            names: HashMap::new(),
            auths: BTreeMap::new(),
            auths_of: HashMap::new(),
            tokens: Tokens::default(),
            certificates: Certificates::new(&file.certificates),
            addresses: Addresses::default(),
            first_runtime: Uuid::nil(),
            listed: None,
            hidden: HashSet::new(),
        };
        let given = [RuntimeFile::default()];
        let given = if file.runtimes.is_empty() { &given[..] } else { &file.runtimes[..] };
        for runtime in given {
            state.add_runtime(runtime)?;
        }
        state.add_templates();
        for template in &file.application_templates {
            let kind = template.application_type.as_ref().unwrap_or(&template.name);
            state.add_template(&template.name, kind);
        }
        for system in &file.integration_systems {
            state.add_integration_system(system)?;
            journal.hide(system.client_secret.expose());
        }
        let tenant = given[0].tenant.clone();
        state.ensure_formations(&tenant, &file.formations);
        let shared = Shared {
            journal,
            subject: file.certificates.subject.clone(),
            tokens: file.tokens.clone(),
            revocations: watch::Sender::new(0),
            state: RwLock::new(state),
        };
        let landscape = Self { shared: Arc::new(shared) };
        landscape.add_applications(&file.applications)?;
        Ok(landscape)
    }

    /// The id of the runtime that an agent is started for.
    #[must_use]
    pub fn runtime_id(&self) -> Uuid {
        self.state().first_runtime
    }

    /// The tenant of the runtime that an agent is started for.
    #[must_use]
    pub fn tenant(&self) -> String {
        let state = self.state();
        state.runtimes.get(&state.first_runtime).map_or_else(String::new, |one| one.tenant.clone())
    }

    /// The ids of all runtimes.
    #[must_use]
    pub fn runtime_ids(&self) -> Vec<Uuid> {
        self.state().runtimes.keys().copied().collect()
    }

    /// The URLs that clients are told.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.state().addresses.clone()
    }

    /// Tells clients other URLs from now on.
    pub fn set_addresses(&self, addresses: Addresses) {
        self.state_mut().addresses = addresses;
    }

    /// Tells OAuth clients where they get their tokens (`https://oauth2.…/oauth2/token`).
    pub fn set_token_endpoint(&self, url: impl Into<String>) {
        self.state_mut().token_endpoint = url.into();
    }

    /// Where OAuth clients get their tokens.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        self.state().token_endpoint.clone()
    }

    /// The names under which the Director lists applications for the first runtime, in its order.
    #[must_use]
    pub fn listed_names(&self) -> Vec<String> {
        let state = self.state();
        state.listed_names()
    }

    /// The authority that signs client certificates.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.state().authority)
    }

    /// Lets another authority sign from now on. Certificates of the one before stay good wherever
    /// that one is still trusted; the doors must trust the new one already.
    pub fn rotate_authority(&self, authority: Arc<Authority>) {
        self.state_mut().authority = authority;
    }

    /// The journal that this landscape writes to.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // Every change is finished before anything in it could panic.
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the journal when the Director lists other names than before.
    fn note_names(&self, state: &mut State) {
        let names = state.listed_names();
        if state.listed.as_ref() != Some(&names) {
            state.listed = Some(names.clone());
            self.shared.journal.record(LandscapeEvent::Applications { names });
        }
    }

    /// Keeps a text out of the journal; asking twice costs nothing.
    fn hide(&self, state: &mut State, secret: &str) {
        if state.hidden.insert(secret.into()) {
            self.shared.journal.hide(secret);
        }
    }
}

impl State {
    fn listed_names(&self) -> Vec<String> {
        let Some(runtime) = self.runtimes.get(&self.first_runtime) else { return Vec::new() };
        let seen = self.applications.values().filter(|one| runtime.sees(one));
        seen.map(|one| runtime.name_of(one)).collect()
    }
}
