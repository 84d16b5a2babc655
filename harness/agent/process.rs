//! Runs an agent as a child process in a process group of its own.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, FusedFuture};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::launch::Launch;
use super::log::Log;
use super::{Exit, Runner};
use crate::journal::{AgentEvent, Journal};

/// Name of the log in the scratch directory.
const LOG_FILE: &str = "agent.log";
/// How long the output may take to end once the process group is dead. Only a process that left the
/// group can hold it open.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the runner could not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The operating system does not run the program.
    #[error("`{program}` cannot be started\n[{hint}]")]
    Start {
        /// Which.
        program: PathBuf,
        /// What to look at.
        hint: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log cannot be written.
    #[error("the agent's log `{path}` cannot be written")]
    Log {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It runs already.
    #[error("the agent runs already")]
    Running,
    /// It does not run.
    #[error("the agent does not run")]
    NotRunning,
}

/// An agent as a child process; dropping it ends the whole process group.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    journal: Journal,
    log: Log,
    starts: u32,
    running: Option<Running>,
}

/// One run of the process.
#[derive(Debug)]
struct Running {
    group: Group,
    exit: watch::Receiver<Option<Exit>>,
    /// Waits for the child and reads its output; ends with this value.
    _watcher: AbortOnDropHandle<()>,
}

/// The process group of a run, as long as its number is certainly ours.
#[derive(Debug, Clone)]
struct Group {
    id: Pid,
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    told: AtomicBool,
    over: AtomicBool,
}

impl Process {
    /// A runner for this launch; its log is a new file in the launch's scratch directory.
    ///
    /// # Errors
    ///
    /// [`RunnerError::Log`] when that file cannot be made.
    pub fn new(launch: Launch, journal: Journal) -> Result<Self, RunnerError> {
        let path = launch.scratch.join(LOG_FILE);
        let log = Log::create(&path, journal.scrubber())
            .map_err(|source| RunnerError::Log { path, source })?;
        Ok(Self { launch, journal, log, starts: 0, running: None })
    }

    /// What the agent printed.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether a run is under way, as far as is known.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.exit.borrow().is_none())
    }

    fn spawn(&mut self) -> Result<u32, RunnerError> {
        if self.is_running() {
            return Err(RunnerError::Running);
        }
        let (child, output) = self.execute().map_err(|source| RunnerError::Start {
            program: self.launch.program.clone(),
            hint: hint(&source),
            source,
        })?;
        // A child that was spawned and not yet waited for has its id.
        let pid = child.id().unwrap_or_default();
        self.starts += 1;
        self.journal.record(AgentEvent::Started { number: self.starts, pid });
        let group = Group { id: Pid::from_raw(pid.cast_signed()), flags: Arc::default() };
        let (sender, exit) = watch::channel(None);
        let watching = watch_child(
            child,
            output,
            group.clone(),
            self.log.clone(),
            self.journal.clone(),
            sender,
        );
        let watcher = AbortOnDropHandle::new(tokio::spawn(watching));
        self.running = Some(Running { group, exit, _watcher: watcher });
        Ok(pid)
    }

    fn execute(&self) -> io::Result<(Child, pipe::Receiver)> {
        // One pipe for both streams, so that their lines stay in the order in which they came.
        let (reader, writer) = io::pipe()?;
        let child = Command::new(&self.launch.program)
            .args(&self.launch.arguments)
            .env_clear()
            .envs(&self.launch.environment)
            .current_dir(&self.launch.scratch)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok((child, pipe::Receiver::from_owned_fd(reader.into())?))
    }

    fn tell(&self, signal: Signal) -> Result<watch::Receiver<Option<Exit>>, RunnerError> {
        let running = self.running.as_ref().ok_or(RunnerError::NotRunning)?;
        if running.exit.borrow().is_none() {
            running.group.flags.told.store(true, Ordering::SeqCst);
            self.journal.record(AgentEvent::Told { signal: signal.as_str().into() });
            running.group.signal(signal);
        }
        Ok(running.exit.clone())
    }

    /// Waits until the run is over, and forgets it.
    async fn over(&mut self, mut exit: watch::Receiver<Option<Exit>>) -> Exit {
        let known = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        self.running = None;
        // The watcher sends before it ends, and it is not aborted while `running` is there.
        known.unwrap_or(Exit { code: None, signal: None, planned: true })
    }
}

impl Runner for Process {
    fn start(&mut self) -> BoxFuture<'_, Result<u32, RunnerError>> {
        async { self.spawn() }.boxed()
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, Result<Exit, RunnerError>> {
        async move {
            let mut exit = self.tell(Signal::SIGTERM)?;
            // A paused process would keep the signal pending for ever.
            self.resume()?;
            let ended = tokio::time::timeout(grace, exit.wait_for(Option::is_some)).await.is_ok();
            if !ended {
                exit = self.tell(Signal::SIGKILL)?;
            }
            Ok(self.over(exit).await)
        }
        .boxed()
    }

    fn kill(&mut self) -> BoxFuture<'_, Result<Exit, RunnerError>> {
        async {
            let exit = self.tell(Signal::SIGKILL)?;
            Ok(self.over(exit).await)
        }
        .boxed()
    }

    fn pause(&self) -> Result<(), RunnerError> {
        self.running.as_ref().ok_or(RunnerError::NotRunning)?.group.signal(Signal::SIGSTOP);
        Ok(())
    }

    fn resume(&self) -> Result<(), RunnerError> {
        self.running.as_ref().ok_or(RunnerError::NotRunning)?.group.signal(Signal::SIGCONT);
        Ok(())
    }

    fn exited(&self) -> BoxFuture<'static, Option<Exit>> {
        let exit = self.running.as_ref().map(|running| running.exit.clone());
        async move {
            let mut exit = exit?;
            let known = exit.wait_for(Option::is_some).await.ok()?;
            known.clone()
        }
        .boxed()
    }

    fn last_lines(&self, count: usize) -> Vec<String> {
        self.log.last_lines(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.signal(Signal::SIGKILL);
    }
}

impl Group {
    /// Sends a signal to every process of the group; nothing when the group is over.
    fn signal(&self, signal: Signal) {
        if !self.flags.over.load(Ordering::SeqCst) {
            // The only failure is that nobody is left to hear it.
            let _ = killpg(self.id, signal);
        }
    }
}

async fn watch_child(
    mut child: Child,
    output: pipe::Receiver,
    group: Group,
    log: Log,
    journal: Journal,
    exit: watch::Sender<Option<Exit>>,
) {
    use std::os::unix::process::ExitStatusExt;
    let copying = copy(output, &log).fuse();
    tokio::pin!(copying);
    let status = tokio::select! {
        status = child.wait() => status,
        // The agent may close its output and live on.
        () = &mut copying => child.wait().await,
    };
    // What the agent started ends with it. Nothing else can have got the group's number yet.
    group.signal(Signal::SIGKILL);
    group.flags.over.store(true, Ordering::SeqCst);
    let status = status.ok();
    let ended = Exit {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
        planned: group.flags.told.load(Ordering::SeqCst),
    };
    let Exit { code, signal, planned } = ended;
    journal.record(AgentEvent::Exited { code, signal, planned });
    // What is left in the pipe is read, so that the last words are known when the exit is.
    if !copying.is_terminated() {
        let _ = tokio::time::timeout(DRAIN, &mut copying).await;
    }
    log.finish();
    exit.send_replace(Some(ended));
}

async fn copy(mut output: pipe::Receiver, log: &Log) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        log.write(&buffer[..count]);
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "the file is there, so its interpreter or loader is missing",
        io::ErrorKind::PermissionDenied => {
            "the file is executable, so look at the file system and at its interpreter"
        }
        _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => {
            "it is no program for this machine: another architecture, or a script without `#!`"
        }
        _ => "the operating system refused",
    }
}
