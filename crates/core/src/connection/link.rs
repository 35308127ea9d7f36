//! The part of a connection that does not depend on the protocol: bytes, buffers, the timer.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tracing::warn;

use super::hooks::{Allowance, Direction, Hooks};
use super::step::{Until, Woke};
use super::turn;
use crate::{Front, Peer, Transport, Wire};

/// Bytes a quiet connection reads at once, through a buffer that it shares with all of its thread.
const SCRATCH: usize = 16 * 1024;
/// Bytes a busy connection reads at once, into a buffer of its own.
const BUSY: usize = 64 * 1024;
/// A connection that waits keeps an input buffer below this size, in bytes.
const KEPT: usize = 512;
/// The most that is read at once, where the protocol has such a large cap.
const AT_ONCE: usize = 256 * 1024;
/// Bytes of a file read at once for a transport without `sendfile`.
const FILE_AT_ONCE: usize = 64 * 1024;
/// Segments handed to one vectored write.
const SLICES: usize = 16;
/// For how long an idle peer's end is waited for.
const QUIET_LINGER: Duration = Duration::from_millis(500);
/// Default of unsent bytes that make `send` wait.
const HIGH_WATER: u64 = 64 * 1024;

thread_local! {
    /// Where quiet connections read. Only what has come is then copied into a buffer of its size, so
    /// that a connection which waits holds no buffer at all.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The input buffer that a connection gave back last.
    static INPUT: Cell<BytesMut> = Cell::default();
}

/// A wire, the transport it belongs to, and what is needed to move bytes between them.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) wire: Wire,
    pub(super) transport: Transport,
    pub(super) peer: Peer,
    pub(super) high_water: u64,
    pub(super) stall: Duration,
    pub(super) linger: Duration,
    /// The farewell has been said and nothing is under way: the next end is ours.
    pub(super) leaving: bool,
    /// The protocol has found nothing in the input, and nobody has touched either since: when we are
    /// woken, only the transport and the deadlines need be looked at.
    pub(super) asleep: bool,
    /// The protocol has been told that the reactor stops.
    told: bool,
    /// We have waited since we last sent something.
    quiet: bool,
    /// Nobody will look at the input any more: it is dropped as it comes.
    closing: bool,
    /// The transport must be flushed: it may buffer (TLS does).
    unflushed: bool,
    /// The last read filled its buffer: read into a larger one.
    busy: bool,
    /// The poll in which we last looked at the clock.
    turn: u64,
    /// The deadline that woke the protocol last.
    fired: Option<Instant>,
    /// Since when the transport has taken nothing of what is owed.
    stalled: Option<Instant>,
    /// When bytes last came or went.
    active: Instant,
    /// Why nothing can be sent any more, until it was reported.
    broken: Option<io::Error>,
    /// The one timer: armed for some time not after the next deadline.
    timer: Option<Pin<Box<Sleep>>>,
    hooks: Option<Box<Hooks>>,
}

impl Link {
    pub(super) fn new(transport: Transport, peer: Peer) -> Self {
        let now = now();
        Self {
            wire: Wire::new(now),
            transport,
            peer,
            high_water: HIGH_WATER,
            stall: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            leaving: false,
            asleep: false,
            told: false,
            quiet: false,
            closing: false,
            unflushed: false,
            busy: false,
            turn: 0,
            fired: None,
            stalled: None,
            active: now,
            broken: None,
            timer: None,
            hooks: None,
        }
    }

    pub(super) fn hooks(&mut self) -> &mut Hooks {
        self.hooks.get_or_insert_default()
    }

    /// A call of ours begins, and the caller may have been away for long. What came meanwhile came in
    /// time, so a deadline does not pass before there was a look at the socket.
    pub(super) fn begin(&mut self, deadline: Option<Instant>) {
        let now = now();
        let before = deadline.and_then(|deadline| deadline.checked_sub(Duration::from_nanos(1)));
        self.wire.now = before.map_or(now, |before| now.min(before).max(self.wire.now));
    }

    /// Whether the caller may have been away since we last looked at the clock. Where polls are not
    /// counted, whether it is cheap to say so: nothing has come that could be answered at once.
    #[inline]
    pub(super) fn is_new_turn(&mut self) -> bool {
        match turn::current() {
            0 => self.wire.input.is_empty(),
            turn => std::mem::replace(&mut self.turn, turn) != turn,
        }
    }

    pub(super) fn is_above_high_water(&self) -> bool {
        self.wire.output.len() > self.high_water
    }

    /// What it means that the peer has ended and the protocol wants nothing more.
    pub(super) fn at_end(&mut self) -> io::Result<()> {
        if self.wire.input.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the peer ended in the middle of a message, after {} bytes of it",
            self.wire.input.len()
        );
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
    }

    /// One step: writes what is owed, reads if there is room, and waits for what `until` says.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: &Until) -> Poll<io::Result<Woke>> {
        let cap = match *until {
            Until::Input { cap, .. } => cap,
            // While we only write, what the peer says is kept up to what a protocol usually takes.
            Until::Below(_) | Until::Ended => BUSY,
            Until::Written => 0,
        };
        let reading = matches!(until, Until::Input { .. });
        self.asleep &= reading;
        if reading && self.wire.input.len() >= cap {
            let message = format!("one message exceeds the {cap} bytes of input it may have");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        let mut shaped = None;
        self.write(cx, &mut shaped);
        match *until {
            Until::Below(bytes)
                if self.wire.output.len() <= bytes && (bytes > 0 || !self.unflushed) =>
            {
                return Poll::Ready(self.broken.take().map_or(Ok(Woke::Sent), Err));
            }
            Until::Written if self.wire.output.is_empty() && !self.unflushed => {
                return Poll::Ready(self.broken.take().map_or(Ok(Woke::Sent), Err));
            }
            _ => {}
        }
        while !self.wire.eof && self.wire.input.len() < cap {
            let Poll::Ready(read) = self.poll_read(cx, cap, &mut shaped) else { break };
            match read {
                // The peer may have said why it does not listen: that was read first.
                Err(error) => return Poll::Ready(Err(self.broken.take().unwrap_or(error))),
                Ok(()) if reading => {
                    self.fired = None;
                    return Poll::Ready(Ok(Woke::Input));
                }
                Ok(()) => {}
            }
        }
        let ended = self.wire.eof || self.broken.is_some();
        if ended && (reading || matches!(until, Until::Ended)) {
            return Poll::Ready(self.broken.take().map_or(Ok(Woke::Input), Err));
        }
        if reading && !self.told && self.peer.poll_stopping(cx) && self.wire.input.is_empty() {
            self.told = true;
            return Poll::Ready(Ok(Woke::Stop));
        }
        self.poll_timer(cx, until, shaped)
    }

    /// Nothing to do but wait: for the socket, or for the earliest of all deadlines.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        until: &Until,
        shaped: Option<Instant>,
    ) -> Poll<io::Result<Woke>> {
        let deadline = if let Until::Input { deadline, .. } = *until { deadline } else { None };
        // Who waits for the peer's end only is silent itself.
        let idle = self.hooks.as_ref().and_then(|h| h.idle);
        let idle = idle.filter(|_| !matches!(until, Until::Ended));
        self.release();
        loop {
            let stalls = self.stalled.and_then(|since| since.checked_add(self.stall));
            let idles = idle.and_then(|idle| self.active.checked_add(idle));
            let ends = self.hooks.as_ref().and_then(|hooks| hooks.ends);
            let Some(first) = [deadline, shaped, stalls, idles, ends].into_iter().flatten().min()
            else {
                return Poll::Pending;
            };
            if self.wire.now < first {
                ready!(self.poll_sleep(cx, first));
                self.wire.now = now();
                continue;
            }
            let passed = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= self.wire.now);
            if passed(stalls) {
                return Poll::Ready(Err(self.give_up("the peer takes nothing of what is sent")));
            }
            if passed(ends) {
                return Poll::Ready(
                    Err(self.give_up("the connection has lived as long as it may")),
                );
            }
            if passed(idles) {
                return Poll::Ready(Err(self.give_up("nothing came or went for too long")));
            }
            if passed(deadline) {
                // A protocol that does nothing about its own deadline must not spin.
                if self.fired == deadline {
                    let message = "a deadline passed and the protocol did nothing about it";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
                }
                self.fired = deadline;
                return Poll::Ready(Ok(Woke::Deadline));
            }
            // A shape allows more now: have the step begin anew.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
    }

    /// The error of a limit of ours. What is unsent will not be sent.
    fn give_up(&mut self, why: &str) -> io::Error {
        self.wire.output.advance(self.wire.output.len());
        self.stalled = None;
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// Waits until `time` by the one timer, which is armed anew only when it fires or is too late.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, time: Instant) -> Poll<()> {
        let time = tokio::time::Instant::from_std(time);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(time)));
        if time < timer.deadline() {
            timer.as_mut().reset(time);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if tokio::time::Instant::now() >= time {
                return Poll::Ready(());
            }
            timer.as_mut().reset(time);
        }
    }

    /// Gives back the memory that nothing is in.
    fn release(&mut self) {
        self.quiet = self.wire.output.is_empty() && !self.unflushed;
        self.wire.output.release();
        // A small buffer is kept, though what is split off it may be all that is left: when that is
        // dropped, the next read is made into it again without asking the allocator.
        if self.wire.input.is_empty() && self.wire.input.try_reclaim(KEPT) {
            let input = std::mem::take(&mut self.wire.input);
            if input.capacity() <= SCRATCH {
                INPUT.set(input);
            }
        }
    }

    /// Writes as much of the output as the transport takes. A failure is kept, so that what the peer
    /// said before it hung up can still be read.
    fn write(&mut self, cx: &mut Context<'_>, shaped: &mut Option<Instant>) {
        while self.broken.is_none() && (!self.wire.output.is_empty() || self.unflushed) {
            match self.poll_write(cx, shaped) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.wire.output.advance(self.wire.output.len());
                    self.unflushed = false;
                    self.stalled = None;
                    self.broken = Some(error);
                }
                // Our own shaping is no fault of the peer's.
                Poll::Pending if shaped.is_some() => return,
                Poll::Pending => {
                    self.stalled.get_or_insert_with(now);
                    return;
                }
            }
        }
    }

    /// One write, or the flush after the last one.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        shaped: &mut Option<Instant>,
    ) -> Poll<io::Result<()>> {
        let Some(front) = self.wire.output.front() else {
            ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
            self.unflushed = false;
            self.stalled = None;
            return Poll::Ready(Ok(()));
        };
        if let Front::File(_) = front
            && !self.transport.sends_files()
        {
            self.wire.output.load_front(FILE_AT_ONCE)?;
            return Poll::Ready(Ok(()));
        }
        let limit = ready!(self.poll_allowed(Direction::Sent, usize::MAX, shaped));
        let sent = match self.wire.output.front() {
            Some(Front::File(region)) => {
                let region = region.clone();
                let sent = ready!(self.transport.poll_send_file(cx, &region, limit as u64))?;
                for tap in self.hooks.iter().flat_map(|hooks| &hooks.taps) {
                    tap.file(&self.peer, sent);
                }
                sent
            }
            _ => ready!(self.poll_write_bytes(cx, limit))? as u64,
        };
        self.wire.output.advance(sent);
        self.peer.count_sent(sent);
        self.stalled = None;
        self.unflushed = !self.transport.sends_files();
        if let Some(hooks) = &self.hooks {
            hooks.passed(Direction::Sent, sent as usize);
            self.active = now();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_bytes(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.wire.output.slices(&mut slices);
        let slices = &slices[..filled];
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let shortened;
        let slices = if total > limit {
            shortened = [IoSlice::new(&slices[0][..limit.min(slices[0].len())])];
            &shortened
        } else {
            slices
        };
        let more = (total as u64) < self.wire.output.len() && total <= limit;
        let written = ready!(match (slices, more) {
            (slices, true) => self.transport.poll_write_more(cx, slices),
            ([only], false) => Pin::new(&mut self.transport).poll_write(cx, only),
            (slices, false) => Pin::new(&mut self.transport).poll_write_vectored(cx, slices),
        })?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        for tap in self.hooks.iter().flat_map(|hooks| &hooks.taps) {
            let mut left = written;
            for slice in slices {
                let part = &slice[..left.min(slice.len())];
                left -= part.len();
                if !part.is_empty() {
                    tap.bytes(&self.peer, Direction::Sent, part);
                }
            }
        }
        Poll::Ready(Ok(written))
    }

    /// One read, into the thread's scratch buffer or, when there is much to read, a buffer of our own.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        cap: usize,
        shaped: &mut Option<Instant>,
    ) -> Poll<io::Result<()>> {
        let mut room = cap - self.wire.input.len();
        // What is only dropped, to see the peer's end, is nobody's bandwidth.
        if !self.closing {
            room = ready!(self.poll_allowed(Direction::Received, room, shaped));
        }
        let count = if self.busy {
            self.wire.input.reserve(room.min(AT_ONCE));
            let mut limited = bytes::BufMut::limit(&mut self.wire.input, room);
            let count = ready!(pin!(self.transport.read_buf(&mut limited)).poll(cx))?;
            self.busy = count >= SCRATCH / 2;
            count
        } else {
            ready!(self.poll_read_scratch(cx, room))?
        };
        self.wire.now = now();
        self.turn = turn::current();
        self.wire.eof = count == 0;
        self.peer.count_received(count as u64);
        if let Some(hooks) = &self.hooks {
            self.active = self.wire.now;
            hooks.passed(Direction::Received, count);
            let start = self.wire.input.len() - count;
            for tap in &hooks.taps {
                tap.bytes(&self.peer, Direction::Received, &self.wire.input[start..]);
            }
        }
        if self.closing {
            self.wire.input.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the thread's buffer and copies what came. The buffer is taken, not borrowed: the
    /// transport may be a stream that reads from another connection.
    fn poll_read_scratch(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let mut scratch = READ.take();
        if scratch.is_empty() {
            scratch = vec![0; SCRATCH];
        }
        let mut buffer = ReadBuf::new(&mut scratch[..room.min(SCRATCH)]);
        let read = Pin::new(&mut self.transport).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        if count > 0 && self.wire.input.is_empty() && !self.wire.input.try_reclaim(count) {
            // One that fits: what is kept of what came keeps all of its buffer.
            let spare = INPUT.take();
            if (count..=4 * count).contains(&spare.capacity()) {
                self.wire.input = spare;
            } else {
                INPUT.set(spare);
            }
        }
        self.wire.input.extend_from_slice(buffer.filled());
        self.busy = count == SCRATCH;
        READ.set(scratch);
        read.map_ok(|()| count)
    }

    /// How many of `wanted` bytes the shapes allow; if none, `shaped` is when they will.
    fn poll_allowed(
        &self,
        direction: Direction,
        wanted: usize,
        shaped: &mut Option<Instant>,
    ) -> Poll<usize> {
        let Some(hooks) = &self.hooks else { return Poll::Ready(wanted) };
        match hooks.allow(direction, wanted, self.wire.now) {
            Allowance::Now(bytes) => Poll::Ready(bytes),
            Allowance::Later(time) => {
                *shaped = Some(shaped.map_or(time, |other| other.min(time)));
                Poll::Pending
            }
        }
    }

    /// Checks, writes, and takes the transport for a handshake.
    pub(super) async fn take_for_upgrade(&mut self) -> io::Result<Transport> {
        let unread = self.wire.input.len() + self.transport.unread_len();
        if unread > 0 {
            let message =
                format!("{unread} bytes came before the TLS handshake that asks for them");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        poll_fn(|cx| self.poll(cx, &Until::Written)).await?;
        Ok(std::mem::replace(&mut self.transport, Transport::gone()))
    }

    /// The transport, with the unread bytes in front of it.
    pub(super) fn into_transport(mut self) -> Transport {
        let mut transport = std::mem::replace(&mut self.transport, Transport::gone());
        transport.unread(std::mem::take(&mut self.wire.input).freeze());
        transport
    }

    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.closing = true;
        self.wire.input.clear();
        // What was sent last went out before we began to wait: half a second will bring it over.
        let idle = self.quiet && self.wire.output.is_empty();
        let linger = if idle { self.linger.min(QUIET_LINGER) } else { self.linger };
        poll_fn(|cx| self.poll(cx, &Until::Below(0))).await?;
        // The peer may be gone, or not end in time: all of ours has been handed over.
        let _ = tokio::time::timeout(linger, self.end()).await;
        Ok(())
    }

    /// Ends our direction. All of ours must have been sent.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }

    /// Ends our direction and waits for the end of the peer's.
    async fn end(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_end(cx)).await?;
        while !self.wire.eof {
            poll_fn(|cx| self.poll_read(cx, BUSY, &mut None)).await?;
        }
        Ok(())
    }

    pub(super) fn abort(&mut self) {
        self.wire.output.advance(self.wire.output.len());
        std::mem::replace(&mut self.transport, Transport::gone()).abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.wire.output.is_empty() && !std::thread::panicking() {
            let (peer, bytes) = (self.peer.address(), self.wire.output.len());
            warn!(id = self.peer.id(), %peer, bytes, "a connection was dropped with unsent output");
        }
    }
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
