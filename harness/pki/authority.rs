//! The Connector's certificate authority: one RSA key that signs client certificates from CSRs.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls_pki_types::CertificateDer;

use super::csr::{ExpectedSubject, SigningError, SigningRequest};
use super::facts::{certificate_facts, pem_of};
use super::leaf::{Leaf, Signature};
use crate::journal::CertificateFacts;

/// Clocks of clients may be late, and a certificate may be backdated, by this much.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// On what terms a certificate is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateTerms {
    /// What the subject of the CSR must be.
    pub subject: ExpectedSubject,
    /// Start of the validity, from now.
    pub not_before: SignedDuration,
    /// From start to end of the validity.
    pub validity: Duration,
}

/// A certificate that was just signed.
#[derive(Debug, Clone)]
pub struct SignedCertificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its facts.
    pub facts: CertificateFacts,
    /// `RSA` and the like.
    pub key_algorithm: String,
    /// Size of the public key in bits.
    pub key_bits: u32,
    /// Subject of the CSR, one `KEY=value` an attribute in the CSR's order.
    pub subject: Vec<String>,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The crypto library made no key or certificate.
    #[error("no key or certificate can be made for the authority `{name}`")]
    Crypto {
        /// Common name of the authority.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The thread that made the key ended early.
    #[error("making the key of the authority `{name}` was interrupted")]
    Interrupted {
        /// Common name of the authority.
        name: String,
    },
}

/// The certificate authority of the Connector. Its key is in memory only and in no output.
pub struct Authority {
    key: RsaKeyPair,
    certificate: CertificateDer<'static>,
    name: Vec<u8>,
    key_id: Vec<u8>,
    /// The certificate of the root, for an intermediate authority.
    root: Option<CertificateDer<'static>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority on a thread of its own, since an RSA key takes its time.
    ///
    /// It lives a day, or just beyond the longest certificate that will be asked of it.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub async fn generate(longest: Duration) -> Result<Self, AuthorityError> {
        tokio::task::spawn_blocking(move || Self::generate_blocking(longest))
            .await
            .map_err(|_| AuthorityError::Interrupted { name: COMMON_NAME.into() })?
    }

    /// Makes a new authority on this thread.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub fn generate_blocking(longest: Duration) -> Result<Self, AuthorityError> {
        let key = rsa_key()?;
        let params = authority_params(COMMON_NAME, longest);
        let certificate = params.self_signed(&key).map_err(crypto)?.der().clone();
        Self::new(&key, certificate, &params, None)
    }

    /// Makes a new authority below a root of its own, so that chains have three certificates
    /// (Connector, setting for attaching the root CA).
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the crypto library refuses.
    pub async fn generate_intermediate(longest: Duration) -> Result<Self, AuthorityError> {
        tokio::task::spawn_blocking(move || {
            let (root_key, key) = (KeyPair::generate().map_err(crypto)?, rsa_key()?);
            let root_params = authority_params(ROOT_NAME, longest);
            let root = root_params.self_signed(&root_key).map_err(crypto)?.der().clone();
            let issuer = Issuer::new(root_params, root_key);
            let mut params = authority_params(COMMON_NAME, longest);
            params.use_authority_key_identifier_extension = true;
            let certificate = params.signed_by(&key, &issuer).map_err(crypto)?.der().clone();
            Self::new(&key, certificate, &params, Some(root))
        })
        .await
        .map_err(|_| AuthorityError::Interrupted { name: COMMON_NAME.into() })?
    }

    fn new(
        key: &KeyPair,
        certificate: CertificateDer<'static>,
        params: &CertificateParams,
        root: Option<CertificateDer<'static>>,
    ) -> Result<Self, AuthorityError> {
        let key_id = params.key_identifier(key);
        let rsa = RsaKeyPair::from_pkcs8(key.serialized_der())
            .map_err(|error| crypto(rcgen::Error::RingKeyRejected(error.to_string())))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .expect("a certificate that rcgen wrote can be parsed");
        let name = parsed.subject().as_raw().to_vec();
        Ok(Self { key: rsa, certificate, name, key_id, root })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate that clients of this authority are trusted by: its own, or that of its root.
    #[must_use]
    pub fn trust_anchor(&self) -> &CertificateDer<'static> {
        self.root.as_ref().unwrap_or(&self.certificate)
    }

    /// The authority's own certificate in PEM, and that of its root when it has one.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        let root = self.root.as_ref().map_or_else(String::new, |root| pem_of(root));
        format!("{}{root}", pem_of(&self.certificate))
    }

    /// Checks a PKCS#10 request in DER and signs it, as the Connector does.
    ///
    /// # Errors
    ///
    /// [`SigningError`], whose texts are the Connector's.
    pub fn sign(
        &self,
        csr: &[u8],
        terms: &CertificateTerms,
    ) -> Result<SignedCertificate, SigningError> {
        let request = SigningRequest::read(csr)?;
        request.check(&terms.subject)?;
        let signature = Signature::like(request.signature_algorithm())?;
        let not_before = whole_seconds(Timestamp::now().saturating_add(terms.not_before));
        let validity = SignedDuration::try_from(terms.validity).unwrap_or(SignedDuration::MAX);
        let not_after = whole_seconds(not_before.saturating_add(validity));
        let leaf = Leaf {
            issuer: &self.name,
            issuer_key_id: &self.key_id,
            subject: &request.subject,
            not_before,
            not_after,
            public_key_info: request.public_key_info(),
        };
        let der = CertificateDer::from(leaf.sign(&self.key, &signature)?);
        let facts = certificate_facts(&der)
            .map_err(|_| SigningError::Create("x509: the certificate cannot be read back"))?;
        let (key_algorithm, key_bits) = request.key_facts();
        let subject = request.subject.attributes;
        Ok(SignedCertificate { der, facts, key_algorithm, key_bits, subject })
    }
}

fn rsa_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(crypto)
}

fn authority_params(name: &str, longest: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Compass Harness");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (not_before, not_after) = authority_life(longest);
    params.not_before = system_time(not_before).into();
    params.not_after = system_time(not_after).into();
    params
}

fn crypto(source: rcgen::Error) -> AuthorityError {
    AuthorityError::Crypto { name: COMMON_NAME.into(), source }
}

const ROOT_NAME: &str = "Compass Harness Root CA, NOT FOR PRODUCTION";
const COMMON_NAME: &str = "Compass Harness Connector CA, NOT FOR PRODUCTION";

/// Certificates know whole seconds, and Go cuts, it does not round.
fn whole_seconds(time: Result<Timestamp, jiff::Error>) -> Timestamp {
    // Only spans of calendar units, which nobody adds here, fail to saturate.
    let time = time.unwrap_or(Timestamp::MAX);
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A day, or just beyond the longest certificate; so a forgotten authority is soon worth nothing.
pub(super) fn authority_life(longest: Duration) -> (Timestamp, Timestamp) {
    let now = Timestamp::now();
    let longest = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
    let life = SignedDuration::from_hours(24).max(longest.saturating_add(SLACK));
    let not_before = now.saturating_sub(SLACK).unwrap_or(now);
    // Beyond the year 9999 neither X.509 nor jiff has a date.
    (not_before, now.saturating_add(life).unwrap_or(Timestamp::MAX))
}

/// The time in the form that crypto libraries take.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::try_from(time).expect("a 64-bit clock holds every date that jiff has")
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
