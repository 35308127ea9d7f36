//! What the owner of a folder wants on every answer: fields, how long files stay fresh, pages of their
//! own for errors.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    self, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::found::{Head, Source};
use super::{Asked, Problem, Settings, Shared, pages};
use crate::body::{Body, Piece};

/// The largest page for an error that is read.
const PAGE_MOST: u64 = 1024 * 1024;

/// Fields that say how a message is framed, or what of a file it is: not the owner's to say.
const OURS: [HeaderName; 9] = [
    header::CONNECTION,
    CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Settings {
    /// What [`Files::new`](super::Files::new) would refuse of the settings themselves, whatever the folder.
    ///
    /// # Errors
    /// `InvalidInput` when a field is not the owner's to say, or a page is for no error.
    pub fn check(&self) -> io::Result<()> {
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if let Some(name) = self.headers.keys().find(|name| OURS.contains(name)) {
            return wrong(format!("the field {name} is the server's to say: leave it out"));
        }
        let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
        match self.error_pages.keys().find(|status| !is_error(status)) {
            Some(status) => wrong(format!("{status} is no error, so it has no page")),
            None => Ok(()),
        }
    }
}

/// `Cache-Control` for what is fresh for so long (RFC 9111 §5.2.2.1).
pub(super) fn freshness(max_age: Duration) -> HeaderValue {
    let text = format!("max-age={}", max_age.as_secs());
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("letters and digits")
}

impl Shared {
    /// # Errors
    /// When a page for an error is not there.
    pub(super) fn check_pages(&self) -> io::Result<()> {
        for (status, path) in &self.settings.error_pages {
            self.page(path).map_err(|error| {
                let what = format!("the page for {}, {}: {error}", status.as_u16(), path.display());
                io::Error::new(error.kind(), what)
            })?;
        }
        Ok(())
    }

    /// What a page has, and what it is.
    fn page(&self, path: &Path) -> io::Result<(Bytes, HeaderValue)> {
        let name = path.as_os_str().as_bytes();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        let wrong = |kind, what: &str| io::Error::new(kind, what.to_owned());
        let opened = self.root.file(name).map_err(|error| match Problem::from(error) {
            Problem::Status(StatusCode::FORBIDDEN) => {
                wrong(io::ErrorKind::PermissionDenied, "this user may not read it")
            }
            Problem::Failed(error) => error,
            _ => wrong(io::ErrorKind::NotFound, "there is no such file below the folder"),
        })?;
        if opened.folder || opened.facts.size > PAGE_MOST {
            return Err(wrong(io::ErrorKind::InvalidInput, "it is no file of at most 1 MiB"));
        }
        let size = opened.facts.size;
        let head = Head::new(name, None, opened.facts, std::time::SystemTime::UNIX_EPOCH);
        match Source::file(opened.fd).piece(0..size, u64::MAX)? {
            Piece::Bytes(bytes) => Ok((bytes, head.media)),
            Piece::File(_) => Ok((Bytes::new(), head.media)),
        }
    }

    /// Puts on an answer what the owner wants on it.
    pub(super) fn dress(&self, asked: Asked<'_>, response: &mut Response<Body>) {
        let status = response.status();
        if !status.is_success()
            && let Some(path) = self.settings.error_pages.get(&status)
        {
            self.put_page(asked, path, response);
        }
        if !self.settings.headers.is_empty() {
            replace(response.headers_mut(), &self.settings.headers);
        }
    }

    /// Puts the owner's page in the place of ours.
    fn put_page(&self, asked: Asked<'_>, path: &Path, response: &mut Response<Body>) {
        match self.page(path) {
            Ok((page, media)) => {
                let fields = response.headers_mut();
                // Ours would keep the page from its own style and scripts.
                fields.remove(CONTENT_SECURITY_POLICY);
                fields.remove(CONTENT_LENGTH);
                fields.insert(CONTENT_TYPE, media);
                *response.body_mut() = page.into();
                pages::take_body(asked.method, response);
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "cannot read the page for an error");
            }
        }
    }
}

/// Puts `fields` in the place of those with the same names.
fn replace(into: &mut HeaderMap, fields: &HeaderMap) {
    for name in fields.keys() {
        into.remove(name);
        for value in fields.get_all(name) {
            into.append(name.clone(), value.clone());
        }
    }
}

/// Puts how long an answer stays fresh on it.
pub(super) fn fresh(fields: &mut HeaderMap, freshness: Option<&HeaderValue>) {
    if let Some(freshness) = freshness {
        fields.insert(CACHE_CONTROL, freshness.clone());
    }
}
