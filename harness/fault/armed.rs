//! The faults that are armed: which one acts now, and the record of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::narrowing::Turns;
use super::{
    AnswerAct, AnswerFacts, Armed, ConnectionAct, ConnectionFacts, Fault, HandshakeAct,
    ListenerFacts, RequestAct, StreamAct,
};
use crate::journal::{FaultEvent, Journal, Request};

/// A listener that a fault can close and open again.
pub trait Listens: Send + Sync {
    /// Asks [`Faults::refuses`] and does what it says, before it returns.
    fn reconsider(&self);
}

/// The armed faults of a run; clones share them.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Journal,
    /// In the order of arming. Replaced as a whole, so that whoever asks holds no lock meanwhile.
    armed: RwLock<Arc<Vec<Arc<Entry>>>>,
    /// Everything that fired, by id, healed or not.
    fired: Mutex<std::collections::BTreeMap<String, u32>>,
    newest_connection: AtomicU64,
    changes: watch::Sender<()>,
    listeners: Mutex<Vec<Weak<dyn Listens>>>,
}

#[derive(Debug)]
struct Entry {
    armed: Armed,
    newest_connection: u64,
    turns: Mutex<Turns>,
    lifted: CancellationToken,
}

/// A fault that fires now, with what it does.
#[derive(Debug)]
pub struct Firing<A> {
    /// The scenario's name for the fault.
    pub id: String,
    /// What it does.
    pub act: A,
    lifted: CancellationToken,
}

impl<A> Firing<A> {
    /// What waits until the fault is lifted.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold { duration: None, lifted: self.lifted.clone() }
    }

    fn of<B>(self, act: B) -> Firing<B> {
        Firing { id: self.id, act, lifted: self.lifted }
    }
}

/// A time of waiting that ends early when its fault is lifted.
#[derive(Debug, Clone)]
pub struct Hold {
    duration: Option<Duration>,
    lifted: CancellationToken,
}

impl Hold {
    /// The same, but no longer than this, if it is given.
    #[must_use]
    pub fn lasting(&self, duration: Option<Duration>) -> Self {
        Self { duration, lifted: self.lifted.clone() }
    }

    /// Waits until the time is over or the fault is lifted.
    pub async fn over(self) {
        match self.duration {
            Some(duration) => {
                let _ = tokio::time::timeout(duration, self.lifted.cancelled()).await;
            }
            None => self.lifted.cancelled().await,
        }
    }
}

impl Faults {
    /// No faults yet; what happens to them is recorded in this journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self {
            shared: Arc::new(Shared {
                journal,
                armed: RwLock::default(),
                fired: Mutex::default(),
                newest_connection: AtomicU64::new(0),
                changes: watch::Sender::new(()),
                listeners: Mutex::default(),
            }),
        }
    }

    /// Arms a fault; when it returns, the fault is in force. One with the same id is replaced.
    pub fn arm(&self, armed: Armed) {
        self.remove(|id| id == armed.id);
        self.shared.journal.record(FaultEvent::Armed {
            id: armed.id.clone(),
            fault: armed.kind.into(),
            at: armed.at.to_string(),
        });
        let refuses = matches!(armed.fault, Fault::Refuse);
        let entry = Arc::new(Entry {
            newest_connection: self.shared.newest_connection.load(Ordering::Acquire),
            armed,
            turns: Mutex::default(),
            lifted: CancellationToken::new(),
        });
        {
            let mut list = self.shared.armed.write().unwrap_or_else(PoisonError::into_inner);
            let mut next = Vec::clone(&list);
            next.push(Arc::clone(&entry));
            *list = Arc::new(next);
        }
        if refuses {
            self.reconsider();
        }
        self.shared.changes.send_replace(());
    }

    /// Lifts a fault; what it holds up goes on. Says whether it was armed.
    pub fn heal(&self, id: &str) -> bool {
        self.remove(|armed| armed == id)
    }

    /// Lifts all faults, in the order in which they were armed.
    pub fn heal_all(&self) {
        self.remove(|_| true);
    }

    /// How often the fault of this id fired, healed or not.
    #[must_use]
    pub fn fired(&self, id: &str) -> u32 {
        let fired = self.shared.fired.lock().unwrap_or_else(PoisonError::into_inner);
        fired.get(id).copied().unwrap_or_default()
    }

    /// Makes a listener known, which is asked to reconsider at each change that may concern it.
    pub fn attach(&self, listener: Weak<dyn Listens>) {
        let mut listeners = self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(listener);
    }

    /// Whether a listener has to be closed now. It is the listener that reports what it did
    /// with [`closed`](Self::closed).
    #[must_use]
    pub fn refuses(&self, listener: ListenerFacts<'_>) -> bool {
        self.refusal(listener).is_some()
    }

    /// Records that a listener was closed because of a fault.
    pub fn closed(&self, listener: ListenerFacts<'_>) {
        if let Some(entry) = self.refusal(listener) {
            self.fire(&entry, None, None);
        }
    }

    /// What happens to a connection that was just accepted.
    #[must_use]
    pub fn on_connection(&self, facts: ConnectionFacts<'_>) -> Option<Firing<ConnectionAct>> {
        self.shared.newest_connection.fetch_max(facts.connection, Ordering::AcqRel);
        self.on_wire(facts, |fault| match fault {
            Fault::Connection(act) => Some(*act),
            _ => None,
        })
    }

    /// What happens in the TLS handshake of a connection.
    #[must_use]
    pub fn on_handshake(&self, facts: ConnectionFacts<'_>) -> Option<Firing<HandshakeAct>> {
        self.on_wire(facts, |fault| match fault {
            Fault::Handshake(act) => Some(*act),
            _ => None,
        })
    }

    /// What happens to a request before the server behind is asked.
    #[must_use]
    pub fn on_request(&self, request: &Request) -> Option<Firing<RequestAct>> {
        self.on_http(request, |fault| match fault {
            Fault::Request(hook) => hook(request),
            _ => None,
        })
    }

    /// What happens to the answer of the server behind.
    #[must_use]
    pub fn on_answer(
        &self,
        request: &Request,
        answer: AnswerFacts<'_>,
    ) -> Option<Firing<AnswerAct>> {
        self.on_http(request, |fault| match fault {
            Fault::Answer(hook) => hook(request, answer),
            _ => None,
        })
    }

    /// What happens to an open watch; to be asked at its start and whenever
    /// [`changes`](Self::changes) says so.
    #[must_use]
    pub fn on_stream(
        &self,
        request: &Request,
        answer: AnswerFacts<'_>,
    ) -> Option<Firing<StreamAct>> {
        self.on_http(request, |fault| match fault {
            Fault::Stream(hook) => hook(request, answer),
            _ => None,
        })
    }

    /// Tells of every fault that was armed, for what is open and must be asked again.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    fn on_wire<A>(
        &self,
        facts: ConnectionFacts<'_>,
        act: impl Fn(&Fault) -> Option<A>,
    ) -> Option<Firing<A>> {
        self.choose(|armed| armed.at.meets_listener(facts.listener), act, None, facts.connection)
    }

    fn on_http<A>(
        &self,
        request: &Request,
        act: impl Fn(&Fault) -> Option<A>,
    ) -> Option<Firing<A>> {
        self.choose(
            |armed| armed.at.meets_request(request) && armed.only.meets(request),
            act,
            Some(request.id),
            request.connection,
        )
    }

    /// The more specific fault wins, then the later one; who has had all its turns stands back.
    fn choose<A>(
        &self,
        meets: impl Fn(&Armed) -> bool,
        act: impl Fn(&Fault) -> Option<A>,
        request: Option<u64>,
        connection: u64,
    ) -> Option<Firing<A>> {
        let armed = self.armed();
        if armed.is_empty() {
            return None;
        }
        let mut candidates: Vec<&Arc<Entry>> =
            armed.iter().rev().filter(|entry| meets(&entry.armed)).collect();
        // The sort is stable, so the later of two equals stays in front.
        candidates.sort_by_key(|entry| std::cmp::Reverse(entry.specificity()));
        candidates.into_iter().find_map(|entry| {
            if entry.turns().are_over(&entry.armed.only) {
                return None;
            }
            let act = act(&entry.armed.fault)?;
            let taken = entry.turns().take(&entry.armed.only, connection, entry.newest_connection);
            taken.then(|| self.fire(entry, request, Some(connection)).of(act))
        })
    }

    fn fire(&self, entry: &Entry, request: Option<u64>, connection: Option<u64>) -> Firing<()> {
        let id = entry.armed.id.clone();
        {
            let mut fired = self.shared.fired.lock().unwrap_or_else(PoisonError::into_inner);
            *fired.entry(id.clone()).or_default() += 1;
        }
        self.shared.journal.record(FaultEvent::Fired { id: id.clone(), request, connection });
        Firing { id, act: (), lifted: entry.lifted.clone() }
    }

    fn refusal(&self, listener: ListenerFacts<'_>) -> Option<Arc<Entry>> {
        let armed = self.armed();
        armed
            .iter()
            .rev()
            .find(|entry| {
                matches!(entry.armed.fault, Fault::Refuse)
                    && entry.armed.at.meets_listener(listener)
            })
            .cloned()
    }

    fn remove(&self, mut which: impl FnMut(&str) -> bool) -> bool {
        let removed: Vec<Arc<Entry>> = {
            let mut list = self.shared.armed.write().unwrap_or_else(PoisonError::into_inner);
            let (removed, kept) =
                list.iter().cloned().partition(|entry: &Arc<Entry>| which(&entry.armed.id));
            *list = Arc::new(kept);
            removed
        };
        for entry in &removed {
            self.shared.journal.record(FaultEvent::Healed { id: entry.armed.id.clone() });
        }
        if removed.iter().any(|entry| matches!(entry.armed.fault, Fault::Refuse)) {
            self.reconsider();
        }
        for entry in &removed {
            entry.lifted.cancel();
        }
        !removed.is_empty()
    }

    fn reconsider(&self) {
        let listeners: Vec<_> = {
            let listeners = self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener.reconsider();
        }
    }

    fn armed(&self) -> Arc<Vec<Arc<Entry>>> {
        Arc::clone(&self.shared.armed.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.armed().iter().map(|entry| (&entry.armed.id, entry.armed.kind)))
            .finish()
    }
}

impl Entry {
    fn specificity(&self) -> usize {
        self.armed.at.specificity() + self.armed.only.specificity()
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use serde_json::json;

    use super::*;
    use crate::fault::tests::{compass_request, kubernetes_request};
    use crate::fault::{Narrowing, Parsed, Place};
    use crate::journal::{Door, Event};

    fn answering(status: u16) -> Parsed {
        Parsed {
            kind: "http.answer",
            fault: Fault::on_request(move |_| {
                let mut answer = Response::new(Bytes::new());
                *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                Some(RequestAct::Answer(answer))
            }),
        }
    }

    fn arm(faults: &Faults, id: &str, status: u16, at: &str, only: serde_json::Value) {
        let only = serde_json::from_value(only).expect("a narrowing");
        let armed = Armed::new(id.into(), answering(status), Place::from(at.to_owned()), only);
        faults.arm(armed.expect("it can be armed"));
    }

    fn winner(faults: &Faults, request: &Request) -> Option<String> {
        faults.on_request(request).map(|firing| firing.id)
    }

    #[test]
    fn the_more_specific_wins_then_the_later() {
        let faults = Faults::new(Journal::new());
        let request = compass_request(1, &["configuration"]);
        arm(&faults, "narrow", 500, "connector", json!({"operation": "configuration"}));
        arm(&faults, "wide", 500, "connector", json!({}));
        assert_eq!(winner(&faults, &request).as_deref(), Some("narrow"));
        arm(&faults, "narrow-too", 500, "connector", json!({"operation": "configuration"}));
        assert_eq!(winner(&faults, &request).as_deref(), Some("narrow-too"));
        arm(&faults, "door", 500, "connector.token-door", json!({"operation": "configuration"}));
        assert_eq!(winner(&faults, &request).as_deref(), Some("door"));
    }

    #[test]
    fn a_fault_that_had_its_turns_stands_back() {
        let faults = Faults::new(Journal::new());
        let request = compass_request(1, &["configuration"]);
        arm(&faults, "wide", 500, "connector", json!({}));
        arm(&faults, "twice", 500, "connector", json!({"next": 2}));
        let winners: Vec<_> = (0..3).filter_map(|_| winner(&faults, &request)).collect();
        assert_eq!(winners, ["twice", "twice", "wide"]);
        assert_eq!((faults.fired("twice"), faults.fired("wide")), (2, 1));
    }

    #[test]
    fn arming_firing_and_healing_are_recorded_in_order() {
        let journal = Journal::new();
        let faults = Faults::new(journal.clone());
        arm(&faults, "one", 500, "connector", json!({}));
        let request = compass_request(7, &["configuration"]);
        assert!(winner(&faults, &request).is_some());
        assert!(faults.heal("one"));
        assert!(!faults.heal("one"), "it is gone");
        assert_eq!(winner(&faults, &request), None);
        let events: Vec<_> = journal.snapshot().iter().map(|entry| entry.event.clone()).collect();
        assert_eq!(
            events,
            [
                Event::Fault(FaultEvent::Armed {
                    id: "one".into(),
                    fault: "http.answer".into(),
                    at: "connector".into()
                }),
                Event::Fault(FaultEvent::Fired {
                    id: "one".into(),
                    request: Some(7),
                    connection: Some(1)
                }),
                Event::Fault(FaultEvent::Healed { id: "one".into() }),
            ]
        );
        assert_eq!(faults.fired("one"), 1, "what fired stays known after healing");
    }

    #[test]
    fn a_hook_with_nothing_to_say_leaves_the_turn_to_others() {
        let faults = Faults::new(Journal::new());
        arm(&faults, "wide", 500, "kubernetes", json!({}));
        let silent = Parsed { kind: "api.answer", fault: Fault::on_request(|_| None) };
        let only = serde_json::from_value(json!({"verb": "get"})).expect("keys");
        let silent = Armed::new("silent".into(), silent, Place::Kubernetes, only);
        faults.arm(silent.expect("it can be armed"));
        let request = kubernetes_request(1, "get", "secrets", Some("a"));
        assert_eq!(winner(&faults, &request).as_deref(), Some("wide"));
        assert_eq!(faults.fired("silent"), 0);
    }

    #[tokio::test]
    async fn lifting_a_fault_ends_its_hold() {
        let faults = Faults::new(Journal::new());
        let stall =
            Parsed { kind: "tcp.stall", fault: Fault::Connection(ConnectionAct::Stall(None)) };
        faults.arm(
            Armed::new("s".into(), stall, Place::Kubernetes, Narrowing::default()).expect("ok"),
        );
        let listener = ListenerFacts { door: Door::Kubernetes, address: "kubernetes" };
        let firing =
            faults.on_connection(ConnectionFacts { connection: 1, listener }).expect("it fires");
        let hold = firing.hold();
        let long = hold.lasting(Some(Duration::from_secs(3600)));
        faults.heal_all();
        tokio::time::timeout(Duration::from_secs(1), async {
            hold.over().await;
            long.over().await;
        })
        .await
        .expect("both holds end when the fault is lifted");
    }
}
