//! From scenario to journal: builds a world, walks the steps, takes the world down.

mod tempo;

pub use tempo::{SpeedFactor, SpeedFactorChoice, SpeedFactorError};
