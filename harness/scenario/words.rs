//! The words that point: states, peers, objects, moments, certificates.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Deserialize as Derive, Serialize};

use crate::document::{Node, Problem, Value};

/// Makes an enum of words that reads and shows itself as the words of the language.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Derive, Serialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in scenario files.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// The states of a CompassConnection, in its own words.
    State {
        /// Paired, and nothing synchronised yet.
        Connected = "Connected",
        /// Pairing failed.
        ConnectionFailed = "ConnectionFailed",
        /// The Connector could not be asked, or the certificate could not be renewed.
        ConnectionMaintenanceFailed = "ConnectionMaintenanceFailed",
        /// A complete round.
        Synchronized = "Synchronized",
        /// The Director could not be asked.
        SynchronizationFailed = "SynchronizationFailed",
        /// What the Director said could not be applied in the cluster.
        ResourceApplicationFailed = "ResourceApplicationFailed",
        /// The runtime's labels could not be reported.
        MetadataUpdateFailed = "MetadataUpdateFailed",
    }
}

impl State {
    /// The state with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == name)
    }
}

words! {
    /// Where a transition begins: in a state, or without a CompassConnection.
    Origin {
        /// There is no CompassConnection.
        Absent = "absent",
        /// See [`State::Connected`].
        Connected = "Connected",
        /// See [`State::ConnectionFailed`].
        ConnectionFailed = "ConnectionFailed",
        /// See [`State::ConnectionMaintenanceFailed`].
        ConnectionMaintenanceFailed = "ConnectionMaintenanceFailed",
        /// See [`State::Synchronized`].
        Synchronized = "Synchronized",
        /// See [`State::SynchronizationFailed`].
        SynchronizationFailed = "SynchronizationFailed",
        /// See [`State::ResourceApplicationFailed`].
        ResourceApplicationFailed = "ResourceApplicationFailed",
        /// See [`State::MetadataUpdateFailed`].
        MetadataUpdateFailed = "MetadataUpdateFailed",
    }
}

words! {
    /// The agent, where a step does something to it.
    AgentWord {
        /// The agent under test.
        Agent = "agent",
    }
}

words! {
    /// A server of Compass that requests go to.
    PeerWord {
        /// Compass Connector.
        Connector = "connector",
        /// Compass Director.
        Director = "director",
    }
}

words! {
    /// What a request asks for.
    Operation {
        /// The Connector's `configuration`.
        Configuration = "configuration",
        /// The Connector's `signCertificateSigningRequest`.
        Sign = "sign",
        /// The Director's `applicationsForRuntime`.
        Applications = "applications",
        /// The Director's `setRuntimeLabel`.
        SetLabel = "setLabel",
    }
}

impl Operation {
    /// The root field of the GraphQL operation.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Sign => "signCertificateSigningRequest",
            Self::Applications => "applicationsForRuntime",
            Self::SetLabel => "setRuntimeLabel",
        }
    }
}

words! {
    /// An object in the cluster that a step deletes.
    ObjectWord {
        /// The agent's CompassConnection.
        CompassConnection = "CompassConnection",
        /// The Secret with key, certificate and chain.
        ClientCertificate = "client-certificate",
        /// The Secret with the certificate of the CA.
        CaCertificate = "ca-certificate",
        /// The Secret that configures the agent.
        AgentConfiguration = "agent-configuration",
    }
}

words! {
    /// A Secret that the agent keeps.
    SecretWord {
        /// The Secret with key, certificate and chain.
        ClientCertificate = "client-certificate",
        /// The Secret with the certificate of the CA.
        CaCertificate = "ca-certificate",
    }
}

words! {
    /// A moment that `since` and `before` point to.
    Moment {
        /// The CompassConnection is `Connected` for the first time.
        FirstConnected = "firstConnected",
        /// The CompassConnection is `Synchronized` for the first time.
        FirstSynchronized = "firstSynchronized",
    }
}

words! {
    /// Where a certificate shows.
    Place {
        /// The client-certificate Secret.
        Secret = "secret",
        /// The last request with a client certificate.
        Handshake = "handshake",
        /// `status.connectionStatus.certificateStatus` of the CompassConnection.
        Status = "status",
    }
}

words! {
    /// Whether an error text is there.
    Presence {
        /// No error.
        Empty = "empty",
        /// Some error.
        Present = "present",
    }
}

words! {
    /// Whether a flag is set in the CompassConnection.
    FlagState {
        /// It is `true`.
        Set = "set",
        /// It is `false` or not there.
        Gone = "gone",
    }
}

words! {
    /// A flag of the CompassConnection.
    Flag {
        /// `spec.resyncNow`
        ResyncNow = "resyncNow",
        /// `spec.refreshCredentialsNow`
        RefreshNow = "refreshNow",
    }
}

impl Flag {
    /// Its field in `spec`.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::ResyncNow => "resyncNow",
            Self::RefreshNow => "refreshCredentialsNow",
        }
    }
}

words! {
    /// A header that requests carry.
    HeaderWord {
        /// `X-Request-Id`
        RequestId = "x-request-id",
        /// `Tenant`
        Tenant = "tenant",
    }
}

words! {
    /// The one-time token that the agent finds in its configuration.
    TokenWord {
        /// A good one.
        OneTime = "one-time",
        /// One that was used already.
        Burned = "burned",
        /// None.
        None = "none",
    }
}

/// A certificate: by its number in the order of issuing from 1, or by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateWord {
    /// The n-th that was issued in this run.
    Number(u32),
    /// The last that was issued.
    Latest,
}

impl fmt::Display for CertificateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl<'de> Deserialize<'de> for CertificateWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        match &node.value {
            Value::Number(number) => match number.as_u64().and_then(|n| u32::try_from(n).ok()) {
                Some(number @ 1..) => Ok(Self::Number(number)),
                _ => Err(Problem::mismatch("a number from 1 on", &node).at(node.at).raise()),
            },
            Value::Text(word) if word == "latest" => Ok(Self::Latest),
            _ => {
                Err(Problem::mismatch("a number from 1 on, or `latest`", &node).at(node.at).raise())
            }
        }
    }
}

/// A key whose only value is `true`: saying it is false would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        match node.value {
            Value::Bool(true) => Ok(Self),
            Value::Bool(false) => Err(Problem::new("`false` says nothing here")
                .at(node.at)
                .help("leave the key out")
                .raise()),
            _ => Err(Problem::mismatch("`true`", &node).at(node.at).raise()),
        }
    }
}

/// One value, or a list of at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        let read = match &node.value {
            Value::List(items) if items.is_empty() => {
                Err(Problem::new("an empty list says nothing here").at(node.at))
            }
            Value::List(items) => items.iter().map(Node::read).collect::<Result<_, _>>(),
            _ => node.read().map(|one| vec![one]),
        };
        read.map(Self).map_err(Problem::raise)
    }
}

/// Joins words for prose: `a`, `a and b`, `a, b and c`.
pub(crate) fn listed<T: fmt::Display>(words: &[T], last: &str) -> String {
    match words {
        [] => "none".into(),
        [one] => one.to_string(),
        [first @ .., end] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("{} {last} {end}", first.join(", "))
        }
    }
}
