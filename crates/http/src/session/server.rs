//! The server's half of a connection.

mod answer;
mod refused;
mod switch;

use std::time::Instant;

use http::{Method, Request, Response, Version};
use ropewalk_core::{Protocol, Wire};

use super::clock::{Clock, Late};
use super::reader::{Part, Reader};
use super::writer::Writer;
use crate::error::{Awaited, Error, Fault, Result};
use crate::parse::{self, BodyKind, Facts, Scan, Section};
use crate::types::{BodyLength, Event, Limits, Outgoing, Timeouts};

pub use refused::Refused;

/// What a client tells us.
pub type ServerIn = Event<Request<()>>;

/// What we tell a client.
pub type ServerOut = Outgoing<Response<BodyLength>, Response<()>>;

/// HTTP/1.0 and 1.1 as a server speaks it (RFC 9112).
///
/// Requests come in order, each only after the response to the one before has been sent to its
/// [`End`](Outgoing::End); pipelined ones wait in the input meanwhile. A response may begin before
/// its request is whole; what is left of the request when the response has ended is thrown away, up
/// to [`Limits::drain`], and not reported.
///
/// The session decides whether the connection is kept, and says so in `Connection`; a
/// `Connection: close` of the caller is obeyed. When the peer is to blame for an error and no
/// response has begun, the session has put a short response of its own on the wire
/// ([`Error::status`]) before it returns the error; it is over then.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    scan: Scan,
    reading: Reading,
    writing: Writing,
    exchange: Exchange,
    clock: Clock,
    end: Ending,
    /// Input consumed since the beginning, in bytes.
    consumed: u64,
    /// How many of them were the rest of a request that had its response.
    drained: u64,
    /// An empty line before the request line has been skipped.
    blank: bool,
    /// The line of `Date`, as it is written.
    date: Option<[u8; 37]>,
    /// What time the date is of, if that was said.
    dated: Option<Instant>,
    /// What the session said by itself before it ended.
    refused: Option<Box<Refused>>,
}

/// The half that we read.
#[derive(Debug)]
enum Reading {
    /// The next request.
    Awaited,
    Body(Reader),
    Done,
}

/// The half that we write.
#[derive(Debug)]
enum Writing {
    /// There is nothing to respond to.
    Idle,
    /// A request has come and its final response has not begun.
    Owed,
    Sending(Writer),
    Done,
}

/// Whether and how the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is kept.
    Kept,
    /// After the response under way.
    Closing,
    /// Nothing more is read or written.
    Over,
    /// The same, and the bytes that follow are another protocol's.
    Switched,
}

/// What must be remembered of a request to respond to it.
#[derive(Debug, Clone, Copy, Default)]
struct Exchange {
    http10: bool,
    head: bool,
    connect: bool,
    /// It asks for another protocol.
    upgrade: bool,
    /// It waits for `100 Continue`.
    expects: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Limits::default(), Timeouts::default())
    }
}

impl Server {
    /// A session at the beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            limits,
            scan: Scan::default(),
            reading: Reading::Awaited,
            writing: Writing::Idle,
            exchange: Exchange::default(),
            clock: Clock::new(timeouts, true),
            end: Ending::Kept,
            consumed: 0,
            drained: 0,
            blank: false,
            date: None,
            dated: None,
            refused: None,
        }
    }

    /// The `Date` of the responses that bring none of their own, as an IMF-fixdate (RFC 9110
    /// §5.6.7); `None`, as at first, leaves the field out. The session never reads a clock.
    pub fn set_date(&mut self, date: Option<[u8; 29]>) {
        self.dated = None;
        self.date = date.map(|date| {
            let mut line = *b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
            line[6..35].copy_from_slice(&date);
            line
        });
    }

    /// [`set_date`](Self::set_date) to that of `now`, if it is not.
    #[inline]
    pub fn date_from(&mut self, now: Instant, date: impl FnOnce(Instant) -> [u8; 29]) {
        if self.dated != Some(now) {
            self.set_date(Some(date(now)));
            self.dated = Some(now);
        }
    }

    /// Whether the client waits for `100 Continue` before it sends its content: it asked for it,
    /// no content has come, and neither the interim nor the final response has been sent.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.exchange.expects && matches!(self.writing, Writing::Owed)
    }

    /// Whether a request has been delivered whose final response has not begun.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        matches!(self.writing, Writing::Owed)
    }

    /// Whether a response has begun that has not ended. A connection that is given up now must be
    /// aborted rather than closed: the client of a close-delimited response would take it for whole.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        matches!(self.writing, Writing::Sending(_))
    }

    /// Whether the content of the response under way goes anywhere. It does not for HEAD, 204 and
    /// 304: then it need not be made, and is dropped if it is.
    #[must_use]
    pub fn takes_content(&self) -> bool {
        matches!(&self.writing, Writing::Sending(writer) if writer.takes_content())
    }

    /// Whether all of the request has been received.
    #[must_use]
    pub fn request_is_whole(&self) -> bool {
        matches!(self.reading, Reading::Done)
    }

    /// Whether the connection has been handed over, by 101 or by 2xx to CONNECT: what is unread in
    /// the wire's input is the next protocol's.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.end == Ending::Switched
    }

    /// [`receive`](Protocol::receive) for the server's loop, which asks only between two exchanges:
    /// the head is written into `request`, a new one, lest it be moved from hand to hand. Moving
    /// heads about took more time than reading them.
    #[inline]
    pub fn receive_head<B>(
        &mut self,
        wire: &mut Wire,
        request: &mut Request<B>,
    ) -> Result<Option<()>> {
        let result = self.step_head(wire, request);
        if let Err(error) = &result {
            self.fail(error, wire);
        }
        result
    }

    /// Takes the [`End`](Event::End) of a request whose head has come and that has no content.
    /// Returns whether it is such a one; else its content is still to be asked for.
    pub fn take_end(&mut self) -> bool {
        let whole = matches!(&self.reading, Reading::Body(reader) if reader.missing() == Some(0));
        if whole {
            self.reading = Reading::Done;
        }
        whole
    }

    /// The next event, before an error is answered.
    fn step(&mut self, wire: &mut Wire) -> Result<Option<ServerIn>> {
        if let (Reading::Body(_), Writing::Owed | Writing::Sending(_)) =
            (&self.reading, &self.writing)
            && !self.is_over()
        {
            return self.await_body(wire);
        }
        let mut request = Request::new(());
        let head = self.step_head(wire, &mut request)?;
        Ok(head.map(|()| Event::Head(request)))
    }

    /// The next head, before an error is answered.
    #[inline(always)]
    fn step_head<B>(&mut self, wire: &mut Wire, request: &mut Request<B>) -> Result<Option<()>> {
        loop {
            match (&self.reading, &self.writing) {
                _ if self.is_over() => return Ok(None),
                (Reading::Awaited, Writing::Idle) => return self.await_request(wire, request),
                (Reading::Body(_), Writing::Done) => {
                    if !self.drain(wire)? {
                        return Ok(None);
                    }
                }
                _ => {
                    self.clock.rest();
                    return Ok(None);
                }
            }
        }
    }

    /// A request's head, if it is whole.
    #[inline(always)]
    fn await_request<B>(
        &mut self,
        wire: &mut Wire,
        request: &mut Request<B>,
    ) -> Result<Option<()>> {
        let usual = matches!(wire.input.first(), Some(b'A'..=b'Z'));
        if wire.input.is_empty() || !usual && !self.unusual_start(wire)? {
            return self.await_more(wire);
        }
        let found = self.scan.find(&wire.input, Section::Head, &self.limits);
        let Some(length) = found.map_err(|error| error.based(self.consumed))? else {
            return self.await_more(wire);
        };
        let mut head = wire.input.split_to(length).freeze();
        let mut facts = Facts::default();
        let parsed = parse::request_into(&mut head, &self.scan, request, &mut facts);
        self.scan.clear();
        let base = self.consumed;
        self.consumed += length as u64;
        self.blank = false;
        self.clock.head();
        let understood = parsed.is_ok();
        let begun = match parsed {
            Ok(body) => self.begin(request, &facts, body),
            Err(error) => Err(error.based(base)),
        };
        match begun {
            Ok(()) => Ok(Some(())),
            Err(error) => Err(self.misread(error, &head, request, understood)),
        }
    }

    /// What does not begin as nearly every request does: an empty line, another method's token, or
    /// something else than HTTP, TLS say, whose end need not be waited for. Returns whether there may
    /// be a head.
    #[cold]
    fn unusual_start(&mut self, wire: &mut Wire) -> Result<bool> {
        self.skip_blank(wire);
        match wire.input.first() {
            Some(b'\r') if !self.blank && wire.input.len() == 1 => Ok(false),
            Some(b'\r' | b'\n') => {
                Err(Error::Malformed { fault: Fault::StartLine, offset: self.consumed })
            }
            Some(&byte) if !is_head_start(byte) => {
                Err(Error::Malformed { fault: Fault::Method, offset: self.consumed })
            }
            _ => Ok(true),
        }
    }

    /// A head is not whole yet.
    fn await_more(&mut self, wire: &Wire) -> Result<Option<()>> {
        let begun = !wire.input.is_empty();
        if wire.eof && begun {
            return Err(Error::Closed { awaited: Awaited::Head, missing: None });
        }
        if wire.eof || self.end == Ending::Closing && !begun {
            self.end = Ending::Over;
            return Ok(None);
        }
        self.late(|clock| clock.await_head(wire.now, begun))?;
        Ok(None)
    }

    /// One empty line before a request line is skipped (RFC 9112 §2.2), for old clients send one
    /// behind their content.
    fn skip_blank(&mut self, wire: &mut Wire) {
        if !self.blank && wire.input.starts_with(b"\r\n") {
            let _ = wire.input.split_to(2);
            self.consumed += 2;
            self.blank = true;
        }
    }

    /// A request has come: what it means for the connection, the content and the response.
    #[inline(always)]
    fn begin<B>(&mut self, request: &Request<B>, facts: &Facts, body: BodyKind) -> Result<()> {
        let http10 = request.version() == Version::HTTP_10;
        self.exchange = Exchange {
            http10,
            head: *request.method() == Method::HEAD,
            connect: *request.method() == Method::CONNECT,
            upgrade: !http10 && facts.upgrade && facts.protocols,
            expects: facts.expect_continue && body != BodyKind::Length(0),
        };
        if facts.close || http10 && !facts.keep_alive {
            self.end = Ending::Closing;
        }
        self.drained = 0;
        self.writing = Writing::Owed;
        self.reading = Reading::Body(Reader::new(body, &self.limits)?);
        Ok(())
    }

    /// The next piece of a request's content.
    fn await_body(&mut self, wire: &mut Wire) -> Result<Option<ServerIn>> {
        let Some(part) = self.part(wire)? else {
            self.late(|clock| clock.await_body(wire.now))?;
            return Ok(None);
        };
        Ok(Some(match part {
            Part::Data(data) => Event::Data(data),
            Part::Trailers(trailers) => Event::Trailers(trailers),
            Part::End => {
                self.reading = Reading::Done;
                Event::End
            }
        }))
    }

    /// Throws the rest of a request away whose response has been sent. Returns whether it is gone.
    fn drain(&mut self, wire: &mut Wire) -> Result<bool> {
        loop {
            let before = self.consumed;
            let part = self.part(wire)?;
            self.drained += self.consumed - before;
            if self.drained > self.limits.drain {
                self.end = Ending::Over;
                return Ok(false);
            }
            match part {
                Some(Part::End) => {
                    self.reading = Reading::Done;
                    self.turn();
                    return Ok(true);
                }
                Some(Part::Data(_) | Part::Trailers(_)) => {}
                None => {
                    self.late(|clock| clock.await_body(wire.now))?;
                    return Ok(false);
                }
            }
        }
    }

    /// A piece of content, counted.
    fn part(&mut self, wire: &mut Wire) -> Result<Option<Part>> {
        let Reading::Body(reader) = &mut self.reading else {
            return Ok(None);
        };
        let before = wire.input.len();
        let part = reader.next(&mut wire.input, wire.eof, &self.limits);
        let taken = before - wire.input.len();
        if taken > 0 {
            self.consumed += taken as u64;
            self.exchange.expects = false;
            self.clock.body(wire.now, taken);
        }
        part.map_err(|error| error.based(self.consumed))
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

    /// If both halves are done: on to the next request, or the end.
    fn turn(&mut self) {
        if !matches!(self.writing, Writing::Done) {
            return;
        }
        if self.end == Ending::Closing {
            self.end = Ending::Over;
        } else if matches!(self.reading, Reading::Done) {
            self.reading = Reading::Awaited;
            self.writing = Writing::Idle;
        }
    }
}

/// A byte with which a request may begin: a token's, for the method (RFC 9110 §5.6.2), or that of
/// an empty line, which may still be skipped.
fn is_head_start(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Protocol for Server {
    type In = ServerIn;
    type Out = ServerOut;
    type Error = Error;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<ServerIn>> {
        let result = self.step(wire);
        if let Err(error) = &result {
            self.fail(error, wire);
        }
        result
    }

    fn send(&mut self, item: ServerOut, wire: &mut Wire) -> Result<()> {
        self.answer(item, &mut wire.output)
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.clock.deadline() }
    }

    fn farewell(&mut self, wire: &mut Wire) -> bool {
        let idle = match (&self.reading, &self.writing) {
            (Reading::Awaited, Writing::Idle) => wire.input.is_empty(),
            // Only the rest of a request that has had its response.
            (_, Writing::Done) => true,
            _ => false,
        };
        match self.end {
            Ending::Over | Ending::Switched => true,
            Ending::Kept | Ending::Closing if idle => {
                self.end = Ending::Over;
                true
            }
            Ending::Kept | Ending::Closing => {
                self.end = Ending::Closing;
                false
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.end, Ending::Over | Ending::Switched)
    }

    fn input_cap(&self) -> usize {
        self.limits.head.max(self.limits.trailer).max(self.limits.chunk_line).max(16 * 1024)
    }
}
