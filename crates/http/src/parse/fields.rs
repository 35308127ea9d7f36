//! Fields, and what they say about the framing.

use std::ops::Range;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::find::find;
use super::{Scan, fault, is_host};
use crate::error::{Error, Fault, Result, Unsupported};

/// What the fields of a head say about its framing and its connection, gathered while they are read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// `Transfer-Encoding` is there.
    pub transfer_encoding: bool,
    /// Its last coding is `chunked`.
    pub chunked: bool,
    /// It has another coding.
    pub coded: bool,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    pub upgrade: bool,
    /// `Upgrade` is there.
    pub protocols: bool,
    /// `Expect: 100-continue`.
    pub expect_continue: bool,
    /// `Expect` with something else.
    pub expect_other: bool,
    /// How many `Host` there are.
    pub hosts: u32,
    /// One of them is malformed.
    pub bad_host: bool,
}

/// How the content of a message ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// After so many bytes, of which there may be none.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection; responses only.
    UntilClose,
}

impl Facts {
    /// Takes note of a field, and refuses a value that could be read in two ways.
    #[inline(always)]
    fn observe(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Fault> {
        // Most fields are none of these, and comparing two standard names is comparing two bytes.
        if *name == header::HOST {
            self.hosts += 1;
            self.bad_host |= !is_host(value);
        } else if *name == header::CONNECTION {
            self.connection(value);
        } else if *name == header::CONTENT_LENGTH {
            let length = content_length(value).filter(|_| self.content_length.is_none());
            self.content_length = Some(length.ok_or(Fault::ContentLength)?);
        } else if *name == header::TRANSFER_ENCODING {
            self.transfer_encoding(value)?;
        } else if *name == header::UPGRADE {
            self.protocols = true;
        } else if *name == header::EXPECT {
            let proceed = value.eq_ignore_ascii_case(b"100-continue");
            self.expect_continue |= proceed;
            self.expect_other |= !proceed;
        }
        Ok(())
    }

    /// `Connection` (RFC 9110 §7.6.1): options we do not know are none of our business.
    fn connection(&mut self, value: &[u8]) {
        // What nearly every client says.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// `Transfer-Encoding` (RFC 9112 §6.1): nothing may follow `chunked`, not even itself.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.transfer_encoding = true;
        for coding in list(value) {
            if coding.is_empty() || self.chunked {
                return Err(Fault::TransferEncoding);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.coded = true;
            }
        }
        Ok(())
    }

    /// What `Content-Length` and `Transfer-Encoding` announce together, if anything.
    pub(super) fn announced(&self, http10: bool) -> Result<Option<BodyKind>> {
        match (self.transfer_encoding, self.content_length) {
            (true, Some(_)) => Err(fault(Fault::TwoLengths, 0)),
            (true, None) if http10 || !self.chunked => Err(fault(Fault::TransferEncoding, 0)),
            (true, None) if self.coded => Err(Error::Unsupported(Unsupported::Coding)),
            (true, None) => Ok(Some(BodyKind::Chunked)),
            (false, Some(length)) => Ok(Some(BodyKind::Length(length))),
            (false, None) => Ok(None),
        }
    }
}

/// `Content-Length = 1*DIGIT` (RFC 9110 §8.6). No list, though a recipient might take one.
fn content_length(value: &[u8]) -> Option<u64> {
    let mut length = 0_u64;
    for digit in value {
        if !digit.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (!value.is_empty()).then_some(length)
}

/// The elements of `#element` (RFC 9110 §5.6.1), empty ones too.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows)
}

/// Without `OWS` at both ends.
fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Adds the `field-line`s of a head that `scan` has found whole to `fields`, its first line left
/// out. Written into the message that is being built: moving a map about costs more than filling it.
#[inline(always)]
pub(super) fn head_fields(
    head: &mut Bytes,
    scan: &Scan,
    fields: &mut HeaderMap,
    facts: &mut Facts,
) -> Result<()> {
    field_lines(head, scan.ends(), fields, |name, value| facts.observe(name, value))
}

/// The `trailer-section` (RFC 9112 §7.1.2) that `scan` has found whole.
///
/// # Errors
/// A [`Fault`] for a malformed field, or for one that would change the framing or the routing.
pub fn trailers(section: &Bytes, scan: &Scan) -> Result<HeaderMap> {
    // A trailer has no start line: give the loop below an empty one to skip.
    let mut ends = Vec::with_capacity(scan.ends().len() + 1);
    ends.push(0);
    ends.extend_from_slice(scan.ends());
    let mut fields = HeaderMap::new();
    field_lines(&mut section.clone(), &ends, &mut fields, |name, _| {
        let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::HOST];
        if framing.contains(name) { Err(Fault::Trailer) } else { Ok(()) }
    })?;
    Ok(fields)
}

/// The lines between each two of `ends` as fields, each shown to `observe`. The last one takes the
/// section with it.
#[inline(always)]
fn field_lines(
    section: &mut Bytes,
    ends: &[u32],
    fields: &mut HeaderMap,
    mut observe: impl FnMut(&HeaderName, &[u8]) -> Result<(), Fault>,
) -> Result<()> {
    let Some((&first, ends)) = ends.split_first() else { return Ok(()) };
    fields.reserve(ends.len());
    let mut next = first as usize;
    for (at, &line) in ends.iter().enumerate() {
        let (begin, end) = (next, line as usize - 2);
        next = line as usize;
        let (name, value) = field_line(&section[begin..end]).map_err(|why| fault(why, begin))?;
        // To count one more user of a buffer takes its time, so the last one takes our place.
        let last = at + 1 == ends.len();
        let mut bytes = if last { std::mem::take(section) } else { section.clone() };
        bytes.truncate(begin + value.end);
        bytes.advance(begin + value.start);
        // The constructor refuses every control character but the tab, which is all that we ask.
        let value =
            HeaderValue::from_maybe_shared(bytes).map_err(|_| fault(Fault::FieldValue, begin))?;
        observe(&name, value.as_bytes()).map_err(|why| fault(why, begin))?;
        fields.append(name, value);
    }
    Ok(())
}

/// `field-name`. Those that nearly every request has are found as clients and other servers spell
/// them; the constructor, which finds all others, lowers and looks up byte by byte.
#[inline]
fn field_name(name: &[u8]) -> Result<HeaderName, Fault> {
    Ok(match name.len() {
        4 if matches!(name, b"Host" | b"host") => header::HOST,
        6 if matches!(name, b"Accept" | b"accept") => header::ACCEPT,
        6 if matches!(name, b"Cookie" | b"cookie") => header::COOKIE,
        10 if matches!(name, b"User-Agent" | b"user-agent") => header::USER_AGENT,
        10 if matches!(name, b"Connection" | b"connection") => header::CONNECTION,
        12 if matches!(name, b"Content-Type" | b"content-type") => header::CONTENT_TYPE,
        14 if matches!(name, b"Content-Length" | b"content-length") => header::CONTENT_LENGTH,
        15 if matches!(name, b"Accept-Encoding" | b"accept-encoding") => header::ACCEPT_ENCODING,
        15 if matches!(name, b"Accept-Language" | b"accept-language") => header::ACCEPT_LANGUAGE,
        _ => return HeaderName::from_bytes(name).map_err(|_| Fault::FieldName),
    })
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 §5), without its line end: the name,
/// and where the value is.
#[inline(always)]
fn field_line(line: &[u8]) -> Result<(HeaderName, Range<usize>), Fault> {
    if let [b' ' | b'\t', ..] = line {
        return Err(Fault::Folding);
    }
    let colon = find(b':', line).ok_or(Fault::FieldName)?;
    let name = field_name(&line[..colon])?;
    let mut from = colon + 1;
    let mut to = line.len();
    while from < to && matches!(line[from], b' ' | b'\t') {
        from += 1;
    }
    while from < to && matches!(line[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    Ok((name, from..to))
}
