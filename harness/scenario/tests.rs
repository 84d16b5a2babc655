//! What a writer of scenarios is told about typical mistakes.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

const GOOD: &str = r#"apiVersion: compass.test/v1alpha1
kind: Scenario
metadata:
  id: CC-TEST-001
  title: A test
  requirement: It is read.
  proves: [CONN-01]
spec:
  timeLimit: 1m
  always:
    - state: { never: ConnectionFailed }
  steps:
    - start: agent
    - inject: { id: down, at: director, fault: tcp.refuse }
    - waitFor: { state: Connected }
      within: 10s
    - heal: down
    - expect:
        transitions:
          - { to: Synchronized, within: 5s }
"#;

fn complaint(text: &str) -> String {
    match parse("test.yaml", text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors.iter().map(|error| error.render(false)).collect(),
    }
}

#[test]
fn a_good_file_is_read_and_told_as_prose() {
    let scenario = parse("scenarios/a/test.yaml", GOOD).expect("a good file");
    assert_eq!(scenario.id(), "CC-TEST-001");
    assert_eq!(scenario.relative, PathBuf::from("a/test.yaml"));
    let told: Vec<String> = scenario.spec.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "start the agent",
            "inject tcp.refuse at director, called down",
            "wait until the state is Connected, within 10s",
            "lift down",
            "expect that the state goes to Synchronized within 5s",
        ]
    );
    let Doing::Expect(claim) = &scenario.spec.steps[4].does else { panic!("an expectation") };
    assert_eq!(scenario.place(claim.facts[0].span), "scenarios/a/test.yaml:19");
}

fn change(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

fn mistakes() -> Vec<(&'static str, String)> {
    vec![
        ("a misspelt action", change("- start: agent", "- strat: agent")),
        ("somebody else is started", change("- start: agent", "- start: director")),
        ("two actions in a step", change("- start: agent", "- start: agent\n      heal: all")),
        ("a step that does nothing", change("- start: agent", "- name: The agent")),
        ("a step that is a word", change("- start: agent", "- start")),
        ("a wait without an end", change("\n      within: 10s", "")),
        ("a misplaced limit", change("- start: agent", "- start: agent\n      within: 3s")),
        ("a misspelt state", change("state: Connected", "state: Conected")),
        ("a state with a question", change("state: Connected", "state: { is: Connected }")),
        ("a stay without a length", change("state: Connected", "state: { staysIn: Connected }")),
        (
            "what is kept cannot be waited for",
            change("state: Connected", "token: { usedAtMost: 1 }"),
        ),
        (
            "what is reached cannot be promised",
            change("state: { never: ConnectionFailed }", "certificateIssued: 2"),
        ),
        (
            "a fact that says nothing",
            change("state: { never: ConnectionFailed }", "requests: { to: director, per: 2s }"),
        ),
        ("no fact at all", change("{ state: Connected }", "{}")),
        ("a misspelt fact", change("transitions:", "transition:")),
        (
            "a misspelt key in a transition",
            change("{ to: Synchronized, within: 5s }", "{ too: Synchronized }"),
        ),
        ("a fault that nobody injected", change("- heal: down", "- heal: dwon")),
        (
            "a fault blamed that nobody injected",
            change("to: Synchronized,", "to: Synchronized, because: up,"),
        ),
        ("a requirement that does not exist", change("[CONN-01]", "[CONN-01, CON-02, X-1]")),
        ("no requirement", change("[CONN-01]", "[]")),
        ("a requirement twice", change("[CONN-01]", "[CONN-01, CONN-01]")),
        ("an id of another form", change("CC-TEST-001", "TEST-1")),
        ("a bare number for a time", change("within: 10s", "within: 10")),
        (
            "a truth that says nothing",
            change("state: { never: ConnectionFailed }", "applications: { unchanged: false }"),
        ),
        (
            "a key of the step inside",
            change("{ state: Connected }", "{ state: Connected, within: 3s }"),
        ),
        ("a fault without a name", change("id: down, ", "")),
        ("an unknown fault", change("tcp.refuse", "tcp.refused")),
        ("a fault at an unknown place", change("at: director", "at: the-director")),
        (
            "a parameter that the fault does not have",
            change("fault: tcp.refuse", "fault: tcp.refuse, delay: 3s"),
        ),
        ("a parameter that is missing", change("tcp.refuse", "http.answer")),
        (
            "a status that ends nothing",
            change("fault: tcp.refuse", "fault: http.answer, status: 100"),
        ),
        (
            "a narrowing that the fault does not know",
            change(
                "fault: tcp.refuse",
                "fault: http.answer, status: 500, only: { operations: sign }",
            ),
        ),
        (
            "a narrowing that keeps it from firing",
            change("fault: tcp.refuse", "fault: tcp.refuse, only: { next: 3 }"),
        ),
        (
            "a fault of the cluster at the Director",
            change("fault: tcp.refuse", "fault: api.answer, status: 409"),
        ),
        (
            "a misspelt key of an application",
            change(
                "  steps:",
                "  given:\n    director:\n      applications:\n        - name: orders\n          api: []\n  steps:",
            ),
        ),
        (
            "too many applications",
            change(
                "  steps:",
                "  given: { director: { applications: { generate: 4000000000, name: \"x-{n}\" } } }\n  steps:",
            ),
        ),
        (
            "many of one name",
            change(
                "  steps:",
                "  given: { director: { applications: { generate: 3, name: shop } } }\n  steps:",
            ),
        ),
    ]
}

#[test]
fn typical_mistakes_are_told_with_place_and_remedy() {
    let mut told = String::new();
    for (mistake, text) in mistakes() {
        let _ = writeln!(told, "== {mistake}\n{}", complaint(&text));
    }
    insta::assert_snapshot!("mistakes", told);
}

#[test]
fn directories_are_read_in_order_and_one_id_names_one_scenario() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("scenarios");
    for (path, id) in [("b/1.yaml", "CC-B-001"), ("a/2.yml", "CC-A-002"), ("a/1.yaml", "CC-A-001")]
    {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        std::fs::write(path, GOOD.replace("CC-TEST-001", id)).expect("written");
    }
    std::fs::write(root.join("a/notes.txt"), "not a scenario").expect("written");
    let ids = |paths: &[PathBuf]| -> Vec<String> {
        let scenarios = load_all(paths).expect("good files");
        scenarios.iter().map(|scenario| scenario.id().to_owned()).collect()
    };
    assert_eq!(ids(std::slice::from_ref(&root)), ["CC-A-001", "CC-A-002", "CC-B-001"]);
    assert_eq!(ids(&[root.join("b"), root.join("b/1.yaml")]), ["CC-B-001"], "a file counts once");
    let alone = load_all(&[root.join("a/1.yaml")]).expect("a good file");
    assert_eq!(alone[0].relative, PathBuf::from("a/1.yaml"));

    std::fs::write(root.join("c.yaml"), GOOD.replace("CC-TEST-001", "CC-A-002")).expect("written");
    let errors = load_all(std::slice::from_ref(&root)).expect_err("one id twice");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message().contains("a/2.yml"), "{}", errors[0]);
    assert!(errors[0].file().ends_with("c.yaml"));

    std::fs::write(root.join("d.yaml"), "kind: Scenario").expect("written");
    let missing = root.join("none");
    assert_eq!(load_all(&[root, missing]).expect_err("three errors").len(), 3);
}

/// A generator that gives the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

#[test]
fn mutated_files_are_read_or_diagnosed_and_nothing_else() {
    let pieces = [
        "",
        ":",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "&a ",
        "*a",
        "!!int ",
        "\t",
        "\u{0}",
        "😀",
        "null",
        "~",
        "-1",
        "1e999",
        "9".repeat(40).as_str(),
        "%",
        "|",
        ">",
        "---\n",
        "# ",
        "? ",
        "true",
        "\r\n",
        "&a [*a]",
        "<<: *a",
    ]
    .map(String::from);
    let mut dice = Dice(7);
    for _ in 0..600 {
        let mut text = GOOD.to_owned();
        for _ in 0..=dice.roll(3) {
            let start = text.floor_char_boundary(dice.roll(text.len()));
            let end = text.floor_char_boundary((start + dice.roll(12)).min(text.len()));
            text.replace_range(start..end.max(start), &pieces[dice.roll(pieces.len())]);
        }
        let begun = std::time::Instant::now();
        if let Err(errors) = parse("mutated.yaml", &text) {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(!error.message().is_empty() && !error.render(false).is_empty(), "{text}");
            }
        }
        assert!(begun.elapsed().as_secs() < 2, "{:?} for\n{text}", begun.elapsed());
    }
}
