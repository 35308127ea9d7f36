//! The client's half of a connection.

mod ask;

#[cfg(feature = "io")]
pub(crate) use ask::Line;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode, Version};
use ropewalk_core::{Protocol, Wire};

use super::clock::{Clock, Late};
use super::reader::{Part, Reader};
use super::writer::Writer;
use crate::error::{Awaited, Breach, Error, Result};
use crate::parse::{self, BodyKind, Facts, Scan, Section};
use crate::types::{BodyLength, Event, Limits, Outgoing, Timeouts};

/// How much content may wait to be handed on, in bytes.
const CONTENT: usize = 256 * 1024;

/// What a server tells us.
pub type ClientIn = Event<Response<()>, Response<()>>;

/// What we tell a server.
pub type ClientOut = Outgoing<Request<BodyLength>>;

/// HTTP/1.0 and 1.1 as a client speaks it (RFC 9112).
///
/// Requests may be sent one behind the other, up to [`Limits::pipeline`] of them; their responses
/// come in the same order. A response may come before its request has been sent whole: then the
/// rest may still be sent, or the connection be given up.
///
/// [`Timeouts::head`] counts from the first byte of a response: how long a server may think is for
/// the caller to say.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    scan: Scan,
    /// Requests whose responses have not ended, oldest first.
    under_way: VecDeque<Asked>,
    reading: Reading,
    writing: Option<Writer>,
    clock: Clock,
    /// Until when the caller waits, and how long that is.
    until: Option<(Instant, Duration)>,
    end: Ending,
    /// Input consumed since the beginning, in bytes.
    consumed: u64,
}

/// The half that we read.
#[derive(Debug)]
enum Reading {
    /// The next response.
    Awaited,
    Body(Reader),
}

/// Whether and how the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is kept.
    Kept,
    /// We send no further request.
    LastSent,
    /// The server answers no further request.
    LastReceived,
    /// Nothing more is read or written.
    Over,
    /// The same, and the bytes that follow are another protocol's.
    Switched,
}

/// What must be remembered of a request to read its response.
#[derive(Debug, Clone, Copy)]
struct Asked {
    head: bool,
    connect: bool,
    upgrade: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Limits::default(), Timeouts::default())
    }
}

impl Client {
    /// A session at the beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            limits,
            scan: Scan::default(),
            under_way: VecDeque::new(),
            reading: Reading::Awaited,
            writing: None,
            clock: Clock::new(timeouts, false),
            until: None,
            end: Ending::Kept,
            consumed: 0,
        }
    }

    /// Whether nothing is under way and another request may be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.end == Ending::Kept && self.under_way.is_empty() && self.writing.is_none()
    }

    /// Whether a request has begun that has not been sent to its end.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.writing.is_some()
    }

    /// How many requests have been begun whose responses have not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether the connection has been handed over, by 101 or by 2xx to CONNECT: what is unread in
    /// the wire's input is the next protocol's.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.end == Ending::Switched
    }

    /// How many bytes of the content under way are still to come, if that is known: set by the
    /// response's length, and no number where its end is known otherwise.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        match &self.reading {
            Reading::Awaited => Some(0),
            Reading::Body(reader) => reader.missing(),
        }
    }

    /// A deadline of the caller's, whatever is waited for: [`Error::Timeout`] is what comes of it,
    /// with `after` in it. `None` takes it away.
    pub fn set_deadline(&mut self, deadline: Option<(Instant, Duration)>) {
        self.until = deadline;
    }

    /// The next event, unless the caller's deadline has passed.
    fn next(&mut self, wire: &mut Wire) -> Result<Option<ClientIn>> {
        let next = self.step(wire)?;
        match self.until {
            Some((until, after)) if next.is_none() && wire.now >= until && !self.is_over() => {
                let awaited = match self.reading {
                    Reading::Awaited => Awaited::Response,
                    Reading::Body(_) => Awaited::Body,
                };
                Err(Error::Timeout { awaited, after })
            }
            _ => Ok(next),
        }
    }

    /// The next event.
    fn step(&mut self, wire: &mut Wire) -> Result<Option<ClientIn>> {
        if self.is_over() {
            return Ok(None);
        }
        match (&self.reading, self.under_way.front().copied()) {
            (Reading::Body(_), _) => self.await_body(wire),
            (Reading::Awaited, _) if self.end == Ending::LastReceived => {
                Err(Error::Closed { awaited: Awaited::Response, missing: None })
            }
            (Reading::Awaited, Some(asked)) => self.await_response(wire, asked),
            (Reading::Awaited, None) => self.rest(wire),
        }
    }

    /// Nothing is under way.
    fn rest(&mut self, wire: &Wire) -> Result<Option<ClientIn>> {
        if !wire.input.is_empty() {
            return Err(Error::Misbehaved(Breach::Unasked));
        }
        if wire.eof {
            self.end = Ending::Over;
            return Ok(None);
        }
        if self.writing.is_some() {
            // Its response came early; the server may well be silent now.
            self.clock.rest();
        } else {
            self.late(|clock| clock.await_head(wire.now, false))?;
        }
        Ok(None)
    }

    /// A response's head, if it is whole.
    fn await_response(&mut self, wire: &mut Wire, asked: Asked) -> Result<Option<ClientIn>> {
        let found = self.scan.find(&wire.input, Section::Head, &self.limits);
        let Some(length) = found.map_err(|error| error.based(self.consumed))? else {
            return self.await_more(wire);
        };
        let head = wire.input.split_to(length).freeze();
        let parsed = parse::response(&head, &self.scan).map_err(|error| error.based(self.consumed));
        self.scan.clear();
        self.consumed += length as u64;
        self.clock.head();
        let (response, facts, body) = parsed?;
        let status = response.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(Event::Interim(response)));
        }
        self.begin(&response, &facts, body, asked)?;
        Ok(Some(Event::Head(response)))
    }

    /// A head is not whole yet.
    fn await_more(&mut self, wire: &Wire) -> Result<Option<ClientIn>> {
        let begun = !wire.input.is_empty();
        if wire.eof {
            let awaited = if begun { Awaited::Head } else { Awaited::Response };
            return Err(Error::Closed { awaited, missing: None });
        }
        if begun {
            self.late(|clock| clock.await_head(wire.now, true))?;
        } else {
            self.clock.rest();
        }
        Ok(None)
    }

    /// A final response has come: how its content ends (RFC 9112 §6.3), and the connection.
    fn begin(
        &mut self,
        response: &Response<()>,
        facts: &Facts,
        announced: BodyKind,
        asked: Asked,
    ) -> Result<()> {
        let status = response.status();
        let upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
        if upgrade && !(asked.upgrade && facts.upgrade && facts.protocols) {
            return Err(Error::Misbehaved(Breach::Upgrade));
        }
        if upgrade || asked.connect && status.is_success() {
            self.under_way.clear();
            self.end = Ending::Switched;
            return Ok(());
        }
        let silent =
            asked.head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let body = if silent { BodyKind::Length(0) } else { announced };
        let http10 = response.version() == Version::HTTP_10;
        if facts.close || http10 && !facts.keep_alive || body == BodyKind::UntilClose {
            self.end = Ending::LastReceived;
        }
        self.reading = Reading::Body(Reader::new(body, &self.limits)?);
        Ok(())
    }

    /// The next piece of a response's content.
    fn await_body(&mut self, wire: &mut Wire) -> Result<Option<ClientIn>> {
        let Reading::Body(reader) = &mut self.reading else {
            return Ok(None);
        };
        let before = wire.input.len();
        let part = reader.next(&mut wire.input, wire.eof, &self.limits);
        let taken = before - wire.input.len();
        self.consumed += taken as u64;
        if taken > 0 {
            self.clock.body(wire.now, taken);
        }
        let Some(part) = part.map_err(|error| error.based(self.consumed))? else {
            self.late(|clock| clock.await_body(wire.now))?;
            return Ok(None);
        };
        Ok(Some(match part {
            Part::Data(data) => Event::Data(data),
            Part::Trailers(trailers) => Event::Trailers(trailers),
            Part::End => {
                self.received();
                Event::End
            }
        }))
    }

    /// A response has been read to its end.
    fn received(&mut self) {
        self.reading = Reading::Awaited;
        self.under_way.pop_front();
        self.clock.rest();
        if self.under_way.is_empty() && self.end != Ending::Kept {
            self.end = Ending::Over;
        }
    }

    /// Asks the clock, and ends silently if it says so.
    fn late(&mut self, ask: impl FnOnce(&mut Clock) -> Result<(), Late>) -> Result<()> {
        match ask(&mut self.clock) {
            Ok(()) => Ok(()),
            Err(Late::Loudly(error)) => Err(error),
            Err(Late::Silently) => {
                self.end = Ending::Over;
                Ok(())
            }
        }
    }
}

impl Protocol for Client {
    type In = ClientIn;
    type Out = ClientOut;
    type Error = Error;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<ClientIn>> {
        self.next(wire).inspect_err(|_| self.end = Ending::Over)
    }

    fn send(&mut self, item: ClientOut, wire: &mut Wire) -> Result<()> {
        self.ask(item, &mut wire.output)
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let until = self.until.map(|(until, _)| until);
        [self.clock.deadline(), until].into_iter().flatten().min()
    }

    fn farewell(&mut self, _wire: &mut Wire) -> bool {
        if self.under_way.is_empty() && self.writing.is_none() {
            self.end = Ending::Over;
        } else if self.end == Ending::Kept {
            self.end = Ending::LastSent;
        }
        self.is_over()
    }

    fn is_over(&self) -> bool {
        matches!(self.end, Ending::Over | Ending::Switched)
    }

    fn input_cap(&self) -> usize {
        // Content is handed on as it comes: the more at once, the fewer calls.
        let least = if matches!(self.reading, Reading::Body(_)) { CONTENT } else { 16 * 1024 };
        self.limits.head.max(self.limits.trailer).max(self.limits.chunk_line).max(least)
    }
}
