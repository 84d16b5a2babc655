//! Finds scenario files, reads them, and checks what no single value can: ids, names of faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::requirement::catalogue;
use super::step::{Action, Doing, Heal};
use super::{Claim, Scenario, ScenarioFile};
use crate::document::{self, Document, DocumentError, Problem, Spanned};

/// Directories deeper than this are a loop of links.
const DEEPEST: usize = 16;

/// Reads all scenarios in these files and directories, in the order of their paths.
///
/// # Errors
///
/// Every file that cannot be used, with the reason; two scenarios with one id are an error of the
/// second.
pub fn load_all(paths: &[PathBuf]) -> Result<Vec<Scenario>, Vec<DocumentError>> {
    let mut errors = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if let Err(error) = find(path, path, 0, &mut files) {
            errors.push(error);
        }
    }
    let mut scenarios = Vec::new();
    let mut known_files = BTreeSet::new();
    for (root, path) in files {
        let same = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if !known_files.insert(same) {
            continue;
        }
        match document::load::<ScenarioFile>(&path) {
            Ok(file) => match check(file, path.clone(), relative(&root, &path)) {
                Ok(scenario) => scenarios.push(scenario),
                Err(problems) => errors.extend(problems),
            },
            Err(error) => errors.push(error),
        }
    }
    scenarios.sort_by(|a, b| a.path.cmp(&b.path));
    errors.extend(same_ids(&scenarios));
    if errors.is_empty() { Ok(scenarios) } else { Err(errors) }
}

/// Reads one scenario from a text; `name` is what errors and findings call the file.
///
/// # Errors
///
/// All that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Scenario, Vec<DocumentError>> {
    let file = document::parse::<ScenarioFile>(name, text).map_err(|error| vec![error])?;
    let path = PathBuf::from(name);
    let relative = relative(&path, &path);
    check(file, path, relative)
}

fn find(
    root: &Path,
    path: &Path,
    depth: usize,
    files: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), DocumentError> {
    let unreadable = |cause| DocumentError::unreadable(&path.display().to_string(), cause);
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_dir() {
        files.push((root.to_path_buf(), path.to_path_buf()));
        return Ok(());
    }
    if depth > DEEPEST {
        return Err(unreadable(io::Error::other("directories are nested too deeply")));
    }
    let mut entries = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(unreadable)?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let yaml = entry.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !name.starts_with('.') && (yaml || entry.is_dir()) {
            find(root, &entry, depth + 1, files)?;
        }
    }
    Ok(())
}

/// What names tests and snapshots: the path below the nearest directory `scenarios`, so that a file
/// has one name whether it or its directory was given; else the path below what was given.
fn relative(root: &Path, path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    let mut found = false;
    for part in path.components() {
        if part.as_os_str() == "scenarios" {
            below = PathBuf::new();
            found = true;
        } else if found {
            below.push(part);
        }
    }
    if found && below.file_name().is_some() {
        return below;
    }
    match path.strip_prefix(root) {
        Ok(below) if below.file_name().is_some() => below.to_path_buf(),
        _ => path.file_name().map(PathBuf::from).unwrap_or_default(),
    }
}

fn same_ids(scenarios: &[Scenario]) -> Vec<DocumentError> {
    let mut first: BTreeMap<&str, &Scenario> = BTreeMap::new();
    let mut errors = Vec::new();
    for scenario in scenarios {
        let id = &scenario.metadata.id;
        match first.get(scenario.id()) {
            Some(other) => errors.push(DocumentError::new(
                scenario.source.clone(),
                Problem::new(format!(
                    "the id `{}` is taken by `{}`",
                    scenario.id(),
                    other.path.display()
                ))
                .at(id.span)
                .help("give this scenario a number of its own"),
            )),
            None => {
                first.insert(scenario.id(), scenario);
            }
        }
    }
    errors
}

fn check(
    file: Document<ScenarioFile>,
    path: PathBuf,
    relative: PathBuf,
) -> Result<Scenario, Vec<DocumentError>> {
    let problems = problems(&file.content);
    if !problems.is_empty() {
        return Err(problems.into_iter().map(|problem| file.error(problem)).collect());
    }
    let source = file.source().clone();
    let ScenarioFile { metadata, spec } = file.content;
    Ok(Scenario { metadata, spec, path, relative, source })
}

fn problems(file: &ScenarioFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ids = catalogue().ids();
    let mut proved = BTreeSet::new();
    for id in &file.metadata.proves {
        if catalogue().find(id).is_none() {
            let problem = Problem::unknown("requirement", id, ids.clone());
            // The whole list of a hundred ids is no help; its nearest is.
            let help = match document::nearest(id, ids.clone()) {
                Some(nearest) => {
                    format!("did you mean `{nearest}`? The ids are in docs/catalogue.md")
                }
                None => "the ids are in docs/catalogue.md".into(),
            };
            problems.push(problem.help(help).at(id.span));
        } else if !proved.insert(id.value.as_str()) {
            problems.push(Problem::new(format!("`{}` stands twice", id.value)).at(id.span));
        }
    }
    if file.metadata.proves.is_empty() {
        let id = &file.metadata.id;
        problems
            .push(Problem::new("`proves` is empty: every scenario proves something").at(id.span));
    }
    if file.spec.steps.is_empty() {
        let id = &file.metadata.id;
        problems.push(Problem::new("`steps` is empty: nothing would happen").at(id.span));
    }
    problems.extend(faults(file));
    problems
}

/// A fault is healed, blamed or waited for after it was injected, by the same name.
fn faults(file: &ScenarioFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut injected: BTreeSet<&str> = BTreeSet::new();
    let unknown = |id: &Spanned<String>, injected: &BTreeSet<&str>| {
        let problem = Problem::unknown("fault", id, injected.iter().copied()).at(id.span);
        if injected.is_empty() {
            problem.help("no fault is injected before this step")
        } else {
            problem
        }
    };
    let named = |claim: &Claim| -> Vec<Spanned<String>> {
        claim.facts.iter().flat_map(|fact| fact.faults().cloned()).collect()
    };
    for step in &file.spec.steps {
        match &step.does {
            Doing::Act(Action::Inject(inject)) => {
                if !injected.insert(&inject.id.value) {
                    problems.push(
                        Problem::new(format!("a fault `{}` was injected before", inject.id.value))
                            .at(inject.id.span)
                            .help("give each fault an id of its own, so that it can be blamed"),
                    );
                }
            }
            Doing::Act(Action::Heal(Heal::These(ids))) => {
                let missing = ids.iter().filter(|id| !injected.contains(id.value.as_str()));
                problems.extend(missing.map(|id| unknown(id, &injected)));
            }
            Doing::Act(_) => {}
            Doing::WaitFor(claim) | Doing::Expect(claim) => {
                let missing = named(claim).into_iter();
                let missing = missing.filter(|id| !injected.contains(id.value.as_str()));
                problems.extend(missing.map(|id| unknown(&id, &injected)));
            }
        }
    }
    for claim in file.spec.always.0.iter().chain(&file.spec.afterwards.0) {
        let missing = named(claim).into_iter();
        let missing = missing.filter(|id| !injected.contains(id.value.as_str()));
        problems.extend(missing.map(|id| unknown(&id, &injected)));
    }
    problems
}
