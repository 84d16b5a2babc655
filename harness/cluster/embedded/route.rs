//! From a path to what it names.

use std::sync::Arc;

use super::api::Api;
use super::custom::Versions;
use super::kinds::{Resource, builtins, subresource};
use super::request::decode;
use super::status::Status;

/// What a path names.
#[derive(Debug)]
pub(super) enum Route {
    /// A resource path; `watch` is the deprecated prefix.
    Resource(ResourcePath),
    /// Everything else, without a trailing slash.
    Other(String),
}

/// The parts of a resource path, before anything is looked up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) plural: String,
    pub(super) name: String,
    pub(super) subresource: String,
    /// There were more segments than any resource path has.
    pub(super) too_long: bool,
    pub(super) watch: bool,
}

/// Splits a path.
pub(super) fn split(path: &str) -> Route {
    let decoded = decode(path, false);
    let other = || Route::Other(decoded.clone());
    if decoded.contains("//") || !decoded.starts_with('/') {
        return other();
    }
    let trimmed = decoded.strip_suffix('/').unwrap_or(&decoded);
    let mut segments = trimmed.split('/').skip(1);
    let (group, version) = match segments.next() {
        Some("api") => (String::new(), segments.next()),
        Some("apis") => (segments.next().unwrap_or_default().to_owned(), segments.next()),
        _ => return other(),
    };
    let rest: Vec<&str> = segments.collect();
    let (Some(version), false) = (version, rest.is_empty()) else { return other() };
    let mut found = ResourcePath { group, version: version.to_owned(), ..ResourcePath::default() };
    let mut rest = rest.as_slice();
    if rest[0] == "watch" && rest.len() > 1 {
        found.watch = true;
        rest = &rest[1..];
    }
    let text = |at: usize| rest.get(at).map(|s| (*s).to_owned()).unwrap_or_default();
    // `namespaces/x/status` and `namespaces/x/finalize` are about the namespace itself.
    let about_namespace = rest.len() < 3
        || rest.len() == 3 && found.group.is_empty() && matches!(rest[2], "status" | "finalize");
    if rest[0] == "namespaces" && !about_namespace {
        found.namespace = text(1);
        found.plural = text(2);
        found.name = text(3);
        found.subresource = text(4);
        found.too_long = rest.len() > 5;
        if rest.len() > 5 && found.subresource == "proxy" {
            found.too_long = false;
        }
    } else {
        found.plural = text(0);
        found.name = text(1);
        found.subresource = text(2);
        found.too_long = rest.len() > 3 && found.subresource != "proxy";
    }
    Route::Resource(found)
}

/// Why a path leads nowhere: kube-apiserver has two answers.
pub(super) enum Nowhere {
    /// A Status: the group is a built-in one.
    Status(Status),
    /// Plain text: nobody serves such a path.
    Text,
}

/// Looks the resource of a path up.
pub(super) fn resolve(api: &Api, path: &ResourcePath) -> Result<Arc<Resource>, Nowhere> {
    let all = builtins();
    if all.groups.iter().any(|(group, _)| *group == path.group) {
        let found = all
            .resources
            .get(&(path.group.clone(), path.version.clone()))
            .and_then(|resources| resources.get(&path.plural))
            .cloned();
        let resource = found.ok_or_else(|| Nowhere::Status(Status::no_resource()))?;
        check_builtin(&resource, path).map_err(Nowhere::Status)?;
        return Ok(resource);
    }
    let groups = api.custom();
    let versions: &Versions = groups.get(&path.group).ok_or(Nowhere::Text)?;
    let resource = versions
        .get(&path.version)
        .and_then(|found| found.get(&path.plural))
        .ok_or(Nowhere::Text)?;
    let scoped = !path.namespace.is_empty();
    // A list of everything needs no namespace, one object of a namespaced resource does.
    let fits = if resource.namespaced { scoped || path.name.is_empty() } else { !scoped };
    if !fits || path.too_long {
        return Err(Nowhere::Text);
    }
    Ok(Arc::clone(resource))
}

fn check_builtin(resource: &Resource, path: &ResourcePath) -> Result<(), Status> {
    let scoped = !path.namespace.is_empty();
    let misplaced = if resource.namespaced { !scoped && !path.name.is_empty() } else { scoped };
    let unknown = !path.subresource.is_empty() && !resource.has(&path.subresource);
    if misplaced || unknown || path.too_long || (resource.traits.review && !path.name.is_empty()) {
        return Err(Status::no_resource());
    }
    Ok(())
}

/// Whether a subresource of a built-in resource knows an HTTP verb.
pub(super) fn subresource_allows(name: &str, verb: &str) -> bool {
    name == "proxy" || subresource(name).3.contains(&verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match split(path) {
            Route::Resource(found) => found,
            Route::Other(other) => panic!("{other} is no resource path"),
        }
    }

    #[test]
    fn paths_are_split_as_the_real_server_splits_them() {
        let found = resource("/api/v1/namespaces/a/secrets/b/");
        assert_eq!(
            (found.namespace.as_str(), found.plural.as_str(), found.name.as_str()),
            ("a", "secrets", "b")
        );
        let found = resource("/api/v1/namespaces/a/finalize");
        assert_eq!(
            (found.plural.as_str(), found.name.as_str(), found.subresource.as_str()),
            ("namespaces", "a", "finalize")
        );
        let found = resource("/apis/g/v1/widgets/x/status");
        assert_eq!(
            (found.plural.as_str(), found.name.as_str(), found.subresource.as_str()),
            ("widgets", "x", "status")
        );
        assert!(resource("/api/v1/watch/secrets").watch);
        assert!(matches!(split("/api/v1//secrets"), Route::Other(_)));
        assert!(matches!(split("/apis/g/v1"), Route::Other(_)));
    }
}
