//! What the caller's own fields say about framing and connection.

use http::header::{self, HeaderMap, HeaderValue};

use crate::error::{Error, Misuse, Result};

/// What a caller has written into a head that we are to send.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// `Connection: close`.
    pub(super) close: bool,
    /// `Connection: keep-alive`.
    pub(super) keep_alive: bool,
    /// `Connection: upgrade` and `Upgrade`.
    pub(super) upgrade: bool,
    /// `Host` is there.
    pub(super) host: bool,
    /// `Date` is there.
    pub(super) date: bool,
}

/// Reads the fields that matter to us.
///
/// # Errors
/// [`Misuse::Framing`] for a `Transfer-Encoding`, which is ours to write, for a `Content-Length`
/// that is none or comes twice, and for a second `Host`.
#[inline(always)]
pub(super) fn declared(fields: &HeaderMap) -> Result<Declared> {
    let mut declared = Declared::default();
    let mut protocols = false;
    for (name, value) in fields {
        if *name == header::CONTENT_LENGTH {
            if declared.length.is_some() {
                return Err(Error::Misuse(Misuse::Framing));
            }
            declared.length = Some(length(value).ok_or(Error::Misuse(Misuse::Framing))?);
        } else if *name == header::CONNECTION {
            for option in value.as_bytes().split(|&byte| byte == b',') {
                let option = option.trim_ascii();
                declared.close |= option.eq_ignore_ascii_case(b"close");
                declared.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                declared.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            }
        } else if *name == header::DATE {
            declared.date = true;
        } else if *name == header::HOST {
            if declared.host {
                return Err(Error::Misuse(Misuse::Framing));
            }
            declared.host = true;
        } else if *name == header::UPGRADE {
            protocols = true;
        } else if *name == header::TRANSFER_ENCODING {
            return Err(Error::Misuse(Misuse::Framing));
        }
    }
    declared.upgrade &= protocols;
    Ok(declared)
}

/// A plain number of bytes.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
