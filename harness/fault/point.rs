//! Where in the life of a connection a TCP fault strikes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConnectionAct, Ending, Fault, RequestAct};

/// The word behind `point`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Point {
    /// When a connection was accepted; what a client then reports varies.
    Accept,
    /// When a request was read whole; the server behind is not asked.
    #[default]
    AfterRequest,
    /// When so many bytes, TLS included, were sent after a request was read.
    AfterBytes(u64),
}

/// A fault that ends the connection at this point.
pub(super) fn end_at(point: Point, ending: Ending) -> Fault {
    match point {
        Point::Accept => Fault::Connection(ConnectionAct::End(ending)),
        Point::AfterRequest => Fault::on_request(move |_| Some(RequestAct::End(ending))),
        Point::AfterBytes(bytes) => {
            Fault::on_request(move |_| Some(RequestAct::EndAfter(bytes, ending)))
        }
    }
}

/// A fault that stalls the connection at this point.
pub(super) fn stall_at(point: Point, hold: Option<Duration>) -> Fault {
    match point {
        Point::Accept => Fault::Connection(ConnectionAct::Stall(hold)),
        Point::AfterRequest => Fault::on_request(move |_| Some(RequestAct::Stall(hold))),
        Point::AfterBytes(bytes) => {
            Fault::on_request(move |_| Some(RequestAct::StallAfter(bytes, hold)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_point_is_a_word_or_a_number_of_bytes() {
        let read = |point: Value| serde_json::from_value::<Point>(point);
        assert_eq!(read(json!("accept")).expect("a point"), Point::Accept);
        assert_eq!(read(json!("after-request")).expect("a point"), Point::AfterRequest);
        assert_eq!(read(json!({"after-bytes": 100})).expect("a point"), Point::AfterBytes(100));
        assert!(read(json!("afterwards")).is_err());
    }
}
