//! Service account tokens: JWTs signed by the server, bound to their account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::api::Api;
use super::kinds::builtin;
use super::request::key;

/// Who issues the tokens, and their audience by default.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc";

/// The signer of one server.
pub(super) struct Signer {
    key: EcdsaKeyPair,
    /// Claims of tokens whose signature was checked; agents send theirs with every request.
    known: Mutex<BTreeMap<String, Arc<Value>>>,
}

/// Tokens that are remembered at most.
const MOST_KNOWN: usize = 1024;

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with a fresh key, or nothing when the system gives no randomness.
    pub(super) fn new() -> Option<Self> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .ok()
            .map(|key| Self { key, known: Mutex::default() })
    }

    /// A token with the claims.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({ "alg": "ES256", "kid": "embedded" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn claims(&self, token: &str) -> Option<Arc<Value>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = known().get(token) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(self.check(token)?);
        let mut known = known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(token.to_owned(), Arc::clone(&claims));
        Some(claims)
    }

    /// The claims of a token with our signature.
    fn check(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// The claims of a token that is good now: ours, not expired, its account (and pod) still the same.
pub(super) fn verify(api: &Api, token: &str) -> Option<Arc<Value>> {
    let claims = api.signer().claims(token)?;
    if claims["exp"].as_i64()? <= Timestamp::now().as_second() {
        return None;
    }
    let own = &claims["kubernetes.io"];
    let namespace = own["namespace"].as_str()?;
    let still_there = |plural: &str, reference: &Value| {
        let name = reference["name"].as_str().unwrap_or_default();
        let stored = api.store().get(&builtin("", plural).collection, &key(namespace, name));
        stored.is_some_and(|stored| stored.value()["metadata"]["uid"] == reference["uid"])
    };
    let bound = [("pod", "pods"), ("secret", "secrets")]
        .into_iter()
        .all(|(kind, plural)| own.get(kind).is_none_or(|reference| still_there(plural, reference)));
    (still_there("serviceaccounts", &own["serviceaccount"]) && bound).then_some(claims)
}
