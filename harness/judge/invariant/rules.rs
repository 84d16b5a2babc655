//! The rules that need no more than one revision and the one before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Connection, same_flags, schema};
use crate::journal::SecretValue;
use crate::scenario::words::State;

/// Times in the CompassConnection are whole seconds.
const GRAIN: i64 = 1;

/// STAT-01: valid against the schema, and in one of the seven states.
pub(super) fn valid(now: &Connection) -> Option<String> {
    if let Some(complaint) = schema::complaint(&now.content) {
        return Some(complaint);
    }
    now.state().is_none().then(|| match now.state_name() {
        "" => "no state".into(),
        name => format!("the state `{name}`"),
    })
}

/// STAT-02.
pub(super) fn no_time_goes_back(before: &Connection, now: &Connection) -> Option<String> {
    const ESTABLISHED: &str = "/status/connectionStatus/established";
    const RENEWED: &str = "/status/connectionStatus/renewed";
    let established_again = now.time(ESTABLISHED) > before.time(ESTABLISHED);
    for pointer in [
        "/status/connectionStatus/lastSync",
        "/status/synchronizationStatus/lastAttempt",
        ESTABLISHED,
        RENEWED,
    ] {
        let Some(was) = before.time(pointer) else { continue };
        let name = pointer.rsplit('/').next().unwrap_or_default();
        match now.time(pointer) {
            Some(is) if is.as_second() + GRAIN >= was.as_second() => {}
            Some(is) => return Some(format!("{name} goes back from {was} to {is}")),
            None if pointer == RENEWED && established_again => {}
            None => return Some(format!("{name} was {was} and is gone")),
        }
    }
    None
}

/// STAT-03.
pub(super) fn times_are_in_order(now: &Connection) -> Option<String> {
    const CONNECTION: &str = "/status/connectionStatus";
    const SYNCHRONIZATION: &str = "/status/synchronizationStatus";
    for (part, first, second) in [
        (CONNECTION, "lastSuccess", "lastSync"),
        (SYNCHRONIZATION, "lastSuccessfulFetch", "lastAttempt"),
        (SYNCHRONIZATION, "lastSuccessfulApplication", "lastSuccessfulFetch"),
    ] {
        let of = |name| now.time(&format!("{part}/{name}"));
        match (of(first), of(second)) {
            (Some(a), Some(b)) if a.as_second() > b.as_second() + GRAIN => {
                return Some(format!("{first} {a} is after {second} {b}"));
            }
            (Some(a), None) => return Some(format!("{first} is {a}, and {second} is not set")),
            _ => {}
        }
    }
    match now.certificate() {
        Some((from, to)) if from >= to => {
            Some(format!("notBefore {from} is not before notAfter {to}"))
        }
        _ => None,
    }
}

/// STAT-04.
pub(super) fn failure_has_its_error(now: &Connection) -> Option<String> {
    let (error, place) = match now.state()? {
        State::ConnectionFailed | State::ConnectionMaintenanceFailed => {
            (now.connection_error(), "connectionStatus.error")
        }
        State::SynchronizationFailed
        | State::ResourceApplicationFailed
        | State::MetadataUpdateFailed => {
            (now.synchronization_error(), "synchronizationStatus.error")
        }
        State::Connected | State::Synchronized => return None,
    };
    error.is_none().then(|| format!("`{}` without {place}", now.state_name()))
}

/// STAT-05: no error, and the attempt is the fetch; whether there was one, the Director knows.
pub(super) fn synchronized_is_clean(now: &Connection) -> Option<String> {
    if now.state() != Some(State::Synchronized) {
        return None;
    }
    if let Some(error) = now.synchronization_error() {
        return Some(format!("`Synchronized` with the error `{error}`"));
    }
    let fetch = now.time("/status/synchronizationStatus/lastSuccessfulFetch");
    (!about_the_same(fetch, now.last_attempt()))
        .then(|| "`Synchronized`, and the last attempt is not the last successful fetch".into())
}

/// STAT-06.
pub(super) fn no_stale_connection_error(now: &Connection) -> Option<String> {
    let well = matches!(now.state()?, State::Connected | State::Synchronized);
    let error = now.connection_error().filter(|_| well)?;
    Some(format!("`{}` with the connection error `{error}`", now.state_name()))
}

/// STAT-09: the recorder takes every secret out of what it writes down, so its mark is the proof.
pub(super) fn no_secret(now: &Connection) -> Option<String> {
    fn find(value: &Value, path: &mut Vec<String>) -> Option<String> {
        const HIDDEN: &str = "[hidden]";
        match value {
            Value::String(text) if text.contains(HIDDEN) => Some(path.join(".")),
            Value::Array(items) => items.iter().enumerate().find_map(|(n, item)| {
                path.push(n.to_string());
                let found = find(item, path);
                path.pop();
                found
            }),
            Value::Object(fields) => fields.iter().find_map(|(key, item)| {
                path.push(key.clone());
                let found =
                    if key.contains(HIDDEN) { Some(path.join(".")) } else { find(item, path) };
                path.pop();
                found
            }),
            _ => None,
        }
    }
    find(&now.content, &mut Vec::new()).map(|place| format!("a secret in `{place}`"))
}

/// STAT-10: `spec.managementInfo`, the flags being cleared, and `status`.
pub(super) fn writes_only_its_own(before: &Value, after: &Value) -> Option<String> {
    let none = Map::new();
    let part = |object: &'_ Value, pointer: &str| -> Map<String, Value> {
        object.pointer(pointer).and_then(Value::as_object).unwrap_or(&none).clone()
    };
    for (pointer, what) in [("/metadata/labels", "label"), ("/metadata/annotations", "annotation")]
    {
        let (was, is) = (part(before, pointer), part(after, pointer));
        if let Some(key) = differing(&was, &is) {
            return Some(format!("the agent changed the {what} `{key}`"));
        }
    }
    for pointer in ["/metadata/finalizers", "/metadata/ownerReferences"] {
        if before.pointer(pointer) != after.pointer(pointer) {
            return Some(format!("the agent changed `{}`", pointer.trim_start_matches('/')));
        }
    }
    let spec = |object: &Value| {
        let mut spec = part(object, "/spec");
        spec.remove("managementInfo");
        spec
    };
    let (was, is) = (spec(before), spec(after));
    let key = differing(&was, &is)?;
    let flag = key == "resyncNow" || key == "refreshCredentialsNow";
    let cleared = matches!(is.get(&key), None | Some(Value::Bool(false)));
    (!(flag && cleared)).then(|| format!("the agent changed `spec.{key}`"))
}

/// The first key that two objects do not have alike; a flag that is cleared comes last.
fn differing(was: &Map<String, Value>, is: &Map<String, Value>) -> Option<String> {
    let keys = was.keys().chain(is.keys().filter(|key| !was.contains_key(*key)));
    let mut different = keys.filter(|key| was.get(*key) != is.get(*key)).collect::<Vec<_>>();
    different.sort_by_key(|key| matches!(is.get(*key), None | Some(Value::Bool(false))));
    different.first().map(|key| (*key).clone())
}

/// STAT-11: nothing but times is another.
pub(super) fn says_nothing_new(before: &Value, after: &Value) -> bool {
    let pointers = [
        "/status/connectionState",
        "/status/connectionStatus/error",
        "/status/connectionStatus/certificateStatus",
        "/status/connectionStatus/established",
        "/status/synchronizationStatus/error",
        "/spec/managementInfo",
    ];
    pointers.into_iter().all(|pointer| !differs(before, after, pointer))
        && same_flags(before, after)
}

/// Whether a part of two objects is not the same.
pub(super) fn differs(before: &Value, after: &Value, pointer: &str) -> bool {
    before.pointer(pointer) != after.pointer(pointer)
}

/// CONN-06: the times of establishing are those of one attempt.
pub(super) fn establishing_is_told(
    before: Option<&Connection>,
    now: &Connection,
) -> Option<String> {
    const CONNECTION: &str = "/status/connectionStatus";
    let connected = |connection: &Connection| connection.state() == Some(State::Connected);
    if !connected(now) || before.is_some_and(connected) {
        return None;
    }
    let of = |name: &str| now.time(&format!("{CONNECTION}/{name}"));
    let established = of("established");
    for name in ["lastSync", "lastSuccess", "certificateStatus/acquired"] {
        if established.is_none() || !about_the_same(of(name), established) {
            let name = name.rsplit('/').next().unwrap_or_default();
            return Some(format!("`Connected`, and {name} is not the time of `established`"));
        }
    }
    if let Some(renewed) = of("renewed") {
        return Some(format!("`Connected`, and renewed is {renewed}"));
    }
    now.certificate().is_none().then(|| "`Connected` without the dates of the certificate".into())
}

/// CERT-03: a renewal is told by `renewed` and `acquired`, which are one time.
pub(super) fn renewal_is_told(before: Option<&Connection>, now: &Connection) -> Option<String> {
    const RENEWED: &str = "/status/connectionStatus/renewed";
    let renewed = now.time(RENEWED)?;
    if before?.time(RENEWED) == Some(renewed) {
        return None;
    }
    let acquired = now.time("/status/connectionStatus/certificateStatus/acquired");
    (!about_the_same(acquired, Some(renewed)))
        .then(|| format!("renewed at {renewed}, and acquired is another time"))
}

/// SYNC-01: what was fetched is applied, at the time of the attempt.
pub(super) fn complete_round_is_told(now: &Connection) -> Option<String> {
    if now.state() != Some(State::Synchronized) {
        return None;
    }
    let applied = now.time("/status/synchronizationStatus/lastSuccessfulApplication");
    (!about_the_same(applied, now.last_attempt())).then(|| {
        "`Synchronized`, and the last attempt is not the last successful application".into()
    })
}

/// CERT-07: the CompassConnection still tells of the last success and of the certificate in use.
pub(super) fn failed_maintenance_keeps_what_was(
    before: &Connection,
    now: &Connection,
) -> Option<String> {
    const KEPT: [&str; 2] = ["connectionStatus/lastSuccess", "connectionStatus/certificateStatus"];
    keeps(before, now, State::ConnectionMaintenanceFailed, KEPT)
}

/// SYNC-04: the CompassConnection still tells of the last good round.
pub(super) fn failed_fetch_keeps_what_was(before: &Connection, now: &Connection) -> Option<String> {
    const KEPT: [&str; 2] = [
        "synchronizationStatus/lastSuccessfulFetch",
        "synchronizationStatus/lastSuccessfulApplication",
    ];
    keeps(before, now, State::SynchronizationFailed, KEPT)
}

/// Whether a revision in this state has left parts of the status as they were.
fn keeps(before: &Connection, now: &Connection, state: State, parts: [&str; 2]) -> Option<String> {
    if now.state() != Some(state) {
        return None;
    }
    let part = |connection: &Connection, name: &str| {
        let part = connection.content.pointer(&format!("/status/{name}"));
        part.filter(|part| !part.is_null()).cloned()
    };
    let changed = parts.into_iter().find(|name| part(before, name) != part(now, name))?;
    let name = changed.rsplit('/').next().unwrap_or_default();
    Some(format!("`{state}`, and {name} is not what it was"))
}

/// CERT-05.
pub(super) fn key_and_certificate_belong_together(
    secret: &BTreeMap<String, SecretValue>,
) -> Option<String> {
    let keys: Vec<&str> =
        secret.values().filter_map(|value| value.private_key_of.as_deref()).collect();
    let leaf = |value: &SecretValue| value.certificates.first().map(|leaf| leaf.public_key.clone());
    let leaves: Vec<String> = secret.values().filter_map(leaf).collect();
    if keys.is_empty() && leaves.is_empty() {
        return None;
    }
    // Beside leaf and chain a Secret may hold the CA alone; some certificate must fit each key.
    let fits = !keys.is_empty() && keys.iter().all(|key| leaves.iter().any(|leaf| leaf == key));
    (!fits).then(|| "key and certificate in the Secret do not belong together".into())
}

/// Whether two times are the same but for the grain.
pub(super) fn about_the_same(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a.as_second() - b.as_second()).abs() <= GRAIN,
        (a, b) => a.is_none() && b.is_none(),
    }
}
