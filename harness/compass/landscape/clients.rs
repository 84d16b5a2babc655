//! Who asks: system auths, the tokens and certificates that stand for them, and their tenants.

use uuid::Uuid;

use super::{Landscape, LandscapeError, OneTimeToken, State};
use crate::journal::{ClientCertificate, Identity, TokenEvent};

/// A client of Compass; its id is the common name of its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemAuth {
    pub(super) owner: Owner,
    pub(super) tenant: String,
}

/// What a client stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A runtime.
    Runtime(Uuid),
    /// An application.
    Application(Uuid),
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
        self.auths.insert(id, SystemAuth { owner, tenant: tenant.into() });
        let (Owner::Runtime(owner) | Owner::Application(owner)) = owner;
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
