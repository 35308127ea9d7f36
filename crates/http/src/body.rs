//! Content to be sent: what a handler gives back, what a client's request has, and how it is taken
//! apart.
//!
//! A [`Body`] says *what* is to be sent, so that the server can choose *how*: bytes go out in the
//! same write as the head, a file region by `sendfile`, a stream frame by frame. It is an
//! [`http_body::Body`] as well, for servers and middleware that know nothing of the rest.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use ropewalk_core::FileRegion;

use crate::Switch;

/// Any error, boxed: what a streamed body may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streamed body, boxed.
pub type BoxBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// How much of a file is read at a time by those that poll a body rather than take it apart.
const FILE_FRAME: u64 = 64 * 1024;

/// Content to be sent, of a response or of a request.
///
/// Made by [`Body::empty`], by `From` for everything that is bytes already, by [`Body::file`],
/// [`Body::pieces`], [`Body::stream`] and, to end HTTP, a [`Switch`]. A server takes it apart with [`Body::into_content`], which
/// costs nothing.
///
/// ```
/// use ropewalk_http::body::Body;
///
/// assert_eq!(Body::empty().len(), Some(0));
/// assert_eq!(Body::from("hello").len(), Some(5));
/// ```
#[derive(Debug, Default)]
pub struct Body {
    content: Content,
}

/// What a [`Body`] is made of, for the one who sends it.
#[derive(Default)]
pub enum Content {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stretch of a file, for `sendfile`.
    File(FileRegion),
    /// Bytes and stretches of files in turn: the parts of a `multipart/byteranges` answer.
    Pieces(VecDeque<Piece>),
    /// Frames that are still to be made.
    Stream(BoxBody),
    /// Nothing more of HTTP: another protocol takes the connection over.
    Switch(Switch),
}

/// One element of a body in [pieces](Body::pieces).
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stretch of a file.
    File(FileRegion),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(region) => region.len,
        }
    }
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A stretch of a file, to be sent by `sendfile` where the transport can. Whoever polls it
    /// instead reads the file in pieces of 64 KiB, blocking for as long as the disk takes; a file
    /// that turns out shorter than its region is an error, never a short success.
    #[must_use]
    pub fn file(region: FileRegion) -> Self {
        Self { content: if region.len == 0 { Content::Empty } else { Content::File(region) } }
    }

    /// Bytes and stretches of files, sent one after the other.
    #[must_use]
    pub fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { content: Content::Pieces(pieces.into_iter().filter(|p| p.len() > 0).collect()) }
    }

    /// A body that is made while it is sent. Its length is known if its size hint is exact.
    #[must_use]
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self { content: Content::Stream(Box::pin(body)) }
    }

    /// How many bytes the body has, if that is known before it is sent.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match &self.content {
            Content::Empty => Some(0),
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::File(region) => Some(region.len),
            Content::Pieces(pieces) => Some(pieces.iter().map(Piece::len).sum()),
            Content::Stream(stream) => stream.size_hint().exact(),
            Content::Switch(_) => Some(0),
        }
    }

    /// Whether the body is known to have no bytes. A stream of unknown length is not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether the body is made while it is sent.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.content, Content::Stream(_))
    }

    /// Whether the connection is to be handed over.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.content, Content::Switch(_))
    }

    /// Takes the body apart.
    #[must_use]
    pub fn into_content(self) -> Content {
        self.content
    }
}

impl From<Switch> for Body {
    fn from(switch: Switch) -> Self {
        Self { content: Content::Switch(switch) }
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Self {
        Self { content }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { content: if bytes.is_empty() { Content::Empty } else { Content::Bytes(bytes) } }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let content = &mut self.get_mut().content;
        let next = match content {
            Content::Empty | Content::Switch(_) => None,
            Content::Bytes(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(region) => Some(read_some(region)),
            Content::Pieces(pieces) => next_piece(pieces),
            Content::Stream(stream) => return stream.as_mut().poll_frame(context),
        };
        let failed = matches!(next, Some(Err(_)));
        if failed || is_done(content) {
            *content = Content::Empty;
        }
        Poll::Ready(next.map(|read| read.map(Frame::data).map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Stream(stream) => stream.is_end_stream(),
            content => is_done(content),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.content, self.len()) {
            (Content::Stream(stream), _) => stream.size_hint(),
            (_, len) => SizeHint::with_exact(len.unwrap_or(0)),
        }
    }
}

/// Whether a body that is not a stream has nothing left.
fn is_done(content: &Content) -> bool {
    match content {
        Content::Empty | Content::Switch(_) => true,
        Content::Bytes(bytes) => bytes.is_empty(),
        Content::File(region) => region.len == 0,
        Content::Pieces(pieces) => pieces.is_empty(),
        Content::Stream(_) => false,
    }
}

fn next_piece(pieces: &mut VecDeque<Piece>) -> Option<io::Result<Bytes>> {
    let read = match pieces.front_mut()? {
        Piece::Bytes(bytes) => Ok(std::mem::take(bytes)),
        Piece::File(region) => read_some(region),
    };
    if pieces.front().is_some_and(|piece| piece.len() == 0) {
        pieces.pop_front();
    }
    Some(read)
}

/// The next frame of a region, which becomes shorter by it.
fn read_some(region: &mut FileRegion) -> io::Result<Bytes> {
    let len = region.len.min(FILE_FRAME);
    let mut buffer = vec![0; len as usize];
    region.file.read_exact_at(&mut buffer, region.offset)?;
    region.offset += len;
    region.len -= len;
    Ok(buffer.into())
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File(region) => f.debug_tuple("File").field(region).finish(),
            Self::Pieces(pieces) => f.debug_tuple("Pieces").field(pieces).finish(),
            Self::Stream(_) => f.write_str("Stream(..)"),
            Self::Switch(switch) => switch.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::task::Waker;

    use http_body::Body as _;

    use super::*;

    /// Everything a body yields, frame by frame, with its size hint checked on the way.
    fn frames(mut body: Body) -> Result<Vec<Vec<u8>>, String> {
        let mut context = Context::from_waker(Waker::noop());
        let mut frames = Vec::new();
        loop {
            let before = body.size_hint().exact();
            let ended = body.is_end_stream();
            match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(None) => return Ok(frames),
                Poll::Ready(Some(Err(error))) => {
                    assert!(body.is_end_stream(), "a failed body must be over");
                    return Err(error.to_string());
                }
                Poll::Ready(Some(Ok(frame))) => {
                    assert!(!ended, "a body that has ended yields a frame");
                    let data = frame.into_data().expect("only data").to_vec();
                    let after = body.size_hint().exact();
                    if let (Some(before), Some(after)) = (before, after) {
                        assert_eq!(before - after, data.len() as u64);
                    }
                    frames.push(data);
                }
                Poll::Pending => panic!("nothing here waits"),
            }
        }
    }

    fn region(content: &[u8], offset: u64, len: u64) -> FileRegion {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("ropewalk-body-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("the temporary folder is writable");
        std::fs::remove_file(path).expect("it was just made");
        file.write_all(content).expect("there is room");
        FileRegion { file: Arc::new(file), offset, len }
    }

    fn check(body: Body, len: Option<u64>, expected: &[&[u8]]) {
        assert_eq!(body.len(), len);
        assert_eq!(body.is_empty(), len == Some(0));
        assert_eq!(frames(body).expect("nothing fails"), expected);
    }

    #[test]
    fn every_kind_yields_what_it_was_made_of() {
        let large = vec![b'x'; FILE_FRAME as usize + 3];
        check(Body::empty(), Some(0), &[]);
        check(Body::from(""), Some(0), &[]);
        check(Body::from(()), Some(0), &[]);
        check(Body::from("abc"), Some(3), &[b"abc"]);
        check(Body::from(String::from("abc")), Some(3), &[b"abc"]);
        check(Body::from(vec![1, 2]), Some(2), &[&[1, 2]]);
        check(Body::from(Bytes::from_static(b"z")), Some(1), &[b"z"]);
        check(Body::file(region(b"0123456789", 2, 5)), Some(5), &[b"23456"]);
        check(Body::file(region(b"0123456789", 2, 0)), Some(0), &[]);
        check(
            Body::file(region(&large, 0, large.len() as u64)),
            Some(large.len() as u64),
            &[&large[..FILE_FRAME as usize], b"xxx"],
        );
        check(
            Body::pieces([
                Piece::Bytes("a".into()),
                Piece::Bytes(Bytes::new()),
                Piece::File(region(b"0123456789", 7, 2)),
                Piece::File(region(b"0123456789", 7, 0)),
                Piece::Bytes("b".into()),
            ]),
            Some(4),
            &[b"a", b"78", b"b"],
        );
        check(Body::pieces([]), Some(0), &[]);
        check(Body::stream(Body::from("abc")), Some(3), &[b"abc"]);
        check(Body::stream(Body::empty()), Some(0), &[]);
    }

    #[test]
    fn a_short_file_is_an_error_and_the_end() {
        assert!(frames(Body::file(region(b"01234", 3, 5))).is_err());
        let pieces = [Piece::File(region(b"01234", 3, 5)), Piece::Bytes("never".into())];
        assert!(frames(Body::pieces(pieces)).is_err());
    }

    #[test]
    fn taking_apart_gives_the_same_thing_back() {
        let Content::Bytes(bytes) = Body::from("abc").into_content() else {
            panic!("bytes stay bytes")
        };
        assert_eq!(bytes, "abc");
        assert!(matches!(Body::file(region(b"01", 0, 2)).into_content(), Content::File(_)));
        assert!(matches!(Body::from("").into_content(), Content::Empty));
        assert!(matches!(Body::stream(Body::empty()).into_content(), Content::Stream(_)));
    }
}
