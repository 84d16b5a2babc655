//! Durations and shares as people write them: `500ms`, `2s`, `5m`, `1h`, `30%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A length of time, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration that it stands for.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a duration such as `500ms`, `2s`, `5m` or `1h`";
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit).ok_or(EXPECTED)?;
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let millis = number.checked_mul(unit.1).filter(|millis| *millis <= 30 * 24 * 3_600_000);
        match millis {
            Some(0) => Err("a duration longer than nothing"),
            Some(millis) => Ok(Self(Duration::from_millis(millis))),
            None => Err("a duration of at most 30 days"),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        // The largest unit without a rest, so that a file's own words come back.
        let (name, size) = UNITS.iter().rfind(|(_, size)| millis % size == 0).unwrap_or(&UNITS[0]);
        write!(f, "{}{name}", millis / size)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a duration such as `500ms`, `2s`, `5m` or `1h`")
    }
}

/// A share of a whole, written as percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    /// Hundredths of a percent, so that shares compare exactly.
    ten_thousandths: u32,
}

impl Share {
    /// The whole is 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.ten_thousandths) / 10_000.0
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a share such as `30%` or `12.5%`";
        let number = text.strip_suffix('%').ok_or(EXPECTED)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return Err(EXPECTED);
        }
        let whole: u32 = whole.parse().map_err(|_| "a share of at most `100%`")?;
        let part: u32 = format!("{part:0<2}").parse().map_err(|_| EXPECTED)?;
        match whole.checked_mul(100).map(|whole| whole.saturating_add(part)) {
            Some(ten_thousandths @ 0..=10_000) => Ok(Self { ten_thousandths }),
            _ => Err("a share of at most `100%`"),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.ten_thousandths / 100, self.ten_thousandths % 100);
        match part {
            0 => write!(f, "{whole}%"),
            part if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            part => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a share such as `30%`")
    }
}

/// Reads a quantity from a text; whatever else stands there is told what was expected.
fn read<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err = &'static str>,
    D: Deserializer<'de>,
{
    struct Quantity<T>(&'static str, std::marker::PhantomData<T>);
    impl<T: FromStr<Err = &'static str>> Visitor<'_> for Quantity<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|expected: &'static str| {
                E::invalid_value(serde::de::Unexpected::Str(text), &expected)
            })
        }
    }
    deserializer.deserialize_any(Quantity(expected, std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_back_in_their_own_words() {
        for text in ["500ms", "1500ms", "2s", "90s", "5m", "1h", "36h"] {
            let period: Period = text.parse().expect(text);
            assert_eq!(period.to_string(), text);
        }
        assert_eq!("60s".parse::<Period>().expect("a minute").to_string(), "1m");
    }

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        for text in
            ["", "2", "s", "2 s", "2sec", "-2s", "1.5s", "0s", "99999999999999999999h", "２s"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_exact_and_end_at_the_whole() {
        for text in ["0%", "30%", "12.5%", "33.33%", "0.05%", "100%"] {
            assert_eq!(text.parse::<Share>().expect(text).to_string(), text);
        }
        for text in ["", "%", "30", "101%", "-1%", "1.234%", ".5%", "5.%", "4294967296%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
