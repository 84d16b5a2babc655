//! Connector and Director behind their edge, held against what clients of the real ones rely on.

mod compass_admin;
mod compass_connector;
mod compass_director;
mod compass_doors;
mod compass_facts;
mod compass_world;
