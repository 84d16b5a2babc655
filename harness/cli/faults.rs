//! `faults`: what can be injected, and with which parameters.

use schemars::SchemaGenerator;
use serde_json::Value;

use super::{Exit, Terminal, Tone};
use crate::document::nearest;
use crate::fault::{KINDS, Kind};

/// List the faults that scenarios can inject.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this one, with what each of its parameters means.
    #[arg(value_name = "FAULT")]
    name: Option<String>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Exit {
    let Some(name) = &args.name else {
        let width = KINDS.iter().map(|kind| kind.name.len()).max().unwrap_or_default();
        for Kind { name, meaning, .. } in KINDS {
            terminal.result(format!("{name:width$}  {meaning}"));
        }
        return Exit::Passed;
    };
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
        let near = nearest(name, KINDS.iter().map(|kind| kind.name));
        let hint = near.map_or_else(String::new, |near| format!("\n[did you mean `{near}`?]"));
        terminal.note(format!("error: there is no fault `{name}`{hint}"));
        return Exit::Usage;
    };
    terminal.result(format!("{}: {}", kind.name, kind.meaning));
    let schema = kind.schema(&mut SchemaGenerator::default());
    let parameters = schema.get("properties").and_then(Value::as_object);
    for (key, parameter) in parameters.into_iter().flatten() {
        let meaning = parameter.get("description").and_then(Value::as_str).unwrap_or_default();
        let meaning = meaning.replace('\n', " ");
        terminal.result(format!("  {key}  {}", terminal.paint(Tone::Quiet, &meaning)));
    }
    Exit::Passed
}
