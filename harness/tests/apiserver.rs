//! Replays the exchanges recorded from kube-apiserver against the embedded server, each file on a fresh one.

#[path = "apiserver/bind.rs"]
mod bind;
#[path = "apiserver/compare.rs"]
mod compare;
#[path = "apiserver/play.rs"]
mod play;
#[path = "apiserver/wire.rs"]
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compass_harness::cluster::embedded::Server;
use libtest_mimic::{Arguments, Failed, Trial};

const TOKEN: &str = "replayed-admin";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = files().into_iter().map(|file| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || replay(&file))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The recorded files, in order.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes/exchanges");
    let entries =
        std::fs::read_dir(&folder).expect("the recorded exchanges are part of the repository");
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    assert!(!files.is_empty(), "no recorded exchanges in {}", folder.display());
    files
}

fn replay(file: &Path) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::builder().bare(true).token(TOKEN).start().await?;
        let wire = wire::Wire::new(server.address(), server.ca_pem(), TOKEN)?;
        let report = play::file(&wire, file).await?;
        server.stop().await;
        if report.failures.is_empty() {
            return Ok(());
        }
        let text = report.failures.join("\n");
        Err(Failed::from(format!(
            "{} of {} exchanges differ\n{text}",
            report.failures.len(),
            report.played
        )))
    })
}
