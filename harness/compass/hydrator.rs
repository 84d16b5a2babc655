//! The hydrators: who shows this token, whose certificate is this (what Oathkeeper asks them).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::landscape::Landscape;
use super::servers::{Asked, with_type};

/// What Oathkeeper and the hydrators pass to and fro. What was null stays null.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Session {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    extra: Option<Map<String, Value>>,
    #[serde(default)]
    header: Option<BTreeMap<String, Vec<String>>>,
}

/// Answers a request to the hydrators.
pub(super) fn respond(landscape: &Landscape, asked: Asked<'_>) -> Response<Bytes> {
    let resolve: fn(&Landscape, Asked<'_>, &mut Session) = match (asked.method, asked.path) {
        (&Method::POST, "/v1/tokens/resolve") => resolve_token,
        (&Method::POST, "/v1/certificate/data/resolve") => resolve_certificate,
        (&Method::GET, "/healthz" | "/readyz") => {
            return with_type(StatusCode::OK, "text/plain; charset=utf-8", "ok");
        }
        (_, "/v1/tokens/resolve" | "/v1/certificate/data/resolve") => {
            return with_type(StatusCode::METHOD_NOT_ALLOWED, "", "");
        }
        _ => {
            let text = "404 page not found\n";
            return with_type(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
        }
    };
    let mut session: Session = match serde_json::from_slice(asked.body) {
        Ok(session) => session,
        Err(error) => {
            let message = format!("failed to decode Authentication Session from body: {error}");
            let body = json!({"errors": [{"message": message}]}).to_string();
            return with_type(StatusCode::BAD_REQUEST, "application/json", body);
        }
    };
    resolve(landscape, asked, &mut session);
    let body = serde_json::to_string(&session).expect("a session is plain data");
    with_type(StatusCode::OK, "application/json", body)
}

/// The token is spent here, as at the edge.
fn resolve_token(landscape: &Landscape, asked: Asked<'_>, session: &mut Session) {
    let token = super::edge::token_of(asked.headers, asked.query);
    let Some(client) = landscape.spend_token(token.as_deref()).client else { return };
    let header = session.header.get_or_insert_default();
    header.insert("Client-Id-From-Token".into(), vec![client.id.to_string()]);
}

/// Subject and hash are texts here, nothing is verified; only a revoked hash is refused.
fn resolve_certificate(landscape: &Landscape, asked: Asked<'_>, session: &mut Session) {
    static SUBJECT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("Subject=\"([^\"]*)\"").expect("the pattern is right"));
    static HASH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("Hash=([0-9a-f]*)").expect("the pattern is right"));
    let data = asked.headers.get(super::caller::CERTIFICATE_DATA);
    let Some(data) = data.and_then(|data| data.to_str().ok()) else { return };
    let all = |pattern: &Regex| -> Vec<String> {
        pattern.captures_iter(data).map(|found| found[1].to_owned()).collect()
    };
    let (subjects, hashes) = (all(&SUBJECT), all(&HASH));
    if subjects.len() != hashes.len() {
        return;
    }
    let found = subjects.iter().zip(&hashes).find_map(|(subject, hash)| {
        let (client, issuer) = landscape.client_of_subject(subject)?;
        Some((subject, hash, client, issuer))
    });
    let Some((subject, hash, client, issuer)) = found else { return };
    if landscape.is_revoked(hash) {
        return;
    }
    let header = session.header.get_or_insert_default();
    header.insert("Client-Id-From-Certificate".into(), vec![client]);
    header.insert("Client-Certificate-Hash".into(), vec![hash.clone()]);
    header.insert("Subject-From-Certificate".into(), vec![subject.clone()]);
    header.insert("Client-Certificate-Issuer".into(), vec![issuer.into()]);
    session.extra.get_or_insert_default();
}
