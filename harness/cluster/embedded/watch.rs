//! Watches: a cursor into the log of a resource, as a stream of frames.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use rand::RngExt as _;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::api::Api;
use super::delete::Item;
use super::list::{self, Selection};
use super::negotiate::Accepted;
use super::output;
use super::request::{Call, Target};
use super::status::{Cause, Status};
use super::store::{Event, Feed, Found, Stored};
use super::table::Include;
use super::write;

/// How many events are taken from the log at a time.
const BATCH: usize = 64;
/// Seconds that a watch lasts at most, whatever was asked for.
const LONGEST: u64 = 365 * 24 * 3600;
/// A bookmark now and then tells clients how far they are.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// What a watch starts with.
enum Start {
    /// What is there, as ADDED; then whatever happens.
    Everything { bookmark: bool },
    /// What happened after this version.
    After(u64),
    /// A version that is not there yet: an error after a while.
    TooNew(u64),
}

/// Opens a watch. Refusals come as plain answers; everything later comes inside the stream.
pub(super) async fn open(
    api: Arc<Api>,
    call: &Call,
    target: Target,
    accepted: Accepted,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>, Status> {
    let selection = Selection::selectors(call, &target)?;
    let include = Include::read(call)?;
    let timeout = call.query.number("timeoutSeconds")?;
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let start = start(call, bookmarks)?;
    let start = match start {
        (Start::Everything { bookmark }, wanted) if wanted > 0 => {
            match list::wait_for(&api, wanted).await {
                Ok(()) => Start::Everything { bookmark },
                Err(_) => Start::TooNew(wanted),
            }
        }
        (start, _) => start,
    };
    let feed =
        api.store().read().feed(&target.resource.collection).ok_or_else(Status::no_resource)?;
    let receiver = feed.subscribe();
    let seconds = match timeout {
        Some(seconds) if seconds > 0 => u64::try_from(seconds).unwrap_or(0).min(LONGEST),
        _ => rand::rng().random_range(1800..3600),
    };
    let now = Instant::now();
    let mut watch = Watch {
        stop: api.stopped(),
        api,
        target,
        selection,
        accepted,
        include,
        feed,
        receiver,
        cursor: 0,
        initial: VecDeque::new(),
        end_of_initial: None,
        ready: VecDeque::new(),
        columns_told: false,
        bookmarks,
        told: 0,
        deadline: now + Duration::from_secs(seconds),
        next_bookmark: now + BOOKMARK_EVERY,
        finished: false,
    };
    watch.begin(start);
    Ok(futures::stream::unfold(watch, |mut watch| async move {
        watch.next().await.map(|frame| (Ok(Frame::data(frame)), watch))
    }))
}

/// Reads where a watch starts, and the version that must be there before.
fn start(call: &Call, bookmarks: bool) -> Result<(Start, u64), Status> {
    let version = call.query.get("resourceVersion").unwrap_or_default();
    let matching = call.query.get("resourceVersionMatch").unwrap_or_default();
    let initial = call.query.get("sendInitialEvents").filter(|value| !value.is_empty());
    let mut causes = Vec::new();
    match initial {
        None if !matching.is_empty() => {
            let text =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden("resourceVersionMatch", text));
        }
        Some(_) if matching.is_empty() => {
            let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden("resourceVersionMatch", text));
        }
        Some(_) if matching != "NotOlderThan" => {
            let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden("resourceVersionMatch", text));
            let supported = ["NotOlderThan".to_owned()];
            causes.push(Cause::unsupported("resourceVersionMatch", &json!(matching), &supported));
        }
        _ => {}
    }
    if !causes.is_empty() {
        return Err(Status::invalid_options("ListOptions", &causes));
    }
    let number: u64 = match version {
        "" => 0,
        text => text.parse().map_err(|_| {
            Status::internal(format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        })?,
    };
    let wanted = call.query.flag("sendInitialEvents");
    Ok(match (initial, number) {
        (Some(_), number) if wanted => (Start::Everything { bookmark: bookmarks }, number),
        // Explicitly without what is there: from now on.
        (Some(_), 0) => (Start::After(u64::MAX), 0),
        (None, 0) => (Start::Everything { bookmark: bookmarks }, 0),
        (_, number) => (Start::After(number), 0),
    })
}

/// Why a watch that waits goes on.
enum Woken {
    Written,
    Time,
    End,
}

struct Watch {
    api: Arc<Api>,
    stop: watch::Receiver<bool>,
    target: Target,
    selection: Selection,
    accepted: Accepted,
    include: Include,
    feed: Arc<Feed>,
    receiver: watch::Receiver<u64>,
    /// Everything up to here was told (or did not concern us).
    cursor: u64,
    initial: VecDeque<Item>,
    /// The version that the bookmark behind the initial events carries.
    end_of_initial: Option<u64>,
    ready: VecDeque<Arc<Event>>,
    columns_told: bool,
    bookmarks: bool,
    /// The version of the last frame.
    told: u64,
    deadline: Instant,
    next_bookmark: Instant,
    finished: bool,
}

impl Watch {
    fn begin(&mut self, start: Start) {
        let state = self.api.store().read();
        match start {
            Start::Everything { bookmark } => {
                let prefix = prefix(&self.target);
                let items = state.range(&self.target.resource.collection, &prefix, None);
                self.initial = items
                    .map(|(key, stored)| Item { key: Arc::clone(key), stored: Arc::clone(stored) })
                    .collect();
                self.cursor = state.revision;
                self.told = state.revision;
                self.end_of_initial = bookmark.then_some(state.revision);
            }
            Start::After(revision) => {
                self.cursor = if revision == u64::MAX { state.revision } else { revision };
                self.told = self.cursor;
            }
            Start::TooNew(revision) => {
                self.cursor = u64::MAX;
                self.told = revision;
            }
        }
    }

    /// The next frame, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.finished {
            return None;
        }
        if self.cursor == u64::MAX {
            self.finished = true;
            let status = Status::too_new(self.told, self.api.store().read().revision);
            return Some(self.error(&status));
        }
        while let Some(item) = self.initial.pop_front() {
            if let Some(frame) = self.initial_frame(&item) {
                return Some(frame);
            }
        }
        if let Some(revision) = self.end_of_initial.take() {
            return Some(self.bookmark(revision, true));
        }
        loop {
            while let Some(event) = self.ready.pop_front() {
                self.cursor = event.revision;
                if let Some(frame) = self.frame(&event) {
                    self.told = event.revision;
                    return Some(frame);
                }
            }
            // Marked as seen before looking, so that nothing that comes between is slept through.
            self.receiver.borrow_and_update();
            match self.feed.after(self.cursor, BATCH) {
                Found::Events(events) if !events.is_empty() => {
                    self.ready.extend(events);
                    continue;
                }
                Found::Events(_) => {}
                Found::End => return None,
                Found::TooOld(start) => {
                    self.finished = true;
                    let text = format!("too old resource version: {} ({start})", self.cursor);
                    return Some(self.error(&Status::expired(text)));
                }
            }
            let soon = self.deadline.checked_sub(Duration::from_secs(2)).unwrap_or(self.deadline);
            let wake = if self.bookmarks {
                self.next_bookmark.min(soon.max(Instant::now()))
            } else {
                self.deadline
            };
            let wake = if self.bookmarks && Instant::now() >= soon { self.deadline } else { wake };
            let woken = {
                let (receiver, stop) = (&mut self.receiver, &mut self.stop);
                tokio::select! {
                    changed = receiver.changed() => if changed.is_ok() { Woken::Written } else { Woken::End },
                    () = super::api::ended(stop) => Woken::End,
                    () = tokio::time::sleep_until(wake) => Woken::Time,
                }
            };
            match woken {
                Woken::End => return None,
                Woken::Written => {}
                Woken::Time if Instant::now() >= self.deadline => return None,
                Woken::Time => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    if let Some(frame) = self.progress() {
                        return Some(frame);
                    }
                }
            }
        }
    }

    /// A bookmark, when there is something to tell and everything before it was told.
    fn progress(&mut self) -> Option<Bytes> {
        let revision = {
            let state = self.api.store().read();
            match self.feed.after(self.cursor, 1) {
                Found::Events(events) if events.is_empty() => state.revision,
                _ => return None,
            }
        };
        if revision <= self.told {
            return None;
        }
        self.cursor = revision;
        self.told = revision;
        Some(self.bookmark(revision, false))
    }

    fn initial_frame(&mut self, item: &Item) -> Option<Bytes> {
        if !self.selection.is_everything()
            && !self.selection.matches(&write::load(&self.target.resource, &item.stored))
        {
            return None;
        }
        Some(self.object("ADDED", &item.stored))
    }

    /// The frame of an event, when it concerns this watch.
    fn frame(&mut self, event: &Event) -> Option<Bytes> {
        if !self.target.namespace.is_empty() && !event.key.starts_with(&prefix(&self.target)) {
            return None;
        }
        let resource = Arc::clone(&self.target.resource);
        let everything = self.selection.is_everything();
        let matches = |stored: &Arc<Stored>| {
            everything || self.selection.matches(&write::load(&resource, stored))
        };
        if everything && output::is_shared(&resource, self.accepted) {
            let (kind, stored) = match (&event.old, &event.new) {
                (None, Some(new)) => ("ADDED", &**new),
                (Some(_), Some(new)) => ("MODIFIED", &**new),
                (_, None) => ("DELETED", event.departed()?),
            };
            return Some(output::event_frame(&resource, kind, event, stored));
        }
        let was = event.old.as_ref().is_some_and(matches);
        let is = event.new.as_ref().is_some_and(matches);
        match (was, is, &event.new) {
            (false, true, Some(new)) => Some(self.object("ADDED", new)),
            (true, true, Some(new)) => Some(self.object("MODIFIED", new)),
            (true, false, _) => event.departed().map(|departed| self.object("DELETED", departed)),
            _ => None,
        }
    }

    fn object(&mut self, kind: &str, stored: &Stored) -> Bytes {
        let first = !std::mem::replace(&mut self.columns_told, true);
        output::frame(&self.target.resource, self.accepted, self.include, kind, stored, first)
    }

    fn bookmark(&self, revision: u64, end_of_initial: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if end_of_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        output::bookmark(&self.target.resource, self.accepted, metadata)
    }

    fn error(&self, status: &Status) -> Bytes {
        output::raw_frame(self.accepted, "ERROR", &status.value(), None)
    }
}

fn prefix(target: &Target) -> String {
    if target.namespace.is_empty() { String::new() } else { format!("{}/", target.namespace) }
}

/// Whether a request for a collection is a watch.
pub(super) fn asked(call: &Call) -> bool {
    call.query.get("watch").is_some() && call.query.flag("watch")
}
