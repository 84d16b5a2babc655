//! Where a fault sits: a server, a door to it, or one listener by name.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ListenerFacts;
use crate::journal::{Door, Peer, Request};

/// The place of a fault, the word behind `at`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub enum Place {
    /// The Connector, behind whichever door.
    Connector,
    /// The Director.
    Director,
    /// The Connector, asked with a one-time token.
    TokenDoor,
    /// The Connector, asked with a client certificate.
    CertificateDoor,
    /// The Kubernetes API.
    Kubernetes,
    /// The listener of this name.
    Address(String),
}

impl From<String> for Place {
    fn from(word: String) -> Self {
        match word.as_str() {
            "connector" => Self::Connector,
            "director" => Self::Director,
            "connector.token-door" => Self::TokenDoor,
            "connector.certificate-door" => Self::CertificateDoor,
            "kubernetes" => Self::Kubernetes,
            _ => Self::Address(word),
        }
    }
}

impl FromStr for Place {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self::from(word.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connector => "connector",
            Self::Director => "director",
            Self::TokenDoor => "connector.token-door",
            Self::CertificateDoor => "connector.certificate-door",
            Self::Kubernetes => "kubernetes",
            Self::Address(name) => name,
        })
    }
}

impl Place {
    /// Whether a fault below HTTP that sits here meets this listener.
    ///
    /// Below HTTP nobody knows yet whom a request will be meant for, so the name of the listener
    /// decides: the Connector's are all those of the token door, `connector` and `connector-…`.
    #[must_use]
    pub fn meets_listener(&self, listener: ListenerFacts<'_>) -> bool {
        let named = |name: &str| {
            listener
                .address
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        match self {
            Self::Connector => match listener.door {
                Door::Token => true,
                Door::Certificate => named("connector"),
                Door::Kubernetes => false,
            },
            Self::Director => listener.door == Door::Certificate && named("director"),
            Self::TokenDoor => listener.door == Door::Token,
            Self::CertificateDoor => listener.door == Door::Certificate && named("connector"),
            Self::Kubernetes => listener.door == Door::Kubernetes,
            Self::Address(name) => listener.address == name,
        }
    }

    /// Whether a fault in HTTP or above that sits here meets this request.
    #[must_use]
    pub fn meets_request(&self, request: &Request) -> bool {
        match self {
            Self::Connector => request.peer == Peer::Connector,
            Self::Director => request.peer == Peer::Director,
            Self::TokenDoor => request.peer == Peer::Connector && request.door == Door::Token,
            Self::CertificateDoor => {
                request.peer == Peer::Connector && request.door == Door::Certificate
            }
            Self::Kubernetes => request.door == Door::Kubernetes,
            Self::Address(name) => &request.address == name,
        }
    }

    /// A door or a listener says more than a server.
    pub(super) fn specificity(&self) -> usize {
        match self {
            Self::Connector | Self::Director | Self::Kubernetes => 0,
            Self::TokenDoor | Self::CertificateDoor => 1,
            Self::Address(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(door: Door, address: &str) -> ListenerFacts<'_> {
        ListenerFacts { door, address }
    }

    #[test]
    fn words_are_read_and_written_alike() {
        for word in [
            "connector",
            "director",
            "connector.token-door",
            "connector.certificate-door",
            "kubernetes",
            "director-b",
        ] {
            assert_eq!(Place::from(word.to_owned()).to_string(), word);
        }
    }

    #[test]
    fn below_http_the_name_of_the_listener_decides() {
        let token = listener(Door::Token, "token");
        let connector = listener(Door::Certificate, "connector");
        let other_connector = listener(Door::Certificate, "connector-b");
        let director = listener(Door::Certificate, "director");
        let kubernetes = listener(Door::Kubernetes, "kubernetes");
        let met = |place: Place| {
            [token, connector, other_connector, director, kubernetes]
                .map(|listener| place.meets_listener(listener))
        };
        assert_eq!(met(Place::Connector), [true, true, true, false, false]);
        assert_eq!(met(Place::Director), [false, false, false, true, false]);
        assert_eq!(met(Place::TokenDoor), [true, false, false, false, false]);
        assert_eq!(met(Place::CertificateDoor), [false, true, true, false, false]);
        assert_eq!(met(Place::Kubernetes), [false, false, false, false, true]);
        assert_eq!(met(Place::Address("connector-b".into())), [false, false, true, false, false]);
    }
}
