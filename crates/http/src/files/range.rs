//! Byte ranges (RFC 9110 §14). Pure.

use std::fmt::Write as _;
use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

/// Ranges that are nearer to each other than this are sent as one: the head of a part is as long
/// (§15.3.7.2 allows it).
const GAP: u64 = 128;

/// What `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The field is absent, of another unit, malformed, or asks for too much: the whole, 200.
    Whole,
    /// One part, 206.
    One(Range<u64>),
    /// Several disjoint parts, in the order they were asked for, 206.
    Many(Vec<Range<u64>>),
    /// None of it exists, 416.
    Unsatisfiable,
}

/// Reads the field for a representation of `len` bytes; more than `most` ranges are ignored.
pub(crate) fn parse(headers: &HeaderMap, len: u64, most: usize) -> Asked {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Asked::Whole };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once('='))
        .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
        .and_then(|(_, set)| resolve(set, len, most))
        .unwrap_or(Asked::Whole)
}

/// `range-set` of §14.1.1; `None` if it is to be ignored.
fn resolve(set: &str, len: u64, most: usize) -> Option<Asked> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut members = 0;
    for member in set.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        members += 1;
        if members > most {
            return None;
        }
        if let Some(range) = spec(member, len)? {
            // The last bytes of nothing are satisfiable (§14.1.2), but no Content-Range says so.
            if range.is_empty() {
                return None;
            }
            add(&mut ranges, range);
        }
    }
    Some(match ranges.len() {
        0 if members == 0 => return None,
        0 => Asked::Unsatisfiable,
        1 => Asked::One(ranges.remove(0)),
        _ => Asked::Many(ranges),
    })
}

/// `range-spec` of §14.1.1: `None` if malformed, `Some(None)` if unsatisfiable.
#[expect(clippy::option_option, reason = "malformed and unsatisfiable are two things")]
fn spec(member: &str, len: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = member.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0).then(|| len.saturating_sub(suffix)..len));
    }
    let first = number(first)?;
    let end = if last.is_empty() { len } else { number(last)?.saturating_add(1) };
    if !last.is_empty() && end <= first {
        return None;
    }
    Some((first < len).then(|| first..end.min(len)))
}

/// Digits only. What is too large for 64 bits is beyond any file, and that is all that matters.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX - 1))
}

/// Adds a range, or unites it with those that it touches, in the place of the first of them.
fn add(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    let touched = |other: &&Range<u64>| near(other, &range);
    let Some(place) = ranges.iter().position(|other| touched(&other)) else {
        ranges.push(range);
        return;
    };
    let united = ranges
        .iter()
        .filter(touched)
        .fold(range.clone(), |sum, other| sum.start.min(other.start)..sum.end.max(other.end));
    ranges.retain(|other| !near(other, &range));
    ranges.insert(place, united);
}

fn near(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start <= other.end.saturating_add(GAP) && other.start <= one.end.saturating_add(GAP)
}

/// The value of `Content-Range` for a part (§14.4).
pub(crate) fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

/// The value of `Content-Range` in a 416 answer.
pub(crate) fn unsatisfied(len: u64) -> String {
    format!("bytes */{len}")
}

/// What stands before a part of a `multipart/byteranges` body (§14.6).
pub(crate) fn part_head(boundary: &str, media: &str, range: &Range<u64>, len: u64) -> String {
    let mut head = String::with_capacity(160);
    let _ = write!(
        head,
        "\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Range: {}\r\n\r\n",
        content_range(range, len)
    );
    head
}

/// What stands after the last part.
pub(crate) fn closing(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(value: &str, len: u64, expected: &Asked) {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::try_from(value).expect("a field value"));
        assert_eq!(&parse(&headers, len, 4), expected, "{value} of {len}");
    }

    #[test]
    fn one_range_or_none() {
        use Asked::{One, Unsatisfiable, Whole};
        for (value, len, expected) in [
            ("bytes=0-0", 10, One(0..1)),
            ("bytes=0-9", 10, One(0..10)),
            ("bytes=0-", 10, One(0..10)),
            ("bytes=3-5", 10, One(3..6)),
            ("bytes=3-99", 10, One(3..10)),
            ("bytes=9-", 10, One(9..10)),
            ("bytes=-1", 10, One(9..10)),
            ("bytes=-10", 10, One(0..10)),
            ("bytes=-99", 10, One(0..10)),
            ("Bytes=1-2", 10, One(1..3)),
            ("bytes= 1-2 ", 10, One(1..3)),
            ("bytes=,1-2,", 10, One(1..3)),
            ("bytes=0001-2", 10, One(1..3)),
            ("bytes=0-99999999999999999999999", 10, One(0..10)),
            ("bytes=-99999999999999999999999", 10, One(0..10)),
            ("bytes=0-18446744073709551615", 10, One(0..10)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=10-,-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=0-0", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
            ("bytes=10-,3-5", 10, One(3..6)),
            ("bytes=5-3", 10, Whole),
            ("bytes=1-2,5-3", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=,", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=1", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=1--2", 10, Whole),
            ("bytes=1- 2", 10, Whole),
            ("bytes=0x1-2", 10, Whole),
            ("bytes 1-2", 10, Whole),
            ("bytes", 10, Whole),
            ("lines=1-2", 10, Whole),
            ("bytes = 1-2", 10, Whole),
        ] {
            check(value, len, &expected);
        }
    }

    #[test]
    fn several() {
        use Asked::{Many, One, Whole};
        for (value, expected) in [
            ("bytes=0-9,1000-1009", Many(vec![0..10, 1000..1010])),
            ("bytes=1000-1009,0-9", Many(vec![1000..1010, 0..10])),
            ("bytes=0-9,-10", Many(vec![0..10, 9990..10000])),
            ("bytes=0-0 , 500-500,\t1000-1000", Many(vec![0..1, 500..501, 1000..1001])),
            ("bytes=0-9,20000-,500-509", Many(vec![0..10, 500..510])),
            ("bytes=0-9,5-20", One(0..21)),
            ("bytes=5-20,0-9", One(0..21)),
            ("bytes=0-9,10-19", One(0..20)),
            ("bytes=0-9,137-139", One(0..140)),
            ("bytes=0-9,138-139", One(0..140)),
            ("bytes=0-9,139-139", Many(vec![0..10, 139..140])),
            ("bytes=0-,0-,0-,0-", One(0..10000)),
            ("bytes=0-9,1000-1009,500-509,5-1005", One(0..1010)),
            ("bytes=0-9,5000-5009,500-509,5-600", Many(vec![0..601, 5000..5010])),
            ("bytes=5000-5009,0-9,500-509,5-600", Many(vec![5000..5010, 0..601])),
            ("bytes=0-0,1000-1000,2000-2000,3000-3000", {
                Many(vec![0..1, 1000..1001, 2000..2001, 3000..3001])
            }),
            ("bytes=0-0,1000-1000,2000-2000,3000-3000,4000-4000", Whole),
            ("bytes=0-,0-,0-,0-,0-", Whole),
        ] {
            check(value, 10_000, &expected);
        }
    }

    #[test]
    fn two_fields_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(parse(&headers, 10, 4), Asked::Whole);
    }

    #[test]
    fn parts_are_disjoint_whatever_is_asked() {
        let mut seed = 7_u64;
        for _ in 0..2000 {
            let mut set = Vec::new();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let first = (seed >> 33) % 2000;
                set.push(format!("{first}-{}", first + (seed >> 50) % 300));
            }
            let Some(Asked::Many(ranges)) = resolve(&set.join(","), 1500, 4) else { continue };
            for (place, one) in ranges.iter().enumerate() {
                assert!(one.start < one.end && one.end <= 1500);
                assert!(ranges.iter().skip(place + 1).all(|other| !near(one, other)), "{set:?}");
            }
        }
    }

    #[test]
    fn fields() {
        assert_eq!(content_range(&(3..6), 10), "bytes 3-5/10");
        assert_eq!(unsatisfied(10), "bytes */10");
        assert_eq!(
            part_head("x", "text/css", &(0..1), 2),
            "\r\n--x\r\nContent-Type: text/css\r\nContent-Range: bytes 0-0/2\r\n\r\n"
        );
        assert_eq!(closing("x"), "\r\n--x--\r\n");
    }
}
