//! The pure function from scenario and journal to verdict.
//!
//! [`Watch`] takes in entries one after the other, in one pass: it draws the picture of the world
//! ([`Observed`]), and every claim of the scenario and every rule of the catalogue looks at it. The
//! engine asks [`Watch::step`] while the run goes on; [`judge()`] does a whole journal at once.

mod claim;
mod condition;
mod connection;
mod finding;
mod invariant;
mod kept;
mod lines;
mod observed;
mod reach;
mod schema;
mod terms;
mod verdict;
mod walk;
mod watch;
mod way;
mod writers;

pub use connection::Connection;
pub use finding::{Finding, Outcome, WalkLine};
pub use lines::line;
pub use observed::{Change, FaultSeen, Issued, MomentSeen, Observed, TokenSeen};
pub use terms::Terms;
pub use verdict::{Judgement, RequirementResult, StepVerdict, Verdict};
pub use watch::{Watch, excerpt, judge};
pub use writers::{AgentWrite, Asked, Writers};

#[cfg(test)]
mod tests;
