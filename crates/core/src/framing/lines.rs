//! Lines, and raw bytes between them.

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memchr2};

use super::raw::from_bytes;
use super::{COMFORTABLE, Chunk, FrameError, everything};
use crate::{Protocol, Wire};

/// What ends a line that the peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// LF alone; a CR is a byte of the line.
    Lf,
    /// CR LF only; a CR or LF by itself is a byte of the line.
    Crlf,
    /// LF, and a CR right before it is dropped.
    Either,
}

/// What ends a line that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    /// LF.
    Lf,
    /// CR LF, as most Internet protocols have it.
    Crlf,
}

/// What to do with a last line that has no end, once the peer has ended its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLine {
    /// It is an error: half a command may be another command.
    Refuse,
    /// It is a line like the others, as text files have it.
    Deliver,
}

/// Lines, and raw bytes between them when told so.
///
/// An event is a line without what ended it, as bytes: the encoding is the caller's business. Between
/// lines a protocol may [count raw bytes](Self::raw_for) or take them [until told](Self::raw); then
/// an event is a piece of them, of any size.
///
/// | made by | accepts | sends |
/// |---|---|---|
/// | [`Lines::lf`] | LF | LF |
/// | [`Lines::crlf`] | CR LF | CR LF |
/// | [`Lines::either`] | LF or CR LF | CR LF |
///
/// A line above the [cap](Self::max) is an error; if the caller goes on (with a `500 line too long`),
/// the rest of that line is passed over and the next line is an event again.
///
/// ```
/// use ropewalk_core::{LastLine, Lines};
/// use ropewalk_core::testing::cuts;
///
/// let heard = cuts(|| Lines::either().last_line(LastLine::Deliver), b"a line\r\nanother\nlast");
/// assert_eq!(heard.events, [r#"b"a line""#, r#"b"another""#, r#"b"last""#]);
/// ```
#[derive(Debug, Clone)]
pub struct Lines {
    accept: Accept,
    newline: Newline,
    last: LastLine,
    max: usize,
    mode: Mode,
    /// How much of the input has been searched in vain: a line that comes byte by byte is searched
    /// once, not once for every byte.
    searched: usize,
    /// Raw bytes that turned out to be lines; they come before the input.
    returned: Bytes,
    /// Whether the last event was raw bytes.
    was_raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Events are lines.
    Line,
    /// The rest of a line that was too long is passed over.
    Skip,
    /// Events are raw bytes, this many more.
    Counted(u64),
    /// Events are raw bytes until told.
    Raw,
}

/// What is sent between or as lines.
#[derive(Debug, Clone)]
pub enum LineOut {
    /// A line, without what ends it. It must have neither CR nor LF.
    Line(Bytes),
    /// Bytes or a stretch of a file, as they are.
    Raw(Chunk),
}

from_bytes!(LineOut, Self::Line: Bytes, BytesMut, Vec<u8>, String, &'static [u8], &'static str);

impl From<Chunk> for LineOut {
    fn from(chunk: Chunk) -> Self {
        Self::Raw(chunk)
    }
}

impl Lines {
    /// Lines of at most 16 KiB, of which the last has to be ended too.
    fn new(accept: Accept, newline: Newline) -> Self {
        Self {
            accept,
            newline,
            last: LastLine::Refuse,
            max: 16 * 1024,
            mode: Mode::Line,
            searched: 0,
            returned: Bytes::new(),
            was_raw: false,
        }
    }

    /// Lines end in LF, both ways.
    #[must_use]
    pub fn lf() -> Self {
        Self::new(Accept::Lf, Newline::Lf)
    }

    /// Lines end in CR LF, both ways, and nothing else ends a line.
    #[must_use]
    pub fn crlf() -> Self {
        Self::new(Accept::Crlf, Newline::Crlf)
    }

    /// The peer may end lines as it likes; ours end in CR LF.
    #[must_use]
    pub fn either() -> Self {
        Self::new(Accept::Either, Newline::Crlf)
    }

    /// Ends the lines that we send so.
    #[must_use]
    pub fn sending(mut self, newline: Newline) -> Self {
        self.newline = newline;
        self
    }

    /// Accepts lines of at most `bytes`, what ends them not counted. 16 KiB unless told otherwise.
    #[must_use]
    pub fn max(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// What to do with a last line that has no end; [refused](LastLine::Refuse) unless told otherwise.
    #[must_use]
    pub fn last_line(mut self, last: LastLine) -> Self {
        self.last = last;
        self
    }

    /// The next `count` bytes are raw; after them come lines again. An end of the stream before is an
    /// error.
    ///
    /// ```
    /// # use ropewalk_core::{FrameError, Lines};
    /// # use ropewalk_core::{Protocol, Wire};
    /// let mut wire = Wire::new(std::time::Instant::now());
    /// wire.input.extend_from_slice(b"BDAT 4\r\na\r\nbQUIT\r\n");
    /// let mut lines = Lines::crlf();
    /// assert_eq!(lines.receive(&mut wire)?.as_deref(), Some(&b"BDAT 4"[..]));
    /// lines.raw_for(4);
    /// assert_eq!(lines.receive(&mut wire)?.as_deref(), Some(&b"a\r\nb"[..]));
    /// assert_eq!(lines.receive(&mut wire)?.as_deref(), Some(&b"QUIT"[..]));
    /// # Ok::<(), FrameError>(())
    /// ```
    pub fn raw_for(&mut self, count: u64) {
        self.searched = 0;
        self.mode = if count == 0 { Mode::Line } else { Mode::Counted(count) };
    }

    /// What follows is raw, until [`lines`](Self::lines) is called or the peer ends.
    pub fn raw(&mut self) {
        self.searched = 0;
        self.mode = Mode::Raw;
    }

    /// What follows are lines again. `rest` is what of the last raw event belongs to them: it comes
    /// before the input.
    ///
    /// ```
    /// # use ropewalk_core::{FrameError, Lines};
    /// # use ropewalk_core::{Protocol, Wire};
    /// let mut wire = Wire::new(std::time::Instant::now());
    /// wire.input.extend_from_slice(b"text\0NOOP\r\n");
    /// let mut lines = Lines::crlf();
    /// lines.raw();
    /// let mut text = lines.receive(&mut wire)?.expect("something has come");
    /// let rest = text.split_off(5); // our text ends in NUL
    /// lines.lines(rest);
    /// assert_eq!(lines.receive(&mut wire)?.as_deref(), Some(&b"NOOP"[..]));
    /// # Ok::<(), FrameError>(())
    /// ```
    pub fn lines(&mut self, rest: Bytes) {
        self.searched = 0;
        self.mode = Mode::Line;
        if self.returned.is_empty() {
            self.returned = rest;
        } else if !rest.is_empty() {
            self.returned = [&rest[..], &self.returned[..]].concat().into();
        }
    }

    /// Whether the next event is raw bytes rather than a line.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        matches!(self.mode, Mode::Counted(_) | Mode::Raw)
    }

    /// Whether the last event was raw bytes rather than a line. The last of counted bytes were raw,
    /// though what follows them is a line.
    #[must_use]
    pub fn was_raw(&self) -> bool {
        self.was_raw
    }

    /// Where the LF is that ends the first line, the first `searched` bytes being known to have none.
    #[inline]
    fn find(&self, input: &[u8], searched: usize) -> Option<usize> {
        let rest = &input[searched..];
        match self.accept {
            Accept::Lf | Accept::Either => memchr(b'\n', rest).map(|at| searched + at),
            Accept::Crlf => memchr_iter(b'\n', rest)
                .map(|at| searched + at)
                .find(|&lf| lf > 0 && input[lf - 1] == b'\r'),
        }
    }

    /// How long `line` is without a CR that is, or may become, half of its end.
    #[inline]
    fn without_cr(&self, line: &[u8]) -> usize {
        match line {
            [content @ .., b'\r'] if self.accept != Accept::Lf => content.len(),
            _ => line.len(),
        }
    }

    /// The next event in line mode.
    #[inline]
    fn line(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let searched = self.searched.min(wire.input.len());
        let Some(lf) = self.find(&wire.input, searched) else {
            return self.no_line(wire);
        };
        self.searched = 0;
        let len = self.without_cr(&wire.input[..lf]);
        let mut line = wire.input.split_to(lf + 1);
        if len > self.max {
            return Err(FrameError::TooLong { limit: self.max });
        }
        line.truncate(len);
        Ok(Some(line.freeze()))
    }

    /// What a line without an end is: incomplete, too long, or the last one.
    fn no_line(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let len = wire.input.len();
        let deliver = wire.eof && self.last == LastLine::Deliver;
        let counted = if deliver { len } else { self.without_cr(&wire.input) };
        if counted > self.max {
            self.mode = Mode::Skip;
            self.searched = 0;
            return Err(FrameError::TooLong { limit: self.max });
        }
        if deliver {
            self.searched = 0;
            return Ok(everything(wire));
        }
        self.searched = len;
        super::unfinished(wire)
    }

    /// Passes over the rest of a line that was too long, then goes on with lines.
    fn skip(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        if let Some(lf) = self.find(&wire.input, 0) {
            wire.input.advance(lf + 1);
            self.mode = Mode::Line;
            return self.line(wire);
        }
        // A final CR may be half of the end.
        let keep = wire.input.len() - self.without_cr(&wire.input);
        let passed = wire.input.len() - if wire.eof { 0 } else { keep };
        wire.input.advance(passed);
        Ok(None)
    }

    /// The next raw bytes, of which `left` are to come.
    fn counted(&mut self, left: u64, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let count = wire.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            return if wire.eof {
                Err(FrameError::RawTruncated { missing: left })
            } else {
                Ok(None)
            };
        }
        self.raw_for(left - count as u64);
        Ok(Some(wire.input.split_to(count).freeze()))
    }

    /// Puts bytes that were given back in front of the input.
    #[cold]
    fn put_back(&mut self, wire: &mut Wire) {
        let mut input = BytesMut::from(std::mem::take(&mut self.returned));
        input.unsplit(wire.input.split());
        wire.input = input;
    }
}

impl Protocol for Lines {
    type In = Bytes;
    type Out = LineOut;
    type Error = FrameError;

    #[inline]
    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        if !self.returned.is_empty() {
            self.put_back(wire);
        }
        let is_raw = self.is_raw();
        let event = match self.mode {
            Mode::Line => self.line(wire),
            Mode::Skip => self.skip(wire),
            Mode::Counted(left) => self.counted(left, wire),
            Mode::Raw => Ok(everything(wire)),
        }?;
        if event.is_some() {
            self.was_raw = is_raw;
        }
        Ok(event)
    }

    #[inline]
    fn send(&mut self, out: LineOut, wire: &mut Wire) -> Result<(), FrameError> {
        match out {
            LineOut::Raw(chunk) => chunk.push(wire),
            LineOut::Line(line) => {
                if let Some(at) = memchr2(b'\r', b'\n', &line) {
                    return Err(FrameError::LineBreak { at });
                }
                wire.output.push(line);
                wire.output.put(match self.newline {
                    Newline::Lf => b"\n",
                    Newline::Crlf => b"\r\n",
                });
            }
        }
        Ok(())
    }

    fn input_cap(&self) -> usize {
        self.max.saturating_add(2).max(COMFORTABLE)
    }
}
