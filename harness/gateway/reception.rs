//! The seam between a door and the server behind it: who asks, for what, and where it goes.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Response, Uri};

use crate::journal::{ClientCertificate, Identity, KubernetesCall, Peer};

/// A request as it came through a door, whole.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The client certificate of the connection, if one was shown and accepted.
    pub certificate: Option<&'a ClientCertificate>,
    /// Method, path and headers as sent.
    pub parts: &'a Parts,
    /// The body as sent.
    pub body: &'a Bytes,
}

/// What a request is about; finding out changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Whom it is meant for.
    pub peer: Peer,
    /// GraphQL root fields in the order of the document; empty when there are none to be seen.
    pub operations: Vec<String>,
    /// For the Kubernetes door: what is asked of the API.
    pub kubernetes: Option<KubernetesCall>,
    /// Who asks, without spending a token.
    pub identity: Identity,
}

/// Whether a request passes the edge.
#[derive(Debug)]
pub enum Admission {
    /// It goes to the server behind, changed so.
    Forward {
        /// Scheme and authority of the server behind, and the path and query there.
        to: Uri,
        /// Headers that are taken out of the request.
        remove: Vec<HeaderName>,
        /// Headers that are set, after the removal.
        set: HeaderMap,
    },
    /// The server behind is part of this process and has answered already; faults meet the answer
    /// as they meet any other of a server.
    Reply(Response<Bytes>),
    /// The edge itself answers.
    Answer(Response<Bytes>),
}

/// What stands at a door and knows the server behind it.
///
/// The gateway asks [`describe`](Self::describe) first, writes the journal, lets the faults act, and
/// asks [`admit`](Self::admit) only for what is to reach the server. So a fault in front of the
/// server spends no token.
pub trait Reception: Send + Sync + 'static {
    /// Says what a request is about.
    fn describe(&self, incoming: Incoming<'_>) -> Subject;

    /// Lets a request in or answers it; a one-time token is spent here.
    fn admit(&self, incoming: Incoming<'_>, subject: &Subject) -> Admission;

    /// The error messages in the body of an answer, for the journal.
    fn errors(&self, subject: &Subject, status: u16, body: &[u8]) -> Vec<String>;
}
