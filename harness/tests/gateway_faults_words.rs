//! Faults as scenarios write them: read from YAML, and refused with a word that helps.

use compass_harness::document::{self, Kind};
use compass_harness::fault::{Armed, KINDS};
use compass_harness::scenario::Inject;
use miette::Diagnostic;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    faults: Vec<Inject>,
}

impl Kind for Faults {
    const KIND: &'static str = "Faults";
}

/// An error with the help that is printed below it.
fn told(error: &dyn Diagnostic) -> String {
    let help = error.help().map(|help| help.to_string()).unwrap_or_default();
    format!("{error}; {help}")
}

/// Reads one fault; an error is its text.
fn armed(words: &str) -> Result<Armed, String> {
    let text =
        format!("apiVersion: compass.test/v1alpha1\nkind: Faults\nfaults:\n  - {{ {words} }}\n");
    let faults = document::parse::<Faults>("x.yaml", text).map_err(|error| told(&error))?;
    Ok(faults.content.faults.first().expect("one fault").armed.clone())
}

#[test]
fn the_words_of_scenarios_are_understood() {
    for words in [
        "id: a, at: director, fault: tcp.refuse",
        "id: a, at: connector, fault: tcp.reset, point: { after-bytes: 100 }",
        "id: a, at: connector, fault: tcp.close, point: accept",
        "id: a, at: connector, fault: tcp.stall, hold: 5s",
        "id: a, at: connector, fault: tls.stall, after: client-hello, hold: 5s, only: { connections: next, count: 2 }",
        "id: a, at: connector, fault: tls.cut, after: finished",
        "id: a, at: director, fault: tls.alert, alert: unknown-ca",
        "id: a, at: connector, fault: http.answer, status: 503, body: { text: no healthy upstream }, only: { operation: configuration, next: 3 }",
        "id: a, at: connector, fault: http.answer, status: 500, body: { json: { errors: [1, null, true, 1.5] } }",
        "id: a, at: connector, fault: http.answer, status: 500, body: empty, headers: { x-a: b }, retryAfter: 2m",
        "id: a, at: director, fault: http.slow-answer, delay: 6s",
        "id: a, at: director, fault: http.slow-answer, drip: { bytes: 10, every: 100ms }",
        "id: a, at: director, fault: http.cut, afterBytes: 10, declaredLength: 20",
        "id: a, at: director, fault: http.redirect, to: https://elsewhere.example/",
        "id: a, at: director, fault: http.wrong-type, contentType: text/plain",
        "id: a, at: director, fault: graphql.errors, messages: [no], withData: true, path: [result, 0]",
        "id: a, at: connector, fault: graphql.field, path: configuration.token, as: missing",
        "id: a, at: connector, fault: graphql.field, path: configuration.token, as: { text: x }",
        "id: a, at: kubernetes, fault: api.answer, status: 409, only: { verb: update, kind: CompassConnection, next: 1 }",
        "id: a, at: kubernetes, fault: api.slow, delay: 1s",
        "id: a, at: kubernetes, fault: api.watch-cut",
        "id: a, at: kubernetes, fault: api.watch-gone, only: { kind: CompassConnection, next: 1 }",
    ] {
        if let Err(error) = armed(words) {
            panic!("{words}: {error}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (words, complaint) in [
        ("id: a, at: connector, fault: tcp.refuse, hold: 1s", "hold"),
        ("id: a, at: connector, fault: http.answer", "status"),
        (
            "id: a, at: connector, fault: http.answer, status: 503, body: { txt: x }",
            "did you mean `text`",
        ),
        ("id: a, at: connector, fault: http.answer, status: 99", "is not the status of an answer"),
        ("id: a, at: connector, fault: http.answer, status: ok", "`ok`"),
        ("id: a, at: connector, fault: tcp.reset, point: acept", "did you mean `accept`"),
        ("id: a, at: connector, fault: tcp.stall, hold: soon", "a duration such as `500ms`"),
        ("id: a, at: connector, fault: tcp.stall, hold: 5", "a duration such as `500ms`"),
        ("id: a, at: kubernetes, fault: api.slow, delay: 0s", "longer than nothing"),
        (
            "id: a, at: connector, fault: http.answer, status: 500, only: { verbs: get }",
            "did you mean `verb`",
        ),
        (
            "id: a, at: connector, fault: tls.cut, only: { verb: get }",
            "cannot be narrowed by `verb`",
        ),
        ("id: a, at: director, fault: api.slow, delay: 1s", "has no meaning at `director`"),
    ] {
        let error = armed(words).expect_err(words);
        assert!(error.contains(complaint), "{words}: {error}");
    }
}

/// The table of faults grows with the list; a fault without a line here was never read from YAML.
#[test]
fn every_fault_is_tried_in_words() {
    let tried = include_str!("gateway_faults_words.rs");
    for kind in KINDS {
        assert!(tried.contains(&format!("fault: {}", kind.name)), "`{}`", kind.name);
    }
}
