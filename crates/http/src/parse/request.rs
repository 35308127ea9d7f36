//! A request's head.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Uri, Version};
use memchr::{memchr, memrchr};

use super::fields::head_fields;
use super::host::is_authority_form;
use super::{BodyKind, Facts, Scan, fault, is_host};
use crate::error::{Error, Fault, Result, Unsupported};

/// `request-line *( field-line CRLF ) CRLF` (RFC 9112 §2.1) that `scan` has found whole.
///
/// The `Host` of the result is the one addressed: that of an absolute target replaces the field's
/// (§3.2.2).
///
/// # Errors
/// A [`Fault`], or [`Error::Unsupported`] for another version, coding or expectation.
pub fn request(head: &Bytes, scan: &Scan) -> Result<(Request<()>, Facts, BodyKind)> {
    let mut request = Request::new(());
    let mut facts = Facts::default();
    let body = request_into(&mut head.clone(), scan, &mut request, &mut facts)?;
    Ok((request, facts, body))
}

/// [`request`], written into one that is new, whose map of fields may have room, and its facts into
/// empty ones: to return them would be to copy them. The head is taken when its last field is reached.
pub(crate) fn request_into<B>(
    head: &mut Bytes,
    scan: &Scan,
    request: &mut Request<B>,
    facts: &mut Facts,
) -> Result<BodyKind> {
    let end = scan.ends().first().map_or(0, |&end| end as usize).saturating_sub(2);
    let (method, target, version) = request_line(&head[..end])?;
    // A new request's target is that already.
    let root = head[target.0..target.1] == *b"/" && method != Method::CONNECT;
    if !root {
        *request.uri_mut() = request_target(head, target, &method)?;
    }
    let connect = method == Method::CONNECT;
    *request.method_mut() = method;
    *request.version_mut() = version;
    head_fields(head, scan, request.headers_mut(), facts)?;
    let http10 = version == Version::HTTP_10;
    if facts.hosts > 1 || facts.bad_host || facts.hosts == 0 && !http10 {
        return Err(fault(Fault::Host, 0));
    }
    if facts.expect_other {
        return Err(Error::Unsupported(Unsupported::Expectation));
    }
    facts.expect_continue &= !http10;
    let body = facts.announced(http10)?.unwrap_or(BodyKind::Length(0));
    if connect && body != BodyKind::Length(0) {
        return Err(fault(Fault::ConnectBody, 0));
    }
    if let (Some(_), Some(authority)) = (request.uri().scheme(), request.uri().authority()) {
        let host = HeaderValue::from_str(authority.as_str());
        request.headers_mut().insert(header::HOST, host.map_err(|_| fault(Fault::Target, 0))?);
    }
    Ok(body)
}

/// `request-line = method SP request-target SP HTTP-version` (RFC 9112 §3); the target by position.
#[inline(always)]
fn request_line(line: &[u8]) -> Result<(Method, (usize, usize), Version)> {
    // What nearly every request is.
    if let Some(rest) = line.strip_prefix(b"GET ")
        && let Some(target) = rest.strip_suffix(b" HTTP/1.1")
    {
        return Ok((Method::GET, (4, 4 + target.len()), Version::HTTP_11));
    }
    let start_line = || fault(Fault::StartLine, 0);
    let first = memchr(b' ', line).ok_or_else(start_line)?;
    let last = memrchr(b' ', line).filter(|&last| last > first).ok_or_else(start_line)?;
    let method = Method::from_bytes(&line[..first]).map_err(|_| fault(Fault::Method, 0))?;
    let version = http_version(&line[last + 1..])?;
    Ok((method, (first + 1, last), version))
}

/// `HTTP-version = HTTP-name "/" DIGIT "." DIGIT` (RFC 9112 §2.3). A higher minor version is
/// treated as the highest we know (RFC 9110 §2.5).
pub(super) fn http_version(bytes: &[u8]) -> Result<Version> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', b'0'..=b'9'] => match major {
            b'1' => Ok(Version::HTTP_11),
            _ => Err(Error::Unsupported(Unsupported::Version)),
        },
        _ => Err(fault(Fault::Version, 0)),
    }
}

/// `request-target` (RFC 9112 §3.2) in the form that goes with the method.
fn request_target(head: &Bytes, (from, to): (usize, usize), method: &Method) -> Result<Uri> {
    let bytes = &head[from..to];
    let uri = match bytes {
        _ if !is_target_text(bytes) => None,
        _ if *method == Method::CONNECT => authority_form(head.slice(from..to)),
        [b'/', ..] => PathAndQuery::from_maybe_shared(head.slice(from..to)).ok().map(Uri::from),
        b"*" if *method == Method::OPTIONS => Some(Uri::from(PathAndQuery::from_static("*"))),
        _ => absolute_form(head.slice(from..to)),
    };
    uri.ok_or_else(|| fault(Fault::Target, from))
}

/// Visible ASCII without `#`: what no form of a target has is a space, a control character, a
/// fragment. Written without an early end, so that it is done many bytes at once.
pub(crate) fn is_target_text(bytes: &[u8]) -> bool {
    let mut bad = false;
    for &byte in bytes {
        bad |= !(0x21..0x7f).contains(&byte) | (byte == b'#');
    }
    !bad
}

/// `authority-form = uri-host ":" port` (RFC 9112 §3.2.3).
fn authority_form(bytes: Bytes) -> Option<Uri> {
    if !is_authority_form(&bytes) {
        return None;
    }
    Authority::from_maybe_shared(bytes).ok().map(Uri::from)
}

/// `absolute-form = absolute-URI` (RFC 9112 §3.2.2), with an authority, without user information
/// (RFC 9110 §4.2.4).
fn absolute_form(bytes: Bytes) -> Option<Uri> {
    let uri = Uri::from_maybe_shared(bytes).ok()?;
    uri.scheme()?;
    let authority = uri.authority()?.as_str();
    (!authority.is_empty() && !authority.starts_with(':') && is_host(authority.as_bytes()))
        .then_some(uri)
}
