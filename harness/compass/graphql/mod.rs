//! GraphQL as gqlgen speaks it: parse and validate once, execute into bytes, answer over HTTP.
//!
//! apollo-compiler parses, validates and introspects. Execution is ours for two reasons: gqlgen
//! runs every field even when a neighbour has failed, and reports each failure, in order, with the
//! server's own `extensions`; and a cached query must cost next to nothing, so a document is turned
//! into a plan once and the plan writes JSON straight into the answer.

mod document;
mod execute;
mod lenient;
mod plan;
mod transport;

pub(crate) use document::{Documents, ErrorCode, RequestError};
pub(crate) use execute::{Failure, Location, Object, Resolved, Response, SentError, execute};
pub(crate) use plan::{Field, Plan};
pub(crate) use transport::{
    HttpAnswer, HttpRequest, Server, answer, error_answer, query_text, root_fields,
};
