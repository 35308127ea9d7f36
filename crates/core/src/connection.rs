//! The one thing that awaits bytes.
//!
//! ```text
//!                 ┌───────────────── Connection<P> ─────────────────┐
//!    Transport ──▶│ wire.input  ──▶ P::receive ──▶ P::In            │──▶ next()
//!    Transport ◀──│ wire.output ◀── P::send    ◀── P::Out           │◀── send()
//!                 │ one timer    ── P::deadline                     │
//!                 └─────────────────────────────────────────────────┘
//! ```
//!
//! The driver keeps these rules, and `tests/connection.rs` has a test for each:
//! * it flushes lazily, only when the protocol finds nothing more in what has come;
//! * it reads and writes in the same step, reading only while the input is under its cap;
//! * an upgrade checks, then writes, then shakes hands;
//! * `next` is cancel-safe;
//! * `close` flushes and waits for the peer's end or a deadline;
//! * the deadline is looked at with a fresh clock, after the data;
//! * not calling `next` is the pause, and `send` waits above a high-water mark.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::endpoint::HANDSHAKE_TIME;
use crate::{Peer, Protocol, Transport, Wire, tls};

mod ended;
mod hooks;
mod link;
mod step;
pub(crate) mod turn;

pub use hooks::{Allowance, Direction, Shape, Tap};
use link::Link;
use step::{Until, Woke};

/// A protocol on a transport: the reactor's half of a connection.
pub struct Connection<P> {
    protocol: P,
    // Boxed: futures hold a connection several times over when they take it by value.
    link: Box<Link>,
}

impl<P: Protocol> Connection<P> {
    /// `protocol` on `transport`, outside any reactor.
    #[must_use]
    pub fn new(protocol: P, transport: Transport) -> Self {
        let peer = Peer::new(0, transport.peer().clone(), transport.local().clone());
        Self::with_peer(protocol, transport, peer)
    }

    /// `protocol` on `transport`, as the reactor knows it.
    pub(crate) fn with_peer(protocol: P, transport: Transport, peer: Peer) -> Self {
        Self { protocol, link: Box::new(Link::new(transport, peer)) }
    }

    /// The next event from the peer; `None` once the peer has ended, or the conversation is over, and
    /// our output is flushed. What is owed is sent before waiting, and only then: one read full of
    /// requests is answered by one write.
    ///
    /// Cancel-safe: all state is in the connection.
    ///
    /// # Errors
    /// What the protocol makes of the input; `UnexpectedEof` when the peer ended in the middle of a
    /// message; `TimedOut` when it takes nothing for as long as [`set_stall`](Self::set_stall) says;
    /// `InvalidData` when one event does not fit into [`Protocol::input_cap`]; the transport's own.
    pub async fn next(&mut self) -> Result<Option<P::In>, P::Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for those who write futures by hand.
    ///
    /// # Errors
    /// As `next`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<P::In>, P::Error>> {
        if !self.link.asleep && !self.link.wire.input.is_empty() && turn::current() == 0 {
            self.link.begin(self.protocol.deadline());
        }
        self.poll_next_with(cx, P::receive)
    }

    /// [`poll_next`](Self::poll_next) with another question than [`Protocol::receive`], whose rules
    /// `receive` must keep: for a protocol that has more than one, say because an event is so large
    /// that it is better written where it belongs than returned.
    ///
    /// Outside a reactor it does not look at the clock while input is buffered, which would be looked at
    /// for each of many pipelined requests: who waited for something else in between sets `wire().now`.
    ///
    /// # Errors
    /// As [`next`](Self::next), and those of `receive`.
    #[inline]
    pub fn poll_next_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut receive: impl FnMut(&mut P, &mut Wire) -> Result<Option<T>, P::Error>,
    ) -> Poll<Result<Option<T>, P::Error>> {
        // Woken while we wait for input: the protocol has seen what there is.
        let mut asked = std::mem::take(&mut self.link.asleep);
        if !asked && self.link.is_new_turn() {
            self.link.begin(self.protocol.deadline());
        }
        loop {
            // A protocol may owe an answer for each event: do not let that grow without a bound.
            if !asked {
                if self.link.is_above_high_water() {
                    ready!(self.link.poll(cx, &Until::below(self.link.high_water)))?;
                }
                if let Some(event) = receive(&mut self.protocol, &mut self.link.wire)? {
                    return Poll::Ready(Ok(Some(event)));
                }
            }
            asked = false;
            if self.link.leaving || self.protocol.is_over() {
                ready!(self.link.poll(cx, &Until::below(0)))?;
                return Poll::Ready(Ok(None));
            }
            if self.link.wire.eof {
                ready!(self.link.poll(cx, &Until::below(0)))?;
                return Poll::Ready(self.link.at_end().map(|()| None).map_err(P::Error::from));
            }
            let until =
                Until::Input { cap: self.protocol.input_cap(), deadline: self.protocol.deadline() };
            let Poll::Ready(woke) = self.link.poll(cx, &until) else {
                self.link.asleep = true;
                return Poll::Pending;
            };
            match woke? {
                Woke::Stop => self.link.leaving = self.protocol.farewell(&mut self.link.wire),
                Woke::Input | Woke::Deadline | Woke::Sent => {}
            }
        }
    }

    /// The next event of what has come already: nothing is read, sent or waited for.
    ///
    /// # Errors
    /// What the protocol makes of the input.
    pub fn try_next(&mut self) -> Result<Option<P::In>, P::Error> {
        self.link.asleep = false;
        self.protocol.receive(&mut self.link.wire)
    }

    /// Queues `item`, and waits only while more than the high-water mark is unsent.
    ///
    /// Dropping the future loses nothing once it was polled: the item is queued.
    ///
    /// # Errors
    /// When the protocol refuses the item in this state, and as [`flush`](Self::flush).
    pub async fn send(&mut self, item: impl Into<P::Out>) -> Result<(), P::Error> {
        self.queue(item)?;
        if self.link.is_above_high_water() {
            let high_water = self.link.high_water;
            poll_fn(|cx| self.link.poll(cx, &Until::below(high_water))).await?;
        }
        Ok(())
    }

    /// Queues `item` without waiting: for an item that belongs to one just [sent](Self::send), such
    /// as the end after the last piece. The high-water mark is kept by the next `send` or `next`:
    /// while more is unsent, `next` sends before it yields events.
    ///
    /// # Errors
    /// When the protocol refuses the item in this state.
    pub fn queue(&mut self, item: impl Into<P::Out>) -> Result<(), P::Error> {
        self.link.asleep = false;
        self.protocol.send(item.into(), &mut self.link.wire)
    }

    /// Sends all that is owed, reading meanwhile while there is room, so that two peers that only
    /// write do not wait for each other. Cancel-safe.
    ///
    /// # Errors
    /// The transport's, or `TimedOut` when the peer takes nothing for as long as
    /// [`set_stall`](Self::set_stall) says.
    pub async fn flush(&mut self) -> Result<(), P::Error> {
        Ok(poll_fn(|cx| self.link.poll(cx, &Until::below(0))).await.map(drop)?)
    }

    /// Sends what is owed and ends our direction, so that the peer sees our end while its own direction
    /// goes on: [`next`](Self::next) still yields what it says. Nothing is to be sent afterwards.
    /// Cancel-safe.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn half_close(&mut self) -> Result<(), P::Error> {
        self.flush().await?;
        Ok(poll_fn(|cx| self.link.poll_end(cx)).await?)
    }

    /// Becomes TLS, as the server. What was negotiated is in [`tls`](Self::tls).
    ///
    /// Refuses when anything from before is still unread (plaintext injected before TLS), then sends
    /// what is owed without reading, then shakes hands. Not cancel-safe: after dropping the future
    /// the connection is dead.
    ///
    /// # Errors
    /// `InvalidData` for unread input, `TimedOut` after ten seconds, and the handshake's.
    pub async fn start_tls_server(&mut self, config: &tls::Server) -> Result<(), P::Error> {
        let transport = self.link.take_for_upgrade().await?;
        self.link.transport = within_handshake(transport.tls_server(config)).await?;
        Ok(())
    }

    /// Becomes TLS, as the client of the server called `name`. Otherwise as
    /// [`start_tls_server`](Self::start_tls_server).
    ///
    /// # Errors
    /// As `start_tls_server`, and when the server cannot prove its name.
    pub async fn start_tls_client(
        &mut self,
        config: &tls::Client,
        name: ServerName<'static>,
    ) -> Result<(), P::Error> {
        let transport = self.link.take_for_upgrade().await?;
        self.link.transport = within_handshake(transport.tls_client(config, &name)).await?;
        Ok(())
    }

    /// Goes on with another protocol, which gets the unread bytes and inherits what is unsent.
    #[must_use]
    pub fn switch<Q: Protocol>(self, protocol: Q) -> Connection<Q> {
        let mut link = self.link;
        (link.leaving, link.asleep) = (false, false);
        Connection { protocol, link }
    }

    /// Sends what is owed and gives the transport away; it will yield the unread bytes first.
    ///
    /// Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn into_transport(mut self) -> io::Result<Transport> {
        poll_fn(|cx| self.link.poll(cx, &Until::Written)).await?;
        Ok(self.link.into_transport())
    }

    /// Sends what is owed, ends our direction, and waits for the peer's end, so that the tail of what
    /// was sent is not lost to a reset. Whatever the peer still sends is dropped. It waits at most as
    /// long as [`set_linger`](Self::set_linger) says, and half a second if the connection was idle.
    ///
    /// Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    /// When not all that is owed could be sent. A peer that does not end in time is no error.
    pub fn close(self) -> impl Future<Output = io::Result<()>> + Send + use<P> {
        // Not `async`: that would keep the protocol's state, twice.
        let mut link = self.link;
        async move { link.close().await }
    }

    /// Ends abruptly: unsent output is dropped, and the peer sees a reset where the transport has one.
    pub fn abort(mut self) {
        self.link.abort();
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.link.peer
    }

    /// What TLS negotiated, if the connection is under TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&tls::Facts> {
        self.link.transport.tls()
    }

    /// The protocol's state.
    #[must_use]
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The protocol's state, to be changed between events.
    pub fn protocol_mut(&mut self) -> &mut P {
        self.link.asleep = false;
        &mut self.protocol
    }

    /// Both directions as data: for protocols that are driven by hand and for tests.
    pub fn wire(&mut self) -> &mut Wire {
        self.link.asleep = false;
        &mut self.link.wire
    }

    /// The protocol's state and both directions at once, as `receive` and `send` get them.
    pub fn split(&mut self) -> (&mut P, &mut Wire) {
        self.link.asleep = false;
        (&mut self.protocol, &mut self.link.wire)
    }

    /// The time as of the last step: what the protocol was told.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.link.wire.now
    }

    /// Whether the reactor is stopping. An idle connection is told through [`Protocol::farewell`]; a
    /// busy one asks here.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.link.peer.is_stopping()
    }

    /// How many unsent bytes make [`send`](Self::send) wait. Default: 64 KiB.
    pub fn set_high_water(&mut self, bytes: u64) {
        self.link.high_water = bytes;
    }

    /// For how long a peer may take nothing of what is owed before the connection fails. Default: 60 s.
    pub fn set_stall(&mut self, limit: Duration) {
        self.link.stall = limit;
    }

    /// For how long [`close`](Self::close) waits for the peer's end. Default: 5 s.
    pub fn set_linger(&mut self, limit: Duration) {
        self.link.linger = limit;
    }

    /// For how long nothing may come or go while [`next`](Self::next) waits before the connection ends
    /// with `TimedOut`. Default: for ever; the protocol's own deadlines are apart.
    pub fn set_idle(&mut self, limit: Duration) {
        self.link.hooks().idle = Some(limit);
    }

    /// When the connection fails with `TimedOut`, although bytes come and go: at the next step after so
    /// long. Time in which nobody awaits the connection is the caller's to bound. Default: never.
    pub fn set_lifetime(&mut self, limit: Duration) {
        let now = self.link.wire.now;
        self.link.hooks().ends = now.checked_add(limit);
    }

    /// Bounds how fast bytes come or go; several shapes are all kept.
    pub fn shape(&mut self, shape: Arc<dyn Shape>) {
        self.link.hooks().shapes.push(shape);
    }

    /// Shows all bytes, as they come and go, to `tap`.
    pub fn tap(&mut self, tap: Arc<dyn Tap>) {
        self.link.hooks().taps.push(tap);
    }
}

/// A handshake that takes longer than an endpoint would let it has failed.
async fn within_handshake<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    // Boxed, because its state is large and a connection spends no time in it.
    match tokio::time::timeout(HANDSHAKE_TIME, Box::pin(handshake)).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake not done in time")),
    }
}

impl<P: fmt::Debug> fmt::Debug for Connection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("protocol", &self.protocol)
            .field("transport", &self.link.transport)
            .finish_non_exhaustive()
    }
}
