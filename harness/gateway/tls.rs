//! TLS of the doors: what we offer, what we trust, and what went wrong, in our words.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

use super::{ClientCertificates, DoorPlan, ListenError};
use crate::journal::ClientCertificate;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What a listener offers: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub(super) fn server_config(plan: &DoorPlan) -> Result<Arc<ServerConfig>, ListenError> {
    let identity =
        |source: rustls::Error| ListenError::Identity { address: plan.address.clone(), source };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(identity)?;
    let (roots, required) = match &plan.clients {
        ClientCertificates::NotAsked => (None, false),
        ClientCertificates::Optional { roots } => (Some(roots), false),
        ClientCertificates::Required { roots } => (Some(roots), true),
    };
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let roots = root_store(&plan.address, roots)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier.build().map_err(|source| ListenError::Authority {
                address: plan.address.clone(),
                source: Box::new(source),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(plan.identity.chain.clone(), plan.identity.key.clone_key())
        .map_err(identity)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if roots.is_some() {
        // A resumed session is not verified again: an expired certificate would still open the door.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// What we trust in a server behind. One protocol: a watch that ends closes its connection there.
pub(super) fn upstream_config(plan: &DoorPlan) -> Result<ClientConfig, ListenError> {
    let roots = root_store(&plan.address, &plan.upstream_roots)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| ListenError::Authority {
            address: plan.address.clone(),
            source: Box::new(source),
        })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn root_store(
    address: &str,
    roots: &[CertificateDer<'static>],
) -> Result<RootCertStore, ListenError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(|source| ListenError::Authority {
            address: address.to_owned(),
            source: Box::new(source),
        })?;
    }
    Ok(store)
}

/// What there is to say of the certificates that a client has shown.
///
/// None for a leaf that cannot be read; TLS has refused such a one before.
pub(super) fn client_certificate(chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
    let leaf = chain.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let common_name = certificate
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .unwrap_or_default();
    let subject = certificate.subject().iter_attributes().map(attribute).collect();
    Some(ClientCertificate {
        fingerprint: hex::encode(Sha256::digest(leaf)),
        common_name: common_name.to_owned(),
        not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
        chain_length: chain.len(),
        subject,
    })
}

/// `KEY=value`; an attribute without a usual name goes by its number.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let key = oid2abbrev(attribute.attr_type(), oid_registry())
        .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
    format!("{key}={}", attribute.as_str().unwrap_or_default())
}

/// Why a handshake failed, in our words.
pub(super) fn reason(error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>())
    else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the client left in the middle of the handshake".into(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "the client reset the connection in the middle of the handshake".into()
            }
            kind => format!("the connection failed in the middle of the handshake: {kind}"),
        };
    };
    match error {
        rustls::Error::InvalidCertificate(why) => certificate_reason(why),
        rustls::Error::NoCertificatesPresented => "the client showed no certificate".into(),
        rustls::Error::AlertReceived(alert) => {
            format!("the client refused us with the alert `{alert:?}`")
        }
        rustls::Error::PeerIncompatible(why) => {
            format!("the client offers nothing that we accept: {why:?}")
        }
        rustls::Error::NoApplicationProtocol => {
            "the client offers no application protocol that we accept".into()
        }
        rustls::Error::InvalidMessage(_) => "the client does not speak TLS".into(),
        rustls::Error::PeerMisbehaved(why) => {
            format!("the client breaks the rules of TLS: {why:?}")
        }
        other => format!("the handshake failed: {other}"),
    }
}

fn certificate_reason(error: &CertificateError) -> String {
    use CertificateError as Why;
    match error {
        Why::Expired | Why::ExpiredContext { .. } => "the client certificate has expired".into(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "the client certificate is not valid yet".into()
        }
        Why::UnknownIssuer => "the client certificate comes from an unknown authority".into(),
        Why::BadSignature => "the signature of the client certificate is wrong".into(),
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            "the client certificate is not meant for clients".into()
        }
        Why::Revoked => "the client certificate is revoked".into(),
        Why::BadEncoding => "the client certificate cannot be read".into(),
        other => format!("the client certificate is not usable: {other}"),
    }
}
