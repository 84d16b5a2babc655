//! Key, certificate, chain and CA certificate: as received, as stored, as presented.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::SectionKind;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem;

/// By how much the Connector's clock may differ from ours (CERT-19).
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Why key and certificates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error("Failed to decode base 64 {0}")]
    Base64(&'static str),
    #[error("Failed to decode {0}: No certificates found in the pem block")]
    NoCertificate(&'static str),
    #[error("Failed to decode {0}: a certificate in it is malformed")]
    Malformed(&'static str),
    #[error("the first certificate of the chain is not the client certificate")]
    Order,
    #[error("key and certificate do not belong together")]
    Mismatch,
    #[error("the certificate expired at {0}")]
    Expired(Timestamp),
    #[error("the key cannot be read")]
    Key,
    #[error("the Secret has no `{0}`")]
    Missing(&'static str),
}

/// The three texts of a signed request, each base64 of PEM.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Signed {
    certificate_chain: String,
    ca_certificate: String,
    client_certificate: String,
}

/// What the agent is known by. Key and certificate belong together, by construction (CERT-05).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    key: String,
    certificate: String,
    chain: String,
    /// Not there when only the client Secret was left of an earlier run.
    pub(super) ca: Option<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SEC-03: the key is printed by nobody.
        write!(out, "Credentials(valid from {} to {})", self.not_before, self.not_after)
    }
}

impl Credentials {
    /// What the Connector answered to the request with this key.
    pub(super) fn received(
        key: String,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<Self, CredentialsError> {
        // The order of the checks is the known agent's.
        let chain = decode(&signed.certificate_chain, "certificate chain")?;
        let client = decode(&signed.client_certificate, "client certificate")?;
        let ca = decode(&signed.ca_certificate, "CA certificate")?;
        // The identity that is presented is the chain, so it must begin with our certificate.
        if chain[0] != client[0] {
            return Err(CredentialsError::Order);
        }
        let credentials = Self::new(key, &client[0], &chain, Some(encode(&ca)))?;
        if credentials.not_after + CLOCK_SKEW < now {
            return Err(CredentialsError::Expired(credentials.not_after));
        }
        Ok(credentials)
    }

    /// What the client Secret holds.
    pub(super) fn stored(
        client: &BTreeMap<String, ByteString>,
        ca: Option<String>,
    ) -> Result<Self, CredentialsError> {
        let value = |name: &'static str| {
            client.get(name).map(|value| &*value.0).ok_or(CredentialsError::Missing(name))
        };
        let chain = certificates(value("crtChain")?, "certificate chain")?;
        let certificate = certificates(value("crt")?, "client certificate")?;
        if chain[0] != certificate[0] {
            return Err(CredentialsError::Order);
        }
        let key = pem::blocks(value("key")?)
            .into_iter()
            .find(|(kind, _)| *kind == SectionKind::RsaPrivateKey)
            .map(|(_, der)| pem::encode("RSA PRIVATE KEY", &der))
            .ok_or(CredentialsError::Key)?;
        Self::new(key, &certificate[0], &chain, ca)
    }

    fn new(
        key: String,
        certificate: &[u8],
        chain: &[Vec<u8>],
        ca: Option<String>,
    ) -> Result<Self, CredentialsError> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| CredentialsError::Malformed("client certificate"))?;
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp())
                .map_err(|_| CredentialsError::Malformed("client certificate"))
        };
        let credentials = Self {
            key,
            certificate: pem::encode("CERTIFICATE", certificate),
            // CERT-13: whole and in the order received.
            chain: encode(chain),
            ca,
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
        };
        credentials.identity().map(|_| credentials)
    }

    /// The keys of the client Secret.
    pub(super) fn client_secret(&self) -> BTreeMap<String, ByteString> {
        [("key", &self.key), ("crt", &self.certificate), ("crtChain", &self.chain)]
            .map(|(name, value)| (name.into(), ByteString(value.clone().into_bytes())))
            .into()
    }

    /// The keys of the CA Secret.
    pub(super) fn ca_secret(&self) -> Option<BTreeMap<String, ByteString>> {
        let ca = self.ca.clone()?;
        Some([("cacert".into(), ByteString(ca.into_bytes()))].into())
    }

    /// What is presented in a TLS handshake: the key and the chain as stored (CERT-06, CERT-13).
    pub(super) fn identity(&self) -> Result<Arc<CertifiedKey>, CredentialsError> {
        let chain: Vec<CertificateDer<'static>> =
            pem::blocks(self.chain.as_bytes()).into_iter().map(|(_, der)| der.into()).collect();
        let key = pem::blocks(self.key.as_bytes()).into_iter().next();
        let (_, key) = key.ok_or(CredentialsError::Key)?;
        let key = PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(key));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| CredentialsError::Key)?;
        // Compared here and not by rustls, which would also judge the certificate; that is Compass's.
        let certified = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
        let certified = certified.as_ref().map(|(_, leaf)| leaf.public_key().raw);
        match (key.public_key(), certified) {
            (Some(own), Some(certified)) if *own == *certified => {
                Ok(Arc::new(CertifiedKey::new(chain, key)))
            }
            _ => Err(CredentialsError::Mismatch),
        }
    }

    /// Whether these are the same key and chain.
    pub(super) fn same_identity(&self, other: &Self) -> bool {
        self.key == other.key && self.chain == other.chain
    }

    /// Whether the certificate is over by our clock.
    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.not_after < now
    }
}

/// The CA certificate in its Secret, when there is a readable one.
pub(super) fn stored_ca(data: &BTreeMap<String, ByteString>) -> Option<String> {
    let text = &data.get("cacert")?.0;
    certificates(text, "CA certificate").ok().map(|certificates| encode(&certificates))
}

fn decode(text: &str, what: &'static str) -> Result<Vec<Vec<u8>>, CredentialsError> {
    let text: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
    let text = STANDARD.decode(text).map_err(|_| CredentialsError::Base64(what))?;
    certificates(&text, what)
}

/// The certificates in a PEM text; at least one.
fn certificates(text: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>, CredentialsError> {
    let blocks = pem::blocks(text);
    if blocks.is_empty() {
        return Err(CredentialsError::NoCertificate(what));
    }
    let ders: Vec<_> = blocks.into_iter().map(|(_, der)| der).collect();
    // CONN-14, CERT-17: what does not parse now would fail later, in the middle of a handshake.
    let sound = ders
        .iter()
        .all(|der| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty()));
    sound.then_some(ders).ok_or(CredentialsError::Malformed(what))
}

fn encode(ders: &[Vec<u8>]) -> String {
    ders.iter().map(|der| pem::encode("CERTIFICATE", der)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::csr;
    use super::*;

    /// An authority that signs what it is given.
    pub(in crate::reference) struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

    impl Authority {
        pub(in crate::reference) fn new() -> Self {
            let mut parameters = rcgen::CertificateParams::default();
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().expect("a key");
            Self(rcgen::CertifiedIssuer::self_signed(parameters, key).expect("a CA"))
        }

        fn sign(&self, encoded: &str, not_after: (i32, u8, u8)) -> Vec<u8> {
            let document = STANDARD.decode(encoded).expect("base64");
            let text = String::from_utf8(document).expect("PEM");
            let mut request =
                rcgen::CertificateSigningRequestParams::from_pem(&text).expect("a request");
            request.params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            let (year, month, day) = not_after;
            request.params.not_after = rcgen::date_time_ymd(year, month, day);
            request.signed_by(&self.0).expect("signed").der().to_vec()
        }
    }

    fn b64(ders: &[Vec<u8>]) -> String {
        STANDARD.encode(encode(ders))
    }

    async fn answer(authority: &Authority, not_after: (i32, u8, u8)) -> (String, Signed) {
        let csr = csr::new("CN=id", "rsa2048").await.expect("a request");
        let leaf = authority.sign(&csr.encoded, not_after);
        let ca = authority.0.der().to_vec();
        let signed = Signed {
            certificate_chain: b64(&[leaf.clone(), ca.clone()]),
            ca_certificate: b64(&[ca]),
            client_certificate: b64(&[leaf]),
        };
        (csr.key, signed)
    }

    #[tokio::test]
    async fn what_was_received_is_stored_and_read_again() {
        let authority = Authority::new();
        let (key, signed) = answer(&authority, (2099, 1, 1)).await;
        let received = Credentials::received(key, &signed, Timestamp::now()).expect("good");
        assert_eq!(received.not_before.to_string(), "2020-01-01T00:00:00Z");
        let ca = stored_ca(&received.ca_secret().expect("received with its CA"));
        let stored = Credentials::stored(&received.client_secret(), ca).expect("good");
        assert_eq!(stored, received);
        assert_eq!(stored.identity().expect("good").cert.len(), 2);
        assert!(!format!("{stored:?}").contains("PRIVATE"));
    }

    #[tokio::test]
    async fn a_certificate_for_another_key_is_refused() {
        let authority = Authority::new();
        let (_, signed) = answer(&authority, (2099, 1, 1)).await;
        let (other_key, _) = answer(&authority, (2099, 1, 1)).await;
        let error = Credentials::received(other_key, &signed, Timestamp::now());
        assert_eq!(error.expect_err("another key"), CredentialsError::Mismatch);
    }

    #[tokio::test]
    async fn malformed_answers_say_which_part_is_bad() {
        let authority = Authority::new();
        let (key, good) = answer(&authority, (2099, 1, 1)).await;
        let received = |chain: String, client: String, ca: String| {
            let signed =
                Signed { certificate_chain: chain, ca_certificate: ca, client_certificate: client };
            Credentials::received(key.clone(), &signed, Timestamp::now()).expect_err("malformed")
        };
        let (chain, client, ca) =
            (&good.certificate_chain, &good.client_certificate, &good.ca_certificate);
        let no_base64 = received("***".into(), client.clone(), ca.clone());
        assert_eq!(no_base64, CredentialsError::Base64("certificate chain"));
        let no_pem = received(chain.clone(), STANDARD.encode("hello"), ca.clone());
        assert_eq!(no_pem, CredentialsError::NoCertificate("client certificate"));
        let no_der = pem::encode("CERTIFICATE", b"\x30\x03abc");
        let no_certificate = received(chain.clone(), client.clone(), STANDARD.encode(no_der));
        assert_eq!(no_certificate, CredentialsError::Malformed("CA certificate"));
        assert_eq!(received(ca.clone(), client.clone(), ca.clone()), CredentialsError::Order);
    }

    #[tokio::test]
    async fn an_expired_certificate_is_refused_but_not_a_slow_clock() {
        let authority = Authority::new();
        let (key, signed) = answer(&authority, (2021, 1, 1)).await;
        let end: Timestamp = "2021-01-01T00:00:00Z".parse().expect("a time");
        let late = Credentials::received(key.clone(), &signed, end + Duration::from_secs(400));
        assert_eq!(late.expect_err("over"), CredentialsError::Expired(end));
        Credentials::received(key, &signed, end + Duration::from_secs(200)).expect("within skew");
    }
}
