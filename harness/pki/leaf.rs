//! The DER of a client certificate, field by field as the Connector's `x509.CreateCertificate` writes it.
//!
//! rcgen cannot write it: a subject may hold several values of one attribute, and the signature
//! algorithm is the one that the request happened to use.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use jiff::Timestamp;
use x509_parser::oid_registry::{
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag, construct_der};

use super::authority::system_time;
use super::csr::{RequestSubject, SigningError};

/// Every certificate of the Connector has this serial number.
const SERIAL: u8 = 2;

/// How the signature of a certificate is made and named.
pub(super) struct Signature {
    encoding: &'static dyn RsaEncoding,
    algorithm: Vec<u8>,
}

impl Signature {
    /// The algorithm of a request, for an RSA key.
    pub(super) fn like(algorithm: &AlgorithmIdentifier<'_>) -> Result<Self, SigningError> {
        let oid = &algorithm.algorithm;
        let plain = |encoding: &'static dyn RsaEncoding, last: u64| Self {
            encoding,
            algorithm: construct_der(|writer| {
                writer.write_sequence(|writer| {
                    let oid = [1, 2, 840, 113_549, 1, 1, last];
                    writer.next().write_oid(&ObjectIdentifier::from_slice(&oid));
                    writer.next().write_null();
                });
            }),
        };
        if *oid == OID_PKCS1_SHA256WITHRSA {
            return Ok(plain(&RSA_PKCS1_SHA256, 11));
        } else if *oid == OID_PKCS1_SHA384WITHRSA {
            return Ok(plain(&RSA_PKCS1_SHA384, 12));
        } else if *oid == OID_PKCS1_SHA512WITHRSA {
            return Ok(plain(&RSA_PKCS1_SHA512, 13));
        } else if *oid == OID_PKCS1_RSASSAPSS {
            return Self::like_pss(algorithm);
        }
        Err(SigningError::Create(
            "x509: requested SignatureAlgorithm does not match private key type",
        ))
    }

    fn like_pss(algorithm: &AlgorithmIdentifier<'_>) -> Result<Self, SigningError> {
        let unsupported = SigningError::Create("x509: cannot sign with hash function requested");
        let parameters = algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| RsaSsaPssParams::try_from(parameters).ok())
            .ok_or_else(|| unsupported.clone())?;
        let (encoding, last, salt): (&'static dyn RsaEncoding, u64, u8) =
            match &*parameters.hash_algorithm_oid().to_id_string() {
                "2.16.840.1.101.3.4.2.1" => (&RSA_PSS_SHA256, 1, 32),
                "2.16.840.1.101.3.4.2.2" => (&RSA_PSS_SHA384, 2, 48),
                "2.16.840.1.101.3.4.2.3" => (&RSA_PSS_SHA512, 3, 64),
                _ => return Err(unsupported),
            };
        let hash = construct_der(|writer| {
            writer.write_sequence(|writer| {
                let oid = [2, 16, 840, 1, 101, 3, 4, 2, last];
                writer.next().write_oid(&ObjectIdentifier::from_slice(&oid));
                writer.next().write_null();
            });
        });
        let mask = [1, 2, 840, 113_549, 1, 1, 8];
        let algorithm = construct_der(|writer| {
            writer.write_sequence(|writer| {
                let oid = [1, 2, 840, 113_549, 1, 1, 10];
                writer.next().write_oid(&ObjectIdentifier::from_slice(&oid));
                writer.next().write_sequence(|writer| {
                    writer.next().write_tagged(Tag::context(0), |writer| writer.write_der(&hash));
                    writer.next().write_tagged(Tag::context(1), |writer| {
                        writer.write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(&mask));
                            writer.next().write_der(&hash);
                        });
                    });
                    writer.next().write_tagged(Tag::context(2), |writer| writer.write_u8(salt));
                });
            });
        });
        Ok(Self { encoding, algorithm })
    }
}

/// What goes into a certificate.
pub(super) struct Leaf<'a> {
    /// DER of the issuer's name.
    pub(super) issuer: &'a [u8],
    /// The issuer's subject key identifier.
    pub(super) issuer_key_id: &'a [u8],
    pub(super) subject: &'a RequestSubject,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// DER of the subject public key info.
    pub(super) public_key_info: &'a [u8],
}

impl Leaf<'_> {
    /// The signed certificate.
    pub(super) fn sign(
        &self,
        key: &RsaKeyPair,
        signature: &Signature,
    ) -> Result<Vec<u8>, SigningError> {
        let unsigned = construct_der(|writer| {
            writer.write_sequence(|writer| self.write(writer, &signature.algorithm));
        });
        let mut value = vec![0; key.public_modulus_len()];
        key.sign(signature.encoding, &SystemRandom::new(), &unsigned, &mut value)
            .map_err(|_| SigningError::Create("crypto/rsa: message too long for RSA key size"))?;
        Ok(construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&unsigned);
                writer.next().write_der(&signature.algorithm);
                writer.next().write_bitvec_bytes(&value, value.len() * 8);
            });
        }))
    }

    fn write(&self, writer: &mut DERWriterSeq<'_>, algorithm: &[u8]) {
        writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
        writer.next().write_u8(SERIAL);
        writer.next().write_der(algorithm);
        writer.next().write_der(self.issuer);
        writer.next().write_sequence(|writer| {
            write_time(writer.next(), self.not_before);
            write_time(writer.next(), self.not_after);
        });
        writer.next().write_sequence(|writer| write_name(writer, self.subject));
        writer.next().write_der(self.public_key_info);
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
                write_extension(writer.next(), &[2, 5, 29, 35], false, |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                            writer.write_bytes(self.issuer_key_id);
                        });
                    });
                });
            });
        });
    }
}

/// Writes a name as Go's `pkix.Name` does: attributes in its order, several values in one set.
fn write_name(writer: &mut DERWriterSeq<'_>, subject: &RequestSubject) {
    let one =
        |value: &Option<String>| Vec::from_iter(value.clone().filter(|text| !text.is_empty()));
    for (last, values) in [
        (6, &subject.country),
        (10, &subject.organization),
        (11, &subject.organizational_unit),
        (7, &subject.locality),
        (8, &subject.province),
        (9, &subject.street_address),
        (17, &subject.postal_code),
        (3, &one(&subject.common_name)),
        (5, &one(&subject.serial_number)),
    ] {
        if values.is_empty() {
            continue;
        }
        writer.next().write_set_of(|writer| {
            for value in values {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(&[2, 5, 4, last]));
                    if value.bytes().all(is_printable) {
                        writer.next().write_printable_string(value);
                    } else {
                        writer.next().write_utf8_string(value);
                    }
                });
            }
        });
    }
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

pub(super) fn write_extension(
    writer: DERWriter<'_>,
    oid: &[u64],
    critical: bool,
    value: impl FnOnce(DERWriter<'_>),
) {
    writer.write_sequence(|writer| {
        writer.next().write_oid(&ObjectIdentifier::from_slice(oid));
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&construct_der(value));
    });
}

/// Until 2049 a time has two digits for the year (RFC 5280, 4.1.2.5).
pub(super) fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let year = time.to_zoned_datetime(jiff::tz::TimeZone::UTC).year();
    // Certificates know whole seconds, and yasna ends in a panic over anything finer.
    let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let time = system_time(time).into();
    if (1950..2050).contains(&year) {
        writer.write_utctime(&UTCTime::from_datetime(time));
    } else {
        writer.write_generalized_time(&GeneralizedTime::from_datetime(time));
    }
}
