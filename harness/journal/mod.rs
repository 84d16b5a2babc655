//! The one ordered record of a run: what was asked, answered, stored, injected and seen.
//!
//! Everything that is judged or reported is a fold over these entries. Whoever observes something
//! calls [`Journal::record`]; whoever waits for something reads with a [`Reader`].

mod event;
mod run_file;
mod scrub;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use event::{
    Action, AgentEvent, Answer, CertificateEvent, CertificateFacts, ClientCertificate, Door, Event,
    FaultEvent, Handshake, HandshakeOutcome, Identity, KubernetesCall, LandscapeEvent,
    ObjectChange, ObjectRef, Peer, RecorderEvent, Request, Revision, SecretValue, StepEvent,
    StepResult, TokenEvent,
};
pub use run_file::{RunFileError, RunHeader, read_run_file, write_run_file};
pub use scrub::Scrubber;

/// One thing that happened, with its place in the order of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the journal, from 0 without gaps.
    pub seq: u64,
    /// Microseconds since the run started, by a monotonic clock.
    pub at: u64,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// Time since the start of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.at)
    }
}

/// A handle to the record of one run; clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    started_at: Timestamp,
    entries: Mutex<Vec<Arc<Entry>>>,
    length: watch::Sender<u64>,
    scrubber: Scrubber,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal {
    /// An empty journal whose clock starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                started_at: Timestamp::now(),
                entries: Mutex::default(),
                length: watch::Sender::new(0),
                scrubber: Scrubber::default(),
            }),
        }
    }

    /// Adds one event at the end and wakes every reader. Registered secrets are replaced first.
    ///
    /// Returns the position of the new entry.
    pub fn record(&self, event: impl Into<Event>) -> u64 {
        let mut event = event.into();
        event.scrub(&self.shared.scrubber);
        let mut entries = self.entries();
        let seq = entries.len() as u64;
        // The clock is read under the lock, so that order and time never disagree.
        let at = u64::try_from(self.shared.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        entries.push(Arc::new(Entry { seq, at, event }));
        self.shared.length.send_replace(seq + 1);
        seq
    }

    /// Registers a text that must never appear in the journal or in anything made from it.
    pub fn hide(&self, secret: &str) {
        self.shared.scrubber.hide(secret);
    }

    /// The replacer of the secrets registered so far, for texts that do not pass the journal (logs).
    #[must_use]
    pub fn scrubber(&self) -> Scrubber {
        self.shared.scrubber.clone()
    }

    /// The wall-clock time at which the run started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// Time since the start of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Number of entries so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether nothing was recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries so far, in order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Arc<Entry>> {
        self.entries().clone()
    }

    /// A reader that starts at the first entry.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { journal: self.clone(), length: self.shared.length.subscribe(), next: 0 }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        // A panic elsewhere cannot leave a half-pushed vector, so the poison carries no news.
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cursor over a journal that can wait for what is not written yet.
#[derive(Debug)]
pub struct Reader {
    journal: Journal,
    length: watch::Receiver<u64>,
    next: usize,
}

impl Reader {
    /// The entries since the last call, at once; empty when there are none.
    pub fn read_new(&mut self) -> Vec<Arc<Entry>> {
        let entries = self.journal.entries();
        let new = entries.get(self.next..).unwrap_or_default().to_vec();
        drop(entries);
        self.next += new.len();
        new
    }

    /// Waits until there are entries that were not read yet, and reads them.
    pub async fn next_batch(&mut self) -> Vec<Arc<Entry>> {
        loop {
            let new = self.read_new();
            if !new.is_empty() {
                return new;
            }
            let next = self.next as u64;
            // The sender lives in the journal that this reader holds, so the wait cannot fail.
            let _ = self.length.wait_for(|length| *length > next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_sees_every_entry_once_and_in_order() {
        let journal = Journal::new();
        let mut reader = journal.reader();
        journal.record(Action { text: "one".into() });
        assert_eq!(reader.next_batch().await.len(), 1);
        let writer = journal.clone();
        let task = tokio::spawn(async move {
            for n in 0..100 {
                writer.record(Action { text: format!("{n}") });
                tokio::task::yield_now().await;
            }
        });
        let mut seen = 1;
        while seen < 101 {
            for entry in reader.next_batch().await {
                assert_eq!(entry.seq, seen);
                seen += 1;
            }
        }
        task.await.expect("the writer does not panic");
    }

    #[test]
    fn a_hidden_secret_is_replaced_before_it_is_stored() {
        let journal = Journal::new();
        journal.hide("s3cret-token");
        journal.record(Action { text: "sent s3cret-token to the Connector".into() });
        let text = serde_json::to_string(&*journal.snapshot()[0]).expect("entries serialise");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("[hidden]"), "{text}");
    }
}
