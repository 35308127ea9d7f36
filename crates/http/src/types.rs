//! What a session tells and is told, and the settings it obeys.
//!
//! Methods, targets, fields and status codes are those of the [`http`] crate, whose constructors
//! refuse CR, LF and NUL: whatever a caller can build is safe on the wire.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use ropewalk_core::FileRegion;

/// What the peer tells us, one step of a message at a time, in this order:
/// `Interim`* `Head` `Data`* `Trailers`? `End`.
///
/// `H` is the head: a [`Request`] for a server, a [`Response`] for a client. `I` is an interim
/// response (1xx), which only a client receives; a server's is [`Infallible`], so that its `match`
/// needs no arm for it.
#[derive(Debug)]
pub enum Event<H, I = Infallible> {
    /// An interim response (RFC 9110 §15.2); the final one is still to come.
    Interim(I),
    /// A message begins.
    Head(H),
    /// Some of its content, never empty, without transfer coding. A slice of what was read, so
    /// as large as it came, at most the session's input cap.
    Data(Bytes),
    /// The trailer section of a chunked message (RFC 9110 §6.5), never empty. Fields that would
    /// change the framing are refused, none of the others is merged into the head.
    Trailers(HeaderMap),
    /// The message is whole. Follows every `Head` (but one that hands the connection over), also
    /// when there is no content.
    End,
}

/// What we tell the peer, in this order: `Interim`* `Head` (`Data` | `File`)* `Trailers`? `End`, or
/// `Whole` for all but the first.
#[derive(Debug)]
pub enum Outgoing<H, I = Infallible> {
    /// An interim response: `100 Continue`, `103 Early Hints`. Only a server has one to send.
    Interim(I),
    /// A message begins. Its [`BodyLength`] decides the framing.
    Head(H),
    /// A message whose content is at hand: `Head`, `Data` and `End` in one, which is what most small
    /// responses are. Its [`BodyLength`] must be `Unknown` or that of the content.
    Whole(H, Bytes),
    /// Some content. An empty one is nothing.
    Data(Bytes),
    /// Some content that lies in a file, for `sendfile` where the transport can.
    File(FileRegion),
    /// The trailer section. Dropped silently where the framing has no room for one (only `chunked`
    /// has), as RFC 9110 §6.5.1 allows.
    Trailers(HeaderMap),
    /// The message is whole. Owed for every `Head`; after one that hands the connection over
    /// (101, 2xx to CONNECT) it may be left out.
    End,
}

impl<H> Outgoing<H, Response<()>> {
    /// `100 Continue`: the client may send its content (RFC 9110 §10.1.1). Sent only if the client
    /// still waits for it, else dropped, so that it may always be said.
    #[must_use]
    pub fn proceed() -> Self {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        Self::Interim(response)
    }
}

impl<I> From<Response<BodyLength>> for Outgoing<Response<BodyLength>, I> {
    fn from(head: Response<BodyLength>) -> Self {
        Self::Head(head)
    }
}

impl<I> From<Request<BodyLength>> for Outgoing<Request<BodyLength>, I> {
    fn from(head: Request<BodyLength>) -> Self {
        Self::Head(head)
    }
}

impl<H, I> From<Bytes> for Outgoing<H, I> {
    fn from(data: Bytes) -> Self {
        Self::Data(data)
    }
}

impl<H, I> From<FileRegion> for Outgoing<H, I> {
    fn from(region: FileRegion) -> Self {
        Self::File(region)
    }
}

/// How much content follows a head that we send; it decides the framing (RFC 9112 §6).
///
/// The session writes `Content-Length` and `Transfer-Encoding` itself. A `Content-Length` among
/// the caller's fields must agree; a `Transfer-Encoding` there is misuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// None. A response says `Content-Length: 0` where a length may stand, and leaves one that the
    /// caller gave as it is where there is no content anyway (HEAD, 304); a request says nothing,
    /// or `Content-Length: 0` for the methods that usually have content (POST, PUT, PATCH).
    #[default]
    Empty,
    /// So many bytes: `Content-Length`. Sending more or fewer is an error.
    Known(u64),
    /// Not known beforehand: `chunked`, or the end of the connection for a client of HTTP/1.0.
    Unknown,
}

impl BodyLength {
    /// Whether content of so many bytes is what was declared.
    pub(crate) fn admits(self, length: usize) -> bool {
        match self {
            Self::Empty => length == 0,
            Self::Known(declared) => declared == length as u64,
            Self::Unknown => true,
        }
    }
}

/// The caps of a session. A session never holds more than these of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The request line or status line, in bytes with its line end. 414 above it. Default 8 KiB.
    pub start_line: usize,
    /// The whole head, start line included, in bytes. 431 above it. Default 64 KiB.
    pub head: usize,
    /// Fields of a head or of a trailer section. 431 above it. Default 100; at most 20,000 are
    /// honoured.
    pub fields: usize,
    /// The line before a chunk, with its extensions and line end, in bytes. 400 above it. Default 256.
    pub chunk_line: usize,
    /// The trailer section, in bytes. 431 above it. Default 16 KiB.
    pub trailer: usize,
    /// The content of a message, in bytes. 413 above it. Default none.
    pub body: Option<u64>,
    /// How much unread content of a request, in bytes, is thrown away after its response so that
    /// the connection can be kept; above it the connection ends instead. Default 256 KiB.
    pub drain: u64,
    /// How many requests a client may have under way at once. Default 64.
    pub pipeline: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_line: 8 * 1024,
            head: 64 * 1024,
            fields: 100,
            chunk_line: 256,
            trailer: 16 * 1024,
            body: None,
            drain: 256 * 1024,
            pipeline: 64,
        }
    }
}

/// How long a session waits for its peer. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its end (408), and from the beginning of a server's
    /// connection to the first byte (silent end). Default 10 s.
    pub head: Option<Duration>,
    /// Between messages on a kept connection: a silent end, no error. Default 60 s.
    pub idle: Option<Duration>,
    /// The slowest a message's content may come (408). Default 256 bytes/s after 10 s of grace.
    pub body: Option<Pace>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(10)),
            idle: Some(Duration::from_secs(60)),
            body: Some(Pace::default()),
        }
    }
}

impl Timeouts {
    /// Wait for ever, for protocols and tests that keep time themselves.
    pub const NONE: Self = Self { head: None, idle: None, body: None };
}

/// A minimum rate. The peer begins with [`grace`](Self::grace) to spare; waiting for it spends that,
/// each byte earns `1 / bytes_per_second` back, never above the grace. Time between an event and the
/// next question is not counted, so a caller may be as slow as it likes; a question that was asked
/// and dropped goes on counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second on average. Zero means that only the grace counts, and any byte renews it.
    pub bytes_per_second: u32,
    /// How long the peer may be silent after having kept the pace.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes_per_second: 256, grace: Duration::from_secs(10) }
    }
}
