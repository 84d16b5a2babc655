//! One-time tokens: asked for, and shown in every form that they have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::DirectorError;
use super::{Director, database_id, timestamp};
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};
use crate::compass::landscape::{LandscapeError, OneTimeToken, Owner};

/// What stands in the field `token` (request header `suggest_token`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suggestion {
    /// The token itself.
    Token,
    /// The URL of the legacy Connector, with the token in it.
    LegacyUrl,
    /// Everything at once, encoded.
    RawEncoded,
}

/// `OneTimeTokenForApplication` and `OneTimeTokenForRuntime`
pub(super) struct TokenObject<'d> {
    director: &'d Director<'d>,
    token: std::borrow::Cow<'d, OneTimeToken>,
    for_application: bool,
    suggestion: Suggestion,
}

impl<'d> TokenObject<'d> {
    /// A token of an application.
    pub(super) fn for_application(
        director: &'d Director<'d>,
        token: &'d OneTimeToken,
        suggestion: Suggestion,
    ) -> Self {
        let token = std::borrow::Cow::Borrowed(token);
        Self { director, token, for_application: true, suggestion }
    }

    fn kind(&self) -> &'static str {
        if self.for_application { "Application" } else { "Runtime" }
    }

    fn legacy_url(&self) -> String {
        let connector = self.director.landscape.addresses().token_connector;
        format!("{}?token={}", legacy_connector(&connector), self.token.text)
    }

    /// The text form of a token that carries everything with it.
    fn raw(&self) -> String {
        let token = &self.token;
        let time = |time: Option<jiff::Timestamp>| {
            time.map_or(Value::Null, |time| time.to_string().into())
        };
        json!({
            "token": token.text,
            "connectorURL": self.director.landscape.addresses().token_connector,
            "used": token.used.is_some(),
            "expiresAt": time(Some(token.expires())),
            "createdAt": time(Some(token.created)),
            "usedAt": time(token.used),
            "type": self.kind(),
            "scenario_groups": null,
        })
        .to_string()
    }
}

impl Object for TokenObject<'_> {
    fn type_name(&self) -> &'static str {
        if self.for_application { "OneTimeTokenForApplication" } else { "OneTimeTokenForRuntime" }
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let token = &self.token;
        Ok(match field.name.as_str() {
            "token" => match self.suggestion {
                Suggestion::Token => Resolved::text(&token.text),
                Suggestion::LegacyUrl => Resolved::owned(self.legacy_url()),
                Suggestion::RawEncoded => Resolved::owned(STANDARD.encode(self.raw())),
            },
            "connectorURL" => Resolved::owned(self.director.landscape.addresses().token_connector),
            "legacyConnectorURL" => Resolved::owned(self.legacy_url()),
            "used" => Resolved::Bool(token.used.is_some()),
            "expiresAt" => timestamp(token.expires()),
            "createdAt" => timestamp(token.created),
            "usedAt" => token.used.map_or(Resolved::Null, timestamp),
            "raw" => Resolved::owned(self.raw()),
            "rawEncoded" => Resolved::owned(STANDARD.encode(self.raw())),
            "type" => Resolved::text(self.kind()),
            "scenarioGroups" => Resolved::Null,
            other => return Err(unknown_field(other)),
        })
    }
}

/// `requestOneTimeTokenForApplication`
pub(super) fn for_application<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<TokenObject<'d>, DirectorError> {
    let tenant = director.tenant()?;
    let id = database_id(field.text("id"))?;
    let application = director.landscape.application(tenant, id);
    let application = application.ok_or_else(|| DirectorError::not_found("application"))?;
    let token = request(director, Owner::Application(id), field)?;
    let is_legacy = application.labels.get("legacy") == Some(&Value::Bool(true));
    let suggestion = if !director.suggest_token || application.integration_system.is_some() {
        Suggestion::Token
    } else if is_legacy {
        Suggestion::LegacyUrl
    } else {
        Suggestion::RawEncoded
    };
    let token = std::borrow::Cow::Owned(token);
    Ok(TokenObject { director, token, for_application: true, suggestion })
}

/// `requestOneTimeTokenForRuntime`
pub(super) fn for_runtime<'d>(
    director: &'d Director<'d>,
    field: &Field,
) -> Result<TokenObject<'d>, DirectorError> {
    let id = database_id(field.text("id"))?;
    let token = request(director, Owner::Runtime(id), field)?;
    let token = std::borrow::Cow::Owned(token);
    Ok(TokenObject { director, token, for_application: false, suggestion: Suggestion::Token })
}

fn request(
    director: &Director<'_>,
    owner: Owner,
    field: &Field,
) -> Result<OneTimeToken, DirectorError> {
    let tenant = director.tenant()?;
    let auth = match field.text("systemAuthID") {
        "" => None,
        auth => Some(database_id(auth)?),
    };
    let auth =
        director.landscape.request_token(tenant, owner, auth).map_err(|error| match error {
            // The owner is not looked up: the database refuses the new system auth.
            LandscapeError::UnknownRuntime(_) => DirectorError::refused_by_database(
                "systemAuth",
                "The referenced entity does not exist",
            ),
            error => error.into(),
        })?;
    let token = director.landscape.token_of(auth);
    token.ok_or_else(|| DirectorError::not_found("systemAuth"))
}

/// The legacy Connector is at another host of the same domain (`adapter-gateway.`).
fn legacy_connector(connector: &str) -> String {
    let uri: Option<http::Uri> = connector.parse().ok();
    let authority = uri.as_ref().and_then(http::Uri::authority);
    let authority = authority.map_or("localhost", http::uri::Authority::as_str);
    let authority = match authority.strip_prefix("compass-gateway.") {
        Some(domain) => format!("adapter-gateway.{domain}"),
        None => authority.into(),
    };
    format!("https://{authority}/v1/applications/signingRequests/info")
}

#[cfg(test)]
mod tests {
    use super::legacy_connector;

    #[test]
    fn the_legacy_connector_is_a_neighbour() {
        for (connector, expected) in [
            (
                "https://compass-gateway.kyma.example.com/connector/graphql",
                "https://adapter-gateway.kyma.example.com/v1/applications/signingRequests/info",
            ),
            (
                "https://127.0.0.1:8443/connector/graphql",
                "https://127.0.0.1:8443/v1/applications/signingRequests/info",
            ),
            ("", "https://localhost/v1/applications/signingRequests/info"),
        ] {
            assert_eq!(legacy_connector(connector), expected);
        }
    }
}
