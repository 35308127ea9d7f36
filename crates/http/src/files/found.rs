//! A file that was found: the fields that describe it, and where its bytes come from.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use ropewalk_core::FileRegion;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::encoding::Coding;
use super::mime;
use super::open::Facts;
use crate::body::Piece;

/// The last second that an HTTP date can say: the end of the year 9999.
const LAST_DATE: i64 = 253_402_300_799;

/// What the head of an answer says of a file.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) facts: Facts,
    pub(crate) coding: Option<Coding>,
    /// `ETag`, strong.
    pub(crate) etag: HeaderValue,
    /// `Last-Modified`; absent if that would be a time to come (RFC 9110 §8.8.2.1).
    pub(crate) modified: Option<HeaderValue>,
    /// `Content-Type`, that of the file behind a coding.
    pub(crate) media: HeaderValue,
}

impl Head {
    pub(crate) fn new(name: &[u8], coding: Option<Coding>, facts: Facts, now: SystemTime) -> Self {
        let modified = facts.date(now).map(|time| {
            let mut text = Text::<32>::default();
            let _ = std::fmt::Write::write_fmt(
                &mut text,
                format_args!("{}", httpdate::HttpDate::from(time)),
            );
            text.header()
        });
        Self { facts, coding, etag: etag(facts, coding), modified, media: mime::of(name) }
    }
}

impl Facts {
    /// When the file was modified, as far as times can be compared.
    pub(crate) fn modified(&self) -> SystemTime {
        u64::try_from(self.seconds)
            .ok()
            .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::new(seconds, self.nanos)))
            .unwrap_or(UNIX_EPOCH)
    }

    /// The same, if `Last-Modified` can say it.
    fn date(&self, now: SystemTime) -> Option<SystemTime> {
        let modified = self.modified();
        ((0..=LAST_DATE).contains(&self.seconds) && modified <= now).then_some(modified)
    }
}

/// `"inode-size-seconds-nanoseconds"` in hexadecimal, with the coding if there is one: two states
/// of a content have the same tag only if the file system cannot tell them apart either.
fn etag(facts: Facts, coding: Option<Coding>) -> HeaderValue {
    let mut text = Text::<80>::default();
    text.push(b"\"");
    text.hex(facts.inode);
    text.push(b"-");
    text.hex(facts.size);
    text.push(b"-");
    text.hex(facts.seconds.cast_unsigned());
    text.push(b"-");
    text.hex(facts.nanos.into());
    if let Some(coding) = coding {
        text.push(b"-");
        text.push(&coding.suffix().as_bytes()[1..]);
    }
    text.push(b"\"");
    text.header()
}

/// A short text on the stack. What does not fit is lost, so `N` is what the longest needs.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Text<N> {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn hex(&mut self, number: u64) {
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        for place in (0..digits).rev() {
            self.push(&[b"0123456789abcdef"[(number >> (4 * place) & 15) as usize]]);
        }
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.bytes[..self.len]).expect("only visible ASCII was pushed")
    }
}

impl<const N: usize> std::fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The open file.
    File(Arc<File>),
    /// All of it, read before.
    Memory(Bytes),
}

impl Source {
    pub(crate) fn file(fd: OwnedFd) -> Self {
        Self::File(Arc::new(fd.into()))
    }

    /// The bytes of `range`: read now if they are fewer than `sendfile_from`, else as a region.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file has become shorter, or what reading it fails with.
    pub(crate) fn piece(&self, range: Range<u64>, sendfile_from: u64) -> io::Result<Piece> {
        let len = range.end - range.start;
        match self {
            // A content in memory is as long as the facts of its file say, and so is the range.
            Self::Memory(bytes) => {
                Ok(Piece::Bytes(bytes.slice(range.start as usize..range.end as usize)))
            }
            Self::File(file) if len < sendfile_from => read(file, range.start, len as usize),
            Self::File(file) => {
                Ok(Piece::File(FileRegion { file: file.clone(), offset: range.start, len }))
            }
        }
    }
}

/// Reads exactly `len` bytes into a buffer of exactly that size.
fn read(file: &File, offset: u64, len: usize) -> io::Result<Piece> {
    let mut buffer = Vec::with_capacity(len);
    while buffer.len() < len {
        let at = offset + buffer.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut buffer), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // An allocator may give more room than was asked for, and a file may have grown.
    buffer.truncate(len);
    Ok(Piece::Bytes(buffer.into()))
}
