//! A run for programs: one JSON document on stdout.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Finished, Outcome, Word};
use crate::snapshot::Comparison;

/// All results of a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    api_version: &'static str,
    kind: &'static str,
    harness_version: &'static str,
    agent: String,
    speed_factor: f64,
    exit_code: u8,
    passed: usize,
    failed: usize,
    snapshot_changed: usize,
    not_judged: usize,
    skipped: usize,
    scenarios: Vec<Value>,
}

impl Document {
    /// The document of these results, which the program ends with `exit_code` for; `skipped`
    /// scenarios were selected and have no result.
    #[must_use]
    pub fn new(
        agent: &str,
        speed_factor: f64,
        exit_code: u8,
        finished: &[Finished],
        skipped: usize,
    ) -> Self {
        let count =
            |words: &[Word]| finished.iter().filter(|one| words.contains(&one.word())).count();
        Self {
            api_version: crate::document::API_VERSION,
            kind: "Results",
            harness_version: env!("CARGO_PKG_VERSION"),
            agent: agent.into(),
            speed_factor,
            exit_code,
            passed: count(&[Word::Pass]),
            failed: count(&[Word::Fail]),
            snapshot_changed: count(&[Word::Snap]),
            not_judged: count(&[Word::Error, Word::Doubt]),
            skipped,
            scenarios: finished.iter().map(scenario).collect(),
        }
    }
}

fn scenario(finished: &Finished) -> Value {
    let metadata = &finished.scenario.metadata;
    let mut value = json!({
        "id": &**metadata.id,
        "title": metadata.title,
        "file": finished.scenario.path,
        "tags": metadata.tags,
        "owner": metadata.owner,
        "proves": metadata.proves.iter().map(|id| &id.value).collect::<Vec<_>>(),
        "result": result(finished.word()),
        "seconds": finished.took.as_secs_f64(),
        "runFile": finished.run_file.as_deref().map(Path::display).map(|path| path.to_string()),
        "again": finished.again,
    });
    match &finished.outcome {
        Outcome::NoVerdict { causes } => value["causes"] = json!(causes),
        Outcome::Judged { verdict, snapshot } => {
            value["judgement"] = json!(verdict.judgement);
            value["findings"] = json!(verdict.findings);
            value["remarks"] = json!(verdict.remarks);
            value["requirements"] = json!(verdict.requirements);
            value["snapshot"] = match snapshot {
                None => Value::Null,
                Some(Comparison::Same) => json!({"is": "same"}),
                Some(Comparison::Recorded) => json!({"is": "recorded"}),
                Some(Comparison::Missing) => json!({"is": "missing"}),
                Some(Comparison::Changed(difference)) => {
                    json!({"is": "changed", "difference": difference.to_string()})
                }
            };
        }
    }
    value
}

fn result(word: Word) -> &'static str {
    match word {
        Word::Pass => "passed",
        Word::Fail => "failed",
        Word::Snap => "snapshotChanged",
        Word::Error => "notJudged",
        Word::Doubt => "harnessInDoubt",
    }
}
