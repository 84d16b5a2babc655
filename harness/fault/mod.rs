//! Scripted failures: one file a fault, and the list of those that are armed.
//!
//! A fault is parameters that become a [`Fault`], which says at which moment it acts and what it
//! does. [`Faults`] holds the armed ones and chooses; whoever owns the socket asks and obeys.
//! A new fault is one file and a line in the list below.

mod act;
mod api_answer;
mod api_slow;
mod api_watch_cut;
mod api_watch_gone;
mod armed;
mod arming;
mod graphql_errors;
mod graphql_field;
mod http_answer;
mod http_cut;
mod http_redirect;
mod http_slow_answer;
mod http_wrong_type;
mod narrowing;
mod period;
mod place;
mod point;
mod status;
mod tcp_close;
mod tcp_refuse;
mod tcp_reset;
mod tcp_stall;
mod tls_alert;
mod tls_cut;
mod tls_stall;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeSeed, Error};
use serde::{Deserialize, Deserializer};

pub use act::{
    AnswerAct, AnswerFacts, AnswerHook, ConnectionAct, ConnectionFacts, Declared, Drip, Ending,
    Fault, HandshakeAct, HandshakeEnd, ListenerFacts, RequestAct, RequestHook, Stage, StreamAct,
    StreamHook,
};
pub use armed::{Faults, Firing, Hold, Listens};
pub use arming::{ArmError, Armed};
pub use narrowing::{Connections, Narrowing};
pub use place::Place;

/// The parameters of one fault, as they stand in a scenario beside `id`, `at`, `fault` and `only`.
trait Parameters: for<'de> Deserialize<'de> + JsonSchema {
    /// What it does, in one line.
    const MEANING: &'static str;
    /// The classes of error that a client may report because of it.
    const CLASSES: &'static [&'static str];

    /// The fault, or in words why these parameters make none.
    fn fault(self) -> Result<Fault, String>;
}

/// What there is to say of a fault without using it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in scenarios.
    pub name: &'static str,
    /// What it does, in one line.
    pub meaning: &'static str,
    /// The classes of error that a client may report because of it; empty when it reports none.
    pub classes: &'static [&'static str],
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Kind {
    /// The JSON schema of its parameters.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

/// A fault that was read, with its name.
#[derive(Debug, Clone)]
pub struct Parsed {
    kind: &'static str,
    fault: Fault,
}

impl Parsed {
    /// Its name in scenarios.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind
    }

    /// What it does, and when.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// Reads the parameters of the fault of this name, where a seed is asked for; see [`read`].
#[derive(Debug, Clone, Copy)]
pub struct Named<'a>(pub &'a str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Option<Parsed>;

    fn deserialize<D: Deserializer<'de>>(self, parameters: D) -> Result<Self::Value, D::Error> {
        read(self.0, parameters)
    }
}

macro_rules! kinds {
    ($($name:literal => $parameters:ty),* $(,)?) => {
        /// Every fault there is, by name.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            meaning: <$parameters as Parameters>::MEANING,
            classes: <$parameters as Parameters>::CLASSES,
            schema: <$parameters as JsonSchema>::json_schema,
        }),*];

        /// Reads the parameters of the fault of this name; none when there is no such fault.
        ///
        /// # Errors
        ///
        /// That of the deserializer, for an unknown key, a wrong type, or a value without meaning.
        pub fn read<'de, D: Deserializer<'de>>(
            name: &str,
            parameters: D,
        ) -> Result<Option<Parsed>, D::Error> {
            match name {
                $($name => {
                    let parameters = <$parameters>::deserialize(parameters)?;
                    let fault = parameters.fault().map_err(D::Error::custom)?;
                    Ok(Some(Parsed { kind: $name, fault }))
                })*
                _ => Ok(None),
            }
        }
    };
}

kinds! {
    "tcp.refuse" => tcp_refuse::TcpRefuse,
    "tcp.reset" => tcp_reset::TcpReset,
    "tcp.close" => tcp_close::TcpClose,
    "tcp.stall" => tcp_stall::TcpStall,
    "tls.stall" => tls_stall::TlsStall,
    "tls.cut" => tls_cut::TlsCut,
    "tls.alert" => tls_alert::TlsAlert,
    "http.answer" => http_answer::HttpAnswer,
    "http.slow-answer" => http_slow_answer::HttpSlowAnswer,
    "http.cut" => http_cut::HttpCut,
    "http.redirect" => http_redirect::HttpRedirect,
    "http.wrong-type" => http_wrong_type::HttpWrongType,
    "graphql.errors" => graphql_errors::GraphqlErrors,
    "graphql.field" => graphql_field::GraphqlField,
    "api.answer" => api_answer::ApiAnswer,
    "api.slow" => api_slow::ApiSlow,
    "api.watch-cut" => api_watch_cut::ApiWatchCut,
    "api.watch-gone" => api_watch_gone::ApiWatchGone,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::journal::{Door, Identity, KubernetesCall, Peer, Request};

    /// A request to the Connector by the token door, on connection 1.
    pub(super) fn compass_request(id: u64, operations: &[&str]) -> Request {
        Request {
            id,
            connection: 1,
            door: Door::Token,
            address: "token".into(),
            peer: Peer::Connector,
            method: "POST".into(),
            path: "/connector/graphql".into(),
            operations: operations.iter().map(|&name| name.to_owned()).collect(),
            kubernetes: None,
            identity: Identity::None,
            request_id: None,
            tenant: None,
            user_agent: None,
            body_bytes: 0,
        }
    }

    /// A call of the Kubernetes API, on connection 1.
    pub(super) fn kubernetes_request(
        id: u64,
        verb: &str,
        resource: &str,
        name: Option<&str>,
    ) -> Request {
        let group = match resource {
            "secrets" => "",
            _ => "compass.kyma-project.io",
        };
        Request {
            door: Door::Kubernetes,
            address: "kubernetes".into(),
            peer: Peer::Kubernetes,
            method: "GET".into(),
            path: "/apis".into(),
            kubernetes: Some(KubernetesCall {
                verb: verb.into(),
                group: group.into(),
                resource: resource.into(),
                subresource: None,
                namespace: None,
                name: name.map(Into::into),
            }),
            ..compass_request(id, &[])
        }
    }

    /// Reads a fault from its parameters.
    pub(super) fn fault(name: &str, parameters: Value) -> Fault {
        let parsed = read(name, parameters).expect("the parameters are right");
        parsed.expect("there is such a fault").fault
    }

    /// What a fault of the request does to this one.
    pub(super) fn on_request(
        name: &str,
        parameters: Value,
        request: &Request,
    ) -> Option<RequestAct> {
        match fault(name, parameters) {
            Fault::Request(hook) => hook(request),
            other => panic!("`{name}` acts at {other:?}"),
        }
    }

    /// The answer that a fault of the request gives.
    pub(super) fn answer_of(
        name: &str,
        parameters: Value,
        request: &Request,
    ) -> http::Response<bytes::Bytes> {
        match on_request(name, parameters, request) {
            Some(RequestAct::Answer(answer)) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    #[test]
    fn every_fault_refuses_an_unknown_key_and_has_a_meaning() {
        for kind in KINDS {
            let error = read(kind.name, json!({"noSuchKey": 1}))
                .expect_err(&format!("`{}` takes an unknown key", kind.name));
            assert!(error.to_string().contains("noSuchKey"), "`{}`: {error}", kind.name);
            assert!(!kind.meaning.is_empty() && !kind.meaning.ends_with('.'), "{}", kind.name);
        }
    }

    #[test]
    fn every_fault_has_a_schema_that_is_an_object() {
        let mut generator = SchemaGenerator::default();
        for kind in KINDS {
            let schema = kind.schema(&mut generator);
            assert_eq!(schema.get("type"), Some(&json!("object")), "{}", kind.name);
        }
    }

    #[test]
    fn an_unknown_fault_is_none() {
        assert!(read("http.anser", json!({})).expect("nothing is read").is_none());
    }
}
