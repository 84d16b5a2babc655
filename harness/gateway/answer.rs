//! Bodies of answers: whole, as they come, late, in drops, or broken off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream as Frames, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};

use super::forward::remove_hop_by_hop;
use super::line::Line;
use crate::fault::{Declared, Drip, Hold};

/// More than this is not read whole from a server behind.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;
/// How long to wait for the bytes before a cut to leave.
const LEAVING: Duration = Duration::from_secs(1);

/// The body of any answer.
pub(super) type AnswerBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BodyError>>;

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the server behind broke off")]
    Upstream(#[source] hyper::Error),
    #[error("a fault broke the body off")]
    Fault,
}

pub(super) fn full(body: Bytes) -> AnswerBody {
    Either::Left(Full::new(body))
}

pub(super) fn boxed(
    frames: impl Frames<Item = Result<Frame<Bytes>, BodyError>> + Send + 'static,
) -> AnswerBody {
    Either::Right(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// An answer in one piece, whose length we say ourselves: whoever made it may have said another.
pub(super) fn whole(answer: Response<Bytes>, head: bool) -> Response<AnswerBody> {
    let (mut parts, body) = answer.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    if head {
        // To HEAD the length is what GET would have brought, and there is no body.
        return Response::from_parts(parts, full(Bytes::new()));
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, full(body))
}

/// What the edge says to a body that is too large.
pub(super) fn too_large() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"Payload Too Large"));
    *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// An answer whose body waits, and then comes whole or in drops.
pub(super) fn late(
    answer: Response<Bytes>,
    hold: Hold,
    drip: Option<Drip>,
) -> Response<AnswerBody> {
    let (mut parts, mut body) = answer.into_parts();
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    let piece = drip.map_or(usize::MAX, |drip| drip.bytes.get());
    let mut pieces = Vec::new();
    while !body.is_empty() {
        pieces.push(body.split_to(piece.min(body.len())));
    }
    let every = drip.map(|drip| drip.every);
    let first = stream::once(hold.clone().over()).filter_map(|()| async { None });
    let rest = stream::iter(pieces.into_iter().enumerate()).then(move |(number, piece)| {
        let pause = every.filter(|_| number > 0).map(|every| hold.lasting(Some(every)));
        async move {
            if let Some(pause) = pause {
                pause.over().await;
            }
            Ok(Frame::data(piece))
        }
    });
    Response::from_parts(parts, boxed(first.chain(rest)))
}

/// An answer whose body breaks off.
pub(super) fn cut(
    answer: Response<Bytes>,
    after: Option<u64>,
    declared: Declared,
    line: Arc<Line>,
) -> Response<AnswerBody> {
    let (mut parts, body) = answer.into_parts();
    let length = body.len() as u64;
    let longest = match declared {
        Declared::Real => length.saturating_sub(1),
        Declared::Other(declared) => declared.saturating_sub(1),
        Declared::Chunked => length,
    };
    let after = after.unwrap_or(length / 2).min(longest).min(length);
    match declared {
        Declared::Real => parts.headers.insert(CONTENT_LENGTH, length.into()),
        Declared::Other(declared) => parts.headers.insert(CONTENT_LENGTH, declared.into()),
        Declared::Chunked => parts.headers.remove(CONTENT_LENGTH),
    };
    // `after` is at most the length of a body in memory.
    let sent = body.slice(..usize::try_from(after).unwrap_or(body.len()));
    let mark = line.sent();
    let start = stream::iter((!sent.is_empty()).then(|| Ok(Frame::data(sent))));
    let end = stream::once(async move {
        // An error overtakes what is not on its way yet.
        let _ = tokio::time::timeout(LEAVING, line.sent_more_than(mark)).await;
        Err(BodyError::Fault)
    });
    Response::from_parts(parts, boxed(start.chain(end)))
}
