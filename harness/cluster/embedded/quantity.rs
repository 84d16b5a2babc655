//! Quantities (`500m`, `1Gi`) in the canonical form of `resource.Quantity`.

/// The canonical text of a quantity, or Go's complaint.
pub(super) fn canonical(text: &str) -> Result<String, String> {
    let malformed = || {
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned()
    };
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || number.len() > 30 {
        return Err(malformed());
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().map_err(|_| malformed())?;
    let scale = i32::try_from(fraction.len()).map_err(|_| malformed())?;
    let sign = if negative { "-" } else { "" };
    if let Some(power) = binary(suffix) {
        return Ok(format!("{sign}{}", in_binary(digits, scale, power, suffix)));
    }
    let exponent = decimal(suffix).ok_or_else(malformed)?;
    Ok(format!("{sign}{}", in_decimal(digits, exponent - scale, suffix.starts_with(['e', 'E']))))
}

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

fn binary(suffix: &str) -> Option<i32> {
    BINARY.iter().position(|one| *one == suffix).and_then(|at| i32::try_from(at + 1).ok())
}

fn decimal(suffix: &str) -> Option<i32> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(one, _)| *one == suffix) {
        return Some(*exponent);
    }
    let power = suffix.strip_prefix(['e', 'E'])?;
    power.parse().ok().filter(|power: &i32| power.abs() <= 18)
}

fn in_binary(digits: i128, scale: i32, power: i32, suffix: &str) -> String {
    let unit = 10i128.pow(scale.unsigned_abs());
    let Some(scaled) = digits.checked_mul(1024i128.pow(power.unsigned_abs())) else {
        return format!("{digits}{suffix}");
    };
    let bytes = (scaled + unit - 1) / unit;
    let mut value = bytes;
    let mut step = 0;
    while value != 0 && value % 1024 == 0 && step < BINARY.len() {
        value /= 1024;
        step += 1;
    }
    if step == 0 { value.to_string() } else { format!("{value}{}", BINARY[step - 1]) }
}

fn in_decimal(mut digits: i128, mut exponent: i32, scientific: bool) -> String {
    if digits == 0 {
        return "0".into();
    }
    while digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    // Nothing finer than a nano: round up.
    while exponent < -9 {
        digits = (digits + 9) / 10;
        exponent += 1;
    }
    // Shift to the largest unit that needs no fraction.
    let target = exponent.div_euclid(3) * 3;
    let target = target.clamp(-9, 18);
    for _ in target..exponent {
        digits = digits.saturating_mul(10);
    }
    if scientific {
        return if target == 0 { digits.to_string() } else { format!("{digits}e{target}") };
    }
    let suffix =
        DECIMAL.iter().find(|(_, power)| *power == target).map_or("", |(suffix, _)| suffix);
    format!("{digits}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_take_the_form_without_fractions_in_the_largest_unit() {
        for (given, wanted) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("100", "100"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("-2.50", "-2500m"),
            ("64Mi", "64Mi"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(wanted), "{given}");
        }
        assert!(canonical("abc").is_err());
        assert!(canonical("1Zi").is_err());
    }
}
