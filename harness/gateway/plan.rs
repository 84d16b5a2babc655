//! What a listener is opened with, and why that may fail.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Reception;
use crate::journal::Door;

/// One listener. Several may belong to one door and share its reception.
pub struct DoorPlan {
    /// The door that it belongs to.
    pub door: Door,
    /// Its name, unique in the gateway (`token`, `connector`, `director`, `kubernetes`).
    pub address: String,
    /// Where it listens; port 0 for any free one.
    pub listen: SocketAddr,
    /// What it shows to clients.
    pub identity: ServerIdentity,
    /// Which client certificates it wants.
    pub clients: ClientCertificates,
    /// Who stands there.
    pub reception: Arc<dyn Reception>,
    /// The authorities of an `https` server behind it.
    pub upstream_roots: Vec<CertificateDer<'static>>,
}

impl DoorPlan {
    /// A listener on a free loopback port that asks for no client certificates.
    pub fn new(
        door: Door,
        address: impl Into<String>,
        identity: ServerIdentity,
        reception: Arc<dyn Reception>,
    ) -> Self {
        Self {
            door,
            address: address.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity,
            clients: ClientCertificates::NotAsked,
            reception,
            upstream_roots: Vec::new(),
        }
    }
}

impl fmt::Debug for DoorPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorPlan")
            .field("door", &self.door)
            .field("address", &self.address)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// A server certificate and its key.
pub struct ServerIdentity {
    /// The leaf, then what leads to the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for ServerIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// Which client certificates a listener wants.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// None is asked for.
    NotAsked,
    /// One may be shown; a bad one ends the handshake.
    Optional {
        /// The authorities that may have issued it.
        roots: Vec<CertificateDer<'static>>,
    },
    /// Without a good one there is no connection.
    Required {
        /// The authorities that may have issued it.
        roots: Vec<CertificateDer<'static>>,
    },
}

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The port cannot be had.
    #[error("listener `{address}` cannot listen on `{listen}`")]
    Bind {
        /// Name of the listener.
        address: String,
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificate and key of the server do not work.
    #[error("listener `{address}` cannot use its server certificate")]
    Identity {
        /// Name of the listener.
        address: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// An authority cannot be trusted.
    #[error("listener `{address}` cannot use an authority that it was given")]
    Authority {
        /// Name of the listener.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Two listeners of one name could not be told apart.
    #[error("there are two listeners with the name `{address}`")]
    Duplicate {
        /// The name.
        address: String,
    },
}
