//! What tells certificates and keys apart, without showing a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::Pem;
use yasna::models::ObjectIdentifier;

use crate::journal::CertificateFacts;

/// Why nothing can be said of a certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// Not an X.509 certificate.
    #[error("not a certificate")]
    NotACertificate(#[source] x509_parser::nom::Err<x509_parser::error::X509Error>),
    /// A date that no calendar has.
    #[error("a certificate with an impossible date")]
    Date(#[source] jiff::Error),
}

/// The facts of one certificate in DER.
///
/// # Errors
///
/// [`FactsError`] when it cannot be parsed.
pub fn certificate_facts(der: &[u8]) -> Result<CertificateFacts, FactsError> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(FactsError::NotACertificate)?;
    let validity = certificate.validity();
    let date = |seconds| Timestamp::from_second(seconds).map_err(FactsError::Date);
    Ok(CertificateFacts {
        fingerprint: fingerprint(der),
        public_key: fingerprint(certificate.public_key().raw),
        not_before: date(validity.not_before.timestamp())?,
        not_after: date(validity.not_after.timestamp())?,
    })
}

/// The facts of every certificate in a PEM text, in order; what is no certificate is left out.
#[must_use]
pub fn certificates_in(pem: &[u8]) -> Vec<CertificateFacts> {
    Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .filter_map(|block| certificate_facts(&block.contents).ok())
        .collect()
}

/// Lower-case hex SHA-256, the name of a certificate everywhere.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// When the PEM text holds a private key (PKCS#1, PKCS#8, SEC1): the digest of the public key that
/// belongs to it, as in [`CertificateFacts::public_key`].
#[must_use]
pub fn private_key_of(pem: &[u8]) -> Option<String> {
    Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter(|block| block.label.ends_with("PRIVATE KEY"))
        .find_map(|block| {
            rsa_public_key_info(&block.contents).or_else(|| {
                Some(KeyPair::try_from(&*block.contents).ok()?.subject_public_key_info())
            })
        })
        .map(|info| fingerprint(&info))
}

/// A certificate in PEM, as Go's `pem.Encode` writes it.
#[must_use]
pub fn pem_of(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = String::with_capacity(base64.len() + base64.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        // Base64 is ASCII, so no chunk is cut within a character.
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The public half of an RSA key in PKCS#1 or PKCS#8, of any size: crypto libraries refuse weak
/// keys, and a weak key is what one wants to hear about.
fn rsa_public_key_info(der: &[u8]) -> Option<Vec<u8>> {
    let (modulus, exponent) =
        pkcs1_public_part(der).or_else(|| pkcs1_public_part(&pkcs8_rsa(der)?))?;
    let key = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_bigint_bytes(&modulus, true);
            writer.next().write_bigint_bytes(&exponent, true);
        });
    });
    Some(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&rsa_encryption());
                writer.next().write_null();
            });
            writer.next().write_bitvec_bytes(&key, key.len() * 8);
        });
    }))
}

fn pkcs1_public_part(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            let (modulus, _) = reader.next().read_bigint_bytes()?;
            let (exponent, _) = reader.next().read_bigint_bytes()?;
            for _ in 0..6 {
                reader.next().read_der()?;
            }
            Ok((modulus, exponent))
        })
    })
    .ok()
}

fn pkcs8_rsa(der: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, key) = yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            let algorithm = reader.next().read_sequence(|reader| {
                let algorithm = reader.next().read_oid()?;
                reader.read_optional(|reader| reader.read_der())?;
                Ok(algorithm)
            })?;
            let key = reader.next().read_bytes()?;
            reader.read_optional(|reader| reader.read_der())?;
            Ok((algorithm, key))
        })
    })
    .ok()?;
    (algorithm == rsa_encryption()).then_some(key)
}

fn rsa_encryption() -> ObjectIdentifier {
    ObjectIdentifier::from_slice(&[1, 2, 840, 113_549, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;

    #[test]
    fn a_private_key_is_recognised_by_the_certificate_of_its_public_half() {
        for algorithm in [&rcgen::PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).expect("a key");
            let certificate = CertificateParams::default().self_signed(&key).expect("signed");
            let facts = certificates_in(pem_of(certificate.der()).as_bytes());
            assert_eq!(
                private_key_of(key.serialize_pem().as_bytes()).as_ref(),
                Some(&facts[0].public_key)
            );
        }
    }

    #[test]
    fn keys_are_recognised_in_the_forms_that_openssl_writes() {
        let openssl =
            |arguments: &[&str], input: &[u8]| crate::pki::tests::openssl(arguments, input);
        let key = openssl(&["genrsa", "-traditional", "1024"], b"");
        assert!(key.starts_with(b"-----BEGIN RSA PRIVATE KEY"));
        let public = openssl(&["pkey", "-pubout", "-outform", "DER"], &key);
        assert_eq!(private_key_of(&key), Some(fingerprint(&public)));
        let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &key);
        assert_eq!(private_key_of(&pkcs8), Some(fingerprint(&public)));
        let ec = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"");
        assert!(ec.starts_with(b"-----BEGIN EC PRIVATE KEY"));
        let public = openssl(&["pkey", "-pubout", "-outform", "DER"], &ec);
        assert_eq!(private_key_of(&ec), Some(fingerprint(&public)));
    }

    #[test]
    fn what_is_neither_key_nor_certificate_says_nothing() {
        for text in
            ["", "hello", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"]
        {
            assert_eq!(private_key_of(text.as_bytes()), None);
            assert!(certificates_in(text.as_bytes()).is_empty());
        }
    }
}
