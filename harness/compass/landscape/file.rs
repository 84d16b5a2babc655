//! A landscape as people write it: runtimes, applications, and how the Connector behaves.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::compass::application::{Applications, Secret};

/// The tenant of everything that names none.
pub const DEFAULT_TENANT: &str = "3e64ebae-38b5-46a0-b1ed-9ccee153a0ae";
/// The formation of everything that names none.
pub const DEFAULT_FORMATION: &str = "default";

/// What Connector and Director start with.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct LandscapeFile {
    /// Tenants that the Director knows beside those of the runtimes.
    pub tenants: Vec<String>,
    /// Runtimes; one when none is given. The first is the one that an agent is started for.
    pub runtimes: Vec<RuntimeFile>,
    /// Applications, in the tenant of the first runtime.
    pub applications: Applications,
    /// How the Connector signs.
    pub certificates: CertificatesFile,
    /// How long one-time tokens are good.
    pub tokens: TokensFile,
    /// Formations that are there from the start, in the tenant of the first runtime.
    pub formations: Vec<String>,
    /// Application templates beside those of the default formation template.
    pub application_templates: Vec<TemplateFile>,
    /// Integration systems, which get bearer tokens with their credentials.
    pub integration_systems: Vec<IntegrationSystemFile>,
    /// Subjects of external certificates that make an administrator (`C=DE, O=SAP SE, …`), beside
    /// the one that Compass's own tests use.
    pub administrators: Vec<String>,
}

/// An application template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TemplateFile {
    /// Its name.
    pub name: String,
    /// The label `applicationType` of what is made from it; the name when not given.
    pub application_type: Option<String>,
}

/// An integration system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IntegrationSystemFile {
    /// Its name.
    pub name: String,
    /// The id of its client; made from the name when not given.
    #[schemars(with = "Option<String>")]
    pub client_id: Option<Uuid>,
    /// The secret of that client.
    pub client_secret: Secret,
}

/// A runtime of the landscape.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RuntimeFile {
    /// Its name.
    pub name: String,
    /// Its id; made from the name when not given.
    #[schemars(with = "Option<String>")]
    pub id: Option<Uuid>,
    /// Its tenant.
    pub tenant: String,
    /// What it is, in words.
    pub description: Option<String>,
    /// Labels; `isNormalized` is `"true"` unless given, and absent when given as null.
    pub labels: BTreeMap<String, Value>,
    /// The formations that it belongs to.
    pub formations: Vec<String>,
}

impl Default for RuntimeFile {
    fn default() -> Self {
        Self {
            name: "runtime".into(),
            id: None,
            tenant: DEFAULT_TENANT.into(),
            description: None,
            labels: BTreeMap::new(),
            formations: vec![DEFAULT_FORMATION.into()],
        }
    }
}

/// How the Connector signs.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct CertificatesFile {
    /// From start to end of the validity.
    #[schemars(with = "String")]
    pub valid_for: SignedDuration,
    /// Start of the validity, from now; negative is the past.
    #[schemars(with = "String")]
    pub valid_from: SignedDuration,
    /// The subject that CSRs must have, beside the client id.
    pub subject: SubjectFile,
    /// Whether there is a root above the authority that signs, which then ends every chain.
    pub attach_root: bool,
}

impl Default for CertificatesFile {
    fn default() -> Self {
        Self {
            valid_for: SignedDuration::from_hours(2160),
            valid_from: SignedDuration::ZERO,
            subject: SubjectFile::default(),
            attach_root: false,
        }
    }
}

/// The part of the subject that is the same for every client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct SubjectFile {
    /// `O`.
    pub organization: String,
    /// `OU`.
    pub organizational_unit: String,
    /// `L`.
    pub locality: String,
    /// `ST`.
    pub province: String,
    /// `C`.
    pub country: String,
}

impl Default for SubjectFile {
    fn default() -> Self {
        Self {
            organization: "Org".into(),
            organizational_unit: "OrgUnit".into(),
            locality: "locality".into(),
            province: "province".into(),
            country: "DE".into(),
        }
    }
}

/// How long one-time tokens are good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct TokensFile {
    /// For runtimes.
    #[schemars(with = "String")]
    pub runtimes: SignedDuration,
    /// For applications.
    #[schemars(with = "String")]
    pub applications: SignedDuration,
}

impl Default for TokensFile {
    fn default() -> Self {
        Self { runtimes: SignedDuration::from_mins(60), applications: SignedDuration::from_mins(5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default() {
        let empty: LandscapeFile = serde_saphyr::from_str("{}").expect("readable");
        assert_eq!(empty, LandscapeFile::default());
        assert_eq!(empty.certificates.valid_for, SignedDuration::from_hours(2160));
    }

    #[test]
    fn durations_are_written_as_people_do() {
        let yaml = "{ certificates: { validFor: 40s, validFrom: -5m }, tokens: { runtimes: 1h } }";
        let file: LandscapeFile = serde_saphyr::from_str(yaml).expect("readable");
        assert_eq!(file.certificates.valid_for, SignedDuration::from_secs(40));
        assert_eq!(file.certificates.valid_from, SignedDuration::from_mins(-5));
        assert_eq!(file.tokens.runtimes, SignedDuration::from_hours(1));
    }
}
