//! The doors: TLS, identity, faults and the journal in front of every server that an agent talks to.
//!
//! A [`Gateway`] opens listeners; each [`DoorPlan`] names one, what it shows, and the [`Reception`]
//! that stands there. A connection goes through: `listener` (accept, refuse), `connection` (from
//! accept to end), `handshake`, `exchange` (one request and its answer), `forward` (the server
//! behind), `answer` and `passing` (bodies). `line` holds the bytes underneath.

mod answer;
mod connection;
mod doors;
mod exchange;
mod forward;
mod handshake;
mod kubernetes;
mod line;
mod listener;
mod passing;
mod plan;
mod reception;
mod tasks;
mod tls;

pub use doors::Gateway;
pub use kubernetes::KubernetesReception;
pub use plan::{ClientCertificates, DoorPlan, ListenError, ServerIdentity};
pub use reception::{Admission, Incoming, Reception, Subject};
