//! System auths and the credentials of bundles, as the Director shows them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::Director;
use super::token::{Suggestion, TokenObject};
use crate::compass::application::{
    BasicCredential, CertificateOAuthCredential, Credential, Csrf, OAuthCredential, Secret,
};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{AuthRecord, OneTimeToken};

/// What a system auth belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerKind {
    Runtime,
    Application,
    IntegrationSystem,
}

/// `AppSystemAuth`, `RuntimeSystemAuth` and `IntSysSystemAuth`
pub(super) struct SystemAuthObject<'d> {
    pub(super) director: &'d Director<'d>,
    pub(super) kind: OwnerKind,
    pub(super) id: Uuid,
    pub(super) owner: Uuid,
    /// Empty for what belongs to no tenant.
    pub(super) tenant: &'d str,
    /// Of an OAuth client.
    pub(super) client_secret: Option<Secret>,
}

impl Object for SystemAuthObject<'_> {
    fn type_name(&self) -> &'static str {
        match self.kind {
            OwnerKind::Runtime => "RuntimeSystemAuth",
            OwnerKind::Application => "AppSystemAuth",
            OwnerKind::IntegrationSystem => "IntSysSystemAuth",
        }
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let (kind, scope) = match self.kind {
            OwnerKind::Runtime => ("RUNTIME", "runtime.auths:read"),
            OwnerKind::Application => ("APPLICATION", "application.auths:read"),
            OwnerKind::IntegrationSystem => ("INTEGRATION_SYSTEM", "integration_system.auths:read"),
        };
        Ok(match field.name.as_str() {
            "id" => Resolved::owned(self.id.to_string()),
            // Hidden from who lacks the scope, without an error.
            "auth" if self.director.caller.may(scope) => {
                // A token of a runtime is not shown.
                let token = match self.kind {
                    OwnerKind::Runtime | OwnerKind::IntegrationSystem => None,
                    OwnerKind::Application => self.director.landscape.token_of(self.id),
                };
                Resolved::object(AuthObject::System {
                    token: token.map(Box::new),
                    credential: self.client_secret.clone().map(|client_secret| {
                        let client_id = self.id.to_string();
                        let url = self.director.landscape.token_endpoint();
                        Credential::OAuth(OAuthCredential { client_id, client_secret, url })
                    }),
                    director: self.director,
                })
            }
            "auth" => Resolved::Null,
            "type" => Resolved::text(kind),
            "tenantId" if self.tenant.is_empty() => Resolved::Null,
            "tenantId" => Resolved::text(self.tenant),
            "referenceObjectId" => Resolved::owned(self.owner.to_string()),
            other => return Err(unknown_field(other)),
        })
    }
}

/// `Auth`
pub(super) enum AuthObject<'d> {
    /// Of a bundle.
    Bundle(&'d AuthRecord),
    /// Of a client.
    System {
        token: Option<Box<OneTimeToken>>,
        credential: Option<Credential>,
        director: &'d Director<'d>,
    },
}

impl Object for AuthObject<'_> {
    fn type_name(&self) -> &'static str {
        "Auth"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match (field.name.as_str(), self) {
            // Unset, and printed as an empty text all the same.
            ("certCommonName", _) => Resolved::text(""),
            ("accessStrategy", _) => Resolved::Null,
            ("oneTimeToken", Self::System { token: Some(token), director, .. }) => {
                // The token in the record is the token itself, whatever was suggested once.
                let suggestion = Suggestion::Token;
                Resolved::object(TokenObject::for_application(director, token, suggestion))
            }
            ("credential", Self::System { credential, .. }) => {
                Resolved::optional_object(credential.as_ref().map(CredentialObject))
            }
            ("credential", Self::Bundle(auth)) => Resolved::optional_object(
                auth.credentials.credential.as_ref().map(CredentialObject),
            ),
            ("additionalHeaders", Self::Bundle(auth)) => texts(&auth.headers),
            ("additionalQueryParams", Self::Bundle(auth)) => texts(&auth.query_parameters),
            ("additionalHeadersSerialized", Self::Bundle(auth)) => serialized(&auth.headers),
            ("additionalQueryParamsSerialized", Self::Bundle(auth)) => {
                serialized(&auth.query_parameters)
            }
            ("requestAuth", Self::Bundle(auth)) => {
                Resolved::optional_object(auth.credentials.csrf.as_ref().map(RequestAuth))
            }
            _ => Resolved::Null,
        })
    }
}

/// `HttpHeaders` and `QueryParams`: an object of lists, or null.
fn texts(texts: &BTreeMap<String, Vec<String>>) -> Resolved<'_> {
    if texts.is_empty() { Resolved::Null } else { Resolved::Json(Cow::Owned(json!(texts))) }
}

/// The same as a text.
fn serialized(texts: &BTreeMap<String, Vec<String>>) -> Resolved<'_> {
    if texts.is_empty() { Resolved::Null } else { Resolved::owned(json!(texts).to_string()) }
}

struct CredentialObject<'d>(&'d Credential);

impl Object for CredentialObject<'_> {
    fn type_name(&self) -> &'static str {
        match self.0 {
            Credential::Basic(_) => "BasicCredentialData",
            Credential::OAuth(_) => "OAuthCredentialData",
            Credential::CertificateOAuth(_) => "CertificateOAuthCredentialData",
        }
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(Resolved::text(match (self.0, field.name.as_str()) {
            (Credential::Basic(BasicCredential { username, .. }), "username") => username,
            (Credential::Basic(BasicCredential { password, .. }), "password") => password.expose(),
            (Credential::OAuth(OAuthCredential { client_id, .. }), "clientId") => client_id,
            (Credential::OAuth(OAuthCredential { client_secret, .. }), "clientSecret") => {
                client_secret.expose()
            }
            (Credential::OAuth(OAuthCredential { url, .. }), "url") => url,
            (Credential::CertificateOAuth(oauth), name) => {
                let CertificateOAuthCredential { client_id, certificate, url } = oauth;
                match name {
                    "clientId" => client_id,
                    "certificate" => certificate,
                    "url" => url,
                    other => return Err(unknown_field(other)),
                }
            }
            (_, other) => return Err(unknown_field(other)),
        }))
    }
}

struct RequestAuth<'d>(&'d Csrf);

impl Object for RequestAuth<'_> {
    fn type_name(&self) -> &'static str {
        "CredentialRequestAuth"
    }

    fn resolve<'a>(&'a self, _field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(Resolved::object(CsrfObject(self.0)))
    }
}

struct CsrfObject<'d>(&'d Csrf);

impl Object for CsrfObject<'_> {
    fn type_name(&self) -> &'static str {
        "CSRFTokenCredentialRequestAuth"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "tokenEndpointURL" => Resolved::text(&self.0.token_endpoint_url),
            _ => Resolved::Null,
        })
    }
}
