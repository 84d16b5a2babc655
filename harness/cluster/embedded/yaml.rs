//! YAML 1.1 bodies, as kube-apiserver reads them: one document, `y`, `no`, `on` are booleans.

use serde_json::Value;

/// Reads one document. The error is worded as the server's decoder words it.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: false };
    serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        // `line 1 column 7: …`; the real decoder gives the line only, and calls most of them this.
        let line =
            first.strip_prefix("line ").and_then(|rest| rest.split(' ').next()).unwrap_or("1");
        let known = ["unclosed bracket", "unexpected end", "while parsing a flow"]
            .iter()
            .any(|sign| first.contains(sign));
        let what = if known { "did not find expected node content" } else { first };
        format!("error converting YAML to JSON: yaml: line {line}: {what}")
    })
}
