//! Times in parameters, written as everywhere in a scenario: `500ms`, `6s`, `5m`, `1h`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// Longer ones are a slip of the pen.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a time.
pub(super) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Words)
}

/// Reads a time that may be missing; the key, when it is there, has a value.
pub(super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    required(deserializer).map(Some)
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `500ms`, `2s`, `5m` or `1h`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
        match millis.map(Duration::from_millis) {
            Some(Duration::ZERO) => Err(E::custom("a duration must be longer than nothing")),
            Some(duration) if duration <= LONGEST => Ok(duration),
            _ => Err(E::custom("a duration must be a number and a unit, and at most 30 days")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in [("500ms", 500), ("6s", 6_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(required(json!(text)).expect("a time"), Duration::from_millis(millis));
        }
        for wrong in [json!("6"), json!("s"), json!("0s"), json!("99999h"), json!("-1s"), json!(6)]
        {
            assert!(required(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
