//! What the agent asks of the Connector.

use http::HeaderName;
use serde::Deserialize;

use super::compass_client::{Call, CallError, CompassClient, Trace};
use super::credentials::Signed;
use super::resource::ManagementInfo;

const TOKEN: HeaderName = HeaderName::from_static("connector-token");
/// The Connector's answers are a few kilobytes; 10 MiB are an attack or an accident (CONN-14).
const LONGEST_ANSWER: usize = 1 << 20;

const CONFIGURATION: &str = "query {
  result: configuration {
    token { token }
    certificateSigningRequestInfo { subject keyAlgorithm }
    managementPlaneInfo { directorURL certificateSecuredConnectorURL }
  }
}";

/// Why the Connector's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectorError {
    #[error("Failed to get configuration")]
    Configuration(#[source] CallError),
    #[error("Failed to generate certificate")]
    Sign(#[source] CallError),
    #[error("Management info is empty")]
    NoManagementInfo,
    #[error("Connector URL or Director URL is empty")]
    NoUrl,
    #[error("the answer has no token for the signing request")]
    NoToken,
    #[error("the answer does not say what a signing request must look like")]
    NoSigningRequestInfo,
}

impl ConnectorError {
    /// Whether the Connector does not know us.
    pub(super) fn refuses_us(&self) -> bool {
        match self {
            Self::Configuration(error) | Self::Sign(error) => error.refuses_us(),
            _ => false,
        }
    }
}

/// What `configuration` says, whole.
pub(super) struct Configuration {
    pub(super) management_info: ManagementInfo,
    token: Option<String>,
    signing: Option<SigningRequestInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SigningRequestInfo {
    pub(super) subject: String,
    pub(super) key_algorithm: String,
}

#[derive(Deserialize)]
struct Root<T> {
    result: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    token: Option<Token>,
    certificate_signing_request_info: Option<SigningRequestInfo>,
    management_plane_info: Option<ManagementPlaneInfo>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct ManagementPlaneInfo {
    #[serde(rename = "directorURL")]
    director_url: Option<String>,
    #[serde(rename = "certificateSecuredConnectorURL")]
    connector_url: Option<String>,
}

impl Configuration {
    /// The token for the signing request.
    pub(super) fn token(&self) -> Result<&str, ConnectorError> {
        self.token.as_deref().filter(|token| !token.is_empty()).ok_or(ConnectorError::NoToken)
    }

    /// What a signing request must look like.
    pub(super) fn signing(&self) -> Result<&SigningRequestInfo, ConnectorError> {
        self.signing.as_ref().ok_or(ConnectorError::NoSigningRequestInfo)
    }
}

/// Asks for the configuration; with a one-time token, or with none over mTLS (SEC-05, CERT-04).
pub(super) async fn configuration(
    client: &CompassClient,
    trace: &mut Trace,
    url: &str,
    token: Option<&str>,
) -> Result<Configuration, ConnectorError> {
    let header = token.map(|token| (TOKEN, token, true));
    let call = Call { url, header, query: CONFIGURATION, limit: LONGEST_ANSWER };
    let root: Root<Answer> =
        client.call(trace, call).await.map_err(ConnectorError::Configuration)?;
    let answer = root.result.ok_or(ConnectorError::Configuration(CallError::Nil))?;
    // CONN-15: without its URLs the connection would be one in name only.
    let urls = answer.management_plane_info.ok_or(ConnectorError::NoManagementInfo)?;
    let url = |url: Option<String>| url.filter(|url| !url.is_empty()).ok_or(ConnectorError::NoUrl);
    Ok(Configuration {
        management_info: ManagementInfo {
            connector_url: url(urls.connector_url)?,
            director_url: url(urls.director_url)?,
        },
        token: answer.token.map(|token| token.token),
        signing: answer.certificate_signing_request_info,
    })
}

/// Has a request signed; with the token of the configuration, or with none over mTLS.
pub(super) async fn sign(
    client: &CompassClient,
    trace: &mut Trace,
    url: &str,
    token: Option<&str>,
    csr: &str,
) -> Result<Signed, ConnectorError> {
    // Base64 needs no escapes in a GraphQL string.
    let query = format!(
        "mutation {{
  result: signCertificateSigningRequest(csr: \"{csr}\") {{
    certificateChain caCertificate clientCertificate
  }}
}}"
    );
    let header = token.map(|token| (TOKEN, token, true));
    let call = Call { url, header, query: &query, limit: LONGEST_ANSWER };
    let root: Root<Signed> = client.call(trace, call).await.map_err(ConnectorError::Sign)?;
    root.result.ok_or(ConnectorError::Sign(CallError::Nil))
}
