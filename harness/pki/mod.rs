//! Keys and certificates: the authority that signs clients, the one that servers come from, and what can be said of either.

mod authority;
mod csr;
mod external;
mod facts;
mod leaf;
mod server;

pub use authority::{Authority, AuthorityError, CertificateTerms, SignedCertificate};
pub use csr::{ExpectedSubject, SigningError};
pub use external::{ClientIdentity, ExternalAuthority};
pub use facts::{
    FactsError, certificate_facts, certificates_in, fingerprint, pem_of, private_key_of,
};
pub use server::{ServerAuthority, ServerIdentity, ServerTerms, ServerUsage};

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// Runs the real openssl and gives what it writes.
    pub(super) fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        child.stdin.take().expect("piped").write_all(input).expect("openssl reads");
        let output = child.wait_with_output().expect("openssl ends");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {errors}");
        output.stdout
    }
}
