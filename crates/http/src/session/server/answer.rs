//! What a server says: which framing a response gets, which fields it needs, and the session's own
//! words when the client is to blame.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode, Version};
use ropewalk_core::Output;

use super::{Ending, Reading, Server, ServerOut, Writing};
use crate::emit;
use crate::error::{Error, Misuse, Result};
use crate::session::fields::declared;
use crate::session::writer::{Framing, Writer};
use crate::spare;
use crate::types::{BodyLength, Outgoing};

impl Server {
    /// Says one item, or refuses it.
    pub(super) fn answer(&mut self, item: ServerOut, output: &mut Output) -> Result<()> {
        if self.end == Ending::Switched && matches!(item, Outgoing::End) {
            return Ok(());
        }
        if matches!(self.end, Ending::Over | Ending::Switched) {
            return Err(Error::Misuse(Misuse::Over));
        }
        let said = match item {
            Outgoing::Head(mut response) if self.owes_response() => {
                let (status, length) = (response.status(), *response.body());
                let said = self.head(status, response.headers(), length, output);
                spare::give_back(response.headers_mut());
                said.map(|framing| {
                    if let Some(framing) = framing {
                        self.writing = Writing::Sending(Writer::new(framing));
                    }
                })
            }
            Outgoing::Interim(response) if self.owes_response() => self.interim(&response, output),
            Outgoing::Whole(mut response, data) => {
                let (status, length) = (response.status(), *response.body());
                let said = self.respond(status, response.headers(), length, data, output);
                spare::give_back(response.headers_mut());
                return said;
            }
            Outgoing::Head(_) | Outgoing::Interim(_) => Err(Error::Misuse(Misuse::Order)),
            content => self.content(content, output),
        };
        self.judged(said)
    }

    /// Says a response whose content is at hand, as [`Outgoing::Whole`], whose parts these are.
    #[inline]
    pub(crate) fn respond(
        &mut self,
        status: StatusCode,
        fields: &HeaderMap,
        length: BodyLength,
        data: Bytes,
        output: &mut Output,
    ) -> Result<()> {
        if matches!(self.end, Ending::Over | Ending::Switched) {
            return Err(Error::Misuse(Misuse::Over));
        }
        if !self.owes_response() {
            return Err(Error::Misuse(Misuse::Order));
        }
        let said = self.whole(status, fields, length, data, output);
        self.judged(said)
    }

    /// A message that can no longer be what was declared must not look whole.
    #[inline]
    fn judged(&mut self, said: Result<()>) -> Result<()> {
        if let Err(Error::Misuse(Misuse::TooMuch | Misuse::TooLittle)) = said {
            self.end = Ending::Over;
        }
        said
    }

    /// Says what follows a head.
    fn content(&mut self, item: ServerOut, output: &mut Output) -> Result<()> {
        let Writing::Sending(writer) = &mut self.writing else {
            return Err(Error::Misuse(Misuse::Order));
        };
        match item {
            Outgoing::Data(data) => writer.data(data, output),
            Outgoing::File(region) => writer.file(region, output),
            Outgoing::Trailers(fields) => writer.trailers(fields),
            Outgoing::End => writer.end(output).map(|()| self.sent()),
            Outgoing::Head(_) | Outgoing::Interim(_) | Outgoing::Whole(..) => {
                Err(Error::Misuse(Misuse::Order))
            }
        }
    }

    /// Says a response whose content is at hand. Where the connection is handed over by it, there is
    /// no content.
    #[inline(always)]
    fn whole(
        &mut self,
        status: StatusCode,
        fields: &HeaderMap,
        length: BodyLength,
        data: Bytes,
        output: &mut Output,
    ) -> Result<()> {
        if !length.admits(data.len()) {
            return Err(Error::Misuse(Misuse::Framing));
        }
        match self.head(status, fields, length, output)? {
            None => return Ok(()),
            Some(Framing::Silent) => {}
            // The length is the one that was declared: that has been seen above.
            Some(Framing::Length(_) | Framing::UntilClose) => output.push(data),
            Some(Framing::Chunked) => {
                emit::chunk(data, output);
                emit::last_chunk(&HeaderMap::new(), output);
            }
        }
        self.sent();
        Ok(())
    }

    /// A response has been said to its end.
    #[inline(always)]
    fn sent(&mut self) {
        self.writing = Writing::Done;
        self.turn();
    }

    /// An interim response, as far as the client wants one.
    fn interim(&mut self, response: &Response<()>, output: &mut Output) -> Result<()> {
        let status = response.status();
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Misuse(Misuse::Status));
        }
        let proceed = status == StatusCode::CONTINUE;
        // RFC 9110 §15.2: a client of HTTP/1.0 knows none of these.
        if self.exchange.http10 || proceed && !self.exchange.expects {
            return Ok(());
        }
        if declared(response.headers())?.length.is_some() {
            return Err(Error::Misuse(Misuse::Framing));
        }
        self.exchange.expects &= !proceed;
        emit::status_line(Version::HTTP_11, status, output);
        emit::fields(response.headers(), output);
        output.put(emit::CRLF);
        Ok(())
    }

    /// The final response's head. Returns the framing of its content, or `None` if the connection is
    /// handed over.
    #[inline(always)]
    fn head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        length: BodyLength,
        output: &mut Output,
    ) -> Result<Option<Framing>> {
        let fields = declared(headers)?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Misuse(Misuse::Status));
        }
        let upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
        let whole = self.is_whole();
        if upgrade && !(self.exchange.upgrade && fields.upgrade && whole) {
            return Err(Error::Misuse(Misuse::Upgrade));
        }
        let switch = upgrade || self.exchange.connect && status.is_success();
        let body = match length {
            BodyLength::Known(0) => BodyLength::Empty,
            body => body,
        };
        let (framing, length) = self.framing(status, body, fields.length, switch)?;

        // What is still to come of the request may be more than we would throw away, or, from a
        // client that waits for a 100 it will not get, something or nothing: nobody knows.
        let endless = self.unread() > self.limits.drain || self.exchange.expects;
        if !switch && (fields.close || framing == Framing::UntilClose || endless) {
            self.end = Ending::Closing;
        }
        output.reserve(256);
        emit::status_line(Version::HTTP_11, status, output);
        self.fields(headers, fields.date, output);
        match length {
            Some(Length::Known(length)) => emit::content_length(length, output),
            Some(Length::Chunked) => output.put(b"transfer-encoding: chunked\r\n"),
            None => {}
        }
        if !switch {
            self.connection(fields.close, fields.keep_alive, output);
        }
        output.put(emit::CRLF);
        if switch {
            self.end = Ending::Switched;
            self.writing = Writing::Done;
            return Ok(None);
        }
        Ok(Some(framing))
    }

    /// The framing of a response (RFC 9112 §6.3), and the field that announces it.
    #[inline(always)]
    fn framing(
        &self,
        status: StatusCode,
        body: BodyLength,
        declared: Option<u64>,
        switch: bool,
    ) -> Result<(Framing, Option<Length>)> {
        let matches = |length| match declared {
            Some(declared) if declared != length => Err(Error::Misuse(Misuse::Framing)),
            _ => Ok(()),
        };
        let bare = switch || status == StatusCode::NO_CONTENT;
        let silent = bare || status == StatusCode::NOT_MODIFIED || self.exchange.head;
        if silent {
            return Ok((
                Framing::Silent,
                match body {
                    _ if bare => None,
                    // RFC 9110 §8.6: the length that GET would have got, if anybody knows it.
                    BodyLength::Known(length) => {
                        matches(length)?;
                        Some(Length::Known(length))
                    }
                    BodyLength::Unknown if self.exchange.head && !self.exchange.http10 => {
                        matches(u64::MAX)?;
                        Some(Length::Chunked)
                    }
                    BodyLength::Empty
                        if declared.is_none() && status != StatusCode::NOT_MODIFIED =>
                    {
                        Some(Length::Known(0))
                    }
                    _ => declared.map(Length::Known),
                },
            ));
        }
        match body {
            BodyLength::Empty | BodyLength::Known(_) => {
                let length = if let BodyLength::Known(length) = body { length } else { 0 };
                matches(length)?;
                Ok((Framing::Length(length), Some(Length::Known(length))))
            }
            BodyLength::Unknown if declared.is_some() => Err(Error::Misuse(Misuse::Framing)),
            BodyLength::Unknown if self.exchange.http10 => Ok((Framing::UntilClose, None)),
            BodyLength::Unknown => Ok((Framing::Chunked, Some(Length::Chunked))),
        }
    }

    /// The caller's fields, without the length: it is written apart, or may not stand there.
    #[inline(always)]
    fn fields(&self, fields: &HeaderMap, has_date: bool, output: &mut Output) {
        for (name, value) in fields {
            if *name == header::CONTENT_LENGTH {
                continue;
            }
            emit::field(name, value, output);
        }
        self.date(has_date, output);
    }

    /// `Date`, if we know it and the caller did not say it.
    fn date(&self, has_date: bool, output: &mut Output) {
        if let (Some(line), false) = (&self.date, has_date) {
            output.put(line);
        }
    }

    /// `Connection`, where the version's default is not what we mean and the caller did not say it.
    fn connection(&self, close: bool, keep_alive: bool, output: &mut Output) {
        let closing = self.end == Ending::Closing;
        if closing && !close {
            output.put(b"connection: close\r\n");
        } else if !closing && self.exchange.http10 && !keep_alive {
            output.put(b"connection: keep-alive\r\n");
        }
    }

    /// Whether nothing of the request is missing, reported or not.
    pub(super) fn is_whole(&self) -> bool {
        self.unread() == 0
    }

    /// How many bytes of content are missing at least.
    fn unread(&self) -> u64 {
        match &self.reading {
            Reading::Body(reader) => reader.missing().unwrap_or(1),
            Reading::Awaited | Reading::Done => 0,
        }
    }

    /// A minimal response that says only the status.
    pub(super) fn refuse(&self, status: StatusCode, output: &mut Output) {
        let reason = status.canonical_reason().unwrap_or_default();
        let text = [status.as_str(), " ", reason, "\n"].concat();
        emit::status_line(Version::HTTP_11, status, output);
        output.put(b"content-type: text/plain; charset=utf-8\r\n");
        emit::content_length(text.len() as u64, output);
        self.date(false, output);
        output.put(b"connection: close\r\n\r\n");
        if !(self.exchange.head && matches!(self.writing, Writing::Owed)) {
            output.put(text.as_bytes());
        }
    }
}

/// The field that announces a framing.
#[derive(Debug, Clone, Copy)]
enum Length {
    Known(u64),
    Chunked,
}
