//! The program as its callers meet it: wrong calls, broken files, agents that do not run; each with
//! a message to act on, the right exit code, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SCENARIO: &str = "\
apiVersion: compass.test/v1alpha1
kind: Scenario
metadata:
  id: CC-CLI-001
  title: The agent connects
  requirement: It reaches Connected.
  proves: [CONN-01]
spec:
  timeLimit: 20s
  steps:
    - start: agent
    - expect: { transitions: [{ from: absent, to: Connected, within: 3s }] }
";

/// A directory to call the program in, with a temporary directory of its own.
struct Place {
    directory: tempfile::TempDir,
}

struct Called {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(place.path("tmp")).expect("writable");
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the directory")).expect("writable");
        fs::write(path, text).expect("writable");
        self
    }

    /// An agent file that runs this shell script.
    fn agent(&self, script: &str) -> &Self {
        self.write("agent.sh", &format!("#!/bin/sh\n{script}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("agent.sh"), mode).expect("ours");
        self.agent_file("[./agent.sh]")
    }

    fn agent_file(&self, command: &str) -> &Self {
        let text = include_str!("../../fixtures/agents/reference.yaml")
            .replace("[compass-harness, agent]", command)
            .replace("gracePeriod: 30s", "gracePeriod: 1s");
        self.write("agent.yaml", &text)
    }

    fn call(&self, arguments: &[&str]) -> Called {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_compass-harness"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("TMPDIR", self.path("tmp"))
            .env("CI", "true")
            .env_remove("INSTA_UPDATE")
            .output()
            .expect("the harness starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let called = Called { code: status.code(), out: text(stdout), err: text(stderr) };
        assert!(!called.err.contains("panicked"), "{}", called.err);
        assert!(is_empty(&self.path("tmp")), "something is left in the temporary directory");
        called
    }
}

impl Called {
    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for word in words {
            assert!(all.contains(word), "no `{word}` in\n{all}");
        }
    }
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("a directory").next().is_none()
}

#[test]
fn a_wrong_call_is_the_callers_fault() {
    Place::new().call(&["run", "--agnet", "x"]).ends(2, &["--agnet", "--agent"]);
    Place::new().call(&["runn"]).ends(2, &["runn", "'run'"]);
    Place::new().call(&["run", "--speed-factor", "0"]).ends(2, &["`0`", "1 to 100"]);
}

#[test]
fn help_and_version_are_no_errors() {
    Place::new().call(&["--help"]).ends(0, &["run", "serve", "cluster", "agent", "Exit codes"]);
    Place::new().call(&["--version"]).ends(0, &["compass-harness"]);
}

#[test]
fn faults_are_listed_with_what_they_mean_and_take() {
    Place::new().call(&["faults"]).ends(0, &["tcp.refuse", "http.slow-answer"]);
    Place::new().call(&["faults", "http.answer"]).ends(0, &["status", "body"]);
    Place::new().call(&["faults", "http.anser"]).ends(2, &["did you mean `http.answer`"]);
}

#[test]
fn an_unknown_key_is_shown_in_its_place_with_the_nearest_word() {
    let place = Place::new();
    place.write("scenarios/a.yaml", &SCENARIO.replace("timeLimit", "timeLimt"));
    place.call(&["run"]).ends(3, &["a.yaml:9:3", "timeLimt: 20s", "timeLimit"]);
}

#[test]
fn a_wrong_type_is_shown_in_its_place() {
    let place = Place::new();
    place.write("scenarios/a.yaml", &SCENARIO.replace("20s", "20"));
    place.call(&["run"]).ends(3, &["a.yaml:9:14", "`2s`", "the number 20"]);
}

#[test]
fn every_broken_file_is_reported_at_once() {
    let place = Place::new();
    place.write("scenarios/a.yaml", &SCENARIO.replace("CONN-01", "CONN-99"));
    place.write("scenarios/b.yaml", "not: a scenario");
    place.call(&["run"]).ends(3, &["a.yaml", "CONN-99", "b.yaml"]);
}

#[test]
fn a_missing_file_is_named() {
    Place::new().call(&["run", "scenarios/nowhere.yaml"]).ends(3, &["scenarios/nowhere.yaml"]);
}

#[test]
fn two_scenarios_with_one_id_are_both_named() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).write("scenarios/b.yaml", SCENARIO);
    place.call(&["run"]).ends(3, &["CC-CLI-001", "a.yaml", "b.yaml"]);
}

#[test]
fn an_unknown_id_brings_the_nearest() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO);
    place.call(&["run", "CC-CLI-002"]).ends(2, &["CC-CLI-002", "CC-CLI-001"]);
}

#[test]
fn nothing_to_run_is_never_green() {
    let place = Place::new();
    fs::create_dir(place.path("scenarios")).expect("writable");
    place.call(&["run"]).ends(4, &["no scenario"]);
}

#[test]
fn an_unknown_agent_is_named() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO);
    place.call(&["run", "--agent", "nobody.yaml"]).ends(3, &["nobody.yaml"]);
}

#[test]
fn a_broken_agent_file_is_shown_in_its_place() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).agent_file("[x]");
    let text = fs::read_to_string(place.path("agent.yaml")).expect("it was written");
    place.write("agent.yaml", &text.replace("gracePeriod", "gracePeriode"));
    place
        .call(&["run", "--agent", "agent.yaml"])
        .ends(3, &["agent.yaml:", "gracePeriode", "gracePeriod"]);
}

#[test]
fn an_agent_that_cannot_be_started_is_no_verdict() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).agent_file("[./no-such-program]");
    let called = place.call(&["run", "--agent", "agent.yaml"]);
    called.ends(
        5,
        &["ERR", "no-such-program", "0 passed, 1 failed", "1 could not be judged", "exit code 5"],
    );
}

#[test]
fn an_agent_that_is_no_program_is_no_verdict() {
    let place = Place::new();
    place
        .write("scenarios/a.yaml", SCENARIO)
        .agent_file("[./plain.txt]")
        .write("plain.txt", "hello");
    place.call(&["run", "--agent", "agent.yaml"]).ends(5, &["ERR", "plain.txt"]);
}

#[test]
fn an_agent_that_exits_at_once_fails_with_its_last_words() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).agent("echo cannot find my hat >&2; exit 3");
    let called = place.call(&["run", "--agent", "agent.yaml"]);
    called.ends(1, &["FAIL", "cannot find my hat", "exit code 3", "scenarios/a.yaml:12"]);
}

#[test]
fn ids_and_paths_select_what_they_name_and_tags_what_has_them() {
    let place = Place::new();
    let second = SCENARIO.replace("CLI-001", "CLI-002").replace("proves", "tags: [slow]\n  proves");
    place.write("scenarios/a.yaml", SCENARIO).write("scenarios/b.yaml", &second);
    place.write("elsewhere/c.yaml", &SCENARIO.replace("CLI-001", "CLI-003"));
    place.agent_file("[./no-such-program]");
    let selected = |words: &[&str]| {
        let all = [&["run", "--agent", "agent.yaml", "--format", "json"], words].concat();
        let called = place.call(&all);
        let document: serde_json::Value = serde_json::from_str(&called.out).expect("JSON");
        let scenarios = document["scenarios"].as_array().expect("a list").clone();
        let mut ids: Vec<_> = scenarios.iter().map(|one| one["id"].to_string()).collect();
        ids.sort_unstable();
        ids.join(" ").replace('"', "")
    };
    assert_eq!(selected(&["CC-CLI-001", "elsewhere"]), "CC-CLI-001 CC-CLI-003");
    assert_eq!(selected(&["CC-CLI-001", "scenarios/a.yaml"]), "CC-CLI-001");
    assert_eq!(selected(&["--tag", "slow", "--tag", "quick"]), "CC-CLI-002");
    place.call(&["run", "--tag", "none"]).ends(4, &["no scenario"]);
}

#[test]
fn each_round_keeps_its_journal() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).agent("exit 0");
    place.call(&["run", "--agent", "agent.yaml", "--repeat", "2"]).ends(1, &["0 passed, 2 failed"]);
    for name in ["CC-CLI-001.run", "CC-CLI-001.2.run"] {
        assert!(place.path("target/compass-harness/runs").join(name).exists(), "{name}");
    }
}

#[test]
fn an_agent_that_never_does_anything_fails_in_time_and_is_ended_with_its_children() {
    let place = Place::new();
    let marker = place.path("alive").display().to_string();
    // Its child would write the marker if it outlived the run.
    let script =
        format!("trap '' TERM\n(trap '' TERM; sleep 8; echo alive > {marker}) &\nsleep 60");
    place.write("scenarios/a.yaml", SCENARIO).agent(&script);
    let called = place.call(&["run", "--agent", "agent.yaml", "--speed-factor", "1"]);
    called.ends(1, &["FAIL", "expected", "absent", "Connected", "RES-01", "grace period"]);
    let processes = Command::new("pgrep").args(["-f", &marker]).output();
    if let Ok(output) = processes {
        assert!(output.stdout.is_empty(), "a process of the agent is left");
    }
}

#[test]
fn a_scenario_without_a_snapshot_says_how_to_make_one_and_ci_writes_nothing() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO);
    place.call(&["run"]).ends(6, &["SNAP", "--snapshots record", "exit code 6"]);
    assert!(!place.path("snapshots").exists(), "nothing is written where CI is set");
    place.call(&["run", "--snapshots", "record"]).ends(0, &["PASS", "1 passed, 0 failed"]);
    let kept = fs::read_to_string(place.path("snapshots/a.snap")).expect("it was recorded");
    assert!(kept.contains("absent -> Connected"), "{kept}");
    place.write("snapshots/a.snap", &kept.replace("absent -> Connected", "absent -> Synchronized"));
    let changed = place.call(&["run"]);
    changed.ends(
        6,
        &["SNAP", "-  absent -> Synchronized", "+  absent -> Connected", "cargo insta review"],
    );
}

#[test]
fn results_for_programs_are_json_and_nothing_else() {
    let place = Place::new();
    place.write("scenarios/a.yaml", SCENARIO).agent_file("[./no-such-program]");
    let called = place.call(&["run", "--agent", "agent.yaml", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&called.out).expect("one JSON document");
    assert_eq!(document["exitCode"], 5);
    assert_eq!(document["scenarios"][0]["id"], "CC-CLI-001");
    assert_eq!(document["scenarios"][0]["result"], "notJudged");
}
