//! An answer that is passed on as it comes, frame by frame: a watch, or more than one wants to hold.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::HeaderMap;
use http::response::Parts;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::answer::{AnswerBody, BodyError, boxed};
use super::doors::Door;
use crate::fault::{AnswerFacts, Hold};
use crate::journal::Request;

/// The body of such an answer. Dropping it, as when the client goes away, ends it at the server too.
pub(super) struct Passing {
    door: Arc<Door>,
    asked: Request,
    status: u16,
    headers: HeaderMap,
    arriving: Incoming,
    begin_after: Option<Hold>,
    /// Only a watch has no end of its own, and only its events have frames that we know.
    is_watch: bool,
    changes: watch::Receiver<()>,
    /// Whether the faults must be asked: at the start, and when one was armed.
    ask: bool,
    /// Whether what was sent so far ends with the end of an event.
    between_events: bool,
    /// How it ends, when a fault has decided so.
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    Clean,
    Broken,
}

impl Passing {
    pub(super) fn new(door: &Arc<Door>, asked: Request, head: &Parts, arriving: Incoming) -> Self {
        let is_watch = asked.kubernetes.as_ref().is_some_and(|call| call.verb == "watch");
        Self {
            changes: door.faults.changes(),
            door: Arc::clone(door),
            asked,
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            arriving,
            begin_after: None,
            is_watch,
            ask: is_watch,
            between_events: true,
            end: None,
        }
    }

    /// Lets nothing out before this is over.
    pub(super) fn begin_after(&mut self, hold: Hold) {
        self.begin_after = Some(hold);
    }

    pub(super) fn into_body(self) -> AnswerBody {
        boxed(stream::unfold(self, Self::next))
    }

    async fn next(mut self) -> Option<(Result<Frame<Bytes>, BodyError>, Self)> {
        if let Some(hold) = self.begin_after.take() {
            hold.over().await;
        }
        loop {
            if self.ask && self.between_events {
                self.ask = false;
                if let Some(last) = self.ask_faults() {
                    return Some((Ok(Frame::data(last)), self));
                }
            }
            match self.end {
                Some(End::Clean) => return None,
                Some(End::Broken) => {
                    self.end = Some(End::Clean);
                    return Some((Err(BodyError::Fault), self));
                }
                None => {}
            }
            tokio::select! {
                biased;
                () = self.door.stopping.cancelled(), if self.is_watch => return None,
                changed = self.changes.changed(), if self.is_watch => {
                    // The sender lives in the faults that the door holds, so this cannot fail.
                    self.ask = changed.is_ok();
                }
                frame = self.arriving.frame() => {
                    let frame = frame?.map_err(BodyError::Upstream);
                    if let Some(bytes) = frame.as_ref().ok().and_then(Frame::data_ref) {
                        self.between_events = bytes.last() == Some(&b'\n') || !self.is_json();
                    }
                    return Some((frame, self));
                }
            }
        }
    }

    /// Asks the faults how this goes on; gives a last frame, if there is to be one.
    fn ask_faults(&mut self) -> Option<Bytes> {
        let facts = AnswerFacts { status: self.status, headers: &self.headers, body: None };
        let firing = self.door.faults.on_stream(&self.asked, facts)?;
        self.end = Some(if firing.act.clean { End::Clean } else { End::Broken });
        firing.act.last
    }

    /// Events in JSON end with a line feed; where others end we do not see.
    fn is_json(&self) -> bool {
        let content_type = self.headers.get(http::header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
    }
}
