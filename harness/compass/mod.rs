//! Compass as an agent sees it: Connector and Director over one landscape, and the edge in front.

mod application;
mod caller;
mod connector;
mod director;
mod edge;
mod graphql;
mod landscape;
pub mod matchers;
mod server;

pub use application::{
    Api, Application, Applications, BasicCredential, Bundle, CertificateOAuthCredential,
    Credential, Credentials, Csrf, EventDefinition, OAuthCredential, Secret, Version,
};
pub use landscape::{
    Addresses, CertificatesFile, DEFAULT_FORMATION, DEFAULT_TENANT, Landscape, LandscapeError,
    LandscapeFile, RuntimeFile, SubjectFile, TokensFile, normalised,
};
pub use server::{Compass, StartError};
