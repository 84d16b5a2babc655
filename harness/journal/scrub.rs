//! Replaces every registered secret in a text; registered by whoever issues or reads one.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";
/// Shorter texts would turn up in innocent places (`a`, `shop`) and make a record unreadable.
const SHORTEST: usize = 6;

/// The secrets of one run and the means to take them out of texts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Scrubber {
    secrets: Arc<RwLock<Vec<Box<str>>>>,
}

impl Scrubber {
    /// Registers a secret. Texts shorter than six characters are not secrets to us.
    pub fn hide(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if !secrets.iter().any(|known| &**known == secret) {
            secrets.push(secret.into());
            // A secret may contain another one; the longer goes first, so that no rest remains.
            secrets.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// Replaces all secrets in `text`.
    pub fn scrub(&self, text: &mut String) {
        for secret in self.secrets.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if text.contains(&**secret) {
                *text = text.replace(&**secret, HIDDEN);
            }
        }
    }

    /// Replaces all secrets in the strings of a JSON value, keys included.
    pub fn scrub_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub_json(item)),
            Value::Object(fields) => {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(mut key, mut value)| {
                        self.scrub(&mut key);
                        self.scrub_json(&mut value);
                        (key, value)
                    })
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_vanish_from_texts_keys_and_values() {
        let scrubber = Scrubber::default();
        scrubber.hide("wonderland");
        scrubber.hide("wonderland-and-more");
        let mut value = json!({"wonderland": ["x wonderland-and-more y", 1, null]});
        scrubber.scrub_json(&mut value);
        assert_eq!(value, json!({"[hidden]": ["x [hidden] y", 1, null]}));
    }

    #[test]
    fn short_texts_are_left_alone() {
        let scrubber = Scrubber::default();
        scrubber.hide("shop");
        let mut text = String::from("shop-1");
        scrubber.scrub(&mut text);
        assert_eq!(text, "shop-1");
    }
}
