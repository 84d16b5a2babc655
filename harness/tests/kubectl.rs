//! A real `kubectl`, with the kubeconfig that `serve` prints, sees the CompassConnection change while
//! the reference agent runs, and asks it for a round.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn main() {
    let arguments = Arguments::from_args();
    let name = "kubectl_sees_what_the_reference_agent_does";
    let there = Command::new("kubectl")
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    let trial = if there {
        Trial::test(name, see)
    } else {
        Trial::test(format!("{name} (skipped: no kubectl on this machine)"), || Ok(()))
            .with_ignored_flag(true)
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// A child process that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Killed, `serve` could not take its directory away.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().expect("stdout is piped")).lines()
}

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compass-harness"));
    command.args(arguments).stdout(Stdio::piped());
    command
}

fn see() -> Result<(), Failed> {
    let mut serve = Ended(harness(&["serve", "--json"]).spawn()?);
    let told: Value =
        serde_json::from_str(&lines(&mut serve.0).next().expect("serve says where it is")?)?;
    let kubeconfig = told["kubeconfig"].as_str().expect("a path").to_owned();
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new("kubectl");
        command.args(["--kubeconfig", &kubeconfig]).args(arguments);
        command
    };
    let columns = "custom-columns=:.status.connectionState,:.spec.resyncNow,:.status.synchronizationStatus.lastAttempt";
    let watch = ["get", "compassconnections", "--watch", "--no-headers", "-o", columns];
    let mut watching = Ended(kubectl(&watch).stdout(Stdio::piped()).spawn()?);
    let mut seen = lines(&mut watching.0);

    let _agent = Ended(
        harness(&["agent"])
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("SSL_CERT_FILE", told["caFile"].as_str().expect("a path"))
            .env("APP_HEALTH_PORT", "0")
            .stderr(Stdio::null())
            .spawn()?,
    );
    let mut until = |word: &str| -> Result<String, Failed> {
        for line in &mut seen {
            let line = line?;
            if line.contains(word) {
                return Ok(line);
            }
        }
        Err(format!("the watch ended before `{word}`").into())
    };
    until("Connected")?;
    until("Synchronized")?;

    let flag = r#"{"spec":{"resyncNow":true}}"#;
    let patch = ["patch", "compassconnection", "compass-connection", "--type", "merge", "-p", flag];
    let patched = kubectl(&patch).output()?;
    assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stderr));
    until("true")?;
    let after = until("<none>")?;
    assert!(after.contains("Synchronized"), "{after}");

    let described = kubectl(&["describe", "compassconnection", "compass-connection"]).output()?;
    let described = String::from_utf8(described.stdout)?;
    for word in ["Connection State:", "Synchronized", "Connector URL:", "Not After:"] {
        assert!(described.contains(word), "no `{word}` in {described}");
    }
    let deleted = kubectl(&["delete", "compassconnection", "compass-connection"]).output()?;
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    // It pairs again with a token that is spent, and says so.
    until("ConnectionFailed")?;
    Ok(())
}
