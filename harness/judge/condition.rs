//! What can be read off the picture of the world at any time: true or false now.

use super::observed::Observed;
use crate::journal::Event;
use crate::scenario::words::{
    CertificateWord, Flag, FlagState, OneOrMore, Operation, Origin, Place, Presence, SecretWord,
    State, listed,
};

/// Something that is true or false of the world now.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// The state is one of these.
    State(Vec<State>),
    /// The errors in the status.
    Errors { connection: Option<Presence>, synchronization: Option<Presence> },
    /// So many certificates were issued.
    Issued(u32),
    /// The certificate is the one in these places.
    SameIn(CertificateWord, Vec<Place>),
    /// These Secrets are there.
    Secrets(Vec<SecretWord>),
    /// The Applications are these and no others.
    Exactly(Vec<String>),
    /// The Applications include these.
    Include(Vec<String>),
    /// There are so many Applications.
    Count(u32),
    /// These labels of the runtime were set.
    Labels(Vec<String>),
    /// The flags are so.
    Flags(Vec<(Flag, FlagState)>),
    /// These faults fired; none named means all.
    Fired(Vec<String>),
}

impl Condition {
    pub(super) fn holds(&self, observed: &Observed) -> bool {
        match self {
            Self::State(states) => {
                let state = observed.connection.as_ref().and_then(|connection| connection.state());
                state.is_some_and(|state| states.contains(&state))
            }
            Self::Errors { connection, synchronization } => {
                let Some(now) = &observed.connection else { return false };
                let fits = |wanted: Option<Presence>, error: Option<&str>| {
                    wanted.is_none_or(|wanted| (wanted == Presence::Present) == error.is_some())
                };
                fits(*connection, now.connection_error())
                    && fits(*synchronization, now.synchronization_error())
            }
            Self::Issued(number) => observed.certificates.contains_key(number),
            Self::SameIn(word, places) => {
                let number = resolve(*word, observed);
                number.is_some_and(|number| {
                    places.iter().all(|place| is_in(number, *place, observed))
                })
            }
            Self::Secrets(words) => {
                words.iter().all(|word| observed.secrets.contains_key(observed.terms.secret(*word)))
            }
            Self::Exactly(names) => {
                observed.applications.len() == names.len()
                    && names.iter().all(|name| observed.applications.contains(name))
            }
            Self::Include(names) => names.iter().all(|name| observed.applications.contains(name)),
            Self::Count(count) => observed.applications.len() == *count as usize,
            Self::Labels(keys) => keys.iter().all(|key| observed.labels.contains(key)),
            Self::Flags(flags) => {
                let Some(now) = &observed.connection else { return false };
                flags.iter().all(|(flag, state)| now.flag(*flag) == (*state == FlagState::Set))
            }
            Self::Fired(ids) if ids.is_empty() => {
                observed.faults.values().all(|fault| fault.fired > 0)
            }
            Self::Fired(ids) => {
                ids.iter().all(|id| observed.faults.get(id).is_some_and(|fault| fault.fired > 0))
            }
        }
    }

    /// Whether an event can make it true or false; looking at each would cost more than the run.
    pub(super) fn concerns(&self, event: &Event) -> bool {
        let revised =
            |kind: &str| matches!(event, Event::Revision(revision) if revision.object.kind == kind);
        match self {
            Self::State(_) | Self::Errors { .. } | Self::Flags(_) => revised("CompassConnection"),
            Self::Exactly(_) | Self::Include(_) | Self::Count(_) => revised("Application"),
            Self::Secrets(_) => revised("Secret"),
            Self::Issued(_) => matches!(event, Event::Certificate(_)),
            Self::SameIn(..) => {
                matches!(event, Event::Revision(_) | Event::Request(_) | Event::Certificate(_))
            }
            Self::Labels(_) => matches!(event, Event::Landscape(_)),
            Self::Fired(_) => matches!(event, Event::Fault(_)),
        }
    }

    /// What is there instead, in words.
    pub(super) fn seen(&self, observed: &Observed) -> String {
        match self {
            Self::State(_) => observed.state_words(),
            Self::Errors { .. } => match &observed.connection {
                None => observed.state_words(),
                Some(now) => {
                    let one = |name, error: Option<&str>| match error {
                        Some(error) => format!("the {name} error `{error}`"),
                        None => format!("no {name} error"),
                    };
                    let connection = one("connection", now.connection_error());
                    let synchronization = one("synchronization", now.synchronization_error());
                    format!("{connection} and {synchronization}")
                }
            },
            Self::Issued(_) => match observed.latest_certificate() {
                Some(latest) => format!("certificate {latest} is the last that was issued"),
                None => "no certificate was issued".into(),
            },
            Self::SameIn(word, places) => seen_places(*word, places, observed),
            Self::Secrets(words) => {
                let missing = words
                    .iter()
                    .filter(|word| !observed.secrets.contains_key(observed.terms.secret(**word)));
                format!("{} missing", listed(&missing.collect::<Vec<_>>(), "and"))
            }
            Self::Exactly(_) | Self::Include(_) | Self::Count(_) => seen_applications(observed),
            Self::Labels(keys) => {
                let missing: Vec<&String> =
                    keys.iter().filter(|key| !observed.labels.contains(*key)).collect();
                format!("{} not set", listed(&missing, "and"))
            }
            Self::Flags(_) => match &observed.connection {
                None => observed.state_words(),
                Some(now) => {
                    let one = |flag: Flag| {
                        format!("{flag} is {}", if now.flag(flag) { "set" } else { "gone" })
                    };
                    format!("{} and {}", one(Flag::ResyncNow), one(Flag::RefreshNow))
                }
            },
            Self::Fired(ids) => {
                let silent = observed
                    .faults
                    .iter()
                    .filter(|(id, fault)| fault.fired == 0 && (ids.is_empty() || ids.contains(id)));
                let silent: Vec<&String> = silent.map(|(id, _)| id).collect();
                format!("{} did not fire", listed(&silent, "and"))
            }
        }
    }
}

/// The certificate that a word points to now.
pub(super) fn resolve(word: CertificateWord, observed: &Observed) -> Option<u32> {
    match word {
        CertificateWord::Number(number) => {
            observed.certificates.contains_key(&number).then_some(number)
        }
        CertificateWord::Latest => observed.latest_certificate(),
    }
}

fn is_in(number: u32, place: Place, observed: &Observed) -> bool {
    match place {
        Place::Secret => observed.stored_certificate() == Some(number),
        Place::Handshake => observed.shown == Some(number),
        Place::Status => observed.is_reported(number),
    }
}

fn seen_places(word: CertificateWord, places: &[Place], observed: &Observed) -> String {
    let Some(number) = resolve(word, observed) else {
        return format!("certificate {word} was not issued");
    };
    let known = |found: Option<u32>| {
        found.map_or_else(|| "none of ours".to_owned(), |found| format!("certificate {found}"))
    };
    let parts: Vec<String> = places
        .iter()
        .map(|place| match place {
            Place::Secret => format!("{} in the secret", known(observed.stored_certificate())),
            Place::Handshake => format!("{} in the handshake", known(observed.shown)),
            Place::Status => {
                let is = if observed.is_reported(number) { "this one" } else { "another one" };
                format!("{is} in the status")
            }
        })
        .collect();
    listed(&parts, "and")
}

fn seen_applications(observed: &Observed) -> String {
    const SHOWN: usize = 20;
    let all = &observed.applications;
    if all.is_empty() {
        return "no Application".into();
    }
    let names: Vec<&String> = all.iter().take(SHOWN).collect();
    match all.len() {
        count if count > SHOWN => format!("{count} Applications: {}, …", listed(&names, "and")),
        _ => listed(&names, "and"),
    }
}

/// Whether a request asks for an operation; for any when none is named.
pub(super) fn asks(operations: &[String], wanted: Option<Operation>) -> bool {
    wanted.is_none_or(|wanted| operations.iter().any(|operation| operation == wanted.field()))
}

/// Whether a change begins where it is expected to.
pub(super) fn begins(from: Option<&str>, expected: Option<Origin>) -> bool {
    expected.is_none_or(|expected| match from {
        None => expected == Origin::Absent,
        Some(from) => expected.word() == from,
    })
}

/// The words of a list that may be one word.
pub(super) fn words<T: Clone>(list: &OneOrMore<T>) -> Vec<T> {
    list.0.clone()
}
