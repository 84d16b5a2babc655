//! Integration systems, their OAuth clients, and the bearer tokens that those get.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::record::stable_root_id;
use super::{IntegrationSystemFile, Landscape, LandscapeError, Owner, State};
use crate::compass::application::Secret;

/// How long a bearer token is good (Hydra).
pub(crate) const BEARER_LIFE: SignedDuration = SignedDuration::from_secs(3599);
/// Tokens kept; the oldest go first, as no test suite has so many clients at once.
const KEPT: usize = 4096;

/// An integration system; it belongs to no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntegrationSystem {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
}

/// What a bearer token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The system auth of the client.
    pub(crate) client: Uuid,
    pub(crate) system: Uuid,
    /// Scopes, separated by spaces.
    pub(crate) scopes: String,
}

/// The bearer tokens that are good.
#[derive(Default)]
pub(super) struct Bearers {
    by_text: HashMap<String, (Bearer, Timestamp)>,
    oldest: VecDeque<String>,
}

impl fmt::Debug for Bearers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bearers").field("count", &self.oldest.len()).finish_non_exhaustive()
    }
}

impl Bearers {
    fn issue(&mut self, bearer: Bearer) -> String {
        let text = random_text();
        let expires = Timestamp::now().saturating_add(BEARER_LIFE).unwrap_or(Timestamp::MAX);
        self.by_text.insert(text.clone(), (bearer, expires));
        self.oldest.push_back(text.clone());
        if self.oldest.len() > KEPT
            && let Some(forgotten) = self.oldest.pop_front()
        {
            self.by_text.remove(&forgotten);
        }
        text
    }

    fn find(&self, text: &str) -> Option<&Bearer> {
        let (bearer, expires) = self.by_text.get(text)?;
        (Timestamp::now() < *expires).then_some(bearer)
    }
}

impl Landscape {
    /// Registers an integration system.
    pub(crate) fn register_integration_system(
        &self,
        name: &str,
        description: Option<String>,
    ) -> IntegrationSystem {
        let system = IntegrationSystem { id: Uuid::new_v4(), name: name.into(), description };
        self.state_mut().systems.insert(system.id, system.clone());
        system
    }

    /// Removes an integration system that no application refers to.
    pub(crate) fn unregister_integration_system(
        &self,
        id: Uuid,
    ) -> Result<IntegrationSystem, LandscapeError> {
        let mut state = self.state_mut();
        if !state.systems.contains_key(&id) {
            return Err(LandscapeError::UnknownIntegrationSystem(id));
        }
        if state.applications.values().any(|one| one.integration_system == Some(id)) {
            return Err(LandscapeError::Referred(id));
        }
        state.forget_auths_of(id);
        state.systems.remove(&id).ok_or(LandscapeError::UnknownIntegrationSystem(id))
    }

    /// Makes an OAuth client for an integration system and gives its id.
    pub(crate) fn add_client_credentials(&self, system: Uuid) -> Result<Uuid, LandscapeError> {
        let mut state = self.state_mut();
        if !state.systems.contains_key(&system) {
            return Err(LandscapeError::UnknownIntegrationSystem(system));
        }
        let secret = random_text();
        self.hide(&mut state, &secret);
        state.add_client(Uuid::new_v4(), system, Secret::from(&*secret))
    }

    /// Removes an OAuth client; its tokens are worth nothing from now on.
    pub(crate) fn delete_client(
        &self,
        auth: Uuid,
    ) -> Result<(Uuid, Option<Secret>), LandscapeError> {
        let mut state = self.state_mut();
        let Some(Owner::IntegrationSystem(system)) = state.auths.get(&auth).map(|one| one.owner)
        else {
            return Err(LandscapeError::UnknownSystemAuth(auth));
        };
        let secret = state.auths.remove(&auth).and_then(|auth| auth.secret);
        if let Some(all) = state.auths_of.get_mut(&system) {
            all.retain(|one| *one != auth);
        }
        Ok((system, secret))
    }

    /// The secret of an OAuth client.
    pub(crate) fn client_secret(&self, auth: Uuid) -> Option<Secret> {
        self.state().auths.get(&auth)?.secret.clone()
    }

    /// Whether these are the credentials of an OAuth client.
    pub(crate) fn is_client(&self, client: &str, secret: &str) -> Option<Uuid> {
        let id = Uuid::parse_str(client).ok()?;
        let known = self.client_secret(id)?;
        (known.expose() == secret).then_some(id)
    }

    /// Makes a bearer token for an OAuth client.
    pub(crate) fn issue_bearer(&self, client: Uuid, scopes: &str) -> Option<String> {
        let mut state = self.state_mut();
        let Owner::IntegrationSystem(system) = state.auths.get(&client)?.owner else { return None };
        let text = state.bearers.issue(Bearer { client, system, scopes: scopes.into() });
        // Not hidden from the journal one by one: no entry holds the header that it comes in.
        Some(text)
    }

    /// Whom a bearer token stands for.
    pub(crate) fn bearer(&self, text: &str) -> Option<Bearer> {
        let state = self.state();
        let bearer = state.bearers.find(text)?;
        // Hydra forgets the tokens of a client with the client.
        state.auths.contains_key(&bearer.client).then(|| bearer.clone())
    }
}

impl State {
    pub(super) fn add_integration_system(
        &mut self,
        file: &IntegrationSystemFile,
    ) -> Result<(), LandscapeError> {
        let id = stable_root_id("integrationSystem", &file.name);
        let client = file.client_id.unwrap_or_else(|| stable_root_id("oauthClient", &file.name));
        let system = IntegrationSystem { id, name: file.name.clone(), description: None };
        if self.systems.insert(id, system).is_some() {
            return Err(LandscapeError::IdTwice(id));
        }
        self.add_client(client, id, file.client_secret.clone())?;
        Ok(())
    }

    fn add_client(
        &mut self,
        id: Uuid,
        system: Uuid,
        secret: Secret,
    ) -> Result<Uuid, LandscapeError> {
        self.add_auth(id, Owner::IntegrationSystem(system), "")?;
        if let Some(auth) = self.auths.get_mut(&id) {
            auth.secret = Some(secret);
        }
        Ok(id)
    }
}

fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_grow_with_the_number_of_bearer_tokens() {
        let mut bearers = Bearers::default();
        let (client, system) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let bearer = Bearer { client, system, scopes: "a".into() };
        let first = bearers.issue(bearer.clone());
        assert_eq!(bearers.find(&first), Some(&bearer));
        for _ in 0..KEPT {
            bearers.issue(bearer.clone());
        }
        assert_eq!(bearers.by_text.len(), KEPT);
        assert_eq!(bearers.find(&first), None);
    }
}
