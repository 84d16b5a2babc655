//! Being asked to end: Ctrl-C and SIGTERM, as exit codes.

use tokio::signal::unix::{SignalKind, signal};

use super::Exit;

/// Listens from now on; resolves when somebody asks the program to end.
pub(super) fn ended() -> std::io::Result<impl Future<Output = Exit>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    })
}
