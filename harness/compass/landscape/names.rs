//! How the Director writes the names of applications for a runtime.

/// The normalised form of an application's name: `mp-` in front, lower case, only `[-a-z0-9]`.
///
/// A name that begins with `mp-` and is normal already stays as it is (Director,
/// `applicationsForRuntime`).
#[must_use]
pub fn normalised(name: &str) -> String {
    if name.starts_with("mp-") && is_normal(name) {
        return name.into();
    }
    let mut normal = String::with_capacity(name.len() + 3);
    for character in "mp-".chars().chain(name.chars().flat_map(char::to_lowercase)) {
        let character = if character.is_ascii_lowercase() || character.is_ascii_digit() {
            character
        } else {
            '-'
        };
        if character != '-' || !normal.ends_with('-') {
            normal.push(character);
        }
    }
    if normal.ends_with('-') {
        normal.pop();
    }
    normal
}

fn is_normal(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(allowed) && !name.contains("--") && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn names_are_normalised_as_the_director_does() {
        for (name, expected) in [
            ("tEsT.App", "mp-test-app"),
            ("!@#x", "mp-x"),
            ("mp-test-application", "mp-test-application"),
            ("mp-Foo", "mp-mp-foo"),
            ("mp-a--b", "mp-mp-a-b"),
            ("trailing.", "mp-trailing"),
            ("", "mp"),
            ("mp-", "mp-mp"),
            ("Ünï", "mp-n"),
        ] {
            assert_eq!(normalised(name), expected, "{name}");
        }
    }
}
