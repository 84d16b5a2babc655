//! Times in parameters, written as `500ms`, `6s` or `1m 30s`.

pub(super) use jiff::fmt::serde::unsigned_duration::{optional, required};
