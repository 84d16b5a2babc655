//! Real clients against the embedded server: kubectl, the Python client, client-go with its informers.
//!
//! A client that is not installed is reported as skipped, with the reason in its name. `PYTHON` names the Python that
//! has the package `kubernetes`, where it is not the usual one.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use compass_harness::cluster::embedded::Server;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("kubectl", missing_kubectl(), |kubeconfig, _| {
            let mut command = Command::new("bash");
            command.arg(clients().join("kubectl.sh")).env("KUBECONFIG", kubeconfig);
            command
        }),
        trial(
            "python",
            missing(&python(), &["-c", "import kubernetes.dynamic"]),
            |kubeconfig, _| {
                let mut command = Command::new(python());
                command.arg(clients().join("pyclient.py")).env("KUBECONFIG", kubeconfig);
                command
            },
        ),
        trial("client-go", missing_modules(), |kubeconfig, scratch| {
            let program = scratch.join("goinformer");
            let built = go(&["build", "-o", &program.to_string_lossy(), "."])
                .is_ok_and(|output| output.status.success());
            assert!(built, "the client does not build although its modules are there");
            let mut command = Command::new(program);
            command.env("KUBECONFIG", kubeconfig);
            command
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes/clients")
}

/// The Python that has the client: `$PYTHON`, else the usual one.
fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Why a program cannot be used, if it cannot.
fn missing(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some(format!("`{program} {}` fails", arguments.join(" "))),
        Err(_) => Some(format!("{program} is not installed")),
    }
}

/// The checks use verbs that an older kubectl does not have.
const OLDEST_KUBECTL: u32 = 32;

fn missing_kubectl() -> Option<String> {
    let arguments = ["version", "--client", "--output", "json"];
    if let Some(reason) = missing("kubectl", &arguments) {
        return Some(reason);
    }
    let output = Command::new("kubectl").args(arguments).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default();
    let minor: u32 = minor.trim_end_matches('+').parse().unwrap_or(0);
    (minor < OLDEST_KUBECTL).then(|| format!("kubectl 1.{minor} is older than 1.{OLDEST_KUBECTL}"))
}

fn go(arguments: &[&str]) -> std::io::Result<Output> {
    // No network: what is not in the module cache is not there.
    Command::new("go")
        .args(arguments)
        .current_dir(clients().join("goinformer"))
        .env("GOPROXY", "off")
        .output()
}

fn missing_modules() -> Option<String> {
    if let Some(reason) = missing("go", &["version"]) {
        return Some(reason);
    }
    match go(&["list", "-deps", "."]) {
        Ok(output) if output.status.success() => None,
        _ => Some("the modules of client-go are not in the module cache".into()),
    }
}

/// A test that runs a client's checks, or is skipped for a reason.
fn trial(name: &str, skipped: Option<String>, command: fn(&Path, &Path) -> Command) -> Trial {
    let shown = match &skipped {
        Some(reason) => format!("{name} (skipped: {reason})"),
        None => name.to_owned(),
    };
    Trial::test(shown, move || run(command)).with_ignored_flag(skipped.is_some())
}

fn run(command: fn(&Path, &Path) -> Command) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = Server::start().await?;
        let scratch = tempfile::tempdir()?;
        let kubeconfig = scratch.path().join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig())?;
        let folder = scratch.path().to_owned();
        let output =
            tokio::task::spawn_blocking(move || command(&kubeconfig, &folder).output()).await??;
        server.stop().await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && text.trim_end().ends_with(" 0 failed") {
            return Ok(());
        }
        let failures: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
        Err(Failed::from(format!(
            "{}\n{}",
            failures.join("\n"),
            String::from_utf8_lossy(&output.stderr)
        )))
    })
}
