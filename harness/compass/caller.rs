//! Who calls Connector or Director, as the edge tells them in headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::landscape::{Client, Owner};
use crate::journal::Identity;

/// The identity headers of Compass; the ingress takes them out of what clients send.
pub(crate) const CLIENT_ID_FROM_TOKEN: HeaderName = HeaderName::from_static("client-id-from-token");
pub(crate) const CLIENT_ID_FROM_CERTIFICATE: HeaderName =
    HeaderName::from_static("client-id-from-certificate");
pub(crate) const SUBJECT_FROM_CERTIFICATE: HeaderName =
    HeaderName::from_static("subject-from-certificate");
pub(crate) const CLIENT_CERTIFICATE_HASH: HeaderName =
    HeaderName::from_static("client-certificate-hash");
pub(crate) const CLIENT_CERTIFICATE_ISSUER: HeaderName =
    HeaderName::from_static("client-certificate-issuer");
pub(crate) const CERTIFICATE_DATA: HeaderName = HeaderName::from_static("certificate-data");
/// In the place of the JWT that Oathkeeper makes: what it would say, without a signature.
const CALLER: HeaderName = HeaderName::from_static("harness-caller");

/// What clients may not say of themselves.
pub(crate) const STRIPPED: [HeaderName; 7] = [
    CLIENT_ID_FROM_TOKEN,
    CLIENT_ID_FROM_CERTIFICATE,
    SUBJECT_FROM_CERTIFICATE,
    CLIENT_CERTIFICATE_HASH,
    CERTIFICATE_DATA,
    CALLER,
    // The edge replaces it with its own token.
    http::header::AUTHORIZATION,
];

const RUNTIME_SCOPES: &str = "runtime:read runtime:write application:read runtime.auths:read \
     bundle.instance_auths:read runtime.webhooks:read webhook:write";
const APPLICATION_SCOPES: &str = "application:read application:write application.auths:read \
     application.webhooks:read application.application_template:read bundle.instance_auths:read \
     document.fetch_request:read event_spec.fetch_request:read api_spec.fetch_request:read \
     fetch-request.auth:read webhook:write";

/// An administrator may do all that an administrator can do; `ory_internal` is for Compass itself.
const ADMINISTRATOR_SCOPES: &str = "application:read application:write runtime:read runtime:write \
     formation:read formation:write integration_system:read integration_system:write webhook:write \
     application.auths:read runtime.auths:read integration_system.auths:read \
     application.webhooks:read runtime.webhooks:read application.application_template:read \
     application_template:read application_template:write bundle.instance_auths:read \
     document.fetch_request:read event_spec.fetch_request:read api_spec.fetch_request:read \
     fetch-request.auth:read webhooks.auth:read";
/// What an integration system may ask for at the token endpoint.
pub(crate) const INTEGRATION_SYSTEM_SCOPES: &str = "application:read application:write \
     application_template:read application_template:write runtime:read runtime:write \
     formation:read formation:write integration_system:read webhook:write application.auths:read \
     application.webhooks:read application_template.webhooks:read runtime.webhooks:read \
     application.application_template:read bundle.instance_auths:read \
     document.fetch_request:read event_spec.fetch_request:read api_spec.fetch_request:read \
     fetch-request.auth:read webhooks.auth:read";

/// What the edge found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Caller {
    /// In the journal's words.
    pub(crate) identity: Identity,
    /// How it was found out.
    pub(crate) flow: Flow,
    /// Who it is; nobody when the identity leads nowhere.
    pub(crate) consumer: Option<Consumer>,
    /// The tenant that everything is seen in.
    pub(crate) tenant: Option<String>,
    /// The tenant that was asked for when it is not the caller's.
    pub(crate) foreign_tenant: Option<String>,
    /// The scopes that a bearer token was given, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) granted: Option<String>,
}

/// How an identity is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Flow {
    /// By one-time token.
    OneTimeToken,
    /// By client certificate of the Connector.
    Certificate,
    /// By client certificate of the external authority.
    ExternalCertificate,
    /// By bearer token.
    OAuth,
}

/// Somebody with rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Consumer {
    /// A runtime.
    Runtime(Uuid),
    /// An application.
    Application(Uuid),
    /// Compass calls it Super Admin.
    Administrator,
    /// An integration system.
    IntegrationSystem(Uuid),
}

impl Consumer {
    /// Whom a client stands for.
    pub(crate) fn of(client: &Client) -> Self {
        match client.owner {
            Owner::Runtime(id) => Self::Runtime(id),
            Owner::Application(id) => Self::Application(id),
            Owner::IntegrationSystem(id) => Self::IntegrationSystem(id),
        }
    }
}

impl Caller {
    /// The scopes of the caller, in Compass's order.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        let scopes = match self.consumer {
            Some(Consumer::Runtime(_)) => RUNTIME_SCOPES,
            Some(Consumer::Application(_)) => APPLICATION_SCOPES,
            Some(Consumer::Administrator) => ADMINISTRATOR_SCOPES,
            Some(Consumer::IntegrationSystem(_)) => self.granted.as_deref().unwrap_or_default(),
            None => "",
        };
        scopes.split_ascii_whitespace()
    }

    /// Whether the caller may do what needs this scope.
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// Writes the caller into the headers of a forwarded request.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let text = serde_json::to_vec(self).expect("a caller is plain data");
        // serde_json escapes control characters, which is all that a header value forbids but DEL.
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.insert(CALLER, value);
        }
    }

    /// Reads the caller; none for a request that did not come through the edge.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        serde_json::from_slice(headers.get(CALLER)?.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_passes_the_headers_unchanged() {
        let caller = Caller {
            identity: Identity::Token { number: 3 },
            flow: Flow::OneTimeToken,
            consumer: Some(Consumer::Runtime(Uuid::from_u128(7))),
            tenant: Some("tenänt \"1\"\n".into()),
            foreign_tenant: None,
            granted: None,
        };
        let mut headers = HeaderMap::new();
        caller.write(&mut headers);
        assert_eq!(Caller::read(&headers), Some(caller));
        assert_eq!(Caller::read(&HeaderMap::new()), None);
    }
}
