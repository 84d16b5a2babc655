//! Who asks: system auths, the tokens and certificates that stand for them, and their tenants.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Landscape, LandscapeError, OneTimeToken, State};
use crate::compass::application::Secret;
use crate::journal::{ClientCertificate, Identity, TokenEvent};

/// A client of Compass; its id is the common name of its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemAuth {
    pub(super) owner: Owner,
    /// Empty for a client that belongs to no tenant.
    pub(super) tenant: String,
    /// The secret of an OAuth client.
    pub(super) secret: Option<Secret>,
}

/// What a client stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A runtime.
    Runtime(Uuid),
    /// An application.
    Application(Uuid),
    /// An integration system.
    IntegrationSystem(Uuid),
}

/// A client that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// The id of its system auth.
    pub(crate) id: Uuid,
    pub(crate) owner: Owner,
    pub(crate) tenant: String,
}

/// Who asks, and for whom, if that leads to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) identity: Identity,
    pub(crate) client: Option<Client>,
}

/// What the header `Tenant` means for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TenantMapping {
    /// The client's own tenant.
    Own(String),
    /// A tenant that exists and is not the client's.
    Foreign(String),
    /// A tenant that the Director has never heard of: the client is nobody then.
    Unknown,
}

impl Landscape {
    /// Who shows this token; nothing is spent. `None` is a request without a token.
    pub(crate) fn token_standing(&self, token: Option<&str>) -> Standing {
        let Some(text) = token else {
            return Standing { identity: Identity::None, client: None };
        };
        let state = self.state();
        match state.tokens.look_up(text) {
            Ok(token) => state.standing_of(token),
            Err(refusal) => refused_token(refusal.number, refusal.reason),
        }
    }

    /// Accepts the token and thereby spends it, in one step.
    pub(crate) fn spend_token(&self, token: Option<&str>) -> Standing {
        let Some(text) = token else {
            return Standing { identity: Identity::None, client: None };
        };
        let mut state = self.state_mut();
        match state.tokens.spend(text) {
            Ok(token) => {
                self.shared.journal.record(TokenEvent::Used { number: token.number });
                state.standing_of(&token)
            }
            Err(refusal) => refused_token(refusal.number, refusal.reason),
        }
    }

    /// Who shows this certificate.
    pub(crate) fn certificate_standing(&self, shown: Option<&ClientCertificate>) -> Standing {
        let Some(shown) = shown else {
            return Standing { identity: Identity::None, client: None };
        };
        let state = self.state();
        let refused = |number, reason: &str| Standing {
            identity: Identity::RefusedCertificate { number, reason: reason.into() },
            client: None,
        };
        let known = state.certificates.by_fingerprint(&shown.fingerprint);
        let number = known.map(|known| known.number);
        // The hash is asked for before the subject leads anywhere (hydrator, certificate resolver).
        if state.certificates.is_revoked(&shown.fingerprint) {
            return refused(number, "revoked");
        }
        // What the Connector signed has its subject; what it did not sign matches no issuer.
        let Some(known) = known else { return refused(None, "unknown subject") };
        let Some(client) = state.client(known.client) else {
            return refused(number, "no such client");
        };
        Standing { identity: Identity::Certificate { number: known.number }, client: Some(client) }
    }

    /// Who shows this certificate at the door of the external authority.
    ///
    /// The subject has to be one that the authority gives (C, O, the two organizational units that
    /// every certificate has), and one that is mapped to an administrator.
    pub(crate) fn external_standing(&self, shown: Option<&ClientCertificate>) -> Identity {
        let Some(shown) = shown else { return Identity::None };
        let refused =
            |reason: &str| Identity::RefusedCertificate { number: None, reason: reason.into() };
        let state = self.state();
        if state.certificates.is_revoked(&shown.fingerprint) {
            return refused("revoked");
        }
        if !is_external(&shown.subject) {
            return refused("unknown subject");
        }
        let mut subject = shown.subject.clone();
        subject.sort();
        if state.administrators.contains(&subject) {
            Identity::Administrator
        } else {
            refused("no such client")
        }
    }

    /// The client id in a subject (`O=…,OU=…,…,CN=…`), and who issues certificates with it.
    pub(crate) fn client_of_subject(&self, subject: &str) -> Option<(String, &'static str)> {
        let attributes: Subject = subject.split(',').map(|part| part.trim().into()).collect();
        let own = &self.shared.subject;
        let first = |key: &str| {
            attributes.iter().find_map(|attribute| attribute.strip_prefix(key)?.strip_prefix('='))
        };
        let connector = [
            ("O", &own.organization),
            ("OU", &own.organizational_unit),
            ("L", &own.locality),
            ("ST", &own.province),
            ("C", &own.country),
        ];
        if connector.into_iter().all(|(key, value)| first(key) == Some(value)) {
            return Some((first("CN")?.to_owned(), "connector"));
        }
        if !is_external(&attributes) {
            return None;
        }
        let fixed = ["SAP Cloud Platform Clients", "Region"];
        let units = attributes.iter().filter_map(|attribute| attribute.strip_prefix("OU="));
        let id = units.into_iter().find(|unit| !fixed.contains(unit))?;
        Some((id.to_owned(), "certificate-service"))
    }

    /// Whether the Director knows a tenant.
    pub(crate) fn has_tenant(&self, tenant: &str) -> bool {
        self.state().tenants.contains(tenant)
    }

    /// Forgets the stored token of a client that comes with a certificate: tenant mapping rewrites
    /// its system auth on each such request, and the token is not part of what it writes.
    pub(crate) fn drop_stored_token(&self, client: &Client) {
        // Most requests find nothing to forget, and reading does not wait for readers.
        if self.state().tokens.of(client.id).is_some() {
            self.state_mut().tokens.withdraw(client.id);
        }
    }

    /// What the header `Tenant` means for a client; empty is the same as absent.
    pub(crate) fn map_tenant(&self, client: &Client, header: Option<&str>) -> TenantMapping {
        match header.filter(|tenant| !tenant.is_empty()) {
            None => TenantMapping::Own(client.tenant.clone()),
            Some(tenant) if tenant == client.tenant => TenantMapping::Own(tenant.into()),
            Some(tenant) if self.state().tenants.contains(tenant) => {
                TenantMapping::Foreign(tenant.into())
            }
            Some(_) => TenantMapping::Unknown,
        }
    }

    /// Makes a new token for the same client, which the one it had before does not survive.
    pub(crate) fn renew_token(&self, client: Uuid) -> Option<String> {
        let mut state = self.state_mut();
        state
            .auths
            .contains_key(&client)
            .then(|| self.issue_token_for(&mut state, client, "configuration"))
    }

    /// The stored token of a client.
    pub(crate) fn token_of(&self, client: Uuid) -> Option<OneTimeToken> {
        self.state().tokens.of(client).cloned()
    }

    /// The ids of the clients of a runtime or application, oldest first.
    pub(crate) fn auth_ids(&self, owner: Uuid) -> Vec<Uuid> {
        self.state().auths_of.get(&owner).cloned().unwrap_or_default()
    }
}

impl State {
    pub(super) fn add_auth(
        &mut self,
        id: Uuid,
        owner: Owner,
        tenant: &str,
    ) -> Result<Uuid, LandscapeError> {
        if self.auths.contains_key(&id) {
            return Err(LandscapeError::IdTwice(id));
        }
        self.auths.insert(id, SystemAuth { owner, tenant: tenant.into(), secret: None });
        let (Owner::Runtime(owner) | Owner::Application(owner) | Owner::IntegrationSystem(owner)) =
            owner;
        self.auths_of.entry(owner).or_default().push(id);
        Ok(id)
    }

    pub(super) fn forget_auths_of(&mut self, owner: Uuid) {
        for auth in self.auths_of.remove(&owner).unwrap_or_default() {
            self.auths.remove(&auth);
            self.tokens.withdraw(auth);
        }
    }

    fn client(&self, id: Uuid) -> Option<Client> {
        let auth = self.auths.get(&id)?;
        Some(Client { id, owner: auth.owner, tenant: auth.tenant.clone() })
    }

    fn standing_of(&self, token: &OneTimeToken) -> Standing {
        let identity = Identity::Token { number: token.number };
        Standing { identity, client: self.client(token.auth) }
    }
}

fn refused_token(number: Option<u32>, reason: &str) -> Standing {
    Standing { identity: Identity::RefusedToken { number, reason: reason.into() }, client: None }
}

/// The attributes of a subject, sorted, each as `KEY=value`.
pub(super) type Subject = Vec<String>;

/// The subject of the administrator in Compass's own test suites.
pub(crate) const ADMINISTRATOR: [&str; 7] = [
    "C=DE",
    "L=local",
    "O=SAP SE",
    "OU=Region",
    "OU=SAP Cloud Platform Clients",
    "OU=f8075207-1478-4a80-bd26-24a4785a2bfd",
    "CN=compass",
];

/// The subjects of all administrators.
pub(super) fn administrators(written: &[String]) -> HashSet<Subject> {
    let own = std::iter::once(Vec::from(ADMINISTRATOR.map(String::from)));
    let written =
        written.iter().map(|text| text.split(',').map(|part| part.trim().into()).collect());
    own.chain(written)
        .map(|mut subject: Subject| {
            subject.sort();
            subject
        })
        .collect()
}

/// Whether a subject is one of the external authority's: an auth id among fixed attributes
/// (hydrator, matcher of externally issued certificates).
fn is_external(subject: &[String]) -> bool {
    let has = |attribute: &str| subject.iter().any(|own| own == attribute);
    let fixed = ["C=DE", "O=SAP SE", "OU=SAP Cloud Platform Clients", "OU=Region"];
    let units = subject.iter().filter(|own| own.starts_with("OU=")).count();
    fixed.into_iter().all(has) && units == 3
}
