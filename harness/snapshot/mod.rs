//! The status transitions of a run as stable prose, kept by insta.

mod golden;

pub use golden::{Comparison, Difference, Golden, GoldenError, SnapshotMode};
