//! The server's state, and the way of a request through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;
use tokio::sync::watch as signal;

use super::custom::Versions;
use super::kinds::{Resource, builtins};
use super::negotiate::{self, Accepted};
use super::output::{self, Answer};
use super::rbac::{self, Attributes};
use super::request::{Call, Query, Target, User};
use super::route::{self, Nowhere, ResourcePath, Route};
use super::status::Status;
use super::store::Store;
use super::tokens::Signer;
use super::{
    auth, create, delete, discovery, furnish, list, openapi, patching, reviews, scale, update,
    watch,
};

/// One server, without its sockets.
pub(super) struct Api {
    store: Store,
    custom: RwLock<Arc<BTreeMap<String, Versions>>>,
    token: String,
    signer: Signer,
    address: String,
    stop: signal::Sender<bool>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Api {
    /// A server with what a fresh cluster has.
    pub(super) fn new(token: String, signer: Signer, address: String) -> Self {
        let api = Self {
            store: Store::new(),
            custom: RwLock::default(),
            token,
            signer,
            address,
            stop: signal::Sender::new(false),
        };
        furnish::furnish(&api.store);
        api
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }
    pub(super) fn admin_token(&self) -> &str {
        &self.token
    }
    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The groups that CRDs have added.
    pub(super) fn custom(&self) -> Arc<BTreeMap<String, Versions>> {
        Arc::clone(&self.custom.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves these groups of CRDs from now on.
    pub(super) fn serve(&self, groups: BTreeMap<String, Versions>) {
        *self.custom.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(groups);
    }

    /// Tells when the server stops; open watches end then.
    pub(super) fn stopped(&self) -> signal::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Waits until the server stops.
pub(super) async fn ended(stop: &mut signal::Receiver<bool>) {
    // An error means that the server itself is gone.
    drop(stop.wait_for(|stopped| *stopped).await.map(drop));
}

/// What the listener read of a request.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) certificate: Option<User>,
}

impl Incoming {
    fn into_call(self, user: User, body: Bytes) -> Call {
        Call {
            method: self.method,
            path: self.path,
            query: Query::parse(&self.query),
            headers: self.headers,
            body,
            user,
            warnings: Mutex::default(),
        }
    }
}

/// Answers a request. The body is read only when the request may be made at all.
pub(super) async fn answer<F>(api: &Arc<Api>, incoming: Incoming, body: F) -> Answer
where
    F: Future<Output = Result<Bytes, Status>>,
{
    let user = match auth::authenticate(api, &incoming.headers, incoming.certificate.as_ref()) {
        Ok(user) => user,
        Err(status) => {
            return output::failure(&incoming.into_call(User::default(), Bytes::new()), &status);
        }
    };
    let mut call = incoming.into_call(user, Bytes::new());
    let route = route::split(&call.path);
    if let Err(status) = authorize(api, &call, &route) {
        return output::failure(&call, &status);
    }
    match body.await {
        Ok(bytes) => call.body = bytes,
        Err(status) => return output::failure(&call, &status),
    }
    match route {
        Route::Other(path) => other(api, &call, &path),
        Route::Resource(path) => resource(api, &call, &path).await,
    }
}

fn authorize(api: &Api, call: &Call, route: &Route) -> Result<(), Status> {
    let attributes = match route {
        Route::Other(path) => Attributes {
            verb: call.method.as_str().to_lowercase(),
            path: Some(path.clone()),
            ..Attributes::default()
        },
        Route::Resource(path) => Attributes {
            verb: verb(call, path).into(),
            path: None,
            group: path.group.clone(),
            resource: path.plural.clone(),
            subresource: path.subresource.clone(),
            namespace: if path.plural == "namespaces"
                && path.group.is_empty()
                && !path.name.is_empty()
            {
                path.name.clone()
            } else {
                path.namespace.clone()
            },
            name: path.name.clone(),
        },
    };
    rbac::authorize(api, &call.user, &attributes)
}

/// The verb of a request, as RBAC names it.
fn verb(call: &Call, path: &ResourcePath) -> &'static str {
    match (call.method.as_str(), path.name.is_empty()) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", false) => "delete",
        ("DELETE", true) => "deletecollection",
        ("GET" | "HEAD", false) if !path.watch => "get",
        ("GET" | "HEAD", _) if path.watch || watch::asked(call) => "watch",
        ("GET" | "HEAD", _) => "list",
        _ => "",
    }
}

/// Paths that name no resource.
fn other(api: &Api, call: &Call, full: &str) -> Answer {
    let path = match full.strip_suffix('/') {
        // These do not forgive a slash.
        Some(rest) if !rest.starts_with("/healthz") && rest != "/openapi/v2" => rest,
        _ => full,
    };
    if full.contains("//") {
        let mut parts = full.split('/').skip(1);
        let builtin_group = match (parts.next(), parts.next()) {
            (Some("api"), Some(_)) => true,
            (Some("apis"), Some(group)) => builtins().groups.iter().any(|(name, _)| name == group),
            _ => false,
        };
        return if builtin_group {
            output::failure(call, &Status::no_resource())
        } else {
            output::nowhere(call)
        };
    }
    if let Some(answer) = discovery::health(call, path) {
        return answer;
    }
    if call.method != Method::GET && call.method != Method::HEAD {
        return output::failure(call, &Status::method_not_allowed());
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        [] | [""] if full == "/" || full.is_empty() => discovery::paths(api, call),
        ["api"] => discovery::root(api, call, true),
        ["apis"] => discovery::root(api, call, false),
        ["version"] => discovery::build(call),
        ["api", version] => versioned(api, call, "", version),
        ["apis", group] => {
            discovery::group(api, call, group).unwrap_or_else(|| output::nowhere(call))
        }
        ["apis", group, version] => versioned(api, call, group, version),
        ["openapi", "v2"] => openapi::swagger(api, call),
        ["openapi", "v3"] => openapi::index(api, call),
        ["openapi", "v3", rest @ ..] => openapi::document(api, call, &rest.join("/"))
            .unwrap_or_else(|| output::bytes(call, 404, "text/plain; charset=utf-8", Vec::new())),
        [".well-known", "openid-configuration"] => {
            let issuer = super::tokens::ISSUER;
            let body = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/openid/v1/jwks"), "response_types_supported": ["id_token"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"] });
            output::document(call, 200, "application/json", &body)
        }
        _ => output::nowhere(call),
    }
}

fn versioned(api: &Api, call: &Call, group: &str, version: &str) -> Answer {
    if let Some(answer) = discovery::version(api, call, group, version) {
        return answer;
    }
    if builtins().groups.iter().any(|(name, _)| name == group) {
        return output::failure(call, &Status::no_resource());
    }
    output::nowhere(call)
}

/// Paths that name a resource.
async fn resource(api: &Arc<Api>, call: &Call, path: &ResourcePath) -> Answer {
    let resource = match route::resolve(api, path) {
        Ok(resource) => resource,
        Err(Nowhere::Status(status)) => return output::failure(call, &status),
        Err(Nowhere::Text) => return output::nowhere(call),
    };
    if let Some(warning) = resource.custom().and_then(|custom| custom.warning.as_ref()) {
        call.warn(warning.clone());
    }
    let target = Target {
        resource,
        namespace: path.namespace.clone(),
        name: path.name.clone(),
        subresource: path.subresource.clone(),
    };
    match serve(api, call, target, path.watch).await {
        Ok(answer) => answer,
        Err(status) => output::failure(call, &status),
    }
}

async fn serve(
    api: &Arc<Api>,
    call: &Call,
    target: Target,
    watched: bool,
) -> Result<Answer, Status> {
    let resource = Arc::clone(&target.resource);
    check_method(call, &target)?;
    let accepted = negotiate::accepted(call, &resource)?;
    if matches!(target.name.as_str(), "." | "..") {
        return Err(Status::bad_request(format!(
            "Name parameter invalid: {0:?}: may not be '{0}'",
            target.name
        )));
    }
    if !target.subresource.is_empty() {
        return subresource(api, call, &target, accepted);
    }
    let show =
        |written: super::write::Written| output::written(call, &resource, accepted, &written);
    match (call.method.as_str(), target.name.is_empty()) {
        ("GET", _) if watched || (target.name.is_empty() && watch::asked(call)) => {
            let stream = watch::open(Arc::clone(api), call, target, accepted).await?;
            Ok(output::stream(call, accepted, StreamBody::new(stream).boxed_unsync()))
        }
        ("GET", true) => {
            let page = list::list(api, call, &target).await?;
            output::list(call, &resource, accepted, &page)
        }
        ("GET", false) => {
            wait_for_version(api, call).await?;
            let stored = api.store().get(&resource.collection, &target.key());
            let stored = stored.ok_or_else(|| Status::not_found(&resource, &target.name))?;
            output::stored(call, &resource, accepted, &stored)
        }
        ("POST", _) if resource.traits.review => {
            let object = reviews::review(api, call, &target)?;
            output::object(call, &resource, accepted, 201, &object)
        }
        ("POST", _) => show(create::create(api, call, &target)?),
        ("PUT" | "PATCH", true) => Err(Status::bad_request("name must be provided")),
        ("PUT", false) => show(update::update(api, call, &target)?),
        ("PATCH", false) => show(patching::patch(api, call, &target)?),
        ("DELETE", true) => {
            let page = delete::delete_collection(api, call, &target)?;
            output::list(call, &resource, accepted, &page)
        }
        ("DELETE", false) => {
            let object = delete::delete(api, call, &target)?;
            output::object(call, &resource, accepted, 200, &object)
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Refuses methods that a path does not have.
fn check_method(call: &Call, target: &Target) -> Result<(), Status> {
    let resource = &target.resource;
    let method = call.method.as_str();
    let known = matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE");
    if !known {
        return Err(Status::method_not_allowed());
    }
    if resource.traits.review && method != "POST" {
        return Err(Status::method_not_allowed());
    }
    if resource.custom().is_some() {
        // Custom resources are served by a handler of their own, which is more forgiving.
        return Ok(());
    }
    let (named, sub) = (!target.name.is_empty(), !target.subresource.is_empty());
    let verb = match method {
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        _ => "delete",
    };
    let refused = match (method, named, sub) {
        (_, _, true) => !route::subresource_allows(&target.subresource, verb),
        ("POST", true, _) | ("PUT" | "PATCH", false, _) => true,
        ("DELETE", false, _) => {
            resource.traits.no_delete_collection
                || resource.namespaced && target.namespace.is_empty()
        }
        ("POST", false, _) => {
            resource.namespaced && target.namespace.is_empty() && !resource.traits.review
        }
        _ => false,
    };
    if refused { Err(Status::method_not_allowed()) } else { Ok(()) }
}

/// A get may ask for a version that is not there yet.
async fn wait_for_version(api: &Api, call: &Call) -> Result<(), Status> {
    match call.query.get("resourceVersion").unwrap_or_default() {
        "" | "0" => Ok(()),
        text => {
            let version = text.parse().map_err(|_| {
                Status::internal(format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"))
            })?;
            list::wait_for(api, version).await
        }
    }
}

/// Requests to a subresource.
fn subresource(
    api: &Arc<Api>,
    call: &Call,
    target: &Target,
    accepted: Accepted,
) -> Result<Answer, Status> {
    let resource: &Resource = &target.resource;
    let method = call.method.as_str();
    if resource.custom().is_some() {
        if !resource.has(&target.subresource) {
            return Err(Status::not_found(resource, &target.name));
        }
        if matches!(method, "POST" | "DELETE") {
            let verb = if method == "POST" { "create" } else { "delete" };
            return Err(Status::not_supported(verb, resource));
        }
    }
    let stored = || {
        let found = api.store().get(&resource.collection, &target.key());
        found.ok_or_else(|| Status::not_found(resource, &target.name))
    };
    match (target.subresource.as_str(), method) {
        ("scale", "GET") => {
            output::object(call, scale::kind(), accepted, 200, &scale::get(api, target)?)
        }
        ("scale", "PUT") => {
            let written = scale::update(api, call, target)?;
            output::object(call, scale::kind(), accepted, written.code, &written.object)
        }
        ("scale", "PATCH") => {
            let written = scale::patch(api, call, target)?;
            output::object(call, scale::kind(), accepted, written.code, &written.object)
        }
        ("token", "POST") => {
            output::object(call, resource, accepted, 201, &reviews::token(api, call, target)?)
        }
        ("binding", "POST") => {
            let body = super::json::parse(&call.body).map_err(Status::bad_request)?;
            output::object(
                call,
                resource,
                accepted,
                201,
                &reviews::bind(api, target, &target.name, &body.value)?,
            )
        }
        ("eviction", "POST") => {
            stored()?;
            delete::delete(api, &without_body(call), target)?;
            let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
            output::object(call, resource, accepted, 201, &body)
        }
        ("log", "GET") => {
            stored()?;
            // Nothing runs here, so nothing was logged.
            Ok(output::text(call, 200, ""))
        }
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "GET") => {
            output::stored(call, resource, accepted, &*stored()?)
        }
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "PUT") => {
            output::written(call, resource, accepted, &update::update(api, call, target)?)
        }
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "PATCH") => {
            output::written(call, resource, accepted, &patching::patch(api, call, target)?)
        }
        _ => {
            stored()?;
            let text =
                format!("the server has no {} to give: nothing runs here", target.subresource);
            Err(Status::internal_error(text))
        }
    }
}

/// A request like another one, without its body.
fn without_body(call: &Call) -> Call {
    Call {
        method: call.method.clone(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers: call.headers.clone(),
        body: Bytes::new(),
        user: call.user.clone(),
        warnings: Mutex::default(),
    }
}
