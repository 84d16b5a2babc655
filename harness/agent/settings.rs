//! Neutral settings, and their translation to the environment of one agent.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::file::{AgentFile, Form};

/// What a scenario says to an agent, in words that no agent owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How often it synchronises (`P`).
    pub resync_every: Duration,
    /// The least time between two attempts (`M`).
    pub at_most_one_sync_every: Duration,
    /// The share of a certificate's life under which it is renewed.
    pub renew_when_life_left_below: f64,
    /// A PEM file with the CA of all our servers.
    pub trust_our_ca: PathBuf,
    /// Further words of the agent file, with their values as they stand.
    pub extra: BTreeMap<String, String>,
}

/// Why an agent cannot be told a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The agent file has no entry for the word.
    #[error(
        "the agent `{agent}` cannot be told `{word}`\n\
         [its agent file knows these settings: {known}]"
    )]
    Unknown {
        /// The agent.
        agent: String,
        /// The neutral word.
        word: String,
        /// The words that its file has, or `none`.
        known: String,
    },
    /// The value cannot be spelt in the form that the agent file asks for.
    #[error(
        "`{word}` of the agent `{agent}` is told as `{form}`, and its value cannot be spelt so\n\
         [change `as` in the agent file]"
    )]
    Form {
        /// The agent.
        agent: String,
        /// The neutral word.
        word: String,
        /// The form asked for.
        form: Form,
    },
}

/// A value before it is spelt.
enum Value<'a> {
    Span(Duration),
    Share(f64),
    Path(&'a PathBuf),
    Text(&'a str),
}

impl Settings {
    /// The environment that tells `agent` these settings, its fixed environment included.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] when the agent file has no word for a setting or spells it in a wrong form.
    pub fn environment(
        &self,
        agent: &AgentFile,
    ) -> Result<BTreeMap<String, OsString>, SettingsError> {
        let core = [
            ("resyncEvery", Value::Span(self.resync_every)),
            ("atMostOneSyncEvery", Value::Span(self.at_most_one_sync_every)),
            ("renewWhenLifeLeftBelow", Value::Share(self.renew_when_life_left_below)),
            ("trustOurCa", Value::Path(&self.trust_our_ca)),
        ];
        let extra = self.extra.iter().map(|(word, value)| (word.as_str(), Value::Text(value)));
        let fixed = agent.spec.env.iter().map(|(name, value)| (name.clone(), value.into()));
        let mut environment: BTreeMap<String, OsString> = fixed.collect();
        for (word, value) in core.into_iter().chain(extra) {
            let setting = agent.spec.settings.get(word).ok_or_else(|| unknown(agent, word))?;
            let spelt = spell(&value, setting.form).ok_or_else(|| SettingsError::Form {
                agent: agent.metadata.name.clone(),
                word: word.into(),
                form: setting.form,
            })?;
            environment.insert(setting.env.clone(), spelt);
        }
        Ok(environment)
    }
}

fn unknown(agent: &AgentFile, word: &str) -> SettingsError {
    let known: Vec<_> = agent.spec.settings.keys().map(String::as_str).collect();
    SettingsError::Unknown {
        agent: agent.metadata.name.clone(),
        word: word.into(),
        known: if known.is_empty() { "none".into() } else { known.join(", ") },
    }
}

fn spell(value: &Value<'_>, form: Form) -> Option<OsString> {
    Some(match (value, form) {
        (Value::Span(span), Form::Duration) => go_duration(*span).into(),
        (Value::Share(share), Form::Fraction) => share.to_string().into(),
        (Value::Path(path), Form::CaFile | Form::Text) => path.as_os_str().into(),
        (Value::Text(text), Form::Flag) if !matches!(*text, "true" | "false") => return None,
        (Value::Text(text), Form::Count) if text.parse::<u64>().is_err() => return None,
        (Value::Text(text), _) => text.into(),
        _ => return None,
    })
}

/// A span in the syntax of Go's `time.ParseDuration`, without rounding.
fn go_duration(span: Duration) -> String {
    if span.is_zero() {
        return "0s".into();
    }
    let seconds = span.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(span.subsec_millis()), "ms"),
        (u64::from(span.subsec_micros() % 1000), "us"),
        (u64::from(span.subsec_nanos() % 1000), "ns"),
    ];
    parts.into_iter().filter(|(number, _)| *number > 0).fold(
        String::new(),
        |mut text, (number, unit)| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{number}{unit}");
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> AgentFile {
        let text = include_str!("../../fixtures/agents/reference.yaml");
        crate::document::parse("reference.yaml", text).expect("valid").content
    }

    fn settings() -> Settings {
        Settings {
            resync_every: Duration::from_secs(90),
            at_most_one_sync_every: Duration::from_millis(1500),
            renew_when_life_left_below: 0.3,
            trust_our_ca: "/somewhere/ca.pem".into(),
            extra: BTreeMap::new(),
        }
    }

    #[test]
    fn neutral_words_become_the_environment_of_the_agent() {
        let environment = settings().environment(&agent()).expect("translatable");
        assert_eq!(environment["APP_CONTROLLER_SYNC_PERIOD"], "1m30s");
        assert_eq!(environment["APP_MINIMAL_COMPASS_SYNC_TIME"], "1s500ms");
        assert_eq!(environment["APP_CERT_VALIDITY_RENEWAL_THRESHOLD"], "0.3");
        assert_eq!(environment["SSL_CERT_FILE"], "/somewhere/ca.pem");
        assert_eq!(environment["APP_HEALTH_PORT"], "0", "the fixed environment is there too");
    }

    #[test]
    fn a_word_that_the_agent_lacks_is_named_with_those_it_has() {
        let mut settings = settings();
        settings.extra.insert("colour".into(), "blue".into());
        let error = settings.environment(&agent()).expect_err("no such word").to_string();
        assert!(error.contains("`colour`") && error.contains("resyncEvery"), "{error}");
    }

    #[test]
    fn a_form_that_does_not_fit_is_an_error() {
        let mut agent = agent();
        agent.spec.settings.get_mut("resyncEvery").expect("there").form = Form::Fraction;
        assert!(matches!(settings().environment(&agent), Err(SettingsError::Form { .. })));
    }

    #[test]
    fn durations_are_spelt_as_go_reads_them() {
        for (span, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_millis(1), "1ms"),
            (Duration::from_secs(3600), "1h"),
            (Duration::new(3661, 1_002_003), "1h1m1s1ms2us3ns"),
        ] {
            assert_eq!(go_duration(span), text);
        }
    }
}
