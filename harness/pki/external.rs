//! The authority outside Compass that administrators have their certificates from.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SigningKey as _,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriterSeq, Tag, construct_der};

use super::authority::{AuthorityError, authority_life, system_time};
use super::facts::pem_of;
use super::leaf::{write_extension, write_time};

/// What a client needs for TLS. The key is in no output.
pub struct ClientIdentity {
    /// The client's certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    key_pem: String,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClientIdentity").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl ClientIdentity {
    /// The certificates in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem_of(certificate)).collect()
    }

    /// The key in PEM.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

/// An authority for client certificates (ECDSA P-256). Its key is in memory only and in no output.
pub struct ExternalAuthority {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    name: Vec<u8>,
}

impl fmt::Debug for ExternalAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_struct("ExternalAuthority");
        output.field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ExternalAuthority {
    /// Makes a new authority that lives a day.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub fn generate() -> Result<Self, AuthorityError> {
        let crypto = |source| AuthorityError::Crypto { name: COMMON_NAME.into(), source };
        let key = KeyPair::generate().map_err(crypto)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Compass Harness");
        params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (not_before, not_after) = authority_life(Duration::ZERO);
        params.not_before = system_time(not_before).into();
        params.not_after = system_time(not_after).into();
        let certificate = params.self_signed(&key).map_err(crypto)?.der().clone();
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .expect("a certificate that rcgen wrote can be parsed");
        let name = parsed.subject().as_raw().to_vec();
        Ok(Self { key, certificate, name })
    }

    /// Makes a key and a certificate with this subject, one `KEY=value` an attribute.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub fn issue(&self, subject: &[&str]) -> Result<ClientIdentity, AuthorityError> {
        let crypto = |source| AuthorityError::Crypto { name: subject.join(", "), source };
        let key = KeyPair::generate().map_err(crypto)?;
        let unsigned = construct_der(|writer| {
            writer.write_sequence(|writer| self.write(writer, subject, &key));
        });
        let signature = self.key.sign(&unsigned).map_err(crypto)?;
        let der = construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&unsigned);
                writer
                    .next()
                    .write_sequence(|writer| writer.next().write_oid(&ecdsa_with_sha256()));
                writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        let key_pem = key.serialize_pem();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(ClientIdentity { chain: vec![CertificateDer::from(der)], key, key_pem })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Written here, as rcgen knows each attribute of a subject once and such subjects have three
    /// organizational units.
    fn write(&self, writer: &mut DERWriterSeq<'_>, subject: &[&str], key: &KeyPair) {
        let (not_before, not_after) = authority_life(Duration::ZERO);
        writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
        writer.next().write_u64(u64::from(rand::random::<u32>()) + 1);
        writer.next().write_sequence(|writer| writer.next().write_oid(&ecdsa_with_sha256()));
        writer.next().write_der(&self.name);
        writer.next().write_sequence(|writer| {
            write_time(writer.next(), not_before);
            write_time(writer.next(), not_after);
        });
        writer.next().write_sequence(|writer| {
            for attribute in subject {
                let (kind, value) = attribute.split_once('=').unwrap_or(("CN", attribute));
                writer.next().write_set(|writer| {
                    writer.next().write_sequence(|writer| {
                        let oid = [2, 5, 4, attribute_type(kind)];
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&oid));
                        writer.next().write_utf8_string(value);
                    });
                });
            }
        });
        writer.next().write_der(&key.subject_public_key_info());
        writer.next().write_tagged(Tag::context(3), |writer| {
            writer.write_sequence(|writer| {
                write_extension(writer.next(), &[2, 5, 29, 15], true, |writer| {
                    // digitalSignature is the first bit.
                    writer.write_bitvec_bytes(&[0x80], 1);
                });
                write_extension(writer.next(), &[2, 5, 29, 37], false, |writer| {
                    writer.write_sequence(|writer| {
                        let client_auth = [1, 3, 6, 1, 5, 5, 7, 3, 2];
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&client_auth));
                    });
                });
            });
        });
    }
}

/// The last number of an attribute's type below 2.5.4; `CN` for what has no usual name.
fn attribute_type(name: &str) -> u64 {
    match name {
        "C" => 6,
        "L" => 7,
        "ST" => 8,
        "O" => 10,
        "OU" => 11,
        _ => 3,
    }
}

fn ecdsa_with_sha256() -> ObjectIdentifier {
    ObjectIdentifier::from_slice(&[1, 2, 840, 10045, 4, 3, 2])
}

const COMMON_NAME: &str = "Compass Harness External CA, NOT FOR PRODUCTION";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::server::WebPkiClientVerifier;
    use rustls_pki_types::UnixTime;

    use super::*;

    #[test]
    fn certificates_have_every_attribute_in_order_and_are_good_for_clients() {
        let authority = ExternalAuthority::generate().expect("an authority");
        let subject = ["C=DE", "O=SAP SE", "OU=Region", "OU=Clients", "OU=id", "CN=compass"];
        let identity = authority.issue(&subject).expect("issued");
        let (_, parsed) = x509_parser::parse_x509_certificate(&identity.chain[0]).expect("DER");
        assert_eq!(parsed.subject().to_string(), subject.join(", "));
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().expect("a verifier");
        verifier.verify_client_cert(&identity.chain[0], &[], UnixTime::now()).expect("good");
        let other = ExternalAuthority::generate().expect("an authority");
        let foreign = other.issue(&subject).expect("issued");
        verifier.verify_client_cert(&foreign.chain[0], &[], UnixTime::now()).expect_err("foreign");
        let key = identity.key_pem().lines().nth(1).expect("a key").to_owned();
        assert!(!format!("{identity:?} {authority:?}").contains(&key));
    }
}
