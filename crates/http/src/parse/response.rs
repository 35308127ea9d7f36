//! A response's head.

use bytes::Bytes;
use http::{Response, StatusCode, Version};

use super::fields::head_fields;
use super::request::http_version;
use super::{BodyKind, Facts, Scan, fault};
use crate::error::{Fault, Result};

/// `status-line *( field-line CRLF ) CRLF` (RFC 9112 §2.1) that `scan` has found whole. The body
/// kind is the announced one: that HEAD and some statuses have none is for the caller to know.
/// The reason phrase is dropped.
///
/// # Errors
/// A [`Fault`], or [`Error::Unsupported`](crate::Error::Unsupported) for another version or coding.
pub fn response(head: &Bytes, scan: &Scan) -> Result<(Response<()>, Facts, BodyKind)> {
    let end = scan.ends().first().map_or(0, |&end| end as usize).saturating_sub(2);
    let (version, status) = status_line(&head[..end])?;
    let mut response = Response::new(());
    let mut facts = Facts::default();
    head_fields(&mut head.clone(), scan, response.headers_mut(), &mut facts)?;
    let body = facts.announced(version == Version::HTTP_10)?.unwrap_or(BodyKind::UntilClose);
    *response.status_mut() = status;
    *response.version_mut() = version;
    Ok((response, facts, body))
}

/// `status-line = HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The second space
/// may be missing where there is no reason, as many servers have it.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode)> {
    let Some((version, [b' ', rest @ ..])) = line.split_at_checked(8) else {
        return Err(fault(Fault::StartLine, 0));
    };
    let version = http_version(version)?;
    let status = || fault(Fault::Status, 0);
    let (code, reason) = rest.split_at_checked(3).ok_or_else(status)?;
    let code = StatusCode::from_bytes(code).map_err(|_| status())?;
    match reason {
        [] => Ok((version, code)),
        [b' ', text @ ..] if text.iter().all(|&b| b == b'\t' || b >= b' ' && b != 127) => {
            Ok((version, code))
        }
        _ => Err(status()),
    }
}
