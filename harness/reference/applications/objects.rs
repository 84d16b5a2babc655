//! What the cluster is to hold for one application of the Director: pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject};
use kube::core::gvk::GroupVersionKind;
use serde_json::{Value, json};

use super::naming;
use crate::reference::director::{Application, Bundle, Credential, InstanceAuth};

/// API group and version of Applications.
pub(super) const API_VERSION: &str = "applicationconnector.kyma-project.io/v1alpha1";
/// The label by which people find what the agent made.
const MANAGED_BY: (&str, &str) =
    ("applicationconnector.kyma-project.io/managed-by", "compass-runtime-agent");
const NO_DESCRIPTION: &str = "Description not provided";

/// The resource of Applications, cluster-scoped.
pub(super) fn applications() -> ApiResource {
    let kind =
        GroupVersionKind::gvk("applicationconnector.kyma-project.io", "v1alpha1", "Application");
    ApiResource::from_gvk_with_plural(&kind, "applications")
}

/// Why an application cannot be described.
#[derive(Debug, thiserror::Error)]
#[error("the Director has more {what} than it gave in one answer")]
pub(super) struct CutError {
    what: &'static str,
}

/// One application as it is to be in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Desired {
    pub(super) name: String,
    description: String,
    services: Value,
    compass_metadata: Value,
    /// By name.
    pub(super) secrets: BTreeMap<String, DesiredSecret>,
}

/// One Secret of an application.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DesiredSecret {
    pub(super) bundle_id: String,
    pub(super) content: BTreeMap<String, ByteString>,
}

impl std::fmt::Debug for DesiredSecret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SEC-04: the content is printed by nobody.
        write!(out, "DesiredSecret({})", self.bundle_id)
    }
}

impl Desired {
    /// What is to be there for `application` under this name (APP-01 to APP-04).
    pub(super) fn new(
        application: &Application,
        name: &str,
        central_gateway: &str,
    ) -> Result<Self, CutError> {
        let bundles = application.bundles.as_ref();
        // SYNC-15: what is not known to the end is not applied as if it were.
        if bundles.is_some_and(|page| page.is_cut()) {
            return Err(CutError { what: "bundles" });
        }
        let bundles = bundles.map(|page| page.elements()).unwrap_or_default();
        let mut secrets = BTreeMap::new();
        let gateway = format!("{central_gateway}/{name}");
        let services = bundles
            .iter()
            .map(|bundle| service(bundle, name, &gateway, &mut secrets))
            .collect::<Result<Vec<_>, _>>()?;
        let clients: Vec<_> =
            application.auths.iter().flatten().map(|auth| auth.id.as_str()).collect();
        Ok(Self {
            name: name.into(),
            description: described(application.description.as_ref()),
            services: services.into(),
            compass_metadata: json!({
                "applicationId": application.id,
                "authentication": {"clientIds": clients},
            }),
            secrets,
        })
    }

    /// A new Application.
    pub(super) fn create(&self, skip_verify: bool) -> DynamicObject {
        let mut object = DynamicObject::new(&self.name, &applications()).data(json!({
            "spec": {
                "skipVerify": skip_verify,
                "encodeUrl": false,
                "displayName": "",
                "providerDisplayName": "",
                "longDescription": "",
            },
            "status": {"installationStatus": {"status": "", "description": ""}},
        }));
        self.update(&mut object);
        object
    }

    /// Brings an Application of the agent up to date; whatever else is in it stays.
    pub(super) fn update(&self, object: &mut DynamicObject) {
        let labels = object.metadata.labels.get_or_insert_default();
        labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
        if !object.data["spec"].is_object() {
            object.data["spec"] = json!({});
        }
        let spec = &mut object.data["spec"];
        spec["description"] = self.description.as_str().into();
        spec["labels"] = json!({"connected-app": self.name});
        spec["services"] = self.services.clone();
        spec["compassMetadata"] = self.compass_metadata.clone();
    }
}

/// APP-06: whether the agent may touch an Application.
pub(super) fn is_managed(object: &DynamicObject) -> bool {
    object.data.pointer("/spec/compassMetadata").is_some_and(|metadata| !metadata.is_null())
}

/// The Secrets that an Application names and that the agent made for it.
///
/// An Application is open to edits, so a name in it counts only when it is one that the agent gives.
pub(super) fn named_secrets(object: &DynamicObject) -> Vec<String> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let services = object.data.pointer("/spec/services").and_then(Value::as_array);
    let mut names = Vec::new();
    for service in services.into_iter().flatten() {
        let bundle = service["id"].as_str().unwrap_or_default();
        let entries = service["entries"].as_array();
        for (pointer, made) in [
            ("/credentials/secretName", naming::credentials_secret(name, bundle)),
            ("/requestParametersSecretName", naming::parameters_secret(name, bundle)),
        ] {
            let named = entries
                .into_iter()
                .flatten()
                .any(|entry| entry.pointer(pointer).and_then(Value::as_str) == Some(made.as_str()));
            if named {
                names.push(made);
            }
        }
    }
    names
}

fn described(description: Option<&String>) -> String {
    let description = description.filter(|text| !text.is_empty());
    description.map_or(NO_DESCRIPTION, String::as_str).into()
}

/// APP-02: a bundle becomes a service; APIs first, then events, in the Director's order.
fn service(
    bundle: &Bundle,
    application: &str,
    gateway: &str,
    secrets: &mut BTreeMap<String, DesiredSecret>,
) -> Result<Value, CutError> {
    let apis = bundle.api_definitions.as_ref();
    let events = bundle.event_definitions.as_ref();
    if apis.is_some_and(|page| page.is_cut()) {
        return Err(CutError { what: "API definitions" });
    }
    if events.is_some_and(|page| page.is_cut()) {
        return Err(CutError { what: "event definitions" });
    }
    let apis = apis.map(|page| page.elements()).unwrap_or_default();
    let events = events.map(|page| page.elements()).unwrap_or_default();
    // A Secret that no entry names would be left behind for ever.
    let auth = bundle.default_instance_auth.as_ref().filter(|_| !apis.is_empty());
    let access = Access::new(auth, application, &bundle.id, secrets);
    let gateway = format!("{gateway}/{}", naming::segment(&bundle.name));
    let apis = apis.iter().map(|api| {
        let mut entry = json!({
            "type": "API", "id": api.id, "name": api.name,
            "targetUrl": api.target_url, "gatewayUrl": "",
            "centralGatewayUrl": format!("{gateway}/{}", naming::segment(&api.name)),
            "credentials": access.credentials,
        });
        if let Some(name) = &access.parameters {
            entry["requestParametersSecretName"] = name.as_str().into();
        }
        entry
    });
    let events = events.iter().map(|event| {
        json!({
            "type": "Events", "id": event.id, "name": event.name,
            "targetUrl": "", "gatewayUrl": "", "centralGatewayUrl": "",
            "credentials": no_credentials(),
        })
    });
    let mut service = json!({
        "id": bundle.id,
        "name": naming::service(&bundle.name, &bundle.id),
        "displayName": bundle.name,
        "description": described(bundle.description.as_ref()),
        "identifier": "",
        "providerDisplayName": "",
        "entries": apis.chain(events).collect::<Vec<_>>(),
    });
    if let Some(schema) = &bundle.instance_auth_request_input_schema {
        service["authCreateParameterSchema"] = schema.as_str().into();
    }
    Ok(service)
}

fn no_credentials() -> Value {
    json!({"type": "", "secretName": ""})
}

/// How the APIs of a bundle are reached.
struct Access {
    credentials: Value,
    parameters: Option<String>,
}

impl Access {
    fn new(
        auth: Option<&InstanceAuth>,
        application: &str,
        bundle: &str,
        secrets: &mut BTreeMap<String, DesiredSecret>,
    ) -> Self {
        let mut keep = |name: String, content: BTreeMap<String, ByteString>| {
            let secret = DesiredSecret { bundle_id: bundle.into(), content };
            secrets.insert(name.clone(), secret);
            name
        };
        let credentials = auth.and_then(|auth| {
            let (kind, url, content) = known(auth.credential.as_ref()?)?;
            let name = keep(naming::credentials_secret(application, bundle), content);
            let mut credentials = json!({"type": kind, "secretName": name});
            if let Some(url) = url.filter(|url| !url.is_empty()) {
                credentials["authenticationUrl"] = url.into();
            }
            // APP-10
            if let Some(csrf) = auth.request_auth.as_ref().and_then(|auth| auth.csrf.as_ref()) {
                credentials["csrfInfo"] = json!({"tokenEndpointURL": csrf.token_endpoint_url});
            }
            Some(credentials)
        });
        let parameters = auth.and_then(parameters);
        let parameters =
            parameters.map(|content| keep(naming::parameters_secret(application, bundle), content));
        Self { credentials: credentials.unwrap_or_else(no_credentials), parameters }
    }
}

type Known<'a> = (&'static str, Option<&'a str>, BTreeMap<String, ByteString>);

/// APP-03: basic before OAuth, and nothing by halves.
fn known(credential: &Credential) -> Option<Known<'_>> {
    let both = |names: [&str; 2], first: &Option<String>, second: &Option<String>| {
        let values = [first.as_deref()?, second.as_deref()?];
        let full = values.iter().all(|value| !value.is_empty());
        let pairs = names.into_iter().zip(values);
        full.then(|| pairs.map(|(name, value)| (name.into(), bytes(value))).collect())
    };
    if let Some(content) =
        both(["username", "password"], &credential.username, &credential.password)
    {
        return Some(("Basic", None, content));
    }
    let names = ["clientId", "clientSecret"];
    let content = both(names, &credential.client_id, &credential.client_secret)?;
    Some(("OAuth", credential.url.as_deref(), content))
}

/// APP-04: an absent map is left out, an empty one counts only beside one that is not.
fn parameters(auth: &InstanceAuth) -> Option<BTreeMap<String, ByteString>> {
    let maps = [
        ("headers", auth.additional_headers.as_ref()),
        ("queryParameters", auth.additional_query_params.as_ref()),
    ];
    let any = maps.iter().any(|(_, map)| map.is_some_and(|map| !map.is_empty()));
    let present = maps.into_iter().filter_map(|(name, map)| Some((name, map?)));
    any.then(|| present.map(|(name, map)| (name.into(), bytes(&go_json(map)))).collect())
}

/// JSON as Go's encoder writes it, so that a Secret made by the known agent is not made anew.
fn go_json(map: &BTreeMap<String, Vec<String>>) -> String {
    json!(map)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUNDLE: &str = "8f3c2a14-7d05-4b1e-9c3a-1d2e3f4a5b6c";

    fn application(auth: Value) -> Application {
        serde_json::from_value(json!({
            "id": "app-1", "name": "orders", "auths": [{"id": "client-1"}],
            "bundles": {"data": [{
                "id": BUNDLE, "name": "Order Bundle", "instanceAuthRequestInputSchema": "{}",
                "apiDefinitions": {"data": [
                    {"id": "api-1", "name": "Orders V1", "targetURL": "https://orders.example/v1"},
                ]},
                "eventDefinitions": {"data": [{"id": "event-1", "name": "ordered"}]},
                "defaultInstanceAuth": auth,
            }]},
        }))
        .expect("an application")
    }

    fn desired(auth: Value) -> Desired {
        Desired::new(&application(auth), "mp-orders", "http://gateway:8082").expect("whole")
    }

    #[test]
    fn an_application_becomes_what_the_known_agent_makes_of_it() {
        let auth = json!({
            "credential": {"username": "shop", "password": "wonderland"},
            "requestAuth": {"csrf": {"tokenEndpointURL": "https://csrf"}},
            "additionalHeaders": {"b": ["<2>"], "a": ["1"]},
        });
        let desired = desired(auth);
        let object = desired.create(true);
        let credentials = format!("mp-orders-{BUNDLE}");
        let parameters = format!("params-mp-orders-{BUNDLE}");
        assert_eq!(
            serde_json::to_value(&object).expect("serialisable"),
            json!({
                "apiVersion": API_VERSION,
                "kind": "Application",
                "metadata": {
                    "name": "mp-orders",
                    "labels": {MANAGED_BY.0: MANAGED_BY.1},
                },
                "spec": {
                    "description": "Description not provided",
                    "displayName": "", "providerDisplayName": "", "longDescription": "",
                    "skipVerify": true, "encodeUrl": false,
                    "labels": {"connected-app": "mp-orders"},
                    "compassMetadata": {
                        "applicationId": "app-1",
                        "authentication": {"clientIds": ["client-1"]},
                    },
                    "services": [{
                        "id": BUNDLE, "name": format!("order-bundle-{}", &sha1(BUNDLE)[..5]),
                        "displayName": "Order Bundle", "description": "Description not provided",
                        "identifier": "", "providerDisplayName": "",
                        "authCreateParameterSchema": "{}",
                        "entries": [
                            {
                                "type": "API", "id": "api-1", "name": "Orders V1",
                                "targetUrl": "https://orders.example/v1", "gatewayUrl": "",
                                "centralGatewayUrl":
                                    "http://gateway:8082/mp-orders/order-bundle/orders-v1",
                                "credentials": {
                                    "type": "Basic", "secretName": credentials,
                                    "csrfInfo": {"tokenEndpointURL": "https://csrf"},
                                },
                                "requestParametersSecretName": parameters,
                            },
                            {
                                "type": "Events", "id": "event-1", "name": "ordered",
                                "targetUrl": "", "gatewayUrl": "", "centralGatewayUrl": "",
                                "credentials": {"type": "", "secretName": ""},
                            },
                        ],
                    }],
                },
                "status": {"installationStatus": {"status": "", "description": ""}},
            })
        );
        assert_eq!(desired.secrets[&credentials].content["password"].0, b"wonderland");
        let headers = &desired.secrets[&parameters].content["headers"].0;
        assert_eq!(str::from_utf8(headers), Ok(r#"{"a":["1"],"b":["\u003c2\u003e"]}"#));
        let mut names = named_secrets(&object);
        names.sort();
        assert_eq!(names, [credentials, parameters]);
        assert!(!format!("{desired:?}").contains("wonderland"));
    }

    fn sha1(text: &str) -> String {
        let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        hex::encode(aws_lc_rs::digest::digest(algorithm, text.as_bytes()))
    }

    #[test]
    fn oauth_names_its_endpoint_and_half_a_credential_is_none() {
        let oauth =
            json!({"credential": {"clientId": "a", "clientSecret": "b", "url": "https://t"}});
        let object = desired(oauth).create(false);
        let credentials = &object.data["spec"]["services"][0]["entries"][0]["credentials"];
        assert_eq!(credentials["type"], "OAuth");
        assert_eq!(credentials["authenticationUrl"], "https://t");
        for nothing in [
            json!(null),
            json!({"credential": null}),
            json!({"credential": {}}),
            json!({"credential": {"username": "a", "password": ""}}),
            json!({"additionalHeaders": {}, "additionalQueryParams": {}}),
        ] {
            let desired = desired(nothing.clone());
            assert!(desired.secrets.is_empty(), "{nothing}");
            let object = desired.create(false);
            assert_eq!(named_secrets(&object), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn an_empty_map_is_kept_beside_a_full_one() {
        let auth = json!({"additionalHeaders": {}, "additionalQueryParams": {"q": ["1"]}});
        let desired = desired(auth);
        let secret = desired.secrets.values().next().expect("one");
        assert_eq!(secret.content["headers"].0, b"{}");
    }

    #[test]
    fn an_update_keeps_what_is_not_the_agents_and_changes_nothing_twice() {
        let desired = desired(json!(null));
        let mut object = desired.create(false);
        object.data["spec"]["skipVerify"] = true.into();
        object.metadata.labels.get_or_insert_default().insert("team".into(), "qa".into());
        let before = object.clone();
        desired.update(&mut object);
        assert_eq!(object, before);
    }

    #[test]
    fn what_is_cut_is_not_taken_for_whole() {
        let mut cut = json!({"id": "a", "name": "a", "bundles": {"data": []}});
        cut["bundles"]["pageInfo"] = json!({"hasNextPage": true, "endCursor": "x"});
        let cut: Application = serde_json::from_value(cut).expect("an application");
        assert!(Desired::new(&cut, "mp-a", "").is_err());
    }

    #[test]
    fn a_foreign_name_in_an_application_is_not_the_agents_to_delete() {
        let mut object =
            desired(json!({"credential": {"username": "a", "password": "b"}})).create(false);
        object.data["spec"]["services"][0]["entries"][0]["credentials"]["secretName"] =
            "somebody-elses".into();
        assert_eq!(named_secrets(&object), [""; 0]);
    }

    #[test]
    fn applications_without_compass_metadata_are_foreign() {
        let mut object = desired(json!(null)).create(false);
        assert!(is_managed(&object));
        for foreign in [json!({}), json!({"spec": {"compassMetadata": null}})] {
            object.data = foreign;
            assert!(!is_managed(&object));
        }
    }
}
