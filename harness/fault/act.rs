//! What a fault does, by the moment at which it acts, in words that know no socket.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::journal::{Door, Request};

/// A listener of a door, as far as a fault needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerFacts<'a> {
    /// Which door it belongs to.
    pub door: Door,
    /// Its name (`token`, `connector`, `director`, `kubernetes`).
    pub address: &'a str,
}

/// An accepted connection, as far as a fault needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFacts<'a> {
    /// Its number, unique in the run.
    pub connection: u64,
    /// Where it was accepted.
    pub listener: ListenerFacts<'a>,
}

/// An answer of the server behind, before it goes to the client.
#[derive(Debug, Clone, Copy)]
pub struct AnswerFacts<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// The body, when it was read whole; none for what is streamed (a watch, a list).
    pub body: Option<&'a Bytes>,
}

/// A fault with its parameters; each one acts at exactly one moment.
#[derive(Clone)]
pub enum Fault {
    /// As long as it is armed, nobody listens.
    Refuse,
    /// A connection was accepted, and nothing was read from it yet.
    Connection(ConnectionAct),
    /// A TLS handshake is under way.
    Handshake(HandshakeAct),
    /// A request was read whole, and the server behind does not know of it yet.
    Request(RequestHook),
    /// The server behind has answered, and the client does not know of it yet.
    Answer(AnswerHook),
    /// A watch is open, from its start on.
    Stream(StreamHook),
}

/// Decides what becomes of a request; none when the fault has nothing to say to this one.
pub type RequestHook = Arc<dyn Fn(&Request) -> Option<RequestAct> + Send + Sync>;

/// Decides what becomes of an answer; none when the fault has nothing to say to this one.
pub type AnswerHook = Arc<dyn Fn(&Request, AnswerFacts<'_>) -> Option<AnswerAct> + Send + Sync>;

/// Decides what becomes of an open watch; its answer comes as facts without a body.
pub type StreamHook = Arc<dyn Fn(&Request, AnswerFacts<'_>) -> Option<StreamAct> + Send + Sync>;

impl Fault {
    /// A fault that acts when a request was read.
    pub fn on_request(
        hook: impl Fn(&Request) -> Option<RequestAct> + Send + Sync + 'static,
    ) -> Self {
        Self::Request(Arc::new(hook))
    }

    /// A fault that acts when the server behind has answered.
    pub fn on_answer(
        hook: impl Fn(&Request, AnswerFacts<'_>) -> Option<AnswerAct> + Send + Sync + 'static,
    ) -> Self {
        Self::Answer(Arc::new(hook))
    }

    /// A fault that acts on open watches.
    pub fn on_stream(
        hook: impl Fn(&Request, AnswerFacts<'_>) -> Option<StreamAct> + Send + Sync + 'static,
    ) -> Self {
        Self::Stream(Arc::new(hook))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse => f.write_str("Refuse"),
            Self::Connection(act) => f.debug_tuple("Connection").field(act).finish(),
            Self::Handshake(act) => f.debug_tuple("Handshake").field(act).finish(),
            Self::Request(_) => f.write_str("Request"),
            Self::Answer(_) => f.write_str("Answer"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// How a connection ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// RST: what was under way is lost.
    Reset,
    /// FIN, without a word from TLS.
    Close,
}

/// What happens to a connection that was just accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionAct {
    /// It ends.
    End(Ending),
    /// Nothing happens on it for that long, or until the fault is lifted.
    Stall(Option<Duration>),
}

/// What happens in a TLS handshake, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeAct {
    /// How far the handshake gets.
    pub after: Stage,
    /// What happens then.
    pub then: HandshakeEnd,
}

/// How far a TLS handshake has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The client has said hello and heard nothing.
    #[default]
    ClientHello,
    /// The server's certificate is sent; nothing more is read.
    Certificate,
    /// All is agreed; no HTTP is spoken.
    Finished,
}

/// What happens to a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// It rests for that long, or until the fault is lifted, and then goes on.
    Stall(Option<Duration>),
    /// The connection is closed.
    Cut,
    /// The client gets this fatal alert, and the connection is closed.
    Alert(u8),
}

/// What happens to a request that was read whole.
#[derive(Debug)]
pub enum RequestAct {
    /// This is the answer; the server behind is not asked.
    Answer(Response<Bytes>),
    /// The connection ends; the server behind is not asked.
    End(Ending),
    /// Nothing happens on the connection for that long, or until the fault is lifted.
    Stall(Option<Duration>),
    /// The server behind answers, and the connection ends once so many bytes were sent from now on.
    EndAfter(u64, Ending),
    /// The server behind answers, and the connection rests once so many bytes were sent from now on.
    StallAfter(u64, Option<Duration>),
}

/// What happens to the answer of the server behind.
#[derive(Debug)]
pub enum AnswerAct {
    /// This one is given in its place.
    Replace(Response<Bytes>),
    /// It comes late, or slowly.
    Slow {
        /// By how much.
        delay: Duration,
        /// Whether status and headers are sent at once.
        headers_first: bool,
        /// The body in small pieces.
        drip: Option<Drip>,
    },
    /// The body breaks off and the connection ends (on HTTP/2: the stream).
    CutBody {
        /// Bytes of the body that are sent; half of it when not given.
        after: Option<u64>,
        /// What Content-Length says; none for a body in chunks, whose last chunk never comes.
        declared: Declared,
    },
}

/// A body in small pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Drip {
    /// Bytes a piece.
    pub bytes: NonZeroUsize,
    /// Time between two pieces.
    #[serde(deserialize_with = "super::period::required")]
    #[schemars(with = "String")]
    pub every: Duration,
}

/// What happens to an open watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAct {
    /// A last frame, if any.
    pub last: Option<Bytes>,
    /// Whether the stream then ends as HTTP wants it, or breaks off.
    pub clean: bool,
}

/// What the headers of a broken body say of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// The length of the whole body.
    Real,
    /// This.
    Other(u64),
    /// Nothing: the body comes in chunks.
    Chunked,
}
