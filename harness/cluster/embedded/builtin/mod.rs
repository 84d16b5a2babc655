//! The built-in kinds: defaults, rules and preparations of each.

mod crd;
mod defaults;
mod prepare;
mod rules;
mod workloads;

pub(super) use defaults::fill;
pub(super) use prepare::{prepare_create, prepare_update};
pub(super) use rules::{validate, warnings};
