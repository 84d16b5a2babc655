//! PEM text, read leniently and written strictly (RFC 7468).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{PemObject, SectionKind};

/// One block of PEM.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        // Base64 is ASCII, and writing into a String cannot fail.
        let _ = writeln!(text, "{}", str::from_utf8(line).unwrap_or_default());
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

/// The blocks of a text in order; what stands between them is ignored.
pub(super) fn blocks(text: &[u8]) -> Vec<(SectionKind, Vec<u8>)> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text).map_while(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let der: Vec<u8> = (0..200).collect();
        let text = format!(
            "noise\n{}\nnoise\n{}",
            encode("CERTIFICATE", &der),
            encode("RSA PRIVATE KEY", b"x")
        );
        let blocks = blocks(text.as_bytes());
        assert_eq!(blocks[0], (SectionKind::Certificate, der));
        assert_eq!(blocks[1], (SectionKind::RsaPrivateKey, b"x".to_vec()));
        assert!(text.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn no_block_is_no_error() {
        assert_eq!(blocks(b"neither\xff PEM"), []);
    }
}
