//! Accepts what gqlparser accepts and the grammar does not: argument lists that are empty.

use std::borrow::Cow;

/// Blanks every empty pair of parentheses, so that positions in errors stay true.
pub(super) fn without_empty_arguments(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut blanked: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = after_string(bytes, at),
            b'#' => at = after_comment(bytes, at),
            b'(' => {
                let end = after_ignored(bytes, at + 1);
                if bytes.get(end) == Some(&b')') {
                    let blanked = blanked.get_or_insert_with(|| bytes.to_vec());
                    blanked[at] = b' ';
                    blanked[end] = b' ';
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    match blanked {
        None => Cow::Borrowed(text),
        Some(bytes) => {
            Cow::Owned(String::from_utf8(bytes).expect("ASCII was replaced by ASCII in UTF-8"))
        }
    }
}

fn after_ignored(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',') => at += 1,
            Some(b'#') => at = after_comment(bytes, at),
            _ => return at,
        }
    }
}

fn after_comment(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
}

fn after_string(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(br#"""""#);
    let mut at = start + if block { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        match byte {
            b'\\' if block && rest.starts_with(br#"\""""#) => at += 4,
            b'\\' if !block => at += 2,
            b'"' if !block => return at + 1,
            b'"' if rest.starts_with(br#"""""#) => return at + 3,
            // A string without an end goes to the end of its line; the parser will say so.
            b'\n' | b'\r' if !block => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::without_empty_arguments;

    #[test]
    fn empty_parentheses_vanish_and_everything_else_stays() {
        for (text, expected) in [
            ("{ configuration() { token } }", "{ configuration   { token } }"),
            ("{ a( , \n) { b } }", "{ a  , \n  { b } }"),
            ("{ a(#x)\n) }", "{ a #x)\n  }"),
            ("{ a(b: \"()\") }", "{ a(b: \"()\") }"),
            ("{ a(b: \"\\\"()\") }", "{ a(b: \"\\\"()\") }"),
            (
                "{ a(b: \"\"\"() \" () \\\"\"\" ()\"\"\") c() }",
                "{ a(b: \"\"\"() \" () \\\"\"\" ()\"\"\") c   }",
            ),
            ("# ()\n{ a }", "# ()\n{ a }"),
            ("{ ä() }", "{ ä   }"),
        ] {
            assert_eq!(without_empty_arguments(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_texts_do_no_harm() {
        for text in ["", "(", "()", "\"", "\"\"\"", "\"\\", "{a(\"", "#", "(#", "(,"] {
            let _ = without_empty_arguments(text);
        }
    }
}
