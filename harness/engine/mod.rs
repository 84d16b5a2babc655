//! From scenario to journal: builds a world, walks the steps, takes the world down.
//!
//! [`run()`] is the whole way of one scenario on one screen; [`World`] says what starts and stops in
//! which order; `steps` has one match arm a step.

mod access;
mod hands;
mod run;
mod steps;
mod tempo;
mod world;

pub use access::{Access, AccessError};
pub use hands::{Hands, HandsError};
pub use run::{Candidate, Run, RunError, RunOptions, run};
pub use tempo::{SpeedFactor, SpeedFactorChoice, SpeedFactorError};
pub use world::{World, WorldError, WorldPlan};
