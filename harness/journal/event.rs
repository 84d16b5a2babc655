//! The kinds of entries: data only, serialisable, free of secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scrub::Scrubber;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Event {
    /// The engine begins or ends a step of the scenario.
    Step(StepEvent),
    /// The engine did something to the world.
    Action(Action),
    /// A TLS handshake ended at a door.
    Handshake(Handshake),
    /// A request arrived at a door.
    Request(Request),
    /// A request was answered, or its connection was cut.
    Answer(Answer),
    /// A fault was armed, fired, or was lifted.
    Fault(FaultEvent),
    /// A one-time token was issued, used or refused.
    Token(TokenEvent),
    /// A client certificate was issued or revoked.
    Certificate(CertificateEvent),
    /// The data behind Connector and Director changed.
    Landscape(LandscapeEvent),
    /// An object in the cluster has a new revision.
    Revision(Box<Revision>),
    /// The recorder itself has something to say.
    Recorder(RecorderEvent),
    /// The agent's process started, ended, or was told something.
    Agent(AgentEvent),
}

/// One of the listeners that an agent talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Server TLS only; identity by one-time token (`compass-gateway.`).
    Token,
    /// Mutual TLS; identity by client certificate (`compass-gateway-mtls.`).
    Certificate,
    /// The Kubernetes API.
    Kubernetes,
}

/// The server behind a door that a request is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// Compass Connector.
    Connector,
    /// Compass Director.
    Director,
    /// The Kubernetes API server.
    Kubernetes,
    /// No server: the path belongs to none.
    Nobody,
}

/// Progress of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum StepEvent {
    /// The step with this index (0 is the first) begins.
    Began {
        /// Index in `steps`.
        index: usize,
        /// The step in words.
        name: String,
    },
    /// The step is over.
    Ended {
        /// Index in `steps`.
        index: usize,
        /// How it ended.
        result: StepResult,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepResult {
    /// Done, or what was expected was there in time.
    Done,
    /// What was expected did not come, or cannot come any more.
    Failed,
    /// The harness could not do it; the run has no verdict.
    Impossible(String),
}

/// Something the engine did to the world, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// In words.
    pub text: String,
}

/// A TLS handshake at a door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Number of the connection, unique in the run.
    pub connection: u64,
    /// Where.
    pub door: Door,
    /// The name of the listener at that door (`connector`, `director`, `kubernetes`).
    pub address: String,
    /// How it went.
    pub outcome: HandshakeOutcome,
}

/// How a handshake went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum HandshakeOutcome {
    /// The connection is up.
    #[serde(rename_all = "camelCase")]
    Completed {
        /// `TLSv1_2`, `TLSv1_3`.
        version: String,
        /// The application protocol agreed on, if any (`h2`, `http/1.1`).
        alpn: Option<String>,
        /// The server name that the client asked for.
        server_name: Option<String>,
        /// The certificate that the client showed.
        certificate: Option<ClientCertificate>,
    },
    /// It failed; the reason is ours, not the client's words.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// In words.
        reason: String,
    },
}

/// A client certificate as seen in a handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// Lower-case hex SHA-256 over the DER of the leaf.
    pub fingerprint: String,
    /// The leaf's common name: the client id.
    pub common_name: String,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Number of certificates shown, the leaf included.
    pub chain_length: usize,
    /// The leaf's subject, one `KEY=value` an attribute in the certificate's order.
    #[serde(default)]
    pub subject: Vec<String>,
}

/// A request at a door, before anything was done with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Number of the request, unique in the run.
    pub id: u64,
    /// The connection it came on.
    pub connection: u64,
    /// Where.
    pub door: Door,
    /// The name of the listener at that door.
    pub address: String,
    /// Whom it is meant for.
    pub peer: Peer,
    /// HTTP method.
    pub method: String,
    /// Path and query; a token in the query is hidden.
    pub path: String,
    /// GraphQL root fields in the order of the document (`configuration`, `applicationsForRuntime`).
    pub operations: Vec<String>,
    /// For the Kubernetes door: what is asked of the API.
    pub kubernetes: Option<KubernetesCall>,
    /// Who asks, as far as we can tell.
    pub identity: Identity,
    /// Value of `X-Request-Id`.
    pub request_id: Option<String>,
    /// Value of `Tenant`.
    pub tenant: Option<String>,
    /// Value of `User-Agent`.
    pub user_agent: Option<String>,
    /// Size of the body in bytes.
    pub body_bytes: u64,
}

/// A call of the Kubernetes API in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesCall {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// Plural resource name (`secrets`).
    pub resource: String,
    /// Subresource (`status`), if any.
    pub subresource: Option<String>,
    /// Namespace, if any.
    pub namespace: Option<String>,
    /// Name, if any.
    pub name: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum Identity {
    /// Nobody we know, and nothing was shown.
    None,
    /// A one-time token that was good; its number counts the tokens issued in this run from 1.
    Token {
        /// Which.
        number: u32,
    },
    /// A token that was not good.
    RefusedToken {
        /// Its number, when we ever issued it.
        number: Option<u32>,
        /// `used`, `expired`, `unknown`, `empty`.
        reason: String,
    },
    /// A client certificate that we issued; its number counts from 1.
    Certificate {
        /// Which.
        number: u32,
    },
    /// A certificate of the external authority that an administrator is known by.
    Administrator,
    /// A bearer token of an OAuth client.
    #[serde(rename_all = "camelCase")]
    Bearer {
        /// Whose; none when the token was not good.
        client_id: Option<String>,
    },
    /// A client certificate that passed the handshake and gives no identity all the same.
    RefusedCertificate {
        /// Its number, when we issued it.
        number: Option<u32>,
        /// `revoked`, `unknown subject`, `no such client`.
        reason: String,
    },
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Which request.
    pub request: u64,
    /// HTTP status; none when the connection ended without one.
    pub status: Option<u16>,
    /// Messages of GraphQL errors, or the message of a Kubernetes `Status`.
    pub errors: Vec<String>,
    /// The id of the fault that made this answer, if one did.
    pub fault: Option<String>,
    /// For Kubernetes writes: the resourceVersion in the answer.
    pub resource_version: Option<String>,
}

/// The life of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum FaultEvent {
    /// It waits for its occasion.
    Armed {
        /// The scenario's name for it.
        id: String,
        /// `http.answer` and the like.
        fault: String,
        /// Where it sits.
        at: String,
    },
    /// It reached the wire.
    Fired {
        /// Which.
        id: String,
        /// The request that it met, if it was one.
        request: Option<u64>,
        /// The connection that it met, if it was one.
        connection: Option<u64>,
    },
    /// It is gone.
    Healed {
        /// Which.
        id: String,
    },
}

/// The life of a one-time token. Numbers count the tokens of a run from 1, the text is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum TokenEvent {
    /// Made for a client.
    #[serde(rename_all = "camelCase")]
    Issued {
        /// Which.
        number: u32,
        /// The client id (system auth) that it stands for.
        client_id: String,
        /// `operator` or `configuration`.
        by: String,
    },
    /// Accepted, and thereby spent.
    Used {
        /// Which.
        number: u32,
    },
}

/// The life of a client certificate. Numbers count the certificates of a run from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum CertificateEvent {
    /// Signed and handed out.
    #[serde(rename_all = "camelCase")]
    Issued {
        /// Which.
        number: u32,
        /// Its facts.
        facts: CertificateFacts,
        /// How the client was known: by which token or certificate.
        to: Identity,
        /// `RSA` and the like.
        key_algorithm: String,
        /// Size of the public key in bits.
        key_bits: u32,
        /// Subject of the CSR, one `KEY=value` an attribute in the CSR's order.
        subject: Vec<String>,
    },
    /// No longer good.
    Revoked {
        /// Which.
        number: u32,
    },
}

/// What tells one certificate from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFacts {
    /// Lower-case hex SHA-256 over the DER.
    pub fingerprint: String,
    /// Lower-case hex SHA-256 over the DER of the subject public key info.
    pub public_key: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// A change of the data behind Connector and Director, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum LandscapeEvent {
    /// The names under which the Director lists applications for the runtime from now on.
    Applications {
        /// In the Director's order.
        names: Vec<String>,
    },
    /// A runtime's label was set.
    RuntimeLabel {
        /// Key.
        key: String,
        /// Value.
        value: Value,
    },
}

/// An object in words that Kubernetes uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `CompassConnection`, `Secret`, `Application`.
    pub kind: String,
    /// Namespace, if it has one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// What a revision is to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectChange {
    /// New, or there when the recorder began.
    Added,
    /// Another content.
    Modified,
    /// Gone; the content is the last one.
    Deleted,
}

/// One revision of one object, as the recorder saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Which object.
    pub object: ObjectRef,
    /// What happened to it.
    pub change: ObjectChange,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.uid`.
    pub uid: String,
    /// The object; for a Secret without `data` and `stringData`.
    pub content: Value,
    /// For a Secret: what is under each key, without the value.
    pub secret: BTreeMap<String, SecretValue>,
}

/// What can be said of one value in a Secret without saying it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// Salted digest, the same for the same value within one run.
    pub digest: String,
    /// The certificates in it, in order, when it is PEM.
    pub certificates: Vec<CertificateFacts>,
    /// When it holds a private key: the digest of the public key that belongs to it, as in
    /// [`CertificateFacts::public_key`].
    pub private_key_of: Option<String>,
}

/// What the recorder says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum RecorderEvent {
    /// It watches these kinds from now on.
    Watching {
        /// Kinds.
        kinds: Vec<String>,
    },
    /// Revisions may have been missed: the run can have no verdict.
    Lost {
        /// In words.
        reason: String,
    },
}

/// The life of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum AgentEvent {
    /// A process runs.
    Started {
        /// How many starts there were, this one included.
        number: u32,
        /// Its process id.
        pid: u32,
    },
    /// It was asked to end, or killed, by us.
    Told {
        /// `SIGTERM`, `SIGKILL`.
        signal: String,
    },
    /// The process ended.
    Exited {
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Whether we asked for it.
        planned: bool,
    },
}

impl Event {
    /// Takes registered secrets out of every text that came from outside.
    pub(super) fn scrub(&mut self, scrubber: &Scrubber) {
        match self {
            Self::Action(action) => scrubber.scrub(&mut action.text),
            Self::Request(request) => {
                scrubber.scrub(&mut request.path);
                for text in [&mut request.request_id, &mut request.tenant, &mut request.user_agent]
                    .into_iter()
                    .flatten()
                {
                    scrubber.scrub(text);
                }
            }
            Self::Answer(answer) => answer.errors.iter_mut().for_each(|text| scrubber.scrub(text)),
            Self::Landscape(LandscapeEvent::RuntimeLabel { value, .. }) => {
                scrubber.scrub_json(value)
            }
            Self::Revision(revision) => scrubber.scrub_json(&mut revision.content),
            Self::Handshake(Handshake { outcome: HandshakeOutcome::Failed { reason }, .. })
            | Self::Recorder(RecorderEvent::Lost { reason }) => scrubber.scrub(reason),
            Self::Step(_)
            | Self::Handshake(_)
            | Self::Fault(_)
            | Self::Token(_)
            | Self::Certificate(_)
            | Self::Landscape(_)
            | Self::Recorder(_)
            | Self::Agent(_) => {}
        }
    }
}

macro_rules! into_event {
    ($($variant:ident($kind:ty)),* $(,)?) => {
        $(impl From<$kind> for Event {
            fn from(event: $kind) -> Self {
                Self::$variant(event)
            }
        })*
    };
}

into_event! {
    Step(StepEvent), Action(Action), Handshake(Handshake), Request(Request), Answer(Answer),
    Fault(FaultEvent), Token(TokenEvent), Certificate(CertificateEvent),
    Landscape(LandscapeEvent), Recorder(RecorderEvent), Agent(AgentEvent),
}

impl From<Revision> for Event {
    fn from(revision: Revision) -> Self {
        Self::Revision(Box::new(revision))
    }
}
