//! Runs a Kubernetes API server in memory until Ctrl-C; its arguments are those of `compass-harness cluster`.

use clap::Parser as _;
use compass_harness::cli::cluster::{Arguments, run};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    run(Arguments::parse()).await
}
