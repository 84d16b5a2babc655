//! The authority that server certificates come from, with every defect that one can have.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::authority::{AuthorityError, authority_life, system_time};
use super::facts::pem_of;

/// What a server certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTerms {
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// Start of the validity, from now.
    pub not_before: SignedDuration,
    /// End of the validity, from now.
    pub not_after: SignedDuration,
    /// What the certificate may be used for.
    pub usage: ServerUsage,
}

/// The extended key usage of a server certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerUsage {
    /// `serverAuth`, as it should be.
    Server,
    /// `clientAuth`, which no client accepts of a server.
    Client,
}

impl ServerTerms {
    /// A good certificate for these names: from an hour ago, for a day.
    #[must_use]
    pub fn good(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            not_before: SignedDuration::from_hours(-1),
            not_after: SignedDuration::from_hours(23),
            usage: ServerUsage::Server,
        }
    }

    /// The same certificate, expired for an hour.
    #[must_use]
    pub fn expired(self) -> Self {
        let not_before = SignedDuration::from_hours(-24);
        Self { not_before, not_after: SignedDuration::from_hours(-1), ..self }
    }

    /// The same certificate, good from tomorrow on.
    #[must_use]
    pub fn not_yet(self) -> Self {
        let not_before = SignedDuration::from_hours(24);
        Self { not_before, not_after: SignedDuration::from_hours(48), ..self }
    }
}

/// What a server needs for TLS. The key is in no output.
pub struct ServerIdentity {
    /// The server's certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServerIdentity").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Clone for ServerIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// An authority for server certificates (ECDSA P-256). Its key is in memory only and in no output.
pub struct ServerAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl fmt::Debug for ServerAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_struct("ServerAuthority");
        output.field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ServerAuthority {
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
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Makes a key and a certificate for a server.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when a name is none or the crypto library refuses.
    pub fn issue(&self, terms: &ServerTerms) -> Result<ServerIdentity, AuthorityError> {
        let name = terms.names.first().map_or("nameless", |name| name);
        let crypto = |source| AuthorityError::Crypto { name: name.into(), source };
        let key = KeyPair::generate().map_err(crypto)?;
        let mut params = CertificateParams::new(terms.names.clone()).map_err(crypto)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match terms.usage {
            ServerUsage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            ServerUsage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let now = Timestamp::now();
        let at = |offset| now.saturating_add(offset).unwrap_or(now);
        params.not_before = system_time(at(terms.not_before)).into();
        params.not_after = system_time(at(terms.not_after)).into();
        let certificate = params.signed_by(&key, &self.issuer).map_err(crypto)?.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(ServerIdentity { chain: vec![certificate], key })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's own certificate in PEM, for the trust store of clients.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        pem_of(&self.certificate)
    }
}

const COMMON_NAME: &str = "Compass Harness Server CA, NOT FOR PRODUCTION";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    fn verdict(
        authority: &ServerAuthority,
        trusted: &ServerAuthority,
        terms: &ServerTerms,
    ) -> String {
        let identity = authority.issue(terms).expect("issued");
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let name = ServerName::try_from("compass-gateway.kyma.example.com").expect("a name");
        let result =
            verifier.verify_server_cert(&identity.chain[0], &[], &name, &[], UnixTime::now());
        result.map_or_else(|error| error.to_string(), |_| "good".into())
    }

    #[test]
    fn a_good_certificate_is_good_and_each_defect_is_its_own() {
        let authority = ServerAuthority::generate().expect("an authority");
        let other = ServerAuthority::generate().expect("an authority");
        let good = ServerTerms::good(["compass-gateway.kyma.example.com", "127.0.0.1"]);
        assert_eq!(verdict(&authority, &authority, &good), "good");
        let verdict_of = |terms: &ServerTerms| verdict(&authority, &authority, terms);
        assert!(verdict_of(&good.clone().expired()).contains("expired"));
        assert!(verdict_of(&good.clone().not_yet()).contains("not valid yet"));
        let wrong_use = ServerTerms { usage: ServerUsage::Client, ..good.clone() };
        assert!(
            verdict_of(&wrong_use).contains("extended key usage"),
            "{}",
            verdict_of(&wrong_use)
        );
        let wrong_name = ServerTerms::good(["other.example.com"]);
        assert!(
            verdict_of(&wrong_name).contains("not valid for name"),
            "{}",
            verdict_of(&wrong_name)
        );
        assert!(verdict(&authority, &other, &good).contains("invalid peer certificate"));
    }

    #[test]
    fn keys_are_in_no_debug_output() {
        let authority = ServerAuthority::generate().expect("an authority");
        let identity = authority.issue(&ServerTerms::good(["localhost"])).expect("issued");
        let key = format!("{:?}", identity.key.secret_der());
        let texts = [format!("{authority:?}"), format!("{identity:?}")];
        assert!(texts.iter().all(|text| !text.contains(&key[1..40])));
    }
}
