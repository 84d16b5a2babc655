//! The process runner with real shell scripts: what ends, what stays, what is kept of the output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use compass_harness::agent::{Launch, Process, Runner, RunnerError};
use compass_harness::journal::{AgentEvent, Event, Journal};

const GRACE: Duration = Duration::from_secs(20);

struct Fixture {
    directory: tempfile::TempDir,
    journal: Journal,
    process: Process,
}

fn script(body: &str) -> Fixture {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = directory.path().join("agent.sh");
    std::fs::write(&script, body).expect("writable");
    let launch = Launch {
        program: "/bin/sh".into(),
        arguments: vec![script.display().to_string()],
        environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        scratch: directory.path().into(),
    };
    let journal = Journal::new();
    let process = Process::new(launch, journal.clone()).expect("a writable scratch");
    Fixture { directory, journal, process }
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Reads one line that the script writes into a FIFO: the observed fact to wait for.
    async fn hear(&self) -> String {
        use tokio::io::AsyncBufReadExt;
        let file = tokio::fs::File::open(self.path("fifo")).await.expect("the script made it");
        let mut line = String::new();
        tokio::io::BufReader::new(file).read_line(&mut line).await.expect("readable");
        line.trim().into()
    }

    fn make_fifo(&self) {
        let made = std::process::Command::new("mkfifo").arg(self.path("fifo")).status();
        assert!(made.expect("mkfifo exists").success());
    }

    fn agent_events(&self) -> Vec<AgentEvent> {
        let entries = self.journal.snapshot();
        let events = entries.iter().filter_map(|entry| match &entry.event {
            Event::Agent(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }
}

fn alive(pid: &str) -> bool {
    // A zombie that nobody has reaped yet is dead all the same.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

/// Waits until a process that was sent SIGKILL is gone, which takes the kernel a moment.
async fn gone(pid: &str) {
    let deadline = Instant::now() + GRACE;
    while alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} still lives");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_agent_that_listens_ends_in_its_own_way() {
    let mut fixture =
        script("trap 'echo bye; exit 3' TERM\necho ready > fifo\nwhile :; do sleep 0.01; done");
    fixture.make_fifo();
    let pid = fixture.process.start().await.expect("it starts");
    assert_eq!(fixture.hear().await, "ready");
    assert!(matches!(fixture.process.start().await, Err(RunnerError::Running)));
    let exit = fixture.process.stop(GRACE).await.expect("it ran");
    assert_eq!((exit.code, exit.signal, exit.planned), (Some(3), None, true));
    assert_eq!(fixture.process.last_lines(5), ["bye"]);
    assert_eq!(
        fixture.agent_events(),
        [
            AgentEvent::Started { number: 1, pid },
            AgentEvent::Told { signal: "SIGTERM".into() },
            AgentEvent::Exited { code: Some(3), signal: None, planned: true },
        ]
    );
    assert!(matches!(fixture.process.kill().await, Err(RunnerError::NotRunning)));
}

#[tokio::test]
async fn an_agent_that_does_not_listen_is_killed_after_its_grace() {
    let mut fixture = script("trap '' TERM\necho ready > fifo\nwhile :; do sleep 0.01; done");
    fixture.make_fifo();
    fixture.process.start().await.expect("it starts");
    fixture.hear().await;
    let exit = fixture.process.stop(Duration::from_millis(300)).await.expect("it ran");
    assert_eq!((exit.code, exit.signal, exit.planned), (None, Some(9), true));
}

#[tokio::test]
async fn what_the_agent_started_ends_with_it() {
    let mut fixture = script("sleep 1000 &\necho $! > fifo\nwait");
    fixture.make_fifo();
    fixture.process.start().await.expect("it starts");
    let grandchild = fixture.hear().await;
    assert!(alive(&grandchild));
    fixture.process.kill().await.expect("it ran");
    gone(&grandchild).await;
}

#[tokio::test]
async fn what_the_agent_left_behind_ends_when_it_crashes() {
    let mut fixture = script("(trap '' TERM; sleep 1000) &\necho $! > fifo\nexit 7");
    fixture.make_fifo();
    fixture.process.start().await.expect("it starts");
    let exited = fixture.process.exited();
    let grandchild = fixture.hear().await;
    let exit = exited.await.expect("a run was under way");
    assert_eq!((exit.code, exit.planned), (Some(7), false));
    assert_eq!(exit.to_string(), "exit code 7");
    gone(&grandchild).await;
}

#[tokio::test]
async fn dropping_the_runner_ends_the_whole_group() {
    let mut fixture = script("trap '' TERM\nsleep 1000 &\necho \"$$ $!\" > fifo\nwait");
    fixture.make_fifo();
    fixture.process.start().await.expect("it starts");
    let pids = fixture.hear().await;
    drop(fixture.process);
    for pid in pids.split(' ') {
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_paused_agent_can_be_stopped() {
    let mut fixture = script("trap 'exit 0' TERM\necho ready > fifo\nwhile :; do sleep 0.01; done");
    fixture.make_fifo();
    fixture.process.start().await.expect("it starts");
    fixture.hear().await;
    fixture.process.pause().expect("it runs");
    let exit = fixture.process.stop(GRACE).await.expect("it ran");
    assert_eq!(exit.code, Some(0));
}

#[tokio::test]
async fn a_flood_of_output_neither_blocks_the_agent_nor_fills_the_disk() {
    let mut fixture =
        script("yes \"$(printf 'y%.0s' $(seq 200))\" | head -c 100000000\necho\necho the end");
    fixture.process.start().await.expect("it starts");
    let exit = fixture.process.exited().await.expect("a run was under way");
    assert_eq!(exit.code, Some(0));
    assert_eq!(fixture.process.last_lines(1), ["the end"]);
    let size = std::fs::metadata(fixture.process.log().path()).expect("there").len();
    assert!(size < 21 << 20, "{size} bytes on disk");
}

#[tokio::test]
async fn secrets_and_foreign_bytes_are_made_harmless() {
    let mut fixture = script("printf 'token s3cret-token \\377\\n' >&2; exit 1");
    fixture.journal.hide("s3cret-token");
    fixture.process.start().await.expect("it starts");
    fixture.process.exited().await.expect("a run was under way");
    assert_eq!(fixture.process.last_lines(9), ["token [hidden] \u{fffd}"]);
    let log = std::fs::read_to_string(fixture.process.log().path()).expect("readable");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn an_agent_starts_again_after_it_ended() {
    let mut fixture = script("exit 0");
    for number in 1..=3 {
        fixture.process.start().await.expect("it starts");
        fixture.process.exited().await.expect("a run was under way");
        let last_start = fixture.agent_events().into_iter().rev().find_map(|event| match event {
            AgentEvent::Started { number, .. } => Some(number),
            _ => None,
        });
        assert_eq!(last_start, Some(number));
    }
}

#[tokio::test]
async fn a_program_that_the_system_refuses_is_explained() {
    for (text, said) in [
        ("#!/no/such/interpreter", "interpreter"),
        ("neither script nor program", "another architecture"),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let program = directory.path().join("agent");
        // Another process writes it: a file that this one has open for writing, even in a child
        // that another test is just forking, would be refused for being busy.
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", "printf '%s\n' \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", text])
            .arg(&program)
            .status();
        assert!(written.expect("a shell").success());
        let launch = Launch {
            program,
            arguments: vec![],
            environment: BTreeMap::new(),
            scratch: directory.path().into(),
        };
        let journal = Journal::new();
        let mut process = Process::new(launch, journal.clone()).expect("a writable scratch");
        let error = process.start().await.expect_err("it cannot start").to_string();
        assert!(error.contains("/agent`") && error.contains(said), "{error}");
        assert!(journal.is_empty());
    }
}
