//! The reception of the Kubernetes door: reads what is asked of the API, and lets everything through.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::{Parts as UriParts, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{Admission, Incoming, Reception, Subject};
use crate::journal::{Identity, KubernetesCall, Peer};

/// Stands in front of a Kubernetes API server.
#[derive(Debug)]
pub struct KubernetesReception {
    server: Uri,
}

impl KubernetesReception {
    /// A reception in front of the API server with this scheme and authority.
    #[must_use]
    pub fn new(server: Uri) -> Self {
        Self { server }
    }
}

impl Reception for KubernetesReception {
    fn describe(&self, incoming: Incoming<'_>) -> Subject {
        let mut kubernetes = call(&incoming.parts.method, &incoming.parts.uri);
        if let Some(call) = &mut kubernetes
            && call.verb == "create"
            && call.name.is_none()
        {
            call.name = name_in(incoming.body);
        }
        Subject {
            peer: Peer::Kubernetes,
            operations: Vec::new(),
            kubernetes,
            identity: Identity::None,
        }
    }

    fn admit(&self, incoming: Incoming<'_>, _subject: &Subject) -> Admission {
        let mut to = UriParts::default();
        to.scheme = self.server.scheme().cloned();
        to.authority = self.server.authority().cloned();
        let path = incoming.parts.uri.path_and_query().cloned();
        to.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        match Uri::from_parts(to) {
            Ok(to) => Admission::Forward { to, remove: Vec::new(), set: HeaderMap::new() },
            Err(_) => {
                // A server without scheme or authority: nothing can be reached.
                let mut answer = Response::new(Bytes::new());
                *answer.status_mut() = StatusCode::BAD_GATEWAY;
                Admission::Answer(answer)
            }
        }
    }

    fn errors(&self, _subject: &Subject, status: u16, body: &[u8]) -> Vec<String> {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        if status < 400 {
            return Vec::new();
        }
        serde_json::from_slice(body).map(|Status { message }| vec![message]).unwrap_or_default()
    }
}

/// What kube-apiserver says to a body over its limit; ours lies above, so this is rare.
pub(super) fn too_large() -> Response<Bytes> {
    const BODY: &str = concat!(
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
        r#""message":"Request entity too large: limit is 3145728","#,
        r#""reason":"RequestEntityTooLarge","code":413}"#,
        "\n"
    );
    let mut answer = Response::new(Bytes::from_static(BODY.as_bytes()));
    *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Whether a call may change an object.
pub(super) fn is_write(call: &KubernetesCall) -> bool {
    !matches!(call.verb.as_str(), "get" | "list" | "watch")
}

/// The resourceVersion of the object in an answer.
pub(super) fn resource_version(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: Option<String>,
    }
    serde_json::from_slice::<Object>(body).ok()?.metadata.resource_version
}

/// The name of the object in the body of a create; the path does not have it.
fn name_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: Option<String>,
    }
    serde_json::from_slice::<Object>(body).ok()?.metadata.name
}

/// Reads a request as kube-apiserver does (`RequestInfoFactory.NewRequestInfo`); none for what is
/// not about a resource.
fn call(method: &Method, uri: &Uri) -> Option<KubernetesCall> {
    let path = percent_decode_str(uri.path()).decode_utf8_lossy();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let group = match segments.next()? {
        "api" => String::new(),
        "apis" => segments.next()?.to_owned(),
        _ => return None,
    };
    segments.next()?;
    let mut segments: Vec<&str> = segments.collect();
    let mut watch = wants_watch(uri.query().unwrap_or_default());
    // The old form of a watch, still served.
    if segments.first() == Some(&"watch") {
        segments.remove(0);
        watch = true;
    }
    let mut namespace = None;
    if let ["namespaces", name, rest @ ..] = segments.as_slice()
        && !matches!(rest.first(), None | Some(&("status" | "finalize")))
    {
        namespace = Some((*name).to_owned());
        segments.drain(..2);
    }
    let resource = (*segments.first()?).to_owned();
    let name = segments.get(1).map(|name| (*name).to_owned());
    let verb = match (method, &name) {
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, Some(_)) => "delete",
        (&Method::DELETE, None) => "deletecollection",
        (&Method::GET | &Method::HEAD, Some(_)) => "get",
        (&Method::GET | &Method::HEAD, None) if watch => "watch",
        (&Method::GET | &Method::HEAD, None) => "list",
        _ => return None,
    };
    Some(KubernetesCall {
        verb: verb.to_owned(),
        group,
        resource,
        subresource: (segments.len() > 2).then(|| segments[2..].join("/")),
        namespace,
        name,
    })
}

/// Anything but `0` and `false` asks for a watch.
fn wants_watch(query: &str) -> bool {
    query.split('&').any(|pair| match pair.split_once('=') {
        Some(("watch", value)) => !matches!(value, "0" | "false" | "False" | ""),
        _ => pair == "watch",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, uri: &str) -> Option<KubernetesCall> {
        call(&method, &uri.parse().expect("a URI"))
    }

    fn words(method: Method, uri: &str) -> String {
        let Some(call) = read(method, uri) else { return "nothing".into() };
        let mut words = format!("{} {}", call.verb, call.resource);
        for (sign, part) in [
            ("/", call.subresource),
            (" ", call.name),
            (" in ", call.namespace),
            (" of ", Some(call.group).filter(|group| !group.is_empty())),
        ] {
            if let Some(part) = part {
                words = format!("{words}{sign}{part}");
            }
        }
        words
    }

    #[test]
    fn calls_are_read_as_kube_apiserver_reads_them() {
        const CR: &str = "/apis/compass.kyma-project.io/v1alpha1/compassconnections";
        for (method, uri, expected) in [
            (
                Method::GET,
                "/api/v1/namespaces/kyma-system/secrets/a",
                "get secrets a in kyma-system",
            ),
            (Method::GET, "/api/v1/namespaces/kyma-system/secrets", "list secrets in kyma-system"),
            (Method::GET, "/api/v1/secrets?watch=1", "watch secrets"),
            (Method::GET, "/api/v1/secrets?watch=true&resourceVersion=1", "watch secrets"),
            (Method::GET, "/api/v1/secrets?watch=false", "list secrets"),
            (Method::GET, "/api/v1/watch/secrets", "watch secrets"),
            (
                Method::GET,
                "/api/v1/namespaces/kyma-system/secrets/a?watch=1",
                "get secrets a in kyma-system",
            ),
            (Method::GET, "/api/v1/namespaces/kyma-system", "get namespaces kyma-system"),
            (Method::PUT, "/api/v1/namespaces/x/finalize", "update namespaces/finalize x"),
            (Method::GET, "/api/v1/namespaces?&limit=500", "list namespaces"),
            (Method::POST, CR, "create compassconnections of compass.kyma-project.io"),
            (Method::DELETE, CR, "deletecollection compassconnections of compass.kyma-project.io"),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/x/pods/p/proxy/a/b",
                "get pods/proxy/a/b p in x of apps",
            ),
            (Method::GET, "/apis/apps/v1/deployments/a%3Ab/", "get deployments a:b of apps"),
            (Method::GET, "/apis/apps/v1", "nothing"),
            (Method::GET, "/api", "nothing"),
            (Method::GET, "/version", "nothing"),
            (Method::GET, "/", "nothing"),
            (Method::OPTIONS, "/api/v1/secrets", "nothing"),
        ] {
            assert_eq!(words(method, uri), expected, "{uri}");
        }
        let update = read(Method::PUT, &format!("{CR}/compass-connection/status"));
        let update = update.expect("a call");
        assert_eq!(update.verb, "update");
        assert_eq!(update.name.as_deref(), Some("compass-connection"));
        assert_eq!(update.subresource.as_deref(), Some("status"));
    }

    #[test]
    fn the_name_of_what_is_created_is_in_the_body() {
        assert_eq!(name_in(br#"{"kind":"Secret","metadata":{"name":"a"}}"#).as_deref(), Some("a"));
        assert_eq!(name_in(br#"{"metadata":{"generateName":"a-"}}"#), None);
        assert_eq!(name_in(b"k8s\0"), None);
    }

    #[test]
    fn the_message_of_a_status_is_the_error() {
        let reception = KubernetesReception::new(Uri::from_static("https://127.0.0.1:1"));
        let subject = Subject {
            peer: Peer::Kubernetes,
            operations: Vec::new(),
            kubernetes: None,
            identity: Identity::None,
        };
        let errors = |status, body: &str| reception.errors(&subject, status, body.as_bytes());
        assert_eq!(errors(404, r#"{"kind":"Status","message":"no","code":404}"#), ["no"]);
        assert!(errors(200, r#"{"message":"not an error"}"#).is_empty());
        assert!(errors(404, "404 page not found").is_empty());
    }

    #[test]
    fn the_version_of_a_written_object_is_found() {
        let object = br#"{"metadata":{"resourceVersion":"42"},"data":{}}"#;
        assert_eq!(resource_version(object).as_deref(), Some("42"));
        assert_eq!(resource_version(br#"{"kind":"Status","metadata":{}}"#), None);
    }
}
