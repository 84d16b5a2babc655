//! A new key and the certificate signing request that the Connector prescribes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::string::PrintableString;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use x509_parser::asn1_rs::{Any, FromDer, OctetString, Sequence};

use super::pem;

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum CsrError {
    #[error("the subject is empty")]
    Empty,
    #[error("`{0}` in the subject is no attribute")]
    NoAttribute(String),
    #[error("the attribute `{0}` in the subject is not known")]
    Unknown(String),
    #[error("the attribute `{0}` in the subject has no value")]
    NoValue(String),
    #[error("the attribute `{0}` stands twice in the subject")]
    Twice(String),
    #[error("the key cannot be made or used")]
    Key(#[source] rcgen::Error),
    #[error("the new key is not in the form that was expected")]
    KeyForm,
    #[error("the making of the key was cut short")]
    CutShort,
}

/// A request, and the key that belongs to it.
pub(super) struct Csr {
    /// PKCS#1 in PEM.
    pub(super) key: String,
    /// Base64 of PEM, as the Connector takes it.
    pub(super) encoded: String,
}

/// Makes a key and a request with this subject. SEC-07: every request has a key of its own.
pub(super) async fn new(subject: &str, key_algorithm: &str) -> Result<Csr, CsrError> {
    let subject = distinguished_name(subject)?;
    let size = key_size(key_algorithm);
    // The search for primes takes from milliseconds to seconds, and must not hold up the rest.
    tokio::task::spawn_blocking(move || sign(subject, size))
        .await
        .unwrap_or(Err(CsrError::CutShort))
}

/// CONN-03: at least 2048 bits, whatever is asked for.
fn key_size(algorithm: &str) -> RsaKeySize {
    match algorithm.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse() {
        Ok(0..=2048) | Err(_) => RsaKeySize::_2048,
        Ok(2049..=3072) => RsaKeySize::_3072,
        Ok(3073_u32..) => RsaKeySize::_4096,
    }
}

fn sign(subject: DistinguishedName, size: RsaKeySize) -> Result<Csr, CsrError> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).map_err(CsrError::Key)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject;
    let request = parameters.serialize_request(&key).map_err(CsrError::Key)?;
    let document = pem::encode("CERTIFICATE REQUEST", request.der());
    let pkcs1 = pkcs1(key.serialized_der()).ok_or(CsrError::KeyForm)?;
    Ok(Csr { key: pem::encode("RSA PRIVATE KEY", &pkcs1), encoded: STANDARD.encode(document) })
}

/// The RSA key inside a PKCS#8 document (RFC 5208: version, algorithm, octets with the key).
fn pkcs1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (_, document) = Sequence::from_der(pkcs8).ok()?;
    let (rest, _version) = Any::from_der(&document.content).ok()?;
    let (rest, _algorithm) = Any::from_der(rest).ok()?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    Some(key.as_ref().to_vec())
}

/// CONN-03: exactly the attributes that the Connector prescribed, one value each.
fn distinguished_name(subject: &str) -> Result<DistinguishedName, CsrError> {
    if subject.trim().is_empty() {
        return Err(CsrError::Empty);
    }
    let mut name = DistinguishedName::new();
    for part in split(subject) {
        let part = part.trim();
        let (key, value) =
            part.split_once('=').ok_or_else(|| CsrError::NoAttribute(part.into()))?;
        let (key, value) = (key.trim(), value.trim());
        let kind = match key {
            "CN" => DnType::CommonName,
            "C" => DnType::CountryName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "L" => DnType::LocalityName,
            "ST" => DnType::StateOrProvinceName,
            _ => return Err(CsrError::Unknown(key.into())),
        };
        if value.is_empty() {
            return Err(CsrError::NoValue(key.into()));
        }
        if name.get(&kind).is_some() {
            return Err(CsrError::Twice(key.into()));
        }
        // RFC 5280: what fits is a PrintableString, as Go's encoder has it.
        let value = PrintableString::try_from(value)
            .map_or_else(|_| DnValue::Utf8String(value.into()), DnValue::PrintableString);
        name.push(kind, value);
    }
    Ok(name)
}

/// The parts between commas; a comma after a backslash is part of a value (RFC 2253).
fn split(subject: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = subject.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => parts.push(String::new()),
            letter => {
                let plain = if letter == '\\' { letters.next() } else { Some(letter) };
                // There is a first part from the start.
                parts.last_mut().into_iter().for_each(|part| part.extend(plain));
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;

    use super::*;

    const SUBJECT: &str = "O=Org,OU=OrgUnit,L=locality,ST=province,C=DE,CN=2d6a5bd3";

    #[tokio::test]
    async fn a_request_carries_the_prescribed_subject_and_a_key_of_the_asked_size() {
        for (algorithm, bits) in [("rsa2048", 2048), ("rsa1024", 2048), ("", 2048)] {
            let csr = new(SUBJECT, algorithm).await.expect("a good subject");
            let document = STANDARD.decode(&csr.encoded).expect("base64");
            let (_, block) = x509_parser::pem::parse_x509_pem(&document).expect("PEM");
            assert_eq!(block.label, "CERTIFICATE REQUEST");
            let (_, request) = X509CertificationRequest::from_der(&block.contents).expect("DER");
            request.verify_signature().expect("signed with its own key");
            let information = &request.certification_request_info;
            assert_eq!(
                information.subject.to_string(),
                "O=Org, OU=OrgUnit, L=locality, ST=province, C=DE, CN=2d6a5bd3"
            );
            let key = information.subject_pki.parsed().expect("a known kind");
            assert_eq!(key.key_size(), bits, "{algorithm}");
            assert!(csr.key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
            let der = pem::blocks(csr.key.as_bytes()).remove(0).1;
            let der = rustls_pki_types::PrivatePkcs1KeyDer::from(der);
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&der.into()).expect("a good key");
        }
    }

    #[test]
    fn the_size_of_the_key_is_what_is_asked_for() {
        assert!(matches!(key_size("rsa4096"), RsaKeySize::_4096));
        assert!(matches!(key_size("rsa3072"), RsaKeySize::_3072));
        assert!(matches!(key_size("rsa99999999999999"), RsaKeySize::_2048));
    }

    #[test]
    fn an_odd_subject_is_an_error_and_no_crash() {
        for subject in ["", ",", "O", "O=Org,,CN=x", "O=Org,OU=a,OU=b", "X=1", "O=,CN=x", "\\"] {
            assert!(distinguished_name(subject).is_err(), "{subject}");
        }
        let spaced = distinguished_name("O = My Org , CN=a=b\\,c").expect("one value each");
        let values: Vec<_> = spaced.iter().map(|(_, value)| format!("{value:?}")).collect();
        assert!(values[0].contains("My Org") && values[1].contains("a=b,c"), "{values:?}");
    }
}
