//! Names in the cluster for what the Director calls otherwise.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes of a Secret's name before the bundle id: 63 for a label, less a UUID and a dash.
const SECRET_PREFIX_BYTES: usize = 26;
/// Letters of a segment in a gateway URL.
const SEGMENT_LETTERS: usize = 57;
/// What normalised names begin with.
const PREFIX: &str = "mp-";

/// Whether names are normalised: unless the runtime's label is the string `"true"` (APP-01).
pub(in crate::reference) fn normalises(is_normalized: Option<&serde_json::Value>) -> bool {
    is_normalized.and_then(serde_json::Value::as_str) != Some("true")
}

/// The name of the Application for one of the Director.
pub(in crate::reference) fn application(name: &str, normalise: bool) -> String {
    if !normalise || name.starts_with(PREFIX) && normal(name) == name {
        return name.into();
    }
    normal(&format!("{PREFIX}{name}"))
}

fn normal(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        let letter =
            if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' };
        if letter != '-' || !result.ends_with('-') {
            result.push(letter);
        }
    }
    if result.ends_with('-') {
        result.pop();
    }
    result
}

/// A segment of a gateway URL.
pub(in crate::reference) fn segment(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            result.push(letter.to_ascii_lowercase());
        } else if !result.ends_with('-') {
            result.push('-');
        }
    }
    if result.ends_with('-') {
        result.pop();
    }
    result.truncate(SEGMENT_LETTERS);
    result.strip_prefix('-').map_or_else(|| result.clone(), Into::into)
}

/// The name of a service: its bundle's name, told apart by the bundle's id.
pub(in crate::reference) fn service(name: &str, id: &str) -> String {
    let id = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, id.as_bytes()));
    let name = format!("{}-{}", segment(name), &id[..5]);
    name.strip_prefix('-').map_or_else(|| name.clone(), Into::into)
}

/// The Secret with the credentials of a bundle.
pub(in crate::reference) fn credentials_secret(application: &str, bundle: &str) -> String {
    secret(application, bundle)
}

/// The Secret with the request parameters of a bundle.
pub(in crate::reference) fn parameters_secret(application: &str, bundle: &str) -> String {
    secret(&format!("params-{application}"), bundle)
}

fn secret(prefix: &str, bundle: &str) -> String {
    // APP-08: a name may be cut in the middle of nothing but a letter.
    let cut = prefix.floor_char_boundary(SECRET_PREFIX_BYTES);
    format!("{}-{bundle}", &prefix[..cut])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn application_names_are_normalised_as_compass_does_it() {
        for (name, normalised) in [
            ("tEsT.App", "mp-test-app"),
            ("!@#x", "mp-x"),
            ("mp-test-application", "mp-test-application"),
            ("mp-Foo", "mp-mp-foo"),
            ("", "mp"),
            ("Ünïcode", "mp-n-code"),
            ("---", "mp"),
            ("a--b", "mp-a-b"),
            ("trailing-", "mp-trailing"),
        ] {
            assert_eq!(application(name, true), normalised, "{name}");
            assert_eq!(application(name, false), name);
        }
    }

    #[test]
    fn only_the_string_true_switches_normalisation_off() {
        assert!(!normalises(Some(&json!("true"))));
        for label in [None, Some(json!("false")), Some(json!(true)), Some(json!("TRUE"))] {
            assert!(normalises(label.as_ref()), "{label:?}");
        }
    }

    #[test]
    fn service_names_carry_a_piece_of_the_bundle_id() {
        assert_eq!(service("bundleName1", "bundle1"), "bundlename1-43857");
        assert_eq!(service("bundleName2", "bundle2"), "bundlename2-4b91a");
        assert_eq!(service("DisplayName", "id"), "displayname-87ea5");
        assert_eq!(service("!!!", "id"), "87ea5");
    }

    #[test]
    fn segments_are_short_and_plain() {
        assert_eq!(segment("Orders API (v1)"), "orders-api-v1");
        assert_eq!(segment("--x--"), "x");
        assert_eq!(segment(&"a".repeat(80)).len(), SEGMENT_LETTERS);
        assert_eq!(segment("ÄÖÜ"), "");
    }

    #[test]
    fn secret_names_are_cut_before_the_bundle_id() {
        let bundle = "8f3c2a14-7d05-4b1e-9c3a-1d2e3f4a5b6c";
        for (application, credentials, parameters) in [
            ("short_application", "short_application", "params-short_application"),
            (
                "toolong_application_aaaaax_and_more",
                "toolong_application_aaaaax",
                "params-toolong_application",
            ),
            ("max_application_aaa", "max_application_aaa", "params-max_application_aaa"),
        ] {
            assert_eq!(credentials_secret(application, bundle), format!("{credentials}-{bundle}"));
            assert_eq!(parameters_secret(application, bundle), format!("{parameters}-{bundle}"));
        }
        // A letter of three bytes sits across the cut.
        assert_eq!(credentials_secret(&"€".repeat(20), "b"), format!("{}-b", "€".repeat(8)));
    }
}
