//! What the Connector checks in a certificate signing request, in its order and with its words.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, X509Name};

/// The subject that the Connector prescribes to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedSubject {
    /// `CN`: the client id.
    pub common_name: String,
    /// `C`.
    pub country: String,
    /// `O`.
    pub organization: String,
    /// `OU`.
    pub organizational_unit: String,
    /// `L`.
    pub locality: String,
    /// `ST`.
    pub province: String,
}

/// Why a request is not signed; the texts are the Connector's own, from the PEM content on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// Not a PKCS#10 request.
    #[error("Error while parsing CSR: {0}")]
    Parse(String),
    /// The request is not signed by the key in it.
    #[error("CSR signature invalid: {0}")]
    Signature(&'static str),
    /// `CN` is missing or is not the client id.
    #[error("CSR: Invalid common name provided.")]
    CommonName,
    /// An attribute of the subject is missing.
    #[error("CSR: No {0} provided.")]
    Missing(&'static str),
    /// An attribute of the subject is another one than prescribed.
    #[error("CSR: Invalid {0} provided.")]
    Different(&'static str),
    /// All is well with the request, and yet no certificate comes out of it.
    #[error("Error while creating certificate: {0}")]
    Create(&'static str),
}

/// A request that was read; nothing of it is trusted yet.
#[derive(Debug)]
pub(super) struct SigningRequest<'a> {
    request: X509CertificationRequest<'a>,
    pub(super) subject: RequestSubject,
}

/// The values of a subject by attribute, as Go's `pkix.Name` holds them.
#[derive(Debug, Default)]
pub(super) struct RequestSubject {
    pub(super) country: Vec<String>,
    pub(super) organization: Vec<String>,
    pub(super) organizational_unit: Vec<String>,
    pub(super) locality: Vec<String>,
    pub(super) province: Vec<String>,
    pub(super) street_address: Vec<String>,
    pub(super) postal_code: Vec<String>,
    pub(super) common_name: Option<String>,
    pub(super) serial_number: Option<String>,
    /// Every attribute as `KEY=value`, in the order of the request.
    pub(super) attributes: Vec<String>,
}

impl<'a> SigningRequest<'a> {
    /// Reads the DER of a PKCS#10 request.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, SigningError> {
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|error| SigningError::Parse(parse_reason(der, &error)))?;
        if !rest.is_empty() {
            return Err(SigningError::Parse("asn1: syntax error: trailing data".into()));
        }
        let subject = RequestSubject::read(&request.certification_request_info.subject);
        Ok(Self { request, subject })
    }

    /// Makes the checks that come after parsing, in the Connector's order.
    pub(super) fn check(&self, expected: &ExpectedSubject) -> Result<(), SigningError> {
        self.verify()?;
        let subject = &self.subject;
        if subject.common_name.as_deref() != Some(&*expected.common_name) {
            return Err(SigningError::CommonName);
        }
        for (name, values, expected) in [
            ("country", &subject.country, &expected.country),
            ("organization", &subject.organization, &expected.organization),
            ("organizational unit", &subject.organizational_unit, &expected.organizational_unit),
            ("locality", &subject.locality, &expected.locality),
            ("province", &subject.province, &expected.province),
        ] {
            // Only the first value of an attribute is looked at.
            let first = values.first().ok_or(SigningError::Missing(name))?;
            if first != expected {
                return Err(SigningError::Different(name));
            }
        }
        Ok(())
    }

    /// The algorithm that the request is signed with.
    pub(super) fn signature_algorithm(&self) -> &AlgorithmIdentifier<'a> {
        &self.request.signature_algorithm
    }

    /// The DER of the subject public key info.
    pub(super) fn public_key_info(&self) -> &'a [u8] {
        self.request.certification_request_info.subject_pki.raw
    }

    /// Name and size in bits of the public key.
    pub(super) fn key_facts(&self) -> (String, u32) {
        let bits = |bits: usize| u32::try_from(bits).unwrap_or(u32::MAX);
        match self.request.certification_request_info.subject_pki.parsed() {
            Ok(PublicKey::RSA(key)) => ("RSA".into(), bits(key.key_size())),
            Ok(PublicKey::EC(point)) => ("EC".into(), bits(point.key_size())),
            Ok(other) => ("other".into(), bits(other.key_size())),
            Err(_) => ("unknown".into(), 0),
        }
    }

    fn verify(&self) -> Result<(), SigningError> {
        let request = &self.request;
        let algorithm = &request.signature_algorithm.algorithm;
        // Go takes RSA keys of any size here; x509-parser would refuse those below 2048 bits.
        let legacy: Option<&'static dyn VerificationAlgorithm> =
            if *algorithm == OID_PKCS1_SHA256WITHRSA {
                Some(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)
            } else if *algorithm == OID_PKCS1_SHA384WITHRSA {
                Some(&RSA_PKCS1_2048_8192_SHA384)
            } else if *algorithm == OID_PKCS1_SHA512WITHRSA {
                Some(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)
            } else {
                None
            };
        match legacy {
            Some(verifier) => {
                let key = &request.certification_request_info.subject_pki.subject_public_key.data;
                UnparsedPublicKey::new(verifier, key)
                    .verify(request.certification_request_info.raw, &request.signature_value.data)
                    .map_err(|_| SigningError::Signature("crypto/rsa: verification error"))
            }
            None => request.verify_signature().map_err(|error| {
                SigningError::Signature(match error {
                    x509_parser::error::X509Error::SignatureUnsupportedAlgorithm => {
                        "x509: cannot verify signature: algorithm unimplemented"
                    }
                    _ if *algorithm == OID_PKCS1_RSASSAPSS => "crypto/rsa: verification error",
                    _ => "x509: ECDSA verification failure",
                })
            }),
        }
    }
}

impl RequestSubject {
    fn read(name: &X509Name<'_>) -> Self {
        let mut subject = Self::default();
        for attribute in name.iter_attributes() {
            let Some(value) = text_of(attribute.attr_value()) else { continue };
            let oid = attribute.attr_type().to_id_string();
            let (key, list) = match &*oid {
                "2.5.4.6" => ("C", Some(&mut subject.country)),
                "2.5.4.10" => ("O", Some(&mut subject.organization)),
                "2.5.4.11" => ("OU", Some(&mut subject.organizational_unit)),
                "2.5.4.7" => ("L", Some(&mut subject.locality)),
                "2.5.4.8" => ("ST", Some(&mut subject.province)),
                "2.5.4.9" => ("STREET", Some(&mut subject.street_address)),
                "2.5.4.17" => ("POSTALCODE", Some(&mut subject.postal_code)),
                // Of these two `pkix.Name` holds one value each, and the last one stays.
                "2.5.4.3" => {
                    subject.common_name = Some(value.clone());
                    ("CN", None)
                }
                "2.5.4.5" => {
                    subject.serial_number = Some(value.clone());
                    ("SERIALNUMBER", None)
                }
                other => (other, None),
            };
            subject.attributes.push(format!("{key}={value}"));
            if let Some(list) = list {
                list.push(value);
            }
        }
        subject
    }
}

/// The text of an attribute's value, in the string types that Go knows.
fn text_of(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            String::from_utf8(value.data.to_vec()).ok()
        }
        Tag::T61String => Some(String::from_utf8_lossy(value.data).into_owned()),
        Tag::BmpString => {
            let units =
                value.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&Vec::from_iter(units)).ok()
        }
        _ => None,
    }
}

/// Go's words for the two parse errors that clients meet, and a general one for the rest.
fn parse_reason(
    der: &[u8],
    error: &x509_parser::nom::Err<x509_parser::error::X509Error>,
) -> String {
    let announced = match der {
        [0x30, length, ..] if *length < 0x80 => Some(2 + usize::from(*length)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(*length)),
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    };
    match announced {
        Some(announced) if announced > der.len() => "asn1: syntax error: data truncated".into(),
        None if der.is_empty() => "asn1: syntax error: sequence truncated".into(),
        _ => format!("asn1: structure error: {error}"),
    }
}
