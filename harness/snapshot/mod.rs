//! The status transitions of a run as stable prose, kept by insta.

mod golden;
mod of_run;
mod prose;

pub use golden::{Comparison, Difference, Golden, GoldenError, SnapshotMode};
pub use of_run::of_run;
pub use prose::{Section, prose};
