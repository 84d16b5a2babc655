//! The agent file: what to run, and how that agent is told what scenarios say in neutral words.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::document::{Kind, Period};

/// A file of `kind: Agent`, read with [`crate::document::load`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentFile {
    /// Name of the agent.
    pub metadata: Metadata,
    /// The description.
    pub spec: Spec,
}

impl Kind for AgentFile {
    const KIND: &'static str = "Agent";
}

/// What the agent is called in reports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name.
    pub name: String,
}

/// The description of an agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// How it is run.
    pub run: Run,
    /// For each neutral word, how this agent is told.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// Environment that is the same in every run; a setting of the same name wins.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The Secrets that it reads and writes.
    pub secrets: Secrets,
    /// How long it may take to end after it was asked to (RES-01).
    #[serde(default = "thirty_seconds")]
    pub grace_period: Period,
}

/// How an agent is run: exactly one way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Run {
    /// As a child process of the harness.
    Process(ProcessRun),
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessRun {
    /// Program and arguments. `compass-harness` is this very program; a relative path with a slash
    /// is relative to the agent file; any other name is looked up in `PATH`.
    pub command: Vec<String>,
}

/// How an agent is told one setting.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Name of the environment variable.
    pub env: String,
    /// How the value is spelt.
    #[serde(rename = "as")]
    pub form: Form,
}

/// How a value is spelt in an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// A span of time in Go's syntax (`1m30s`).
    Duration,
    /// A number between 0 and 1.
    Fraction,
    /// The path of a file with PEM certificates.
    CaFile,
    /// A URL.
    Url,
    /// Any text, as it stands.
    Text,
    /// A number without a unit.
    Count,
    /// `true` or `false`.
    Flag,
}

impl fmt::Display for Form {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Duration => "duration",
            Self::Fraction => "fraction",
            Self::CaFile => "caFile",
            Self::Url => "url",
            Self::Text => "text",
            Self::Count => "count",
            Self::Flag => "flag",
        })
    }
}

/// The Secrets that an agent reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Secrets {
    /// Where it keeps its key, certificate and chain.
    pub client_certificate: SecretName,
    /// Where it keeps the CA certificate.
    pub ca_certificate: SecretName,
    /// Where it finds its configuration.
    pub agent_configuration: ConfigurationSecret,
}

/// The Secret that configures an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationSecret {
    /// Which Secret.
    pub name: SecretName,
    /// What stands under which key.
    pub keys: BTreeMap<String, ConfigurationValue>,
}

/// What a key of the configuration Secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigurationValue {
    /// URL of the token-secured Connector.
    ConnectorUrl,
    /// The one-time token.
    Token,
    /// Id of the runtime.
    RuntimeId,
    /// Id of the tenant.
    Tenant,
}

/// Namespace and name of a Secret, written `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why a text does not name a Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a Secret\n[write `namespace/name`]")]
pub struct SecretNameError(String);

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self { namespace: namespace.into(), name: name.into() })
            }
            _ => Err(SecretNameError(text.into())),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.to_string()
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const fn thirty_seconds() -> Period {
    Period::seconds(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::document::parse;

    const REFERENCE: &str = include_str!("../../fixtures/agents/reference.yaml");

    #[test]
    fn the_shipped_agent_files_are_valid() {
        let file: AgentFile = parse("reference.yaml", REFERENCE).expect("valid").content;
        assert_eq!(file.metadata.name, "reference");
        assert_eq!(
            file.spec.run,
            Run::Process(ProcessRun { command: vec!["compass-harness".into(), "agent".into()] })
        );
        assert_eq!(file.spec.grace_period, Period::seconds(30));
        let keys = &file.spec.secrets.agent_configuration.keys;
        assert_eq!(keys["TOKEN"], ConfigurationValue::Token);
        let other = include_str!("../../fixtures/agents/kyma-compass-runtime-agent.yaml");
        let file: AgentFile = parse("kyma.yaml", other).expect("valid").content;
        assert_eq!(file.spec.secrets.ca_certificate.to_string(), "istio-system/ca-certificates");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_word() {
        let text = REFERENCE.replace("gracePeriod:", "gracePeriode:");
        let error = parse::<AgentFile>("a.yaml", text).expect_err("unknown key").render(false);
        assert!(error.contains("gracePeriode") && error.contains("gracePeriod`"), "{error}");
    }

    #[test]
    fn a_secret_name_needs_its_namespace_and_the_error_has_its_place() {
        for text in ["name", "/name", "namespace/", "a/b/c", ""] {
            assert!(text.parse::<SecretName>().is_err(), "{text}");
        }
        let text = REFERENCE.replace("istio-system/ca-certificates", "ca-certificates");
        let error = parse::<AgentFile>("a.yaml", text).expect_err("no namespace");
        assert!(error.span().is_some_and(|span| span.line > 10), "{}", error.render(false));
        assert!(error.render(false).contains("namespace/name"), "{}", error.render(false));
    }
}
