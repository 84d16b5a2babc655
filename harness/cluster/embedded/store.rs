//! What is stored: one counter, sorted maps of objects, and a log of what happened to each resource.
//!
//! Writers come one at a time; readers see a revision as a whole. A watch is a cursor into a log, so nothing is queued
//! for a client that does not read: when the log has moved on, the client is told that it is too late.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Events that a log keeps at most; kube-apiserver keeps at least 100.
const LOG_EVENTS: usize = 4096;
/// Bytes of objects that a log keeps at most, beyond which it is shortened early.
const LOG_BYTES: usize = 32 << 20;

/// One state of one object, as it goes over the wire, without `kind` and `apiVersion`.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) revision: u64,
    /// A JSON object.
    pub(super) text: Bytes,
}

impl Stored {
    /// Writes an object under a revision, which it carries from then on.
    fn new(value: &mut Value, revision: u64) -> Self {
        value["metadata"]["resourceVersion"] = json!(revision.to_string());
        let text = serde_json::to_vec(value).expect("a JSON value is always written");
        Self { revision, text: text.into() }
    }

    /// The object.
    pub(super) fn value(&self) -> Value {
        serde_json::from_slice(&self.text).expect("what is stored was written by us")
    }
}

/// What happened to one object.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) key: Arc<str>,
    pub(super) old: Option<Arc<Stored>>,
    pub(super) new: Option<Arc<Stored>>,
    departed: OnceLock<Stored>,
    /// The frame that most watchers get, with the head that it was written with.
    pub(super) frame: OnceLock<(Vec<u8>, Bytes)>,
}

impl Event {
    /// The old state under the revision of this event: what a watcher gets whose selection the object has left.
    pub(super) fn departed(&self) -> Option<&Stored> {
        let old = self.old.as_ref()?;
        Some(self.departed.get_or_init(|| Stored::new(&mut old.value(), self.revision)))
    }
}

/// The log of one resource.
#[derive(Debug)]
pub(super) struct Feed {
    log: RwLock<Log>,
    wake: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    events: VecDeque<Arc<Event>>,
    /// Changes up to this revision are forgotten.
    start: u64,
    bytes: usize,
    closed: bool,
}

/// What a watch finds after its cursor.
pub(super) enum Found {
    Events(Vec<Arc<Event>>),
    /// The resource is gone and everything about it was read.
    End,
    /// The cursor is older than the log, which starts here.
    TooOld(u64),
}

impl Feed {
    fn new(start: u64) -> Self {
        Self { log: RwLock::new(Log { start, ..Log::default() }), wake: watch::Sender::new(start) }
    }

    fn push(&self, event: Event) {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let size = |event: &Event| {
            event.new.as_ref().or(event.old.as_ref()).map_or(0, |stored| stored.text.len())
        };
        log.bytes += size(&event);
        log.events.push_back(Arc::new(event));
        while log.events.len() > LOG_EVENTS || (log.bytes > LOG_BYTES && log.events.len() > 1) {
            let Some(oldest) = log.events.pop_front() else { break };
            log.bytes = log.bytes.saturating_sub(size(&oldest));
            log.start = oldest.revision;
        }
    }

    /// Up to `most` events after a revision.
    pub(super) fn after(&self, revision: u64, most: usize) -> Found {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        if revision < log.start {
            return Found::TooOld(log.start);
        }
        let from = log.events.partition_point(|event| event.revision <= revision);
        if from == log.events.len() && log.closed {
            return Found::End;
        }
        Found::Events(log.events.iter().skip(from).take(most).cloned().collect())
    }

    /// Wakes when something is written after the call.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    fn close(&self, revision: u64) {
        self.log.write().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.wake.send_replace(revision);
    }
}

#[derive(Debug)]
struct Collection {
    objects: BTreeMap<Arc<str>, Arc<Stored>>,
    feed: Arc<Feed>,
}

impl Collection {
    fn new(start: u64) -> Self {
        Self { objects: BTreeMap::new(), feed: Arc::new(Feed::new(start)) }
    }
}

/// Everything at one revision.
#[derive(Debug)]
pub(super) struct State {
    pub(super) revision: u64,
    collections: BTreeMap<Arc<str>, Collection>,
}

impl State {
    pub(super) fn get(&self, collection: &str, key: &str) -> Option<Arc<Stored>> {
        self.collections.get(collection)?.objects.get(key).cloned()
    }

    /// Objects with keys that start with `prefix`, in order, from `start` on.
    pub(super) fn range<'a>(
        &'a self,
        collection: &str,
        prefix: &str,
        start: Option<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Stored>)> + use<'a> {
        let from = match start {
            Some(start) if start > prefix => start,
            _ => prefix,
        };
        let bounds = (Bound::Included(from), Bound::Unbounded);
        let prefix = prefix.to_owned();
        let found =
            self.collections.get(collection).map(|found| found.objects.range::<str, _>(bounds));
        found.into_iter().flatten().take_while(move |(key, _)| key.starts_with(&prefix))
    }

    pub(super) fn count(&self, collection: &str) -> usize {
        self.collections.get(collection).map_or(0, |found| found.objects.len())
    }

    pub(super) fn feed(&self, collection: &str) -> Option<Arc<Feed>> {
        self.collections.get(collection).map(|found| Arc::clone(&found.feed))
    }

    /// The objects as they were at an earlier revision, or the revision from which on that can be told.
    pub(super) fn at(
        &self,
        collection: &str,
        revision: u64,
    ) -> Result<BTreeMap<Arc<str>, Arc<Stored>>, u64> {
        let Some(found) = self.collections.get(collection) else { return Ok(BTreeMap::new()) };
        let log = found.feed.log.read().unwrap_or_else(PoisonError::into_inner);
        if revision < log.start {
            return Err(log.start);
        }
        let mut objects = found.objects.clone();
        for event in log.events.iter().rev().take_while(|event| event.revision > revision) {
            match &event.old {
                Some(old) => objects.insert(Arc::clone(&event.key), Arc::clone(old)),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects)
    }
}

/// The store of one server.
#[derive(Debug)]
pub(super) struct Store {
    writers: Mutex<()>,
    state: RwLock<State>,
    revision: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new() -> Self {
        let state = State { revision: 1, collections: BTreeMap::new() };
        Self { writers: Mutex::new(()), state: RwLock::new(state), revision: watch::Sender::new(1) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, collection: &str, key: &str) -> Option<Arc<Stored>> {
        self.read().get(collection, key)
    }

    /// Follows the counter of the whole store.
    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The right to write; whoever holds it is alone.
    pub(super) fn write(&self) -> Writer<'_> {
        Writer { store: self, _alone: self.writers.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// The one writer.
pub(super) struct Writer<'a> {
    store: &'a Store,
    _alone: MutexGuard<'a, ()>,
}

impl Writer<'_> {
    pub(super) fn get(&self, collection: &str, key: &str) -> Option<Arc<Stored>> {
        self.store.get(collection, key)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.store.read()
    }

    /// Makes a resource known; its log starts here.
    pub(super) fn open(&self, collection: &Arc<str>) {
        let mut state = self.store.state.write().unwrap_or_else(PoisonError::into_inner);
        let revision = state.revision;
        state
            .collections
            .entry(Arc::clone(collection))
            .or_insert_with(|| Collection::new(revision));
    }

    /// Forgets a resource and ends its watches.
    pub(super) fn close(&self, collection: &str) {
        let mut state = self.store.state.write().unwrap_or_else(PoisonError::into_inner);
        let revision = state.revision;
        if let Some(found) = state.collections.remove(collection) {
            found.feed.close(revision);
        }
    }

    /// Stores a new state of an object under a new revision.
    pub(super) fn put(&self, collection: &Arc<str>, key: &str, mut value: Value) -> Arc<Stored> {
        self.put_mut(collection, key, &mut value)
    }

    /// Stores a new state of an object, which gets its version.
    pub(super) fn put_mut(
        &self,
        collection: &Arc<str>,
        key: &str,
        value: &mut Value,
    ) -> Arc<Stored> {
        let revision = self.store.read().revision + 1;
        // Written before the readers are held up.
        let stored = Arc::new(Stored::new(value, revision));
        self.commit(collection, key, revision, Some(Arc::clone(&stored)));
        stored
    }

    /// Removes an object; the removal has a revision of its own.
    pub(super) fn delete(&self, collection: &Arc<str>, key: &str) {
        let revision = self.store.read().revision + 1;
        self.commit(collection, key, revision, None);
    }

    fn commit(&self, collection: &Arc<str>, key: &str, revision: u64, new: Option<Arc<Stored>>) {
        let feed = {
            let mut state = self.store.state.write().unwrap_or_else(PoisonError::into_inner);
            let found = state
                .collections
                .entry(Arc::clone(collection))
                .or_insert_with(|| Collection::new(1));
            let (key, old) = match found.objects.remove_entry(key) {
                Some((key, old)) => (key, Some(old)),
                None => (Arc::from(key), None),
            };
            if let Some(new) = &new {
                found.objects.insert(Arc::clone(&key), Arc::clone(new));
            }
            if new.is_none() && old.is_none() {
                return;
            }
            found.feed.push(Event {
                revision,
                key,
                old,
                new,
                departed: OnceLock::new(),
                frame: OnceLock::new(),
            });
            let feed = Arc::clone(&found.feed);
            state.revision = revision;
            feed
        };
        feed.wake.send_replace(revision);
        self.store.revision.send_replace(revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(n: u32) -> Value {
        json!({ "metadata": { "name": "a" }, "n": n })
    }

    #[test]
    fn deletes_count_and_the_past_can_be_read() {
        let store = Store::new();
        let things: Arc<str> = "g/things".into();
        let writer = store.write();
        let first = writer.put(&things, "a", object(1));
        let second = writer.put(&things, "a", object(2));
        writer.delete(&things, "a");
        drop(writer);
        let state = store.read();
        assert_eq!(state.revision, second.revision + 1);
        assert_eq!(state.at("g/things", first.revision).expect("in the log")["a"].value()["n"], 1);
        assert_eq!(state.at("g/things", second.revision).expect("in the log")["a"].value()["n"], 2);
        assert!(state.at("g/things", state.revision).expect("in the log").is_empty());
    }

    #[test]
    fn a_cursor_that_the_log_has_passed_is_too_old() {
        let store = Store::new();
        let things: Arc<str> = "g/things".into();
        let writer = store.write();
        for n in 0..=u32::try_from(LOG_EVENTS).expect("small") {
            writer.put(&things, "a", object(n));
        }
        drop(writer);
        let feed = store.read().feed("g/things").expect("written to");
        assert!(matches!(feed.after(1, 10), Found::TooOld(2)));
        assert!(matches!(feed.after(2, 10), Found::Events(events) if events.len() == 10));
    }

    #[test]
    fn a_deleted_object_shows_its_last_state_under_the_revision_of_the_deletion() {
        let store = Store::new();
        let things: Arc<str> = "g/things".into();
        let writer = store.write();
        writer.put(&things, "a", object(1));
        writer.delete(&things, "a");
        drop(writer);
        let feed = store.read().feed("g/things").expect("written to");
        let Found::Events(events) = feed.after(2, 10) else { panic!("in the log") };
        let departed = events[0].departed().expect("it was there").value();
        assert_eq!(
            (departed["n"].clone(), departed["metadata"]["resourceVersion"].clone()),
            (json!(1), json!("3"))
        );
    }
}
