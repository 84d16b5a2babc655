//! Which of the requests or connections at its place a fault meets, and how often.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::journal::{KubernetesCall, Request};

/// The keys behind `only`; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Narrowing {
    /// A GraphQL operation: `configuration`, `sign`, `revoke`, `applications`, `setLabel`, or the
    /// name of a root field.
    #[serde(default)]
    pub operation: Option<String>,
    /// A Kubernetes verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`.
    #[serde(default)]
    pub verb: Option<String>,
    /// A Kubernetes kind (`CompassConnection`) or resource (`secrets`).
    #[serde(default)]
    pub kind: Option<String>,
    /// The name of a Kubernetes object.
    #[serde(default)]
    pub name: Option<String>,
    /// The path of a request, without the query; a `*` at the end stands for any rest.
    #[serde(default)]
    pub path: Option<String>,
    /// Only the next so many.
    #[serde(default)]
    pub next: Option<NonZeroU32>,
    /// Only every so-manieth.
    #[serde(default)]
    pub every: Option<NonZeroU32>,
    /// Only connections that begin from now on.
    #[serde(default)]
    pub connections: Option<Connections>,
    /// How many connections; one when only `connections` is given.
    #[serde(default)]
    pub count: Option<NonZeroU32>,
}

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Connections {
    /// Those that begin after the fault was armed.
    Next,
}

impl Narrowing {
    /// Whether what is asked falls under it; how often is another matter.
    #[must_use]
    pub fn meets(&self, request: &Request) -> bool {
        let call = request.kubernetes.as_ref();
        let holds = |wanted: &Option<String>, check: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(check)
        };
        holds(&self.operation, &|word| {
            let field = root_field(word);
            request.operations.iter().any(|operation| operation == field)
        }) && holds(&self.verb, &|verb| call.is_some_and(|call| call.verb == verb))
            && holds(&self.kind, &|kind| call.is_some_and(|call| is_of_kind(call, kind)))
            && holds(&self.name, &|name| {
                call.is_some_and(|call| call.name.as_deref() == Some(name))
            })
            && holds(&self.path, &|pattern| {
                let path = request.path.split('?').next().unwrap_or_default();
                match pattern.strip_suffix('*') {
                    Some(start) => path.starts_with(start),
                    None => path == pattern,
                }
            })
    }

    /// The first key, if any, that only a request can answer to.
    pub(super) fn asks_for_a_request(&self) -> Option<&'static str> {
        [
            ("operation", &self.operation),
            ("verb", &self.verb),
            ("kind", &self.kind),
            ("name", &self.name),
            ("path", &self.path),
        ]
        .into_iter()
        .find_map(|(key, value)| value.is_some().then_some(key))
    }

    /// How much it says: the number of its keys.
    pub(super) fn specificity(&self) -> usize {
        [&self.operation, &self.verb, &self.kind, &self.name, &self.path]
            .into_iter()
            .filter(|key| key.is_some())
            .count()
            + usize::from(self.next.is_some())
            + usize::from(self.every.is_some())
            + usize::from(self.connections.is_some() || self.count.is_some())
    }
}

/// How often a fault met its occasion, and how often it still may.
#[derive(Debug, Default)]
pub(super) struct Turns {
    met: u32,
    fired: u32,
    connections: BTreeSet<u64>,
}

impl Turns {
    /// Whether the fault has had all its turns for good.
    pub(super) fn are_over(&self, only: &Narrowing) -> bool {
        only.next.is_some_and(|next| self.fired >= next.get())
    }

    /// Counts an occasion on this connection, and says whether it is the fault's turn.
    ///
    /// `newest` is the newest connection that the fault knew of when it was armed.
    pub(super) fn take(&mut self, only: &Narrowing, connection: u64, newest: u64) -> bool {
        if self.are_over(only) || !self.takes_connection(only, connection, newest) {
            return false;
        }
        self.met = self.met.wrapping_add(1);
        let turn = only.every.is_none_or(|every| self.met.is_multiple_of(every.get()));
        self.fired = self.fired.saturating_add(u32::from(turn));
        turn
    }

    fn takes_connection(&mut self, only: &Narrowing, connection: u64, newest: u64) -> bool {
        if only.connections.is_none() && only.count.is_none() {
            return true;
        }
        if connection <= newest {
            return false;
        }
        let count = only.count.map_or(1, |count| count.get() as usize);
        self.connections.contains(&connection)
            || (self.connections.len() < count && self.connections.insert(connection))
    }
}

/// The words of a scenario for what the two schemas of Compass call otherwise.
fn root_field(word: &str) -> &str {
    match word {
        "sign" => "signCertificateSigningRequest",
        "revoke" => "revokeCertificate",
        "applications" => "applicationsForRuntime",
        "setLabel" => "setRuntimeLabel",
        field => field,
    }
}

/// Whether a call is about a kind, given as `CompassConnection` or as `compassconnections`.
///
/// The path of a call has only the plural; Kubernetes forms it in lower case by the regular rules
/// of English, and so does every CRD that an agent meets.
fn is_of_kind(call: &KubernetesCall, kind: &str) -> bool {
    let resource = call.resource.as_str();
    if resource.is_empty() {
        return false;
    }
    let kind = kind.to_ascii_lowercase();
    let with =
        |stem: &str, ending: &str| resource.strip_prefix(stem).is_some_and(|rest| rest == ending);
    resource == kind
        || with(&kind, "s")
        || with(&kind, "es")
        || kind.strip_suffix('y').is_some_and(|stem| with(stem, "ies"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::{compass_request, kubernetes_request};

    fn only(yaml: serde_json::Value) -> Narrowing {
        serde_json::from_value(yaml).expect("a narrowing")
    }

    #[test]
    fn an_operation_is_known_by_its_word_and_by_its_field() {
        let request = compass_request(1, &["runtime", "applicationsForRuntime"]);
        assert!(only(serde_json::json!({"operation": "applications"})).meets(&request));
        assert!(only(serde_json::json!({"operation": "runtime"})).meets(&request));
        assert!(!only(serde_json::json!({"operation": "sign"})).meets(&request));
    }

    #[test]
    fn a_kubernetes_call_is_known_by_verb_kind_and_name() {
        let request =
            kubernetes_request(1, "update", "compassconnections", Some("compass-connection"));
        for (keys, meets) in [
            (serde_json::json!({"kind": "CompassConnection"}), true),
            (serde_json::json!({"kind": "compassconnections", "verb": "update"}), true),
            (serde_json::json!({"kind": "CompassConnection", "verb": "get"}), false),
            (serde_json::json!({"kind": "Secret"}), false),
            (serde_json::json!({"name": "compass-connection"}), true),
            (serde_json::json!({"name": "another"}), false),
        ] {
            assert_eq!(only(keys.clone()).meets(&request), meets, "{keys}");
        }
        let policies = kubernetes_request(1, "list", "networkpolicies", None);
        assert!(only(serde_json::json!({"kind": "NetworkPolicy"})).meets(&policies));
        let ingresses = kubernetes_request(1, "list", "ingresses", None);
        assert!(only(serde_json::json!({"kind": "Ingress"})).meets(&ingresses));
    }

    #[test]
    fn a_path_is_whole_or_ends_in_a_star() {
        let request = compass_request(1, &[]);
        assert!(only(serde_json::json!({"path": "/connector/graphql"})).meets(&request));
        assert!(only(serde_json::json!({"path": "/connector/*"})).meets(&request));
        assert!(!only(serde_json::json!({"path": "/connector"})).meets(&request));
    }

    #[test]
    fn next_every_and_connections_count() {
        let count = |keys: serde_json::Value, connections: &[u64]| -> Vec<bool> {
            let only = only(keys);
            let mut turns = Turns::default();
            connections.iter().map(|connection| turns.take(&only, *connection, 5)).collect()
        };
        assert_eq!(count(serde_json::json!({"next": 2}), &[1, 1, 1]), [true, true, false]);
        assert_eq!(
            count(serde_json::json!({"every": 2}), &[1, 1, 1, 1]),
            [false, true, false, true]
        );
        assert_eq!(
            count(serde_json::json!({"every": 2, "next": 1}), &[1, 1, 1, 1]),
            [false, true, false, false]
        );
        assert_eq!(
            count(serde_json::json!({"connections": "next", "count": 2}), &[5, 6, 7, 6, 8]),
            [false, true, true, true, false]
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(
            serde_json::from_value::<Narrowing>(serde_json::json!({"operations": "x"})).is_err()
        );
        assert!(serde_json::from_value::<Narrowing>(serde_json::json!({"next": 0})).is_err());
    }
}
