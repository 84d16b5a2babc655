//! `api.watch-gone`: the past that a watch wanted to start from is gone.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Fault, Parameters, StreamAct, status};

/// `api.watch-gone` has no parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiWatchGone {}

impl Parameters for ApiWatchGone {
    const MEANING: &'static str =
        "watches, open or new, get an ERROR frame with 410 Expired and end";
    const CLASSES: &'static [&'static str] = &[];

    fn fault(self) -> Result<Fault, String> {
        Ok(Fault::on_stream(|request, answer| {
            // A frame of protobuf or CBOR looks otherwise; custom resources are never asked for so.
            let json = answer.headers.get(CONTENT_TYPE).is_some_and(|content_type| {
                content_type.as_bytes().starts_with(b"application/json")
            });
            json.then(|| {
                let mut frame =
                    json!({"type": "ERROR", "object": status::expired(request)}).to_string();
                frame.push('\n');
                StreamAct { last: Some(Bytes::from(frame)), clean: true }
            })
        }))
    }
}
