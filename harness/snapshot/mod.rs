//! The status transitions of a run as stable prose, kept by insta.

mod golden;
mod prose;

pub use golden::{Comparison, Difference, Golden, GoldenError, SnapshotMode};
pub use prose::{Section, prose};
