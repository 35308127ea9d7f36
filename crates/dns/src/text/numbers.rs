//! Numbers and spans of time.

use super::Scanned;
use crate::error::TextFault;

/// A decimal number of at most `max`.
pub(super) fn number(text: &[u8], max: u64) -> Scanned<u64> {
    let value = text.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit).filter(|value| *value <= max)
    });
    value.filter(|_| !text.is_empty()).ok_or(TextFault::Number(max))
}

/// Seconds, or BIND's units as in `1w2d3h4m5s`, of at most `max`.
pub(crate) fn period(text: &[u8], max: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let (mut sum, mut value, mut digits) = (0u64, 0u64, 0);
    for byte in text {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                value = value * 10 + u64::from(digit - b'0');
                digits += 1;
                if value > u64::from(max) {
                    return None;
                }
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        sum += value * unit;
        (value, digits) = (0, 0);
    }
    u32::try_from(sum + value).ok().filter(|sum| *sum <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let table: &[(&str, Option<u32>)] = &[
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1H30m", Some(5400)),
            ("1w2d3h4m5s", Some(604_800 + 172_800 + 10_800 + 245)),
            ("1h30", Some(3630)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("99999999w", None),
            ("", None),
            ("h", None),
            ("1hh", None),
            ("-1", None),
            ("1y", None),
        ];
        for (text, want) in table {
            assert_eq!(period(text.as_bytes(), i32::MAX as u32), *want, "{text}");
        }
    }
}
