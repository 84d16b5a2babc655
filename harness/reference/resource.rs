//! The CompassConnection as the agent reads and writes it.

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use kube::core::gvk::GroupVersionKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Name of the one CompassConnection.
pub(super) const NAME: &str = "compass-connection";

/// The resource of CompassConnections, cluster-scoped, without a status subresource.
pub(super) fn compass_connections() -> ApiResource {
    let kind = GroupVersionKind::gvk("compass.kyma-project.io", "v1alpha1", "CompassConnection");
    ApiResource::from_gvk_with_plural(&kind, "compassconnections")
}

/// The seven states; anything else in an object counts as no state at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Connected,
    ConnectionFailed,
    ConnectionMaintenanceFailed,
    Synchronized,
    SynchronizationFailed,
    ResourceApplicationFailed,
    MetadataUpdateFailed,
}

/// `status`. Times are whole seconds in UTC; a time that is not there is an explicit null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) connection_state: Option<State>,
    pub(super) connection_status: ConnectionStatus,
    pub(super) synchronization_status: Option<SynchronizationStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConnectionStatus {
    pub(super) certificate_status: CertificateStatus,
    pub(super) established: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) last_sync: Option<Timestamp>,
    pub(super) last_success: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CertificateStatus {
    pub(super) acquired: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SynchronizationStatus {
    pub(super) last_attempt: Option<Timestamp>,
    pub(super) last_successful_fetch: Option<Timestamp>,
    pub(super) last_successful_application: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// `spec.managementInfo`: where Compass is met with a client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ManagementInfo {
    pub(super) connector_url: String,
    pub(super) director_url: String,
}

/// The two requests that a person can make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) resync: bool,
    pub(super) refresh: bool,
}

/// The status of an object; what is missing or not ours to read is empty.
pub(super) fn status(object: &DynamicObject) -> Status {
    let mut value = object.data.get("status").cloned().unwrap_or_default();
    let known = value.get("connectionState").is_some_and(|state| State::deserialize(state).is_ok());
    if let (false, Some(fields)) = (known, value.as_object_mut()) {
        fields.remove("connectionState");
    }
    serde_json::from_value(value).unwrap_or_default()
}

/// The management URLs of an object, empty when there are none.
pub(super) fn management_info(object: &DynamicObject) -> ManagementInfo {
    let value = object.data.pointer("/spec/managementInfo").cloned().unwrap_or_default();
    serde_json::from_value(value).unwrap_or_default()
}

/// The flags of an object.
pub(super) fn flags(object: &DynamicObject) -> Flags {
    let flag = |name| object.data.pointer(name).and_then(Value::as_bool).unwrap_or_default();
    Flags { resync: flag("/spec/resyncNow"), refresh: flag("/spec/refreshCredentialsNow") }
}

/// What one write changes; nothing else of the object is touched (STAT-10).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// New management URLs.
    pub(super) management_info: Option<ManagementInfo>,
    /// Flags that were honoured and go.
    pub(super) clear: Flags,
    /// The new status.
    pub(super) status: Status,
}

impl Change {
    /// Applies the change to the newest revision of the object.
    pub(super) fn apply(&self, object: &mut DynamicObject) {
        if !object.data.is_object() {
            object.data = json!({});
        }
        if !object.data["spec"].is_object() {
            object.data["spec"] = json!({});
        }
        let spec = &mut object.data["spec"];
        if !spec["managementInfo"].is_object() {
            spec["managementInfo"] = json!({"connectorUrl": "", "directorUrl": ""});
        }
        if let Some(info) = &self.management_info {
            spec["managementInfo"]["connectorUrl"] = info.connector_url.as_str().into();
            spec["managementInfo"]["directorUrl"] = info.director_url.as_str().into();
        }
        if let Some(spec) = spec.as_object_mut() {
            for (flag, cleared) in
                [("resyncNow", self.clear.resync), ("refreshCredentialsNow", self.clear.refresh)]
            {
                if cleared {
                    spec.remove(flag);
                }
            }
        }
        object.data["status"] =
            serde_json::to_value(&self.status).expect("a status holds nothing but plain fields");
    }
}

/// A new, empty CompassConnection; metadata holds the name and nothing else.
pub(super) fn blank() -> DynamicObject {
    DynamicObject::new(NAME, &compass_connections()).data(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(data: Value) -> DynamicObject {
        DynamicObject::new(NAME, &compass_connections()).data(data)
    }

    #[test]
    fn a_change_leaves_everything_foreign_alone() {
        let mut object = object(json!({
            "spec": {
                "managementInfo": {"connectorUrl": "a", "directorUrl": "b", "more": 1},
                "resyncNow": true, "refreshCredentialsNow": true, "foreign": [1, 2],
            },
        }));
        object.metadata.labels = Some([("team".into(), "qa".into())].into());
        let clear = Flags { resync: true, refresh: false };
        Change { clear, ..Change::default() }.apply(&mut object);
        assert_eq!(
            object.data["spec"],
            json!({
                "managementInfo": {"connectorUrl": "a", "directorUrl": "b", "more": 1},
                "refreshCredentialsNow": true, "foreign": [1, 2],
            })
        );
        assert_eq!(object.metadata.labels.expect("kept")["team"], "qa");
    }

    #[test]
    fn a_failed_first_attempt_has_explicit_nulls_and_empty_urls() {
        let mut object = blank();
        let mut status =
            Status { connection_state: Some(State::ConnectionFailed), ..Status::default() };
        status.connection_status.error = Some("no".into());
        Change { status, ..Change::default() }.apply(&mut object);
        assert_eq!(
            object.data,
            json!({
                "spec": {"managementInfo": {"connectorUrl": "", "directorUrl": ""}},
                "status": {
                    "connectionState": "ConnectionFailed",
                    "connectionStatus": {
                        "certificateStatus": {"acquired": null, "notBefore": null, "notAfter": null},
                        "established": null, "renewed": null,
                        "lastSync": null, "lastSuccess": null, "error": "no",
                    },
                    "synchronizationStatus": null,
                },
            })
        );
    }

    #[test]
    fn a_state_that_nobody_knows_is_no_state_and_spoils_nothing_else() {
        let object = object(json!({"status": {
            "connectionState": "Whatever",
            "connectionStatus": {"certificateStatus": {}, "established": "2026-01-02T03:04:05Z"},
        }}));
        let status = status(&object);
        assert_eq!(status.connection_state, None);
        assert!(status.connection_status.established.is_some());
        assert_eq!(super::status(&blank()), Status::default());
    }

    #[test]
    fn times_are_written_as_whole_seconds() {
        let time = Timestamp::from_second(1_581_417_322).expect("in range");
        assert_eq!(serde_json::to_value(time).expect("a string"), "2020-02-11T10:35:22Z");
    }
}
