//! Locations (RFC 1876 §3): `d1 [m1 [s1]] {N|S} d2 [m2 [s2]] {E|W} alt[m] [size[m] [hp[m] [vp[m]]]]`.

use std::fmt;

use super::super::Scanned;
use super::super::lex::{Word, Words};
use super::super::print::Stop;
use crate::error::TextFault;
use crate::parse::Cursor;

/// The equator and the prime meridian, in thousandths of a second.
const ZERO: i64 = 1 << 31;
/// The reference altitude, in centimetres.
const SEA: i64 = 10_000_000;
const FAULT: TextFault = TextFault::Location;

pub(super) fn scan(words: &mut Words<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let latitude = angle(words, b"NS", 90)?;
    let longitude = angle(words, b"EW", 180)?;
    let altitude = metres(words.next()?, -SEA, i64::from(u32::MAX) - SEA)? + SEA;
    let mut sizes = [0x12, 0x16, 0x13]; // 1 m, 10 km, 10 m (§2)
    for size in &mut sizes {
        if let Some(word) = words.more() {
            *size = precision(metres(word, 0, 9_000_000_000)?);
        }
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for number in [ZERO + latitude, ZERO + longitude, altitude] {
        // The bounds above keep it in 32 bits.
        out.extend_from_slice(&(number as u32).to_be_bytes());
    }
    Ok(())
}

/// Degrees, minutes, seconds and a direction, in thousandths of a second.
fn angle(words: &mut Words<'_>, directions: &[u8; 2], most: i64) -> Scanned<i64> {
    let mut sum = whole(words.next()?, most)? * 3_600_000;
    for unit in [60_000, 1000] {
        let word = words.next()?;
        if let Some(sign) = direction(word, directions) {
            return in_range(sign * sum, most);
        }
        sum += if unit == 1000 { fixed(word.text, 3)? } else { whole(word, 59)? * unit };
        if unit == 1000 && fixed(word.text, 3)? >= 60_000 {
            return Err(FAULT);
        }
    }
    let sign = direction(words.next()?, directions).ok_or(FAULT)?;
    in_range(sign * sum, most)
}

fn in_range(angle: i64, most: i64) -> Scanned<i64> {
    if angle.abs() <= most * 3_600_000 { Ok(angle) } else { Err(FAULT) }
}

fn direction(word: Word<'_>, directions: &[u8; 2]) -> Option<i64> {
    match word.text {
        [byte] if byte.to_ascii_uppercase() == directions[0] => Some(1),
        [byte] if byte.to_ascii_uppercase() == directions[1] => Some(-1),
        _ => None,
    }
}

fn whole(word: Word<'_>, most: i64) -> Scanned<i64> {
    fixed(word.text, 0).ok().filter(|number| *number <= most).ok_or(FAULT)
}

/// Metres with up to two decimals and perhaps an `m`, in centimetres.
fn metres(word: Word<'_>, least: i64, most: i64) -> Scanned<i64> {
    let text = word.text.strip_suffix(b"m").unwrap_or(word.text);
    let (sign, text) = text.strip_prefix(b"-").map_or((1, text), |text| (-1, text));
    let centimetres = sign * fixed(text, 2)?;
    if (least..=most).contains(&centimetres) { Ok(centimetres) } else { Err(FAULT) }
}

/// A number with up to so many decimals, without its point.
fn fixed(text: &[u8], decimals: usize) -> Scanned<i64> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if whole.is_empty() || !digits || fraction.len() > decimals || text.len() > 15 {
        return Err(FAULT);
    }
    let zeros = std::iter::repeat_n(&b'0', decimals - fraction.len());
    let all = whole.iter().chain(fraction).chain(zeros);
    Ok(all.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Centimetres as one digit and a power of ten (§2).
fn precision(centimetres: i64) -> u8 {
    let (mut digit, mut power) = (centimetres, 0);
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    // At most 9 each: 9·10^9 is the largest.
    (digit as u8) << 4 | power
}

pub(super) fn print(cursor: &mut Cursor<'_>, f: &mut fmt::Formatter<'_>) -> Result<(), Stop> {
    let [_version, sizes @ ..] = cursor.array::<4>()?;
    let (latitude, longitude, altitude) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
    print_angle(latitude, 'N', 'S', f)?;
    print_angle(longitude, 'E', 'W', f)?;
    print_metres(i64::from(altitude) - SEA, f)?;
    for size in sizes {
        f.write_str(" ")?;
        print_metres(i64::from(size >> 4) * 10i64.pow(u32::from(size & 15)), f)?;
    }
    Ok(())
}

fn print_angle(angle: u32, plus: char, minus: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let angle = i64::from(angle) - ZERO;
    let (left, sign) = (angle.abs(), if angle < 0 { minus } else { plus });
    let (degrees, minutes) = (left / 3_600_000, left / 60_000 % 60);
    write!(f, "{degrees} {minutes} {}.{:03} {sign} ", left / 1000 % 60, left % 1000)
}

fn print_metres(centimetres: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if centimetres < 0 { "-" } else { "" };
    let left = centimetres.abs();
    write!(f, "{sign}{}.{:02}m", left / 100, left % 100)
}
