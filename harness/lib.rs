//! A simulation and conformance harness for Compass runtime agents.
//!
//! The map, in reading order of one scenario from YAML to verdict:
//!
//! 1. [`scenario`] reads the file (with [`document`]) into types;
//! 2. [`engine`] builds a world from it and walks its steps;
//! 3. the world: [`agent`] runs the agent, [`gateway`] is where it is met ([`fault`] acts there),
//!    [`compass`] and [`cluster`] answer behind it, [`pki`] signs;
//! 4. everything seen is an entry in the [`journal`];
//! 5. [`judge`] folds scenario and journal to a verdict, [`snapshot`] and [`report`] to prose.
//!
//! [`reference`](mod@reference) is the agent that the harness proves itself with; [`cli`] is the command line.

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod compass;
pub mod document;
pub mod engine;
pub mod fault;
pub mod gateway;
pub mod journal;
pub mod judge;
pub mod pki;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod snapshot;
