//! The reference agent: keeps the whole catalogue, and is a process of its own.
//!
//! In reading order: [`Environment`] is what it is told; `rounds` waits by `schedule` and `watches`
//! and runs one round of `agent` after another; a round is `pairing` or `maintenance`, then
//! `synchronisation`; what comes of it is in `status` and written through `cluster`. Each rule of
//! the catalogue is kept in one place, which names its id.

mod agent;
mod applications;
mod chain;
mod cluster;
mod compass_client;
mod connector;
mod credentials;
mod critical;
mod csr;
mod director;
mod duration;
mod election;
mod environment;
mod health;
mod maintenance;
mod pairing;
mod pem;
mod resource;
mod rounds;
mod run;
mod schedule;
mod secrets;
mod status;
mod synchronisation;
mod watches;

pub use environment::{Environment, EnvironmentError, ObjectName};
pub use run::{RunError, run, serve};
