//! Compass as an agent sees it: Connector and Director over one landscape, and the edge in front.

mod application;
mod caller;
mod connector;
mod director;
mod edge;
mod front;
mod graphql;
mod hydrator;
mod landscape;
pub mod matchers;
mod oauth;
mod script;
mod server;
mod servers;

pub use application::{
    Api, Application, Applications, BasicCredential, Bundle, CertificateOAuthCredential,
    Credential, Credentials, Csrf, EventDefinition, OAuthCredential, Secret, Spec, Version,
};
pub use landscape::{
    Addresses, CertificatesFile, DEFAULT_FORMATION, DEFAULT_TENANT, IntegrationSystemFile,
    Landscape, LandscapeError, LandscapeFile, RuntimeFile, SubjectFile, TemplateFile, TokensFile,
    normalised,
};
pub use server::{Compass, StartError};
