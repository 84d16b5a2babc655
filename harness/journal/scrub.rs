//! Replaces every registered secret in a text; registered by whoever issues or reads one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";
/// Shorter texts would turn up in innocent places (`a`, `shop`) and make a record unreadable.
const SHORTEST: usize = 6;

/// The secrets of one run and the means to take them out of texts; clones share them.
///
/// A run that goes on for days issues many tokens, nearly all of one length. So secrets are kept by
/// length, and a text is read once for each length (Rabin and Karp), however many there are.
#[derive(Clone, Default)]
pub struct Scrubber {
    /// By length, the longest last.
    secrets: Arc<RwLock<BTreeMap<usize, Secrets>>>,
}

/// Secrets of one length by the hash of their bytes, which is hashed already.
type Secrets = HashMap<u64, Vec<Box<str>>, BuildHasherDefault<Plain>>;

impl Scrubber {
    /// Registers a secret. Texts shorter than six characters are not secrets to us.
    pub fn hide(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let same = secrets.entry(secret.len()).or_default();
        let same = same.entry(Window::whole(secret.as_bytes()).hash).or_default();
        if !same.iter().any(|known| &**known == secret) {
            same.push(secret.into());
        }
    }

    /// Replaces all secrets in `text`.
    pub fn scrub(&self, text: &mut String) {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        // A secret may contain another one; the longer goes first, so that no rest remains.
        for (length, secrets) in secrets.iter().rev() {
            if let Some(scrubbed) = replaced(text, *length, secrets) {
                *text = scrubbed;
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

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").finish_non_exhaustive()
    }
}

/// The text without the secrets of one length; none when it holds none.
fn replaced(text: &str, length: usize, secrets: &Secrets) -> Option<String> {
    let bytes = text.as_bytes();
    let mut scrubbed = String::new();
    let mut kept_up_to = 0;
    let mut start = 0;
    let mut window = Window::whole(bytes.get(..length)?);
    loop {
        let end = start + length;
        let found = secrets
            .get(&window.hash)
            .is_some_and(|same| same.iter().any(|secret| secret.as_bytes() == &bytes[start..end]));
        if found {
            // A secret is a text, so it begins and ends between characters.
            scrubbed.push_str(&text[kept_up_to..start]);
            scrubbed.push_str(HIDDEN);
            kept_up_to = end;
            let Some(next) = bytes.get(end..end + length) else { break };
            (start, window) = (end, Window::whole(next));
        } else {
            let Some(next) = bytes.get(end) else { break };
            window.slide(bytes[start], *next);
            start += 1;
        }
    }
    (kept_up_to > 0).then(|| scrubbed + &text[kept_up_to..])
}

/// A hash of bytes that can move on by one byte.
#[derive(Debug, Clone, Copy)]
struct Window {
    hash: u64,
    /// The weight of the byte that leaves.
    weight: u64,
}

impl Window {
    /// Odd, so that no bit of a byte is ever lost by multiplication.
    const BASE: u64 = 0x0100_0000_01b3;

    fn whole(bytes: &[u8]) -> Self {
        let fold =
            |hash: u64, byte: &u8| hash.wrapping_mul(Self::BASE).wrapping_add(1 + u64::from(*byte));
        let hash = bytes.iter().fold(0, fold);
        let weight = bytes.iter().skip(1).fold(1_u64, |weight, _| weight.wrapping_mul(Self::BASE));
        Self { hash, weight }
    }

    fn slide(&mut self, leaves: u8, comes: u8) {
        let rest = self.hash.wrapping_sub((1 + u64::from(leaves)).wrapping_mul(self.weight));
        self.hash = rest.wrapping_mul(Self::BASE).wrapping_add(1 + u64::from(comes));
    }
}

/// Takes a hash as it is.
#[derive(Debug, Default)]
struct Plain(u64);

impl std::hash::Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
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
    fn a_secret_is_found_wherever_it_stands() {
        let scrubber = Scrubber::default();
        scrubber.hide("geheimä");
        scrubber.hide("another-one");
        for (text, expected) in [
            ("geheimä", "[hidden]"),
            ("geheimägeheimä", "[hidden][hidden]"),
            ("ägeheimä!", "ä[hidden]!"),
            ("geheim", "geheim"),
            ("xanother-onegeheimäx", "x[hidden][hidden]x"),
            ("", ""),
        ] {
            let mut scrubbed = text.to_owned();
            scrubber.scrub(&mut scrubbed);
            assert_eq!(scrubbed, expected, "{text}");
        }
    }

    #[test]
    fn short_texts_are_left_alone() {
        let scrubber = Scrubber::default();
        scrubber.hide("shop");
        let mut text = String::from("shop-1");
        scrubber.scrub(&mut text);
        assert_eq!(text, "shop-1");
    }

    #[test]
    fn nothing_is_told_of_the_secrets() {
        let scrubber = Scrubber::default();
        scrubber.hide("wonderland");
        assert!(!format!("{scrubber:?}").contains("wonderland"));
    }
}
