//! One request and its response on one connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, Response, StatusCode};
use ropewalk_core::{Peer, Transport, tls};
use tokio::time::Sleep;

use super::error::{ErrorKind, Slow};
use super::place::Origin;
use super::pool::{Conn, Pool, now};
use super::upload::{Failed, Supply, Upload};
use crate::body::Content;
use crate::error::{Awaited, Error};
use crate::session::{ClientIn, Line};
use crate::{Event, Outgoing};

/// A request under way. Whoever holds it drives the connection; to drop it is to give both up,
/// unless all of the response has come.
#[derive(Debug)]
pub(super) struct Exchange {
    /// `None` once it was given back or away.
    conn: Option<Conn>,
    peer: Peer,
    tls: Option<tls::Facts>,
    pool: Arc<Pool>,
    origin: Origin,
    upload: Upload,
    /// The content waits for `100 Continue`, at most so long.
    hold: Option<Pin<Box<Sleep>>>,
    /// No more of the content is sent.
    stopped: bool,
    limit: Limit,
    /// The next deadline of these, as the session has it.
    until: Option<(Instant, Duration)>,
    /// Bytes that had come on the connection before.
    before: u64,
    /// The response's head has come.
    answered: bool,
    /// All of the response has come, and the request still goes out.
    whole: bool,
}

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limit {
    /// From the end of the request to the response's head.
    pub(super) head: Option<Duration>,
    /// When all must be done, and how long that was.
    pub(super) total: Option<(Instant, Duration)>,
}

/// What an exchange begins with.
pub(super) struct Begin<'a> {
    pub(super) line: Line<'a>,
    pub(super) fields: &'a [&'a HeaderMap],
    /// For how long the content waits for `100 Continue`, which is asked for among the fields.
    pub(super) hold: Option<Duration>,
    pub(super) limit: Limit,
}

impl Exchange {
    /// Queues the request. Nothing is sent before it is polled.
    pub(super) fn begin(
        mut conn: Conn,
        (pool, origin): (Arc<Pool>, Origin),
        begin: &Begin<'_>,
        supply: &mut Supply,
    ) -> Result<Self, Error> {
        let (peer, tls) = (conn.peer().clone(), conn.tls().cloned());
        let before = peer.received();
        let (session, wire) = conn.split();
        session.begin_request(&begin.line, begin.fields, supply.length(), &mut wire.output)?;
        let mut this = Self {
            conn: Some(conn),
            peer,
            tls,
            pool,
            origin,
            upload: Upload::Waiting(supply.take()),
            hold: begin.hold.map(|hold| Box::pin(tokio::time::sleep(hold))),
            stopped: false,
            limit: begin.limit,
            until: None,
            before,
            answered: false,
            whole: false,
        };
        if this.hold.is_none() {
            this.send_small()?;
        }
        this.set_deadline();
        Ok(this)
    }

    /// Content that is at hand goes out with the head.
    fn send_small(&mut self) -> Result<(), Error> {
        let (Some(conn), Upload::Waiting(content)) = (&mut self.conn, &mut self.upload) else {
            return Ok(());
        };
        match content {
            Content::Empty => {}
            Content::Bytes(bytes) => conn.queue(std::mem::take(bytes))?,
            _ => return Ok(()),
        }
        self.upload = Upload::Done;
        conn.queue(Outgoing::End)
    }

    /// The final response's head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Failed>> {
        loop {
            match ready!(self.poll_event(cx))? {
                Some(Event::Interim(interim)) => {
                    if interim.status() == StatusCode::CONTINUE {
                        self.hold = None;
                    }
                }
                Some(Event::Head(head)) => {
                    self.answered(head.status());
                    return Poll::Ready(Ok(head));
                }
                Some(Event::Data(_) | Event::Trailers(_) | Event::End) | None => {
                    let awaited = Awaited::Response;
                    return Poll::Ready(Err(Error::Closed { awaited, missing: None }.into()));
                }
            }
        }
    }

    /// The final answer is there.
    fn answered(&mut self, status: StatusCode) {
        self.answered = true;
        self.hold = None;
        // Whoever says no, or go elsewhere, does not want the rest.
        if !self.upload.is_done() && status.as_u16() >= 300 {
            self.stopped = true;
            self.drop_unsent();
        }
        self.set_deadline();
        self.end_if_whole();
    }

    /// What comes next; `None` is the end of the connection, or of what was to come. Meanwhile the
    /// request goes out.
    pub(super) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ClientIn>, Failed>> {
        loop {
            let Some(conn) = &mut self.conn else { return Poll::Ready(Ok(None)) };
            if self.whole && self.upload.is_done() {
                // How sending the rest ends changes nothing of the answer.
                let _ = ready!(pin!(conn.flush()).poll(cx));
                self.end();
                return Poll::Ready(Ok(Some(Event::End)));
            }
            match conn.poll_next(cx) {
                Poll::Ready(_) if self.whole => self.upload = Upload::Done,
                Poll::Ready(event) => match self.heard(event?)? {
                    Some(Event::End) if self.whole => {}
                    event => return Poll::Ready(Ok(event)),
                },
                Poll::Pending => {}
            }
            if self.stopped || self.upload.is_done() && !self.whole {
                return Poll::Pending;
            }
            ready!(self.poll_upload(cx))?;
        }
    }

    /// Sends more of the content; ready if there was some.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let Some(conn) = &mut self.conn else { return Poll::Ready(Ok(())) };
        if self.upload.is_done() {
            return Poll::Ready(Ok(()));
        }
        if let Some(hold) = &mut self.hold {
            ready!(hold.as_mut().poll(cx));
            self.hold = None;
        }
        ready!(self.upload.poll(cx, conn))?;
        if self.upload.is_done() && !self.answered {
            self.set_deadline();
        }
        Poll::Ready(Ok(()))
    }

    /// Something has come: in time, and perhaps the last of it.
    fn heard(&mut self, event: Option<ClientIn>) -> Result<Option<ClientIn>, Error> {
        match (&event, self.until, &self.conn) {
            (Some(Event::End), _, _) => self.heard_all(),
            // A server that never ceases to talk never meets the session's deadline.
            (Some(_), Some((until, after)), Some(conn)) if conn.now() >= until => {
                let awaited = if self.answered { Awaited::Body } else { Awaited::Response };
                return Err(Error::Timeout { awaited, after });
            }
            (Some(Event::Data(_)), _, _) => self.end_if_whole(),
            _ => {}
        }
        Ok(event)
    }

    /// Sees to the end at once where nothing more is to come, so that the connection need not wait for
    /// somebody to ask.
    fn end_if_whole(&mut self) {
        let Some(conn) = &mut self.conn else { return };
        if conn.protocol().missing() == Some(0)
            && !conn.protocol().is_switched()
            && let Ok(Some(Event::End)) = conn.try_next()
        {
            self.heard_all();
        }
    }

    /// The response is whole. The request, too, unless its answer came early and was no refusal.
    fn heard_all(&mut self) {
        let Some(conn) = &mut self.conn else { return };
        if self.stopped || self.upload.is_done() && conn.wire().output.is_empty() {
            self.end();
        } else {
            self.whole = true;
        }
    }

    /// The response is whole: the connection can be used again, unless something speaks against it.
    fn end(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        let (session, wire) = conn.split();
        session.set_deadline(None);
        if session.is_idle() && wire.input.is_empty() && wire.output.is_empty() && !wire.eof {
            self.pool.put(self.origin.clone(), conn);
        } else if session.is_sending() || !wire.output.is_empty() {
            conn.abort();
        }
    }

    /// How many bytes of content are still to come, if that is known.
    pub(super) fn missing(&self) -> Option<u64> {
        if self.whole {
            return Some(0);
        }
        self.conn.as_ref().map_or(Some(0), |conn| conn.protocol().missing())
    }

    /// Whether all has come.
    pub(super) fn is_over(&self) -> bool {
        self.conn.is_none()
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) fn tls(&self) -> Option<&tls::Facts> {
        self.tls.as_ref()
    }

    /// The connection, if it has been handed over.
    pub(super) fn take_switched(&mut self) -> Option<Conn> {
        if self.conn.as_ref().is_some_and(|conn| conn.protocol().is_switched()) {
            self.conn.take()
        } else {
            None
        }
    }

    /// Which error a failure is.
    pub(super) fn explain(&self, failed: Failed) -> ErrorKind {
        match failed {
            Failed::Session(Error::Timeout { awaited, after }) => {
                let total = self.limit.total.filter(|(until, _)| now() >= *until);
                match (total, awaited) {
                    (Some((_, total)), _) => ErrorKind::Timeout(Slow::Total, total),
                    (None, Awaited::Body) => ErrorKind::Timeout(Slow::Content, after),
                    (None, _) => ErrorKind::Timeout(Slow::Head, after),
                }
            }
            Failed::Session(error) => ErrorKind::Session(error),
            Failed::Content(error) => ErrorKind::Content(error),
        }
    }

    /// Content that was not begun, to be sent elsewhere.
    pub(super) fn reclaim(&mut self) -> Option<Content> {
        self.upload.reclaim()
    }

    /// Whether it failed because the server had ended a connection that had waited: then it has done
    /// nothing with the request.
    pub(super) fn is_stale(&self, failed: &Failed) -> bool {
        use io::ErrorKind as Kind;
        let ended = match failed {
            Failed::Session(Error::Closed { awaited: Awaited::Response, .. }) => true,
            Failed::Session(Error::Io(error)) => matches!(
                error.kind(),
                Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::NotConnected
                    | Kind::UnexpectedEof
            ),
            _ => false,
        };
        ended && self.was_reused() && self.peer.received() == self.before
    }

    /// Whether the connection had served another request.
    pub(super) fn was_reused(&self) -> bool {
        self.before > 0
    }

    fn set_deadline(&mut self) {
        let awaited = self.upload.is_done() && !self.answered;
        self.until = self.limit.deadline(awaited);
        if let Some(conn) = &mut self.conn {
            conn.protocol_mut().set_deadline(self.until);
        }
    }

    fn drop_unsent(&mut self) {
        if let Some(conn) = &mut self.conn {
            let output = &mut conn.wire().output;
            output.advance(output.len());
        }
    }
}

impl Limit {
    /// The next deadline: that of the head, too, if it is `awaited` from now on.
    fn deadline(&self, awaited: bool) -> Option<(Instant, Duration)> {
        let head = self.head.filter(|_| awaited);
        let head = head.and_then(|head| Some((now().checked_add(head)?, head)));
        [head, self.total].into_iter().flatten().min_by_key(|(until, _)| *until)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // What has come already may be all that is to come.
        while let Some(conn) = &mut self.conn
            && !self.whole
        {
            match conn.try_next() {
                Ok(Some(Event::End)) => self.end(),
                Ok(Some(_)) if self.answered => {}
                _ => break,
            }
        }
        if let Some(conn) = self.conn.take() {
            conn.abort();
        }
    }
}

/// Sends what is owed and gives the transport away.
pub(super) async fn into_transport(conn: Conn) -> io::Result<Transport> {
    conn.into_transport().await
}
