//! A Kubernetes API server in this process, in memory, that clients cannot tell from kube-apiserver.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = compass_harness::cluster::embedded::Server::start().await?;
//! std::fs::write("kubeconfig", server.kubeconfig())?; // kubectl --kubeconfig kubeconfig get namespaces
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A request goes through these files: `listen` (socket) → `api` (who, may they, what) → `create`, `update`, `patching`,
//! `delete`, `list`, `watch` → `store` (one counter, sorted maps, logs) → `output`. Kinds are JSON with hooks: built-in
//! ones by the table in `typed` and the rules in `builtin`, custom ones by `schema`. `fields` is server-side apply.
//! What differs from the real server is listed in `DIFFERENCES.md`.

mod api;
mod auth;
mod builtin;
mod collector;
mod create;
mod custom;
mod decode;
mod definitions;
mod delete;
mod discovery;
mod escalation;
mod events;
mod fields;
mod furnish;
#[cfg(test)]
mod fuzz;
mod go_json;
mod json;
mod kinds;
mod list;
mod listen;
mod meta;
mod names;
mod negotiate;
mod openapi;
mod output;
mod patch;
mod patching;
mod quantity;
mod rbac;
mod request;
mod reviews;
mod route;
mod scale;
mod schema;
mod selector;
mod status;
mod store;
mod table;
mod tls;
mod tokens;
mod typed;
mod update;
mod watch;
mod write;
mod yaml;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rand::RngExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use api::Api;
use tls::Authority;
pub use tls::ClientCertificate;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The server's certificate cannot be made.
    #[error("cannot make the server's certificate")]
    Certificate(#[source] rcgen::Error),
    /// The certificate cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The system gives no randomness for the key of service account tokens.
    #[error("cannot make the key of service account tokens")]
    TokenKey,
}

/// A running server. Dropping it ends it with everything that it started.
pub struct Server {
    address: SocketAddr,
    url: String,
    authority: Authority,
    api: Arc<Api>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Settings of a [`Server`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    listen: SocketAddr,
    token: Option<String>,
    bare: bool,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("listen", &self.listen)
            .field("bare", &self.bare)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Listens here; by default on a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The administrator's bearer token; by default a random one.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Leaves out what the controller manager does: garbage collection, and the deletion of namespaces.
    pub fn bare(mut self, bare: bool) -> Self {
        self.bare = bare;
        self
    }

    /// Starts the server. When this returns, it answers.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no certificate can be made.
    pub async fn start(self) -> Result<Server, StartError> {
        let listen_error = |source| StartError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let authority = Authority::new().map_err(StartError::Certificate)?;
        let tls = authority.server(address.ip())?;
        let token = self.token.unwrap_or_else(random_token);
        let signer = tokens::Signer::new().ok_or(StartError::TokenKey)?;
        let api = Arc::new(Api::new(token, signer, address.to_string()));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen::accept(listener, tls, Arc::clone(&api)));
        if !self.bare {
            tasks.spawn(collector::run(Arc::clone(&api)));
        }
        let host = if address.ip().is_unspecified() {
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
        } else {
            address
        };
        Ok(Server { address, url: format!("https://{host}"), authority, api, tasks })
    }
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1, with a random token and with garbage collection.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// Settings for a server.
    pub fn builder() -> Builder {
        Builder { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), token: None, bare: false }
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The administrator's bearer token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.api.admin_token()
    }

    /// A certificate with which a client is `user` in `groups`.
    ///
    /// # Errors
    /// When the names cannot stand in a certificate.
    pub fn client_certificate(
        &self,
        user: &str,
        groups: &[&str],
    ) -> Result<ClientCertificate, rcgen::Error> {
        self.authority.client(user, groups)
    }

    /// A kubeconfig for the administrator, with everything inside.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        use base64::Engine as _;
        let ca = base64::engine::general_purpose::STANDARD.encode(self.ca_pem());
        // A JSON string is a YAML string, whatever is in the token.
        let (url, token) = (&self.url, serde_json::json!(self.token()));
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: embedded\n  cluster:\n    server: {url}\n    certificate-authority-data: {ca}\ncontexts:\n- name: embedded\n  context:\n    cluster: embedded\n    user: admin\ncurrent-context: embedded\nusers:\n- name: admin\n  user:\n    token: {token}\n"
        )
    }

    /// Ends the server in order: no new connections, watches end, running requests are answered.
    pub async fn stop(mut self) {
        self.api.stop();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn random_token() -> String {
    let bytes: [u8; 24] = rand::rng().random();
    hex::encode(bytes)
}
