//! The access log: one entry for each request that was answered.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{HOST, HeaderName, REFERER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, Version};
use ropewalk_core::{Address, Peer};

use crate::session::Refused;

/// Who is told of each request that was answered, by the handler or, because it could not be taken, by
/// the server itself. Called on the connection's thread: it must not
/// block for long.
pub trait AccessLog: Send + Sync + 'static {
    /// A response has been handed to the connection.
    fn entry(&self, entry: &Entry);
}

impl<F: Fn(&Entry) + Send + Sync + 'static> AccessLog for F {
    fn entry(&self, entry: &Entry) {
        self(entry);
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The connection's number.
    pub connection: u64,
    /// The client.
    pub peer: Address,
    /// When the request had come, by the system's clock.
    pub time: SystemTime,
    /// The request's method; `None`, as for target and version, if the request was not understood.
    pub method: Option<Method>,
    /// The request's target.
    pub target: Option<Uri>,
    /// The request's version.
    pub version: Option<Version>,
    /// What came in place of a request line, as far as it came, at most 1,024 bytes, if the request was
    /// not understood; `None` if it was, or if nothing came.
    pub line: Option<Bytes>,
    /// `Host`, as it came; empty if there was none.
    pub host: Vec<u8>,
    /// `Referer`, as it came; empty if there was none.
    pub referer: Vec<u8>,
    /// `User-Agent`, as it came; empty if there was none.
    pub user_agent: Vec<u8>,
    /// The response's status.
    pub status: StatusCode,
    /// The response's size on the wire in bytes, head included.
    pub bytes: u64,
    /// From the request's head to the response's last byte handed over.
    pub took: Duration,
    begun: Instant,
}

impl Entry {
    pub(super) fn begin<B>(peer: &Peer, request: &Request<B>) -> Self {
        let field = |name: HeaderName| {
            request.headers().get(name).map_or_else(Vec::new, |value| value.as_bytes().to_vec())
        };
        Self {
            connection: peer.id(),
            peer: peer.address().clone(),
            time: SystemTime::now(),
            method: Some(request.method().clone()),
            target: Some(request.uri().clone()),
            version: Some(request.version()),
            line: None,
            host: field(HOST),
            referer: field(REFERER),
            user_agent: field(USER_AGENT),
            status: StatusCode::OK,
            bytes: 0,
            took: Duration::ZERO,
            begun: now(),
        }
    }

    /// A request that was refused before the handler had it.
    #[cold]
    pub(super) fn refused(peer: &Peer, refused: &Refused) -> Self {
        let understood = refused.request();
        let nothing = Request::default();
        let mut entry = Self::begin(peer, understood.unwrap_or(&nothing));
        if understood.is_none() {
            (entry.method, entry.target, entry.version) = (None, None, None);
            entry.line = refused.line().cloned();
        }
        entry
    }

    pub(super) fn end(mut self, status: StatusCode, bytes: u64) -> Self {
        self.took = now().saturating_duration_since(self.begun);
        self.status = status;
        self.bytes = bytes;
        self
    }

    /// The entry as a line of the "combined" format that log analysers read. The time is UTC.
    #[must_use]
    pub fn combined(&self) -> impl fmt::Display + '_ {
        Combined(self)
    }
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

struct Combined<'a>(&'a Entry);

impl fmt::Display for Combined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.peer.ip() {
            Some(ip) => write!(f, "{ip}")?,
            None => write!(f, "{}", self.0.peer)?,
        }
        write!(f, " - - [{}] \"", Clf(self.0.time))?;
        match self.0 {
            Entry {
                method: Some(method), target: Some(target), version: Some(version), ..
            } => {
                write!(f, "{method} ")?;
                quoted(f, target.to_string().as_bytes())?;
                write!(f, " {version:?}")?;
            }
            Entry { line, .. } => quoted(f, or_dash(line.as_deref().unwrap_or_default()))?,
        }
        write!(f, "\" {} {} \"", self.0.status.as_u16(), self.0.bytes)?;
        quoted(f, or_dash(&self.0.referer))?;
        f.write_str("\" \"")?;
        quoted(f, or_dash(&self.0.user_agent))?;
        f.write_str("\"")
    }
}

fn or_dash(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"-" } else { bytes }
}

/// Whatever a client sent, so that it can neither end the quotes nor the line.
fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
            b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}

/// A time as the common log format has it, in UTC: `22/Nov/2026:11:34:40 +0000`.
struct Clf(SystemTime);

impl fmt::Display for Clf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "Sun, 22 Nov 2026 11:34:40 GMT"
        let date = httpdate::fmt_http_date(self.0);
        let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
        write!(f, "{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combined_line_is_what_analysers_expect_whatever_the_client_sent() {
        let peer = Peer::new(7, Address::Ip(([127, 0, 0, 1], 4000).into()), Address::Unknown);
        let request = Request::get("/a?b=%22c")
            .header("user-agent", &b"evil\" \xff\\"[..])
            .body(())
            .expect("a valid request");
        let mut entry = Entry::begin(&peer, &request).end(StatusCode::NOT_FOUND, 123);
        entry.time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            entry.combined().to_string(),
            r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a?b=%22c HTTP/1.1" 404 123 "-" "evil\" \xff\\""#
        );
    }
}
