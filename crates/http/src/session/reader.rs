//! Content as it comes: the receiving half of RFC 9112 §6 and §7, for both roles.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::error::{Awaited, Cap, Error, Fault, Result};
use crate::parse::{self, BodyKind, Scan, Section};
use crate::types::Limits;

/// A piece of content.
#[derive(Debug)]
pub(super) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// Where we are in a message's content.
#[derive(Debug)]
enum State {
    /// So many bytes are still to come, at least one.
    Length(u64),
    /// Everything up to the end of the connection.
    UntilClose,
    ChunkLine,
    /// So many bytes of a chunk are still to come, at least one.
    Chunk(u64),
    /// The CRLF behind a chunk.
    ChunkEnd,
    /// The trailer section; the search for its end.
    Trailer(Scan),
    Done,
}

/// Takes content out of the input.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// Bytes of content announced or received, to hold against the cap.
    content: u64,
}

impl Reader {
    /// # Errors
    /// [`Error::Limit`] if more is announced than we take.
    pub(super) fn new(kind: BodyKind, limits: &Limits) -> Result<Self> {
        let mut reader = Self { state: State::Done, content: 0 };
        reader.state = match kind {
            BodyKind::Length(0) => State::Done,
            BodyKind::Length(length) => {
                reader.grow(length, limits)?;
                State::Length(length)
            }
            BodyKind::Chunked => State::ChunkLine,
            BodyKind::UntilClose => State::UntilClose,
        };
        Ok(reader)
    }

    /// How many bytes are still to come, where that is known.
    pub(super) fn missing(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The next piece, if it is there. `End` comes once and must not be asked beyond.
    pub(super) fn next(
        &mut self,
        input: &mut BytesMut,
        eof: bool,
        limits: &Limits,
    ) -> Result<Option<Part>> {
        loop {
            match &mut self.state {
                State::Done => return Ok(Some(Part::End)),
                State::Length(left) | State::Chunk(left) if !input.is_empty() => {
                    let data = take(input, *left);
                    *left -= data.len() as u64;
                    if *left == 0 {
                        let chunk = matches!(self.state, State::Chunk(_));
                        self.state = if chunk { State::ChunkEnd } else { State::Done };
                    }
                    return Ok(Some(Part::Data(data)));
                }
                State::UntilClose if !input.is_empty() => return self.until_close(input, limits),
                State::UntilClose if eof => self.state = State::Done,
                State::ChunkLine => {
                    let Some((size, length)) = parse::chunk_line(input, limits.chunk_line)? else {
                        return self.starve(eof);
                    };
                    self.grow(size, limits)?;
                    let _ = input.split_to(length);
                    self.state = match size {
                        0 => State::Trailer(Scan::default()),
                        _ => State::Chunk(size),
                    };
                }
                State::ChunkEnd => {
                    match input.get(..2) {
                        Some(b"\r\n") => {}
                        None if matches!(input.first(), None | Some(b'\r')) => {
                            return self.starve(eof);
                        }
                        _ => return Err(Error::Malformed { fault: Fault::ChunkEnd, offset: 0 }),
                    }
                    let _ = input.split_to(2);
                    self.state = State::ChunkLine;
                }
                State::Trailer(scan) => {
                    let Some(length) = scan.find(input, Section::Trailer, limits)? else {
                        return self.starve(eof);
                    };
                    let section = input.split_to(length).freeze();
                    let trailers = parse::trailers(&section, scan)?;
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Some(Part::Trailers(trailers)));
                    }
                }
                State::Length(_) | State::Chunk(_) | State::UntilClose => return self.starve(eof),
            }
        }
    }

    /// Content that ends with the connection, up to the cap.
    fn until_close(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Option<Part>> {
        let room = limits.body.map_or(u64::MAX, |limit| limit.saturating_sub(self.content));
        if room == 0 {
            self.grow(input.len() as u64, limits)?;
        }
        let data = take(input, room);
        self.content += data.len() as u64;
        Ok(Some(Part::Data(data)))
    }

    /// There is nothing to take: later perhaps, but not after the end.
    fn starve(&self, eof: bool) -> Result<Option<Part>> {
        if eof {
            Err(Error::Closed { awaited: Awaited::Body, missing: self.missing() })
        } else {
            Ok(None)
        }
    }

    /// Counts content against the cap.
    fn grow(&mut self, by: u64, limits: &Limits) -> Result<()> {
        self.content = self.content.saturating_add(by);
        match limits.body {
            Some(limit) if self.content > limit => {
                Err(Error::Limit { cap: Cap::Body, limit, got: self.content })
            }
            _ => Ok(()),
        }
    }
}

/// At most `most` bytes off the front.
fn take(input: &mut BytesMut, most: u64) -> Bytes {
    let length = usize::try_from(most).map_or(input.len(), |most| most.min(input.len()));
    input.split_to(length).freeze()
}
