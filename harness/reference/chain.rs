//! An error and its causes in one line, as the CompassConnection and the log show them.

use std::error::Error;

/// The texts of an error and its causes, each once, joined by colons.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries print their causes themselves.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer says {0}")]
    struct Doubled(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Plain(#[source] std::io::Error);

    #[test]
    fn every_cause_is_said_once() {
        let cause = || std::io::Error::other("inner");
        assert_eq!(chain(&Plain(cause())), "outer: inner");
        assert_eq!(chain(&Doubled(cause())), "outer says inner");
    }
}
