//! The shipped scenarios: all of them are read, and each stands where its id says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use compass_harness::scenario::{self, Action, Doing, Scenario, catalogue};

fn shipped() -> Vec<Scenario> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    match scenario::load_all(&[root]) {
        Ok(scenarios) => scenarios,
        Err(errors) => panic!("{}", errors.iter().map(|e| e.render(false)).collect::<String>()),
    }
}

#[test]
fn every_shipped_scenario_is_read_and_fits_on_two_screens() {
    let scenarios = shipped();
    assert!(scenarios.len() >= 12, "only {} scenarios", scenarios.len());
    for scenario in &scenarios {
        let lines = scenario.source.text().lines().count();
        assert!(lines <= 110, "{} has {lines} lines", scenario.path.display());
        assert!(scenario.spec.snapshot.is_some(), "{} has no snapshot", scenario.path.display());
    }
}

#[test]
fn the_folder_is_the_subject() {
    let folders: BTreeSet<PathBuf> = shipped()
        .iter()
        .filter_map(|scenario| scenario.relative.parent().map(Path::to_path_buf))
        .collect();
    let expected =
        ["applications", "certificates", "connection", "resilience", "security", "synchronization"];
    assert_eq!(folders, expected.map(PathBuf::from).into());
}

#[test]
fn every_fault_is_lifted_or_used_up_or_the_run_ends_with_it() {
    for scenario in shipped() {
        let steps = &scenario.spec.steps;
        let injected = steps.iter().filter_map(|step| match &step.does {
            Doing::Act(Action::Inject(inject)) => Some(&inject.id.value),
            _ => None,
        });
        // A fault that nobody speaks of again could stay silent and nobody would know why.
        for id in injected {
            let spoken = scenario.source.text().matches(id.as_str()).count();
            assert!(spoken > 1, "{}: `{id}` is not named again", scenario.path.display());
        }
    }
}

#[test]
fn the_requirements_that_are_proved_exist_and_their_number_grows() {
    let scenarios = shipped();
    let proved: BTreeSet<&str> = scenarios
        .iter()
        .flat_map(|scenario| scenario.metadata.proves.iter().map(|id| id.value.as_str()))
        .collect();
    assert!(proved.iter().all(|id| catalogue().find(id).is_some()));
    assert!(proved.len() >= 25, "only {} requirements: {proved:?}", proved.len());
}
