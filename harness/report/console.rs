//! A run for people: one line when all is well, and when not, what to look at, in a few lines.

use std::fmt::Write;

use super::{Finished, Outcome, Word};
use crate::judge::{Finding, Judgement, Verdict};
use crate::snapshot::Comparison;

/// More would hide the first cause.
const MOST_FINDINGS: usize = 3;
/// The entries that led to a finding; the run file has all.
const MOST_ENTRIES: usize = 6;
/// Lines of the agent's log; nothing is judged by them.
const MOST_LOG_LINES: usize = 5;

/// The line of a finished scenario, without its first word.
#[must_use]
pub fn line(finished: &Finished) -> String {
    let metadata = &finished.scenario.metadata;
    format!("{} {} ({:.1} s)", &**metadata.id, metadata.title, finished.took.as_secs_f64())
}

/// What stands below the line: nothing for a scenario that passed without remarks.
#[must_use]
pub fn details(finished: &Finished) -> String {
    let mut text = String::new();
    match &finished.outcome {
        Outcome::NoVerdict { causes } => {
            for (depth, cause) in causes.iter().enumerate() {
                let because = if depth == 0 { "" } else { "because " };
                indented(&mut text, 2 + depth, &format!("{because}{cause}"));
            }
            log(&mut text, finished);
        }
        Outcome::Judged { verdict, snapshot } => {
            judged(&mut text, finished, verdict);
            compared(&mut text, snapshot.as_ref(), finished);
        }
    }
    if finished.word() != Word::Pass {
        let _ = writeln!(text, "  again: {}", finished.again);
        if let Some(owner) = &finished.scenario.metadata.owner {
            let _ = writeln!(text, "  owner: {owner}");
        }
        if let Some(run_file) = &finished.run_file {
            let _ = writeln!(text, "  journal: {}", run_file.display());
        }
    }
    text
}

fn judged(text: &mut String, finished: &Finished, verdict: &Verdict) {
    for finding in verdict.findings.iter().take(MOST_FINDINGS) {
        found(text, finished, finding);
    }
    let more = verdict.findings.len().saturating_sub(MOST_FINDINGS);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more, in the journal");
    }
    if !verdict.findings.is_empty() {
        log(text, finished);
    }
    match &verdict.judgement {
        Judgement::Passed | Judgement::Failed => {}
        judgement => indented(text, 2, &judgement.to_string()),
    }
    for remark in &verdict.remarks {
        let requirement = remark.requirement.as_deref().unwrap_or_default();
        indented(text, 2, &format!("remark: {requirement} {}", remark.claim));
        indented(text, 4, &format!("expected {}\nobserved {}", remark.expected, remark.observed));
    }
}

fn found(text: &mut String, finished: &Finished, finding: &Finding) {
    let scenario = &finished.scenario;
    let place = finding
        .span
        .map_or_else(|| scenario.path.display().to_string(), |span| scenario.place(span));
    let step = finding.step.map_or_else(String::new, |step| format!("step {}: ", step + 1));
    let claim = finding.claim.as_str();
    let name = finding.requirement.as_ref().map_or(claim, |requirement| requirement);
    let _ = writeln!(text, "  {step}{name}  ({place}, after {:.1} s)", finding.at.as_secs_f64());
    indented(text, 4, &finding.to_string());
    let entries = &finding.entries;
    if !entries.is_empty() {
        let _ = writeln!(text, "    before that:");
    }
    for entry in &entries[entries.len().saturating_sub(MOST_ENTRIES)..] {
        indented(text, 6, entry);
    }
}

fn compared(text: &mut String, comparison: Option<&Comparison>, finished: &Finished) {
    match comparison {
        Some(Comparison::Missing) => {
            indented(text, 2, "there is no snapshot of it yet");
            let _ = writeln!(text, "  to make one: {} --snapshots record", finished.again);
        }
        Some(Comparison::Changed(difference)) => {
            indented(text, 2, "the snapshot has changed (- kept, + seen):");
            indented(text, 4, &difference.to_string());
            let _ = writeln!(
                text,
                "  to take it: cargo insta review, or {} --snapshots record",
                finished.again
            );
        }
        Some(Comparison::Recorded) => indented(text, 2, "the snapshot was recorded; read it"),
        Some(Comparison::Same) | None => {}
    }
}

fn log(text: &mut String, finished: &Finished) {
    let lines = &finished.last_lines;
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "  the agent's last lines (nothing is judged by them):");
    for line in &lines[lines.len().saturating_sub(MOST_LOG_LINES)..] {
        indented(text, 4, line);
    }
}

fn indented(text: &mut String, depth: usize, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "{:depth$}{line}", "");
    }
}
