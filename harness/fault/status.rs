//! A Kubernetes `Status` of a failure, worded as kube-apiserver words it.

use serde_json::{Map, Value, json};

use crate::journal::{KubernetesCall, Request};

/// Who a refusal speaks of: the account that the agent's Deployment has.
const USER: &str = "system:serviceaccount:kyma-system:compass-runtime-agent";

/// The message, the reason and the details of a failure with this code; none for a code that
/// kube-apiserver does not use here.
pub(super) fn failure(code: u16, request: &Request, retry_after: Option<u64>) -> Option<Value> {
    let call = request.kubernetes.as_ref().filter(|call| !call.resource.is_empty());
    let (message, reason, mut details) = match (code, call) {
        (401, _) => ("Unauthorized".to_owned(), "Unauthorized", None),
        (403, Some(call)) => (forbidden(call), "Forbidden", Some(details(call))),
        (403, None) => {
            let path = request.path.split('?').next().unwrap_or_default();
            let verb = request.method.to_ascii_lowercase();
            let message = format!("forbidden: User \"{USER}\" cannot {verb} path \"{path}\"");
            (message, "Forbidden", Some(Map::new()))
        }
        (404, Some(call @ KubernetesCall { name: Some(name), .. })) => {
            (format!("{} \"{name}\" not found", qualified(call)), "NotFound", Some(details(call)))
        }
        (404, _) => {
            let message = "the server could not find the requested resource".to_owned();
            (message, "NotFound", Some(Map::new()))
        }
        (409, Some(call)) if call.verb == "create" => {
            let name = call.name.as_deref().unwrap_or_default();
            let message = format!("{} \"{name}\" already exists", qualified(call));
            (message, "AlreadyExists", Some(details(call)))
        }
        (409, Some(call)) => {
            let name = call.name.as_deref().unwrap_or_default();
            let message = format!(
                "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; \
                 please apply your changes to the latest version and try again",
                qualified(call)
            );
            (message, "Conflict", Some(details(call)))
        }
        (410, Some(call)) if call.verb == "watch" => (too_old(request), "Expired", None),
        (410, _) => {
            ("The resourceVersion for the provided list is too old.".to_owned(), "Expired", None)
        }
        (429, _) => {
            let message = "Too many requests, please try again later.".to_owned();
            (message, "TooManyRequests", Some(Map::new()))
        }
        (500, _) => {
            let cause = "etcdserver: request timed out";
            let causes = json!([{ "message": cause }]);
            let details = Map::from_iter([("causes".to_owned(), causes)]);
            (format!("Internal error occurred: {cause}"), "InternalError", Some(details))
        }
        (503, _) => {
            let message = "the server is currently unable to handle the request".to_owned();
            (message, "ServiceUnavailable", Some(Map::new()))
        }
        (504, _) => {
            let message = "Timeout: request did not complete within the allotted timeout";
            (message.to_owned(), "Timeout", Some(Map::new()))
        }
        _ => return None,
    };
    if let Some(seconds) = retry_after {
        details.get_or_insert_default().insert("retryAfterSeconds".into(), seconds.into());
    }
    Some(status(code, &message, reason, details))
}

/// The Status in the ERROR frame of a watch whose resourceVersion is no longer known.
pub(super) fn expired(request: &Request) -> Value {
    status(410, &too_old(request), "Expired", None)
}

fn status(code: u16, message: &str, reason: &str, details: Option<Map<String, Value>>) -> Value {
    let mut status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    });
    if let Some(details) = details {
        status["details"] = Value::Object(details);
    }
    status
}

fn too_old(request: &Request) -> String {
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
    let asked: u64 = asked.and_then(|version| version.parse().ok()).unwrap_or_default();
    format!("too old resource version: {asked} ({})", asked.saturating_add(1))
}

fn forbidden(call: &KubernetesCall) -> String {
    let KubernetesCall { verb, group, resource, subresource, namespace, name } = call;
    let object = match name {
        // What has no name in its path kube-apiserver does not name either.
        Some(name) if verb != "create" => format!("{} \"{name}\"", qualified(call)),
        _ => qualified(call),
    };
    let resource = match subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.clone(),
    };
    let scope = match namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    format!(
        "{object} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API \
         group \"{group}\" {scope}"
    )
}

/// `secrets` in the core group, `applications.applicationconnector.kyma-project.io` elsewhere.
fn qualified(call: &KubernetesCall) -> String {
    match call.group.as_str() {
        "" => call.resource.clone(),
        group => format!("{}.{group}", call.resource),
    }
}

fn details(call: &KubernetesCall) -> Map<String, Value> {
    let mut details = Map::new();
    if let Some(name) = &call.name {
        details.insert("name".into(), name.as_str().into());
    }
    if !call.group.is_empty() {
        details.insert("group".into(), call.group.as_str().into());
    }
    details.insert("kind".into(), call.resource.as_str().into());
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::kubernetes_request;

    fn message(code: u16, request: &Request) -> String {
        failure(code, request, None).expect("a failure")["message"].as_str().expect("text").into()
    }

    #[test]
    fn conflicts_are_worded_as_kube_apiserver_words_them() {
        let update =
            kubernetes_request(1, "update", "compassconnections", Some("compass-connection"));
        let status = failure(409, &update, None).expect("a failure");
        assert_eq!(
            status,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Operation cannot be fulfilled on compassconnections.compass.kyma-project.io \"compass-connection\": the object has been modified; please apply your changes to the latest version and try again",
                "reason": "Conflict",
                "details": {"name": "compass-connection", "group": "compass.kyma-project.io", "kind": "compassconnections"},
                "code": 409
            })
        );
        let create = kubernetes_request(1, "create", "secrets", Some("a"));
        assert_eq!(message(409, &create), "secrets \"a\" already exists");
    }

    #[test]
    fn refusals_name_what_the_path_names() {
        let mut get = kubernetes_request(1, "get", "secrets", Some("a"));
        if let Some(call) = &mut get.kubernetes {
            call.namespace = Some("kyma-system".into());
        }
        assert_eq!(
            message(403, &get),
            "secrets \"a\" is forbidden: User \"system:serviceaccount:kyma-system:compass-runtime-agent\" cannot get resource \"secrets\" in API group \"\" in the namespace \"kyma-system\""
        );
        let list = kubernetes_request(1, "list", "compassconnections", None);
        assert!(message(403, &list).ends_with(
            "cannot list resource \"compassconnections\" in API group \"compass.kyma-project.io\" at the cluster scope"
        ));
        assert!(message(403, &list).starts_with("compassconnections.compass.kyma-project.io is"));
    }

    #[test]
    fn the_version_of_a_watch_that_is_too_old_is_named() {
        let mut watch = kubernetes_request(1, "watch", "secrets", None);
        watch.path = "/api/v1/secrets?watch=1&resourceVersion=41".into();
        assert_eq!(expired(&watch)["message"], "too old resource version: 41 (42)");
        assert_eq!(expired(&watch)["code"], 410);
    }
}
