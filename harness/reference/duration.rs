//! Spans of time in the syntax of Go's `time.ParseDuration`.

use std::time::Duration;

/// Reads `1h30m`, `1.5s`, `250ms`, `0`; nothing negative, as no setting of the agent can be.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, nanoseconds, length) = unit(tail)?;
        total = total.checked_add(span(number, nanoseconds)?)?;
        rest = &tail[length..];
        debug_assert!(!unit.is_empty(), "every unit has a name, so the loop advances");
    }
    // Go counts nanoseconds in 63 bits.
    (total.as_nanos() <= i64::MAX as u128).then_some(total)
}

fn unit(text: &str) -> Option<(&'static str, u64, usize)> {
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (name, nanoseconds) = UNITS.into_iter().find(|(name, _)| text.starts_with(name))?;
    Some((name, nanoseconds, name.len()))
}

fn span(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut total = u128::from(whole) * u128::from(unit);
    let mut place = u128::from(unit);
    for digit in fraction.bytes() {
        place /= 10;
        total += u128::from(digit - b'0') * place;
    }
    u64::try_from(total).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, milliseconds) in [
            ("0", 0),
            ("15s", 15_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("250ms", 250),
            ("1m1s1ms", 61_001),
            ("+3s", 3_000),
            ("2000us", 2),
            ("2000µs", 2),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "15", "s", "-1s", "1.2.3s", "1x", "1s2", ".s", "3000000h", " 1s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
