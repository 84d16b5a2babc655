//! The command line: one short file a verb.

mod agent;
pub mod agent_file;
pub mod cluster;
mod exit;
mod faults;
mod progress;
mod run;
mod serve;
mod signals;
mod terminal;
mod trial;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
pub use terminal::{Colour, Terminal, Tone};
pub use trial::Trial;

/// A simulation and conformance harness for Compass runtime agents.
///
/// Plays Connector, Director and the Kubernetes API, and judges what an agent makes of them.
#[derive(Debug, Parser)]
#[command(name = "compass-harness", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// When to use colour; `NO_COLOR` and `CLICOLOR_FORCE` count when this is `auto`.
    #[arg(long, global = true, value_enum, default_value_t, env = "COMPASS_HARNESS_COLOR")]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Serve(serve::Args),
    Cluster(cluster::Arguments),
    Agent(agent::AgentArgs),
    Faults(faults::Args),
}

const EXIT_CODES: &str = "\
Exit codes: 0 all passed, 1 a scenario failed, 2 wrong call, 3 invalid scenario or agent file, 4 nothing ran, \
5 could not judge, 6 only snapshots are new or changed, 8 the harness contradicts itself, 130/143 interrupted.";

/// Runs the program with these arguments, the first being its own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which stream is whose.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Passed };
            let _ = error.print();
            return exit.into();
        }
    };
    // Two providers are linked through dependencies; the choice is made once, here. It can only
    // fail when it was made already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let terminal = Terminal::new(cli.color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.error(&error);
            return Exit::NotJudged.into();
        }
    };
    runtime.block_on(async {
        match cli.verb {
            Verb::Run(args) => run::run(args, &terminal).await.into(),
            Verb::Serve(args) => serve::run(args, &terminal).await.into(),
            Verb::Cluster(args) => cluster::run(args).await,
            Verb::Agent(args) => agent::run(args).await,
            Verb::Faults(args) => faults::run(&args, &terminal).into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
