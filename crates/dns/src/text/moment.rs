//! Moments of RRSIG (RFC 4034 §3.2): seconds since 1970 modulo 2^32, written `YYYYMMDDHHmmSS`.

/// The moment of a text: 14 digits, or up to 10 that are the number itself.
pub(super) fn scan(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?
            .iter()
            .try_fold(0i64, |value, digit| Some(value * 10 + i64::from(digit - b'0')))
    };
    match text.len() {
        1..=10 => u32::try_from(number(0..text.len())?).ok(),
        14 => {
            let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
            let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
            let good = (1..=12).contains(&month)
                && (1..=days_in(year, month)).contains(&day)
                && hour < 24
                && minute < 60
                && second < 60
                // Before 1970 is what BIND makes of the times behind 2038.
                && year >= 1901;
            let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
            // Modulo 2^32, by RFC 4034 §3.1.5.
            good.then_some(seconds as u32)
        }
        _ => None,
    }
}

/// Year, month, day, hour, minute, second of a moment, taken as one between 1970 and 2106.
pub(super) fn parts(moment: u32) -> [u32; 6] {
    let (days, rest) = (i64::from(moment / 86_400), moment % 86_400);
    let (year, month, day) = date(days);
    [year as u32, month as u32, day as u32, rest / 3600, rest / 60 % 60, rest % 60]
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date (the arithmetic of a year that begins in March).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468
}

/// The date of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let mut year = (10_000 * days + 14_780) / 3_652_425;
    let left = |year: i64| days - (365 * year + year / 4 - year / 100 + year / 400);
    if left(year) < 0 {
        year -= 1;
    }
    let rest = left(year);
    let index = (100 * rest + 52) / 3060;
    let month = (index + 2) % 12 + 1;
    (year + (index + 2) / 12, month, rest - (index * 306 + 5) / 10 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let table: &[(&str, Option<u32>)] = &[
            ("19700101000000", Some(0)),
            ("20000229235959", Some(951_868_799)),
            ("20040509183619", Some(1_084_127_779)),
            ("20380119031408", Some(2_147_483_648)),
            ("21060207062815", Some(u32::MAX)),
            ("19691231235959", Some(u32::MAX)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("20010229000000", None),
            ("20011301000000", None),
            ("20010101240000", None),
            ("2001010100000", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(scan(text.as_bytes()), *want, "{text}");
        }
    }

    #[test]
    fn every_day_there_and_back() {
        for day in 0..49_710u32 {
            let [year, month, date, hour, ..] = parts(day * 86_400 + 3600);
            let text = format!("{year:04}{month:02}{date:02}{hour:02}0000");
            assert_eq!(scan(text.as_bytes()), Some(day * 86_400 + 3600), "{text}");
        }
    }
}
