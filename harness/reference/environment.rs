//! The agent's configuration: `APP_*` variables, read once at the start.

use std::path::PathBuf;
use std::time::Duration;

use super::duration;

/// Namespace and name of an object, written `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// Everything that an operator can set.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// `APP_AGENT_CONFIGURATION_SECRET`: where the connection parameters are.
    pub configuration_secret: ObjectName,
    /// `APP_CLUSTER_CERTIFICATES_SECRET`: where key, certificate and chain are kept.
    pub client_secret: ObjectName,
    /// `APP_CA_CERTIFICATES_SECRET`: where the CA certificate is kept.
    pub ca_secret: ObjectName,
    /// `APP_CONTROLLER_SYNC_PERIOD` (`P`); zero means that only edits start a round.
    pub sync_period: Duration,
    /// `APP_MINIMAL_COMPASS_SYNC_TIME` (`M`).
    pub minimal_sync_time: Duration,
    /// `APP_CERT_VALIDITY_RENEWAL_THRESHOLD`: share of a certificate's life.
    pub renewal_threshold: f64,
    /// `APP_SKIP_COMPASS_TLS_VERIFY`
    pub skip_compass_tls_verify: bool,
    /// `APP_SKIP_APPS_TLS_VERIFY`: `spec.skipVerify` of new Applications.
    pub skip_apps_tls_verify: bool,
    /// `APP_CENTRAL_GATEWAY_SERVICE_URL`: prefix of `centralGatewayUrl`.
    pub central_gateway_url: String,
    /// `APP_INTEGRATION_NAMESPACE`: where the Secrets of applications are.
    pub integration_namespace: String,
    /// `APP_RUNTIME_EVENTS_URL`: reported to the Director.
    pub events_url: String,
    /// `APP_RUNTIME_CONSOLE_URL`: reported to the Director.
    pub console_url: String,
    /// `APP_HEALTH_PORT`; zero is any free port of the loopback interface.
    pub health_port: u16,
    /// `APP_LEADER_ELECTION`: whether several replicas agree on one that acts.
    pub leader_election: bool,
    /// `SSL_CERT_FILE`: the CAs that may vouch for Compass; the system's when there is none.
    pub ssl_cert_file: Option<PathBuf>,
    /// `KUBECONFIG`; the pod's service account when there is none.
    pub kubeconfig: Option<PathBuf>,
}

/// Why the agent cannot be configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` is `{value}`, which is not {expected}")]
pub struct EnvironmentError {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the variable that cannot be read as what it should be.
    pub fn of_process() -> Result<Self, EnvironmentError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The environment that `variable` answers for.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the variable that cannot be read as what it should be.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let app = |name: &'static str| Variable { name, value: spelt(&variable, name) };
        let file = |name| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            configuration_secret: app("APP_AGENT_CONFIGURATION_SECRET")
                .object("kyma-system/compass-agent-configuration"),
            client_secret: app("APP_CLUSTER_CERTIFICATES_SECRET")
                .object("kyma-system/cluster-client-certificates"),
            ca_secret: app("APP_CA_CERTIFICATES_SECRET").object("istio-system/ca-certificates"),
            sync_period: app("APP_CONTROLLER_SYNC_PERIOD").duration(20)?,
            minimal_sync_time: app("APP_MINIMAL_COMPASS_SYNC_TIME").duration(10)?,
            renewal_threshold: app("APP_CERT_VALIDITY_RENEWAL_THRESHOLD").fraction(0.3)?,
            skip_compass_tls_verify: app("APP_SKIP_COMPASS_TLS_VERIFY").flag()?,
            skip_apps_tls_verify: app("APP_SKIP_APPS_TLS_VERIFY").flag()?,
            central_gateway_url: app("APP_CENTRAL_GATEWAY_SERVICE_URL")
                .text("http://central-application-gateway.kyma-system.svc.cluster.local:8082"),
            integration_namespace: app("APP_INTEGRATION_NAMESPACE").text("kyma-system"),
            events_url: app("APP_RUNTIME_EVENTS_URL").text("https://gateway.kyma.local"),
            console_url: app("APP_RUNTIME_CONSOLE_URL").text("https://console.kyma.local"),
            health_port: app("APP_HEALTH_PORT").port(8090)?,
            leader_election: app("APP_LEADER_ELECTION").flag()?,
            ssl_cert_file: file("SSL_CERT_FILE"),
            kubeconfig: file("KUBECONFIG"),
        })
    }
}

/// A variable with its first non-empty spelling.
struct Variable {
    name: &'static str,
    value: Option<String>,
}

/// The value of `APP_…` in the first of its four spellings that is set and not empty.
fn spelt(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('_').unwrap_or(("", name));
    let close = |rest: &str| format!("{prefix}_{}", rest.replace('_', ""));
    // `APP_RUNTIME_EVENTS_URL` is the field `EventsURL` of `Runtime`: only the inner name closes up.
    let short = match rest.strip_prefix("RUNTIME_") {
        Some(inner) => format!("{prefix}_RUNTIME_{}", inner.replace('_', "")),
        None => close(rest),
    };
    [short.clone(), name.into(), name.to_lowercase(), short.to_lowercase()]
        .iter()
        .find_map(|spelling| variable(spelling).filter(|value| !value.is_empty()))
}

impl Variable {
    fn text(self, default: &str) -> String {
        self.value.unwrap_or_else(|| default.into())
    }

    fn parsed<T>(
        self,
        default: T,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, EnvironmentError> {
        let Self { name: variable, value } = self;
        let Some(value) = value else { return Ok(default) };
        parse(&value).ok_or(EnvironmentError { variable, value, expected })
    }

    fn duration(self, default_seconds: u64) -> Result<Duration, EnvironmentError> {
        let default = Duration::from_secs(default_seconds);
        self.parsed(default, "a duration such as `15s` or `2m`", duration::parse)
    }

    fn fraction(self, default: f64) -> Result<f64, EnvironmentError> {
        self.parsed(default, "a number such as `0.3`", |text| {
            text.parse::<f64>().ok().filter(|number| number.is_finite())
        })
    }

    fn flag(self) -> Result<bool, EnvironmentError> {
        self.parsed(false, "`true` or `false`", |text| match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        })
    }

    fn port(self, default: u16) -> Result<u16, EnvironmentError> {
        self.parsed(default, "a port", |text| text.parse().ok())
    }

    /// `ns/name`; a missing part falls back to the namespace `default`, further parts are ignored.
    fn object(self, default: &str) -> ObjectName {
        let text = self.text(default);
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        let (namespace, name) = match parts.next() {
            None | Some("") => ("", first),
            Some(second) => (first, second),
        };
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        ObjectName { namespace: namespace.into(), name: name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let environment = read(&[]).expect("defaults");
        assert_eq!(
            environment.configuration_secret.to_string(),
            "kyma-system/compass-agent-configuration"
        );
        assert_eq!(environment.sync_period, Duration::from_secs(20));
        assert_eq!(environment.minimal_sync_time, Duration::from_secs(10));
        assert_eq!(environment.health_port, 8090);
        assert!(!environment.leader_election);
    }

    #[test]
    fn the_first_spelling_that_is_not_empty_wins() {
        let environment = read(&[
            ("APP_CONTROLLERSYNCPERIOD", ""),
            ("APP_CONTROLLER_SYNC_PERIOD", "3s"),
            ("app_controller_sync_period", "4s"),
            ("APP_RUNTIME_EVENTSURL", "https://events"),
            ("app_runtime_console_url", "https://console"),
        ])
        .expect("valid");
        assert_eq!(environment.sync_period, Duration::from_secs(3));
        assert_eq!(environment.events_url, "https://events");
        assert_eq!(environment.console_url, "https://console");
    }

    #[test]
    fn a_value_that_cannot_be_parsed_is_an_error_that_names_it() {
        for (name, value) in [
            ("APP_MINIMAL_COMPASS_SYNC_TIME", "15"),
            ("APP_CERT_VALIDITY_RENEWAL_THRESHOLD", "a third"),
            ("APP_SKIP_COMPASS_TLS_VERIFY", "yes"),
            ("APP_HEALTH_PORT", "80900"),
        ] {
            let error = read(&[(name, value)]).expect_err("not parseable").to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn secret_names_are_split_as_the_known_agent_splits_them() {
        for (text, name) in [
            ("ns/name", "ns/name"),
            ("name", "default/name"),
            ("name/", "default/name"),
            ("/name", "default/name"),
            ("ns/name/more", "ns/name"),
        ] {
            let environment = read(&[("APP_CA_CERTIFICATES_SECRET", text)]).expect("valid");
            assert_eq!(environment.ca_secret.to_string(), name, "{text}");
        }
    }
}
