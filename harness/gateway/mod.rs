//! The doors: TLS, identity, faults and the journal in front of every server that an agent talks to.

mod reception;

pub use reception::{Admission, Incoming, Reception, Subject};
