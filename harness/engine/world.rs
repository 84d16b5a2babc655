//! Everything that lives during one run: the order in which it starts, and the order in which it stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::access::{Access, AccessError};
use super::hands::{Hands, HandsError};
use crate::agent::AgentFile;
use crate::cluster::embedded::{self, Server};
use crate::cluster::recorder::{Recorder, RecorderError};
use crate::compass::{self, Addresses, Compass, LandscapeError, LandscapeFile};
use crate::fault::Faults;
use crate::gateway::{
    ClientCertificates, DoorPlan, Gateway, KubernetesReception, ListenError, ServerIdentity,
};
use crate::journal::{Door, Journal};
use crate::pki::{AuthorityError, ServerAuthority, ServerTerms};
use crate::scenario::words::TokenWord;

/// The definitions of what an agent keeps in its cluster.
const DEFINITIONS: [&str; 2] = [
    include_str!("../../fixtures/crds/compassconnections.compass.kyma-project.io.yaml"),
    include_str!("../../fixtures/crds/applications.applicationconnector.kyma-project.io.yaml"),
];
/// By which the doors may be called.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];
/// The API server of a quiet machine establishes a definition in milliseconds.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// All that lives during one run. Dropping it ends everything; [`World::stop`] does so in order.
#[derive(Debug)]
pub struct World {
    /// What was seen.
    pub journal: Journal,
    /// The faults that are armed at the doors.
    pub faults: Faults,
    /// Connector and Director.
    pub compass: Compass,
    /// Other hands in the cluster: ours.
    pub hands: Hands,
    /// What an agent needs to come in.
    pub access: Access,
    recorder: Recorder,
    gateway: Gateway,
    cluster: Server,
    scratch: tempfile::TempDir,
}

/// What a world begins with.
#[derive(Debug)]
pub struct WorldPlan<'a> {
    /// Who will come: the names of its Secrets, and what their keys mean.
    pub agent: &'a AgentFile,
    /// What Compass knows.
    pub landscape: LandscapeFile,
    /// What the agent finds as its token.
    pub token: TokenWord,
}

/// Why there is no world; none of it is the agent's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// No directory for what a run needs on disk.
    #[error("no directory for the run can be made below `{}`", .directory.display())]
    Scratch {
        /// Where it was tried.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The embedded cluster does not start.
    #[error("the embedded cluster does not start")]
    Cluster(#[source] embedded::StartError),
    /// The cluster was given something that it does not take.
    #[error("the cluster cannot be prepared")]
    Prepare(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Connector or Director does not start.
    #[error("Compass does not start")]
    Compass(#[source] compass::StartError),
    /// Compass has no token for the runtime.
    #[error("Compass has no token for the runtime")]
    Landscape(#[source] LandscapeError),
    /// No server certificate.
    #[error("the doors have no server certificate")]
    Authority(#[source] AuthorityError),
    /// A door does not open.
    #[error("a door does not open")]
    Door(#[source] ListenError),
    /// What the agent needs cannot be written.
    #[error("what the agent needs cannot be written")]
    Access(#[source] AccessError),
    /// The recorder does not begin, or did not see the end.
    #[error("the record is not complete")]
    Recorder(#[source] RecorderError),
    /// The cluster refused our own hands.
    #[error("the cluster refused what the run begins with")]
    Hands(#[source] HandsError),
}

impl World {
    /// Builds a world and returns when an agent can come in.
    ///
    /// # Errors
    ///
    /// [`WorldError`]; then nothing of it is left.
    pub async fn build(plan: WorldPlan<'_>) -> Result<Self, WorldError> {
        let journal = Journal::new();
        let scratch = tempfile::Builder::new().prefix("compass-harness-").tempdir();
        let scratch = scratch
            .map_err(|source| WorldError::Scratch { directory: std::env::temp_dir(), source })?;
        // The keys of the authorities take the longest; all else is done meanwhile.
        let (cluster, compass) = tokio::join!(start_cluster(), async {
            Compass::start(&plan.landscape, journal.clone()).await.map_err(WorldError::Compass)
        });
        let ((cluster, client), compass) = (cluster?, compass?);
        let authority = ServerAuthority::generate().map_err(WorldError::Authority)?;
        let faults = Faults::new(journal.clone());
        let gateway = open_doors(&compass, &cluster, &authority, &journal, &faults)?;
        let at =
            |name| gateway.address(name).map_or_else(String::new, |address| address.to_string());
        let graphql = |name, peer| format!("https://{}/{peer}/graphql", at(name));
        let addresses = Addresses {
            token_connector: graphql("token", "connector"),
            connector: graphql("connector", "connector"),
            director: graphql("director", "director"),
        };
        compass.landscape().set_addresses(addresses.clone());
        let access = Access::write(
            scratch.path(),
            &authority.ca_pem(),
            &format!("https://{}", at("kubernetes")),
            cluster.token(),
            addresses,
            &compass,
        )
        .map_err(WorldError::Access)?;
        journal.hide(cluster.token());
        let secrets = &plan.agent.spec.secrets;
        let watched = [&secrets.client_certificate, &secrets.ca_certificate]
            .map(|name| (name.namespace.clone(), name.name.clone()));
        let recorder =
            Recorder::start(&client, &watched, &journal).await.map_err(WorldError::Recorder)?;
        let hands = Hands::new(client, plan.agent);
        let token = token(&compass, plan.token).map_err(WorldError::Landscape)?;
        hands.configure(&access, &token).await.map_err(WorldError::Hands)?;
        Ok(Self { journal, faults, compass, hands, access, recorder, gateway, cluster, scratch })
    }

    /// A fresh token for the runtime.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownRuntime`] when the runtime was removed meanwhile.
    pub fn issue_token(&self) -> Result<String, LandscapeError> {
        token(&self.compass, TokenWord::OneTime)
    }

    /// The directory of this run, removed with the world.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Waits until the journal holds the last version of every object that is followed.
    ///
    /// # Errors
    ///
    /// [`WorldError::Recorder`] when the record stays behind.
    pub async fn settle(&self, limit: Duration) -> Result<(), WorldError> {
        self.recorder.settle(limit).await.map_err(WorldError::Recorder)
    }

    /// Stops everything in order; the agent has been stopped before.
    pub async fn stop(self) {
        self.recorder.stop().await;
        self.gateway.stop().await;
        self.compass.stop().await;
        self.cluster.stop().await;
    }
}

fn token(compass: &Compass, word: TokenWord) -> Result<String, LandscapeError> {
    let landscape = compass.landscape();
    let runtime = landscape.runtime_id();
    match word {
        TokenWord::OneTime => landscape.issue_token(runtime),
        TokenWord::Burned => {
            let token = landscape.issue_token(runtime)?;
            landscape.burn_tokens(runtime);
            Ok(token)
        }
        TokenWord::None => Ok(String::new()),
    }
}

/// A cluster with the definitions that agents rely on.
async fn start_cluster() -> Result<(Server, Client), WorldError> {
    let prepare = |error: Box<dyn std::error::Error + Send + Sync>| WorldError::Prepare(error);
    let cluster = Server::start().await.map_err(WorldError::Cluster)?;
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).map_err(|e| prepare(e.into()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = config
        .map_err(|error| prepare(error.into()))
        .and_then(|config| Client::try_from(config).map_err(|error| prepare(error.into())))?;
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    for text in DEFINITIONS {
        let definition: CustomResourceDefinition =
            serde_saphyr::from_str(text).map_err(|error| prepare(error.into()))?;
        let name = definition.metadata.name.clone().unwrap_or_default();
        definitions
            .create(&kube::api::PostParams::default(), &definition)
            .await
            .map_err(|error| prepare(error.into()))?;
        let established =
            await_condition(definitions.clone(), &name, conditions::is_crd_established());
        let established = tokio::time::timeout(ESTABLISHED_WITHIN, established).await;
        established
            .map_err(|error| prepare(error.into()))?
            .map_err(|error| prepare(error.into()))?;
    }
    Ok((cluster, client))
}

fn open_doors(
    compass: &Compass,
    cluster: &Server,
    authority: &ServerAuthority,
    journal: &Journal,
    faults: &Faults,
) -> Result<Gateway, WorldError> {
    let identity = authority.issue(&ServerTerms::good(NAMES)).map_err(WorldError::Authority)?;
    let identity = ServerIdentity { chain: identity.chain, key: identity.key };
    let certificate_door = |address: &str| DoorPlan {
        clients: ClientCertificates::Required { roots: vec![compass.client_ca().clone()] },
        ..DoorPlan::new(
            Door::Certificate,
            address,
            identity.clone(),
            compass.certificate_reception(),
        )
    };
    let token_door =
        DoorPlan::new(Door::Token, "token", identity.clone(), compass.token_reception());
    let server = cluster
        .url()
        .parse()
        .map_err(|error: http::uri::InvalidUri| WorldError::Prepare(error.into()))?;
    let roots = CertificateDer::pem_slice_iter(cluster.ca_pem().as_bytes());
    let roots =
        roots.collect::<Result<_, _>>().map_err(|error| WorldError::Prepare(error.into()))?;
    let kubernetes_door = DoorPlan {
        upstream_roots: roots,
        ..DoorPlan::new(
            Door::Kubernetes,
            "kubernetes",
            identity.clone(),
            Arc::new(KubernetesReception::new(server)),
        )
    };
    let plans = vec![
        token_door,
        certificate_door("connector"),
        certificate_door("director"),
        kubernetes_door,
    ];
    Gateway::open(plans, journal.clone(), faults.clone()).map_err(WorldError::Door)
}
