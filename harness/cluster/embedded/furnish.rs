//! What a fresh cluster has.

use std::collections::BTreeMap;

use serde_json::json;

use super::kinds::{builtin, builtins};
use super::meta;
use super::rbac;
use super::store::Store;

/// Namespaces and roles that are there from the start.
pub(super) fn furnish(store: &Store) {
    let writer = store.write();
    for resource in builtins().resources.values().flat_map(BTreeMap::values) {
        if !resource.traits.review {
            writer.open(&resource.collection);
        }
    }
    let manager = |version: &str, fields: serde_json::Value| {
        json!([{
            "manager": "kube-apiserver", "operation": "Update", "apiVersion": version, "time": meta::now(),
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }])
    };
    let namespaces = builtin("", "namespaces");
    for name in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        let fields = json!({ "f:metadata": { "f:labels": { ".": {}, "f:kubernetes.io/metadata.name": {} } } });
        let object = json!({
            "metadata": {
                "name": name, "uid": meta::uid(), "creationTimestamp": meta::now(),
                "labels": { "kubernetes.io/metadata.name": name }, "managedFields": manager("v1", fields),
            },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        });
        writer.put(&namespaces.collection, name, object);
    }
    for (plural, mut object) in rbac::bootstrap() {
        let resource = builtin("rbac.authorization.k8s.io", plural);
        let meta = meta::of(&mut object);
        meta.insert("uid".into(), json!(meta::uid()));
        meta.insert("creationTimestamp".into(), json!(meta::now()));
        let own = if plural == "clusterroles" {
            json!({ "f:rules": {} })
        } else {
            json!({ "f:roleRef": {}, "f:subjects": {} })
        };
        let mut fields = json!({ "f:metadata": {
            "f:annotations": { ".": {}, "f:rbac.authorization.kubernetes.io/autoupdate": {} },
            "f:labels": { ".": {}, "f:kubernetes.io/bootstrapping": {} },
        } });
        if let (Some(all), Some(more)) = (fields.as_object_mut(), own.as_object()) {
            all.extend(more.clone());
        }
        meta.insert("managedFields".into(), manager(&resource.api_version(), fields));
        let name = meta::text(&object, "name").to_owned();
        writer.put(&resource.collection, &name, object);
    }
}
