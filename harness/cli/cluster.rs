//! `compass-harness cluster`: a Kubernetes API server in memory, in the foreground.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cluster::embedded::Server;

/// Runs a Kubernetes API server in memory until it is interrupted.
#[derive(Debug, clap::Parser)]
#[command(name = "cluster")]
pub struct Arguments {
    /// Writes a kubeconfig of the administrator here (mode 0600); without it one is kept in a temporary directory
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Listens on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The administrator's bearer token; without it a random one
    #[arg(long)]
    pub token: Option<String>,
    /// Leaves out garbage collection and the deletion of namespaces, as an API server without controllers
    #[arg(long)]
    pub bare: bool,
}

/// Runs the server until Ctrl-C or SIGTERM.
pub async fn run(arguments: Arguments) -> ExitCode {
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut out = std::io::stderr().lock();
            let mut source: Option<&dyn std::error::Error> = Some(&*error);
            let mut prefix = "error: ";
            while let Some(error) = source {
                let _ = writeln!(out, "{prefix}{error}");
                prefix = "  because: ";
                source = error.source();
            }
            ExitCode::from(2)
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Server::builder()
        .bare(arguments.bare)
        .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)));
    if let Some(token) = arguments.token {
        builder = builder.token(token);
    }
    // Before anything is told, so that an early signal ends the server in order.
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let server = builder.start().await?;
    // Gone with this function, when the server is.
    let scratch = tempfile::tempdir()?;
    let path = arguments.kubeconfig.unwrap_or_else(|| scratch.path().join("kubeconfig"));
    write_private(&path, &server.kubeconfig())
        .map_err(|source| WriteError { path: path.clone(), source })?;
    let mut out = std::io::stdout().lock();
    // Whoever reads this may be gone; the server serves all the same.
    let _ = writeln!(out, "kubeconfig: {}", path.display());
    let _ = writeln!(out, "listening on {}", server.url());
    let _ = out.flush();
    drop(out);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    server.stop().await;
    Ok(())
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Writes a file that only its owner can read, also where it existed before.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_its_owners_alone_even_where_a_file_was_before() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, "something longer than what comes").expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
        write_private(&path, "text").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "text");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }
}
