//! The Director's applications as objects in the cluster.

mod naming;
