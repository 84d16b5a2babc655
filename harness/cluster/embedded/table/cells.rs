//! What stands in the cells of a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::custom::Column;

pub(super) fn builtin_cell(cell: &str, object: &Value) -> Value {
    let text = |value: &Value| json!(value.as_str().unwrap_or_default());
    let number = |value: &Value| json!(value.as_i64().unwrap_or(0));
    let (spec, status) = (&object["spec"], &object["status"]);
    let event = |core: &str, new: &str| {
        if object.get(core).is_some() { object[core].clone() } else { object[new].clone() }
    };
    match cell {
        "name" => text(&object["metadata"]["name"]),
        "age" => json!(age(&object["metadata"]["creationTimestamp"])),
        "created" => object["metadata"]["creationTimestamp"].clone(),
        "type" => text(&object["type"]),
        "data" => json!(size(&object["data"]) + size(&object["binaryData"])),
        "phase" => text(&status["phase"]),
        "holder" => text(&spec["holderIdentity"]),
        "reason" => text(&object["reason"]),
        "message" => json!(event("message", "note").as_str().unwrap_or_default().trim()),
        "object" => {
            let about = event("involvedObject", "regarding");
            let (kind, name) = (
                about["kind"].as_str().unwrap_or_default(),
                about["name"].as_str().unwrap_or_default(),
            );
            json!(if name.is_empty() {
                kind.to_lowercase()
            } else {
                format!("{}/{name}", kind.to_lowercase())
            })
        }
        "subobject" => text(&event("involvedObject", "regarding")["fieldPath"]),
        "source" => source(object),
        "last seen" => json!(seen(object, "lastTimestamp")),
        "first seen" => json!(seen(object, "firstTimestamp")),
        "count" => json!(
            object["series"]["count"]
                .as_i64()
                .or_else(|| event("count", "deprecatedCount").as_i64())
                .unwrap_or(1)
        ),
        "ready" => json!(format!(
            "{}/{}",
            status["readyReplicas"].as_i64().unwrap_or(0),
            spec["replicas"].as_i64().unwrap_or(1)
        )),
        "updatedReplicas" | "availableReplicas" | "readyReplicas" => number(&status[cell]),
        "desired" => number(&spec["replicas"]),
        "current" => number(&status["replicas"]),
        "containers" => json!(join(&spec["template"]["spec"]["containers"], "name")),
        "images" => json!(join(&spec["template"]["spec"]["containers"], "image")),
        "selector" => json!(selector(&spec["selector"])),
        "role" => {
            let reference = &object["roleRef"];
            json!(format!(
                "{}/{}",
                reference["kind"].as_str().unwrap_or_default(),
                reference["name"].as_str().unwrap_or_default()
            ))
        }
        "service selector" | "cluster ip" | "external ip" | "ports" => service(cell, spec, status),
        "completions" => json!(format!(
            "{}/{}",
            status["succeeded"].as_i64().unwrap_or(0),
            spec["completions"].as_i64().unwrap_or(1)
        )),
        "job status" => json!(job_status(spec, status)),
        "duration" => json!(""),
        "node status"
        | "roles"
        | "InternalIP"
        | "ExternalIP"
        | "osImage"
        | "kernelVersion"
        | "containerRuntimeVersion" => {
            json!(node(cell, object))
        }
        "pod ready" | "pod status" | "restarts" | "pod ip" | "pod node" | "nominated" | "gates" => {
            pod(cell, object)
        }
        "volume capacity" => text(&spec["capacity"]["storage"]),
        "claim capacity" => text(&status["capacity"]["storage"]),
        "modes" => json!(modes(&spec["accessModes"])),
        "claim modes" => json!(modes(&status["accessModes"])),
        "attributes class" => {
            json!(spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>"))
        }
        "claim" => {
            let claim = &spec["claimRef"];
            match (claim["namespace"].as_str(), claim["name"].as_str()) {
                (Some(namespace), Some(name)) => json!(format!("{namespace}/{name}")),
                _ => json!(""),
            }
        }
        path => {
            let found = path.split('.').try_fold(object, |value, key| value.get(key));
            text(found.unwrap_or(&Value::Null))
        }
    }
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn join(list: &Value, key: &str) -> String {
    let parts: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(|one| one[key].as_str()).collect();
    parts.join(",")
}

fn selector(selector: &Value) -> String {
    let parts: Vec<String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if parts.is_empty() { "<none>".into() } else { parts.join(",") }
}

fn modes(list: &Value) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    let parts: Vec<&str> = list.as_array().into_iter().flatten().map(short).collect();
    parts.join(",")
}

fn service(cell: &str, spec: &Value, status: &Value) -> Value {
    match cell {
        "cluster ip" => {
            json!(spec["clusterIP"].as_str().filter(|ip| !ip.is_empty()).unwrap_or("<none>"))
        }
        "external ip" => {
            let list = |value: &Value, key: Option<&str>| -> Vec<String> {
                let entries = value.as_array().into_iter().flatten();
                entries
                    .filter_map(|one| key.map_or(one, |key| &one[key]).as_str().map(str::to_owned))
                    .collect()
            };
            let mut found = list(&status["loadBalancer"]["ingress"], Some("ip"));
            found.extend(list(&spec["externalIPs"], None));
            let none = if spec["type"] == "LoadBalancer" { "<pending>" } else { "<none>" };
            json!(if found.is_empty() { none.to_owned() } else { found.join(",") })
        }
        "ports" => {
            let parts: Vec<String> = spec["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|port| {
                    let node = port["nodePort"]
                        .as_i64()
                        .map(|node| format!(":{node}"))
                        .unwrap_or_default();
                    format!("{}{node}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))
                })
                .collect();
            json!(if parts.is_empty() { "<none>".to_owned() } else { parts.join(",") })
        }
        _ => json!(selector(&json!({ "matchLabels": spec["selector"] }))),
    }
}

fn job_status(spec: &Value, status: &Value) -> &'static str {
    let has = |kind: &str| {
        status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == kind && c["status"] == "True")
    };
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if spec["suspend"] == true => "Suspended",
        () => "Running",
    }
}

fn node(cell: &str, object: &Value) -> String {
    let status = &object["status"];
    match cell {
        "node status" => {
            let ready = status["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|c| c["type"] == "Ready");
            let mut text = match ready.map(|c| c["status"] == "True") {
                Some(true) => "Ready",
                Some(false) => "NotReady",
                None => "Unknown",
            }
            .to_owned();
            if object["spec"]["unschedulable"] == true {
                text.push_str(",SchedulingDisabled");
            }
            text
        }
        "roles" => {
            let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
            let roles: Vec<&str> = labels
                .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
                .filter(|r| !r.is_empty())
                .collect();
            if roles.is_empty() { "<none>".into() } else { roles.join(",") }
        }
        "InternalIP" | "ExternalIP" => {
            let found = status["addresses"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|one| one["type"] == cell);
            found.and_then(|one| one["address"].as_str()).unwrap_or("<none>").to_owned()
        }
        other => status["nodeInfo"][other]
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or("<unknown>")
            .to_owned(),
    }
}

fn pod(cell: &str, object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let statuses = status["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let or_none =
        |value: &Value| json!(value.as_str().filter(|text| !text.is_empty()).unwrap_or("<none>"));
    match cell {
        "pod ready" => {
            let ready = statuses.iter().filter(|one| one["ready"] == true).count();
            json!(format!("{ready}/{}", spec["containers"].as_array().map_or(0, Vec::len)))
        }
        "pod status" => {
            if super::super::meta::is_terminating(object) {
                return json!("Terminating");
            }
            let waiting =
                statuses.iter().find_map(|one| one["state"]["waiting"]["reason"].as_str());
            let own =
                status["reason"].as_str().or_else(|| status["phase"].as_str()).unwrap_or_default();
            json!(waiting.unwrap_or(own))
        }
        "restarts" => json!(
            statuses.iter().filter_map(|one| one["restartCount"].as_i64()).sum::<i64>().to_string()
        ),
        "pod ip" => or_none(&status["podIP"]),
        "pod node" => or_none(&spec["nodeName"]),
        "nominated" => or_none(&status["nominatedNodeName"]),
        _ => json!("<none>"),
    }
}

fn source(object: &Value) -> Value {
    let source = if object.get("source").is_some() {
        &object["source"]
    } else {
        &object["deprecatedSource"]
    };
    let component = source["component"].as_str().filter(|text| !text.is_empty());
    let reporting =
        object["reportingComponent"].as_str().or_else(|| object["reportingController"].as_str());
    let component = component.or(reporting).unwrap_or_default();
    let host = source["host"]
        .as_str()
        .or_else(|| object["reportingInstance"].as_str())
        .unwrap_or_default();
    json!(if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") })
}

/// When an event was seen: its own times, else its eventTime.
fn seen(object: &Value, key: &str) -> String {
    let deprecated = match key {
        "lastTimestamp" => "deprecatedLastTimestamp",
        _ => "deprecatedFirstTimestamp",
    };
    let series = &object["series"]["lastObservedTime"];
    if key == "lastTimestamp" && series.is_string() {
        return age(series);
    }
    for time in [&object[key], &object[deprecated], &object["eventTime"]] {
        if time.is_string() {
            return age(time);
        }
    }
    "<unknown>".into()
}

/// An age as kubectl shows it: two units at most.
fn age(time: &Value) -> String {
    let Some(then) = time.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".into();
    };
    human(Timestamp::now().as_second() - then.as_second())
}

fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1..=0 => "0s".into(),
        1..120 => format!("{seconds}s"),
        120..600 => with(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The cell of a column of a custom resource.
pub(super) fn custom_cell(column: &Column, object: &Value) -> Value {
    let Some(found) = look_up(object, &column.path) else { return Value::Null };
    match (column.kind.as_str(), found) {
        ("date", value) => json!(age(&value)),
        ("integer", Value::Number(number)) => {
            json!(number.as_i64().unwrap_or_else(|| number.as_f64().unwrap_or(0.0) as i64))
        }
        ("number", value @ Value::Number(_)) | ("boolean", value @ Value::Bool(_)) => value,
        ("string", Value::String(text)) => json!(text),
        ("string", Value::Null) => Value::Null,
        ("string", value) => json!(value.to_string()),
        _ => Value::Null,
    }
}

/// A simple JSON path: keys, indices, and filters by equality.
fn look_up(object: &Value, path: &str) -> Option<Value> {
    let mut at = object;
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']')?;
            let (index, more) = inner.split_at(end);
            at = select(at, index)?;
            rest = more[1..].trim_start_matches('.');
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        // A backslash makes a dot part of the key.
        let mut end = end;
        while end > 0 && rest.as_bytes()[end - 1] == b'\\' && end < rest.len() {
            end = rest[end + 1..].find(['.', '[']).map_or(rest.len(), |next| end + 1 + next);
        }
        at = at.get(rest[..end].replace('\\', ""))?;
        rest = rest[end..].trim_start_matches('.');
    }
    Some(at.clone())
}

fn select<'a>(list: &'a Value, index: &str) -> Option<&'a Value> {
    if let Ok(number) = index.parse::<usize>() {
        return list.get(number);
    }
    if let Some(key) = index.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return list.get(key);
    }
    if index == "*" {
        return list.as_array()?.first();
    }
    let filter = index.strip_prefix("?(@.")?.strip_suffix(')')?;
    let (key, value) = filter.split_once("==")?;
    let wanted = value.trim().trim_matches(['"', '\'']);
    list.as_array()?.iter().find(|one| one.get(key.trim()).and_then(Value::as_str) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units_at_most() {
        for (seconds, wanted) in [
            (5, "5s"),
            (125, "2m5s"),
            (600, "10m"),
            (10_860, "3h1m"),
            (200_000, "2d7h"),
            (184_000_000, "5y304d"),
        ] {
            assert_eq!(human(seconds), wanted);
        }
    }

    #[test]
    fn paths_reach_into_lists() {
        let object = json!({ "a": { "l": [{ "t": "x", "v": 1 }, { "t": "y", "v": 2 }] }, "m": { "k.d": 3 } });
        assert_eq!(look_up(&object, ".a.l[1].v"), Some(json!(2)));
        assert_eq!(look_up(&object, ".a.l[?(@.t==\"y\")].v"), Some(json!(2)));
        assert_eq!(look_up(&object, ".m.k\\.d"), Some(json!(3)));
        assert_eq!(look_up(&object, ".a.nope"), None);
    }
}
