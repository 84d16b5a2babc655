//! The Connector: configuration, signing and revocation (its GraphQL API, complete).

use std::sync::LazyLock;

use apollo_compiler::Schema;
use apollo_compiler::ast::OperationType;
use apollo_compiler::validation::Valid;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};
use http::HeaderMap;
use uuid::Uuid;
use x509_parser::pem::Pem;

use super::caller::{
    CLIENT_CERTIFICATE_HASH, CLIENT_ID_FROM_CERTIFICATE, CLIENT_ID_FROM_TOKEN, Caller,
};
use super::graphql::{
    Documents, ErrorCode, Failure, Field, HttpAnswer, Location, Object, Plan, RequestError,
    Resolved, Response, SentError, Server, answer, execute,
};
use super::landscape::{Addresses, Landscape};
use super::servers::Asked;
use crate::pki::pem_of;

/// The schema of the Connector.
pub(crate) const SDL: &str = include_str!("../../fixtures/compass/connector.graphql");

static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(SDL, "connector.graphql")
        .expect("the schema of the Connector is valid")
});

/// The only key algorithm that `configuration` ever names; it binds nobody.
const KEY_ALGORITHM: &str = "rsa2048";
/// Go's decoder minds the padding and not the bits that padding leaves over.
const GO_BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, PAD.with_decode_allow_trailing_bits(true));

/// The documents of the Connector's schema.
pub(crate) fn documents() -> Documents {
    Documents::new(&SCHEMA)
}

/// Answers a request to the Connector's `/graphql`.
pub(super) fn respond(
    landscape: &Landscape,
    documents: &Documents,
    asked: Asked<'_>,
) -> HttpAnswer {
    // Without an identity the tenant claim cannot be decoded, which the Connector's middleware
    // answers before GraphQL is looked at.
    let Some(caller) =
        asked.caller.filter(|caller| caller.tenant.is_some() || caller.foreign_tenant.is_some())
    else {
        return HttpAnswer { status: 400, body: Vec::new() };
    };
    let server = Connector { landscape, documents, headers: asked.headers, caller };
    answer(&server, asked.into())
}

struct Connector<'a> {
    landscape: &'a Landscape,
    documents: &'a Documents,
    headers: &'a HeaderMap,
    caller: &'a Caller,
}

impl Server for Connector<'_> {
    fn documents(&self) -> &Documents {
        self.documents
    }

    fn present(&self, error: &RequestError) -> SentError {
        let mut extensions = serde_json::Map::new();
        let code = match error.code {
            ErrorCode::Parse => Some("GRAPHQL_PARSE_FAILED"),
            ErrorCode::Validation => Some("GRAPHQL_VALIDATION_FAILED"),
            ErrorCode::Transport => None,
        };
        if let Some(code) = code {
            extensions.insert("code".into(), code.into());
        }
        let place = error.location.map(|(line, column)| Location { line, column });
        SentError {
            message: error.message.clone(),
            path: Vec::new(),
            locations: place.into_iter().collect(),
            extensions,
        }
    }

    fn run(&self, plan: &Plan, _text: &str) -> Response {
        let kind = plan.kind;
        execute(plan, &Root { connector: self, kind })
    }
}

/// The client that a request comes from, and how that is known.
enum Authenticated {
    Token(Uuid),
    Certificate(Uuid),
}

impl Connector<'_> {
    fn client_id(&self, header: &http::HeaderName) -> Option<Uuid> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }

    /// The token goes before the certificate.
    fn authenticate(&self) -> Result<Authenticated, Failure> {
        if let Some(id) = self.client_id(&CLIENT_ID_FROM_TOKEN) {
            return Ok(Authenticated::Token(id));
        }
        if let Some(id) = self.client_id(&CLIENT_ID_FROM_CERTIFICATE) {
            return Ok(Authenticated::Certificate(id));
        }
        Err(Failure::plain(
            "Failed to authenticate request. Token authentication error: Failed to authenticate \
             with one time token.. Certificate authentication error: Failed to authenticate with \
             Certificate. Invalid subject.",
        ))
    }

    fn configuration(&self) -> Result<Configuration, Failure> {
        let (Authenticated::Token(client) | Authenticated::Certificate(client)) =
            self.authenticate()?;
        let not_renewed = |reason: &str| {
            Failure::plain(format!(
                "Failed to get one-time token during fetching configuration process: \
                 could not get one time token: {reason}"
            ))
        };
        if self.caller.tenant.is_none() {
            return Err(not_renewed("Tenant is required"));
        }
        let token = self.landscape.renew_token(client);
        let token = token.ok_or_else(|| not_renewed("Object not found [object=systemAuth]"))?;
        let subject = self.landscape.subject_text(client);
        Ok(Configuration { token, subject, addresses: self.landscape.addresses() })
    }

    fn sign(&self, csr: &str) -> Result<SignedChain, Failure> {
        let client = self.authenticate().map_err(|error| {
            Failure::plain(format!("Failed to authenticate with token: {}", error.message))
        })?;
        let (Authenticated::Token(client) | Authenticated::Certificate(client)) = client;
        let der = decode_request(csr)?;
        let to = self.caller.identity.clone();
        let (signed, authority) = self.landscape.sign(client, to, &der).map_err(not_signed)?;
        let client_certificate = pem_of(&signed.der);
        let authority = authority.certificate_pem();
        Ok(SignedChain {
            certificate_chain: STANDARD.encode(format!("{client_certificate}{authority}")),
            ca_certificate: STANDARD.encode(authority),
            client_certificate: STANDARD.encode(client_certificate),
        })
    }

    fn revoke(&self) -> Result<bool, Failure> {
        let hash = self
            .client_id(&CLIENT_ID_FROM_CERTIFICATE)
            .and_then(|_| self.headers.get(&CLIENT_CERTIFICATE_HASH)?.to_str().ok());
        let Some(hash) = hash else {
            return Err(Failure::plain(
                "Failed to authenticate with certificate: Failed to authenticate with Certificate. \
                 Invalid subject.",
            ));
        };
        self.landscape.revoke_fingerprint(hash);
        Ok(true)
    }
}

/// From base64 of PEM to DER; the label of the PEM block is not looked at.
fn decode_request(csr: &str) -> Result<Vec<u8>, Failure> {
    // Go's decoder passes over line ends.
    let text: String = csr.chars().filter(|one| !matches!(one, '\r' | '\n')).collect();
    let pem = GO_BASE64.decode(text).map_err(|_| {
        Failure::plain(
            "Error while decoding Certificate Signing Request: Error while parsing base64 content. \
             Incorrect value provided.",
        )
    })?;
    let block = Pem::iter_from_buffer(&pem).find_map(Result::ok);
    Ok(block.ok_or_else(|| not_signed("Error while decoding pem block."))?.contents)
}

fn not_signed(reason: impl std::fmt::Display) -> Failure {
    Failure::plain(format!("Error while signing Certificate Signing Request: {reason}"))
}

struct Root<'a> {
    connector: &'a Connector<'a>,
    kind: OperationType,
}

impl Object for Root<'_> {
    fn type_name(&self) -> &'static str {
        match self.kind {
            OperationType::Mutation => "Mutation",
            OperationType::Query | OperationType::Subscription => "Query",
        }
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        match field.name.as_str() {
            "configuration" => Ok(Resolved::object(self.connector.configuration()?)),
            "signCertificateSigningRequest" => {
                Ok(Resolved::object(self.connector.sign(field.text("csr"))?))
            }
            "revokeCertificate" => Ok(Resolved::Bool(self.connector.revoke()?)),
            other => Err(unknown_field(other)),
        }
    }
}

/// Validation lets no such field through; this keeps the servers from ending in a panic.
pub(crate) fn unknown_field(name: &str) -> Failure {
    Failure::plain(format!("the field `{name}` has no resolver"))
}

struct Configuration {
    token: String,
    subject: String,
    addresses: Addresses,
}

impl Object for Configuration {
    fn type_name(&self) -> &'static str {
        "Configuration"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let part = match field.name.as_str() {
            "token" => "Token",
            "certificateSigningRequestInfo" => "CertificateSigningRequestInfo",
            "managementPlaneInfo" => "ManagementPlaneInfo",
            other => return Err(unknown_field(other)),
        };
        Ok(Resolved::object(Part { of: self, part }))
    }
}

/// One of the three objects in a configuration.
struct Part<'a> {
    of: &'a Configuration,
    part: &'static str,
}

impl Object for Part<'_> {
    fn type_name(&self) -> &'static str {
        self.part
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let of = self.of;
        Ok(Resolved::text(match field.name.as_str() {
            "token" => &of.token,
            "subject" => &of.subject,
            "keyAlgorithm" => KEY_ALGORITHM,
            "directorURL" => &of.addresses.director,
            "certificateSecuredConnectorURL" => &of.addresses.connector,
            other => return Err(unknown_field(other)),
        }))
    }
}

struct SignedChain {
    certificate_chain: String,
    ca_certificate: String,
    client_certificate: String,
}

impl Object for SignedChain {
    fn type_name(&self) -> &'static str {
        "CertificationResult"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(Resolved::text(match field.name.as_str() {
            "certificateChain" => &self.certificate_chain,
            "caCertificate" => &self.ca_certificate,
            "clientCertificate" => &self.client_certificate,
            other => return Err(unknown_field(other)),
        }))
    }
}
