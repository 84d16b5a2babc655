//! The reference agent: keeps the whole catalogue, and is a process of its own.

mod applications;
mod credentials;
mod csr;
mod duration;
mod environment;
mod pem;
mod resource;
mod schedule;
mod status;

pub use environment::{Environment, EnvironmentError, ObjectName};
