//! What an agent needs to come into a world: URLs, a CA file, a kubeconfig, a runtime and a token.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::compass::{Addresses, Compass};

/// What an agent needs to come in. The token is not part of it: there is a new one for each pairing.
#[derive(Debug, Clone)]
pub struct Access {
    /// PEM file with the CA of all doors.
    pub ca_file: PathBuf,
    /// Kubeconfig for the Kubernetes door; holds a bearer token.
    pub kubeconfig: PathBuf,
    /// URL of the Kubernetes door.
    pub kubernetes: String,
    /// URLs of Compass.
    pub compass: Addresses,
    /// Id of the runtime.
    pub runtime_id: String,
    /// Id of its tenant.
    pub tenant: String,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be written", .path.display())]
pub struct AccessError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Access {
    /// Writes the files into `directory` and keeps the rest.
    ///
    /// # Errors
    ///
    /// [`AccessError`] when a file cannot be written.
    pub fn write(
        directory: &Path,
        ca_pem: &str,
        kubernetes: &str,
        bearer_token: &str,
        compass: Addresses,
        landscape_of: &Compass,
    ) -> Result<Self, AccessError> {
        let (ca_file, kubeconfig) = (directory.join("ca.pem"), directory.join("kubeconfig"));
        write(&ca_file, ca_pem)?;
        write(&kubeconfig, &kubeconfig_text(kubernetes, ca_pem, bearer_token))?;
        let landscape = landscape_of.landscape();
        Ok(Self {
            ca_file,
            kubeconfig,
            kubernetes: kubernetes.into(),
            compass,
            runtime_id: landscape.runtime_id().to_string(),
            tenant: landscape.tenant(),
        })
    }
}

/// Readable by us alone: a kubeconfig is as good as a password.
fn write(path: &Path, text: &str) -> Result<(), AccessError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| AccessError { path: path.into(), source })
}

fn kubeconfig_text(url: &str, ca_pem: &str, token: &str) -> String {
    let ca = BASE64_STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: compass-harness
  cluster: {{ server: \"{url}\", certificate-authority-data: {ca} }}
users:
- name: agent
  user: {{ token: \"{token}\" }}
contexts:
- name: compass-harness
  context: {{ cluster: compass-harness, user: agent }}
current-context: compass-harness
"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn a_kubeconfig_is_one_that_kube_reads() {
        let text = kubeconfig_text("https://127.0.0.1:1", "PEM", "t");
        let read = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
        let cluster = read.clusters[0].cluster.as_ref().expect("a cluster");
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(read.current_context.as_deref(), Some("compass-harness"));
    }

    #[test]
    fn nobody_else_can_read_what_is_written() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("kubeconfig");
        write(&path, "token").expect("writable");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(write(&path, "again").is_err(), "nothing is overwritten");
    }
}
