//! The Director's applications as objects in the cluster.

mod apply;
mod naming;
mod objects;

pub(super) use apply::{ApplyError, apply};
