//! YAML 1.1 bodies, as kube-apiserver reads them: one document, `y`, `no`, `on` are booleans.

use serde_json::Value;

/// Reads one document. The error is worded as the server's decoder words it.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: false };
    serde_saphyr::from_str_with_options::<Value>(text, options)
        .map_err(|error| format!("error converting YAML to JSON: yaml: {}", error.to_string().lines().next().unwrap_or("")))
}
