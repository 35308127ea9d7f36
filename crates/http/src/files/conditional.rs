//! Conditional requests: RFC 9110 §13, in the order of §13.2.2. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What a representation is compared by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validators<'a> {
    /// The strong entity tag, with its quotes.
    pub(crate) etag: &'a [u8],
    /// When it was last modified; fractions of a second do not count.
    pub(crate) modified: SystemTime,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The whole representation, 200.
    Whole,
    /// What `Range` asks for, 206 or 416.
    Range,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD request.
pub(crate) fn evaluate(
    method: &Method,
    headers: &HeaderMap,
    validators: Validators<'_>,
    now: SystemTime,
) -> Verdict {
    // Steps 1 and 2.
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, IF_MATCH, validators.etag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(headers, IF_UNMODIFIED_SINCE)
        && seconds(validators.modified) > seconds(since)
    {
        return Verdict::Failed;
    }
    // Steps 3 and 4.
    if headers.contains_key(IF_NONE_MATCH) {
        if lists(headers, IF_NONE_MATCH, validators.etag, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if let Some(since) = date(headers, IF_MODIFIED_SINCE)
        && seconds(validators.modified) <= seconds(since)
    {
        return Verdict::NotModified;
    }
    // Step 5. Only GET knows ranges (§14.2).
    if method != Method::GET || !headers.contains_key(RANGE) {
        return Verdict::Whole;
    }
    match headers.get(IF_RANGE) {
        Some(condition) if !same(condition, validators, now) => Verdict::Whole,
        _ => Verdict::Range,
    }
}

/// `If-Range` (§13.1.5): an entity tag that is strongly equal, or exactly the date of last
/// modification if that is a strong validator.
fn same(condition: &HeaderValue, validators: Validators<'_>, now: SystemTime) -> bool {
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return condition == validators.etag;
    }
    let Some(condition) = parse_date(condition) else { return false };
    // §8.8.2.2: it may have changed twice within the second that is not over yet.
    let settled =
        now.duration_since(validators.modified).is_ok_and(|age| age >= Duration::from_secs(1));
    settled && seconds(condition) == seconds(validators.modified)
}

/// §8.8.3.2.
#[derive(Clone, Copy, PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags, or `*`, names `etag`, which is strong.
fn lists(headers: &HeaderMap, name: HeaderName, etag: &[u8], comparison: Comparison) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().trim_ascii() == b"*" || lists_in(value.as_bytes(), etag, comparison)
    })
}

/// A tag may contain commas, so the list cannot be cut at them. What follows a malformed member is
/// not read.
fn lists_in(mut list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let (weak, tag) = match list {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, list),
        };
        let Some(len) = quoted(tag) else { return false };
        let (tag, rest) = tag.split_at(len);
        let rest = rest.trim_ascii_start();
        if !matches!(rest, [] | [b',', ..]) {
            return false;
        }
        if tag == etag && !(weak && comparison == Comparison::Strong) {
            return true;
        }
        list = rest;
    }
}

/// The length of the opaque tag at the front, quotes included.
fn quoted(list: &[u8]) -> Option<usize> {
    let inner = list.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| byte == b'"')?;
    // etagc of §8.8.3 excludes white space and controls.
    inner[..end].iter().all(|&byte| byte > b' ' && byte != 0x7f).then_some(end + 2)
}

/// The date of a field that must have exactly one value; anything else is as if it were absent.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { parse_date(value.as_bytes()) }
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// HTTP's dates have no fractions.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"a,b\"";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    /// `age` in milliseconds is how long ago the last modification was.
    fn check(method: Method, lines: &str, age: u64, expected: Verdict) {
        let mut headers = HeaderMap::new();
        for line in lines.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a field");
            let value = value
                .replace("BEFORE", BEFORE)
                .replace("AFTER", AFTER)
                .replace("MODIFIED", MODIFIED)
                .replace("ETAG", ETAG);
            let name = HeaderName::try_from(name).expect("a field name");
            headers.append(name, HeaderValue::try_from(value).expect("a field value"));
        }
        let modified = httpdate::parse_http_date(MODIFIED).expect("a date");
        let modified = modified + Duration::from_millis(300);
        let validators = Validators { etag: ETAG.as_bytes(), modified };
        let now = modified + Duration::from_millis(age);
        assert_eq!(evaluate(&method, &headers, validators, now), expected, "{method} {lines}");
    }

    #[test]
    fn verdicts() {
        use Verdict::{Failed, NotModified, Range, Whole};
        for (lines, expected) in [
            ("", Whole),
            // If-Match
            ("if-match: ETAG", Whole),
            ("if-match: *", Whole),
            ("if-match: \"x\"", Failed),
            ("if-match: W/ETAG", Failed),
            ("if-match: \"x\", ETAG", Whole),
            ("if-match: \"x\" , , ETAG ,", Whole),
            ("if-match: \"x\"|if-match: ETAG", Whole),
            ("if-match: nonsense", Failed),
            ("if-match: \"x\" ETAG", Failed),
            ("if-match: \"unterminated", Failed),
            ("if-match: \"a", Failed),
            ("if-match: b\"", Failed),
            ("if-match: ETAG|if-unmodified-since: BEFORE", Whole),
            ("if-match: \"x\"|if-none-match: ETAG", Failed),
            ("if-match: ETAG|if-none-match: ETAG", NotModified),
            // If-Unmodified-Since
            ("if-unmodified-since: BEFORE", Failed),
            ("if-unmodified-since: MODIFIED", Whole),
            ("if-unmodified-since: AFTER", Whole),
            ("if-unmodified-since: yesterday", Whole),
            ("if-unmodified-since: BEFORE|if-unmodified-since: BEFORE", Whole),
            ("if-unmodified-since: BEFORE|if-none-match: ETAG", Failed),
            // If-None-Match
            ("if-none-match: ETAG", NotModified),
            ("if-none-match: W/ETAG", NotModified),
            ("if-none-match: *", NotModified),
            ("if-none-match: \"x\"", Whole),
            ("if-none-match: \"x\",W/\"y\",W/ETAG", NotModified),
            ("if-none-match: nonsense", Whole),
            ("if-none-match: \"x\"|if-modified-since: AFTER", Whole),
            ("if-none-match: ETAG|if-modified-since: BEFORE", NotModified),
            ("if-none-match: ETAG|range: bytes=0-1", NotModified),
            // If-Modified-Since
            ("if-modified-since: BEFORE", Whole),
            ("if-modified-since: MODIFIED", NotModified),
            ("if-modified-since: AFTER", NotModified),
            ("if-modified-since: Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("if-modified-since: Sun Nov  6 08:49:37 1994", NotModified),
            ("if-modified-since: AFTER|if-modified-since: AFTER", Whole),
            ("if-modified-since: 784111777", Whole),
            // Range and If-Range
            ("range: bytes=0-1", Range),
            ("if-range: ETAG", Whole),
            ("range: bytes=0-1|if-range: ETAG", Range),
            ("range: bytes=0-1|if-range: W/ETAG", Whole),
            ("range: bytes=0-1|if-range: \"x\"", Whole),
            ("range: bytes=0-1|if-range: MODIFIED", Range),
            ("range: bytes=0-1|if-range: BEFORE", Whole),
            ("range: bytes=0-1|if-range: AFTER", Whole),
            ("range: bytes=0-1|if-range: nonsense", Whole),
            ("range: bytes=0-1|if-match: \"x\"", Failed),
            ("range: bytes=0-1|if-match: ETAG|if-range: ETAG", Range),
            ("range: bytes=0-1|if-unmodified-since: MODIFIED", Range),
            ("range: bytes=0-1|if-modified-since: BEFORE|if-range: ETAG", Range),
        ] {
            check(Method::GET, lines, 5000, expected);
            let expected = if expected == Range { Whole } else { expected };
            check(Method::HEAD, lines, 5000, expected);
        }
    }

    #[test]
    fn a_date_is_no_strong_validator_in_its_first_second() {
        let lines = "range: bytes=0-1|if-range: MODIFIED";
        check(Method::GET, lines, 999, Verdict::Whole);
        check(Method::GET, lines, 1000, Verdict::Range);
        check(Method::GET, "range: bytes=0-1|if-range: ETAG", 0, Verdict::Range);
    }
}
