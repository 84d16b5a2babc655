//! Applications as people write them in scenarios and landscape files: data and nothing else.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor, value};
use serde_json::Value;

/// Several applications: a list, or one pattern (`{ generate: 250, name: "shop-{n}" }`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applications(Vec<Application>);

impl Applications {
    /// Each application that is meant, in order, with the patterns written out.
    #[must_use]
    pub fn written_out(&self) -> Vec<Application> {
        self.0.iter().flat_map(Application::written_out).collect()
    }
}

impl From<Vec<Application>> for Applications {
    fn from(applications: Vec<Application>) -> Self {
        Self(applications)
    }
}

impl<'de> Deserialize<'de> for Applications {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Applications;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of applications, or one with `generate`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Applications, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(list)).map(Applications)
            }

            fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Applications, A::Error> {
                let one = Application::deserialize(value::MapAccessDeserializer::new(one))?;
                if one.generate.is_none() {
                    return Err(A::Error::custom("a single application stands in a list"));
                }
                Ok(Applications(vec![one]))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Applications {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Applications".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<Application>();
        schemars::json_schema!({"anyOf": [{"type": "array", "items": one}, one]})
    }
}

/// An application in the Director.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Application {
    /// Its name. With `generate`, every `{n}` in it is the number, from 1.
    pub name: String,
    /// Makes this many applications of the same kind.
    pub generate: Option<u32>,
    /// What it is, in words.
    pub description: Option<String>,
    /// Who provides it.
    pub provider_name: Option<String>,
    /// The number of the system; the Director appends it to the name.
    pub system_number: Option<String>,
    /// Labels beside those that the Director sets itself.
    #[serde(default)]
    pub labels: BTreeMap<String, Value>,
    /// Ids of its system auths.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub auths: Vec<uuid::Uuid>,
    /// Names of the formations that it belongs to; the default formation when not given.
    pub formations: Option<Vec<String>>,
    /// Its bundles.
    #[serde(default)]
    pub bundles: Vec<Bundle>,
    /// APIs of one more bundle, which has the name of the application.
    #[serde(default)]
    pub apis: Vec<Api>,
    /// Events of that bundle.
    #[serde(default)]
    pub events: Vec<EventDefinition>,
    /// Credentials of that bundle.
    pub credentials: Option<Credentials>,
    /// Headers that callers of that bundle add.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Query parameters that callers of that bundle add.
    #[serde(default)]
    pub query_parameters: BTreeMap<String, Vec<String>>,
}

impl Application {
    /// An application with a name and nothing else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The applications that this one stands for.
    fn written_out(&self) -> Vec<Self> {
        let Some(count) = self.generate else { return vec![self.clone()] };
        let numbered = |n: u32| {
            let number = |text: &str| text.replace("{n}", &n.to_string());
            let mut one = Self { generate: None, name: number(&self.name), ..self.clone() };
            for api in one.apis.iter_mut().chain(one.bundles.iter_mut().flat_map(|b| &mut b.apis)) {
                api.name = number(&api.name);
                api.url = number(&api.url);
            }
            one
        };
        (1..=count).map(numbered).collect()
    }

    /// Its bundles, with the one that is written on the application itself first.
    #[must_use]
    pub fn all_bundles(&self) -> Vec<Bundle> {
        let mut own = Bundle::named(&*self.name);
        own.apis.clone_from(&self.apis);
        own.events.clone_from(&self.events);
        own.credentials.clone_from(&self.credentials);
        own.headers.clone_from(&self.headers);
        own.query_parameters.clone_from(&self.query_parameters);
        let wanted = own != Bundle::named(&*self.name);
        wanted.then_some(own).into_iter().chain(self.bundles.iter().cloned()).collect()
    }
}

/// A bundle of an application: APIs and events that are used with the same credentials.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: Option<String>,
    /// A JSON schema in text form for those who ask for credentials.
    pub instance_auth_request_input_schema: Option<String>,
    /// Its APIs.
    #[serde(default)]
    pub apis: Vec<Api>,
    /// Its events.
    #[serde(default)]
    pub events: Vec<EventDefinition>,
    /// Credentials of its APIs.
    pub credentials: Option<Credentials>,
    /// Headers that callers add.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Query parameters that callers add.
    #[serde(default)]
    pub query_parameters: BTreeMap<String, Vec<String>>,
}

impl Bundle {
    /// A bundle with a name and nothing else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// An API of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Api {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What it is, in words.
    pub description: Option<String>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// Its version.
    pub version: Option<Version>,
    /// Its specification.
    pub spec: Option<Spec>,
}

/// The specification of an API or of events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    /// The specification itself.
    pub data: Option<String>,
    /// `OPEN_API`, `ODATA`, `ASYNC_API`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `YAML`, `JSON`, `XML`.
    pub format: String,
}

/// Events that a bundle sends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventDefinition {
    /// Their name.
    pub name: String,
    /// What they are, in words.
    pub description: Option<String>,
    /// The group that they belong to.
    pub group: Option<String>,
    /// Their version.
    pub version: Option<Version>,
    /// Their specification.
    pub spec: Option<Spec>,
}

/// The version of an API or of events.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Version {
    /// The version.
    pub value: String,
    /// Whether it should no longer be used.
    pub deprecated: Option<bool>,
    /// The version that made it so.
    pub deprecated_since: Option<String>,
    /// Whether it will be removed.
    pub for_removal: Option<bool>,
}

/// How callers of a bundle prove who they are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "CredentialsKeys")]
#[schemars(with = "CredentialsKeys")]
pub struct Credentials {
    /// The credential; there may be none.
    pub credential: Option<Credential>,
    /// Where a CSRF token is fetched before a call.
    pub csrf: Option<Csrf>,
}

/// One of the kinds of credentials.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// User name and password.
    Basic(BasicCredential),
    /// OAuth client credentials.
    OAuth(OAuthCredential),
    /// OAuth client credentials proved by a certificate.
    CertificateOAuth(CertificateOAuthCredential),
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BasicCredential {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// OAuth client credentials.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OAuthCredential {
    /// Id of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Where a token is got.
    pub url: String,
}

/// OAuth client credentials proved by a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CertificateOAuthCredential {
    /// Id of the client.
    pub client_id: String,
    /// The certificate in PEM.
    pub certificate: String,
    /// Where a token is got.
    pub url: String,
}

/// Where a CSRF token is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Csrf {
    /// The URL.
    pub token_endpoint_url: String,
}

/// The keys of credentials in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CredentialsKeys {
    /// User name and password.
    basic: Option<BasicCredential>,
    /// OAuth client credentials.
    oauth: Option<OAuthCredential>,
    /// OAuth client credentials proved by a certificate.
    certificate_oauth: Option<CertificateOAuthCredential>,
    /// Where a CSRF token is fetched before a call.
    csrf: Option<Csrf>,
}

impl TryFrom<CredentialsKeys> for Credentials {
    type Error = &'static str;

    fn try_from(keys: CredentialsKeys) -> Result<Self, Self::Error> {
        let mut kinds = [
            keys.basic.map(Credential::Basic),
            keys.oauth.map(Credential::OAuth),
            keys.certificate_oauth.map(Credential::CertificateOAuth),
        ]
        .into_iter()
        .flatten();
        let credential = kinds.next();
        if kinds.next().is_some() {
            return Err("credentials are one of `basic`, `oauth` and `certificateOauth`");
        }
        Ok(Self { credential, csrf: keys.csrf })
    }
}

/// A text that is in no output.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Applications, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn apis_on_the_application_are_a_bundle_of_its_name() {
        let yaml = r#"
- name: orders
  apis: [{ name: orders-v1, url: "https://orders.example/v1" }]
  credentials: { basic: { username: shop, password: wonderland } }
- name: billing
"#;
        let applications = read(yaml).expect("readable").written_out();
        let bundles = applications[0].all_bundles();
        assert_eq!(bundles.len(), 1);
        assert_eq!(bundles[0].name, "orders");
        assert_eq!(bundles[0].apis[0].url, "https://orders.example/v1");
        assert!(matches!(
            &bundles[0].credentials,
            Some(Credentials { credential: Some(Credential::Basic(basic)), csrf: None })
                if basic.username == "shop" && basic.password.expose() == "wonderland"
        ));
        assert!(applications[1].all_bundles().is_empty());
    }

    #[test]
    fn one_pattern_makes_many_applications() {
        let applications = read(
            r#"{ generate: 250, name: "shop-{n}", apis: [{ name: a, url: "https://x/{n}" }] }"#,
        )
        .expect("readable")
        .written_out();
        assert_eq!(applications.len(), 250);
        assert_eq!(applications[249].name, "shop-250");
        assert_eq!(applications[249].apis[0].url, "https://x/250");
        let mixed = read(r#"[{ name: a }, { generate: 2, name: "b-{n}" }]"#).expect("readable");
        let names = Vec::from_iter(mixed.written_out().into_iter().map(|one| one.name));
        assert_eq!(names, ["a", "b-1", "b-2"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (yaml, expected) in [
            ("[{ name: a, colour: red }]", "colour"),
            ("{ name: a }", "a single application stands in a list"),
            ("[{ description: a }]", "name"),
            (
                "[{ name: a, credentials: { basic: { username: u, password: p }, oauth: { clientId: a, clientSecret: b, url: c } } }]",
                "one of `basic`, `oauth` and `certificateOauth`",
            ),
            ("nothing", "a list of applications"),
        ] {
            let error = read(yaml).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let yaml = "[{ name: a, credentials: { basic: { username: u, password: wonderland } } }]";
        let output = format!("{:?}", read(yaml).expect("readable"));
        assert!(!output.contains("wonderland"), "{output}");
    }
}
