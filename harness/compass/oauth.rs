//! The token endpoint: client credentials in, bearer token out (Hydra, `POST /oauth2/token`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use super::caller::INTEGRATION_SYSTEM_SCOPES;
use super::landscape::{BEARER_LIFE, Landscape};
use super::servers::{Asked, with_type};

/// Answers a request to the token endpoint.
pub(super) fn token(landscape: &Landscape, asked: Asked<'_>) -> Response<Bytes> {
    if *asked.method != Method::POST {
        return with_type(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "Method Not Allowed\n");
    }
    let form = form_of(asked.body);
    let field = |name: &str| {
        form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    };
    let (client, secret) = basic(asked.headers).unwrap_or_else(|| {
        // RFC 6749, 2.3.1: the credentials may stand in the body instead.
        (field("client_id").into(), field("client_secret").into())
    });
    match field("grant_type") {
        "client_credentials" => {}
        "" => {
            return refused(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Request parameter 'grant_type' is missing",
            );
        }
        _ => {
            let why = "The authorization grant type is not supported by the authorization server.";
            return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", why);
        }
    }
    let Some(client) = landscape.is_client(&client, &secret) else {
        let why = "Client authentication failed (e.g., unknown client, no client authentication \
                   included, or unsupported authentication method).";
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", why);
    };
    let scopes = Vec::from_iter(field("scope").split_ascii_whitespace());
    let permitted =
        |scope: &&str| INTEGRATION_SYSTEM_SCOPES.split_ascii_whitespace().any(|one| one == *scope);
    if let Some(foreign) = scopes.iter().find(|scope| !permitted(scope)) {
        let why = format!(
            "The requested scope is invalid, unknown, or malformed. The OAuth 2.0 Client is not \
             allowed to request scope '{foreign}'."
        );
        return refused(StatusCode::BAD_REQUEST, "invalid_scope", &why);
    }
    let scopes = scopes.join(" ");
    let Some(bearer) = landscape.issue_bearer(client, &scopes) else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", "The client is gone.");
    };
    let body = json!({
        "access_token": bearer,
        "expires_in": BEARER_LIFE.as_secs(),
        "scope": scopes,
        "token_type": "bearer",
    });
    uncached(with_type(StatusCode::OK, "application/json;charset=UTF-8", body.to_string()))
}

/// The bearer token of a request.
pub(super) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// User name and password of HTTP Basic, whose parts are form-encoded (RFC 6749, 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(client), decoded(secret)))
}

fn form_of(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    // The base is never seen: this is the way to the form decoding of a URL library.
    let Ok(mut url) = reqwest::Url::parse("http://localhost/") else { return Vec::new() };
    url.set_query(Some(&text));
    url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn refused(status: StatusCode, error: &str, why: &str) -> Response<Bytes> {
    let body = json!({"error": error, "error_description": why});
    uncached(with_type(status, "application/json;charset=UTF-8", body.to_string()))
}

fn uncached(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
