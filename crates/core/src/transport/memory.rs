//! Two ends of a byte stream in memory, as good or as bad as a test wants it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How a [`pipe`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knobs {
    /// How many bytes may be under way in one direction; who writes more waits. 0 is taken as 1.
    /// Default: 64 KiB.
    pub capacity: usize,
    /// How many bytes one read delivers at most. 0 is taken as 1. Default: no limit.
    pub chunk: usize,
    /// How long bytes, and the end of a direction, are under way. Time is tokio's, so it is virtual
    /// when that is paused. Default: none, and then no clock is read.
    pub latency: Duration,
    /// Adverse mode: reads and writes take a random part of what they could, and now and then nothing,
    /// waking the task at once. The same seed and the same order of calls give the same accidents.
    /// Default: off.
    pub seed: Option<u64>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { capacity: 64 * 1024, chunk: usize::MAX, latency: Duration::ZERO, seed: None }
    }
}

/// Both ends of a byte stream in memory: what is written to one is read from the other.
#[must_use]
pub fn pipe(knobs: Knobs) -> (MemoryStream, MemoryStream) {
    let (there, back) = (Lane::shared(), Lane::shared());
    // Each end has its own luck: what one does must not depend on how often the other was polled.
    let mut luck = knobs.seed.map(fastrand::Rng::with_seed);
    let mut end = |incoming: &Shared, outgoing: &Shared| MemoryStream {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        knobs,
        luck: luck.as_mut().map(fastrand::Rng::fork),
        timer: None,
    };
    (end(&back, &there), end(&there, &back))
}

/// One end of a [`pipe`].
///
/// Shutting it down ends its direction, the other one stays open. Dropping it ends its direction too;
/// then the peer reads what is under way and after that the end, and its writes fail with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
pub struct MemoryStream {
    incoming: Shared,
    outgoing: Shared,
    knobs: Knobs,
    luck: Option<fastrand::Rng>,
    /// Rings when what is under way arrives.
    timer: Option<Pin<Box<Sleep>>>,
}

type Shared = Arc<Mutex<Lane>>;

/// One direction.
#[derive(Default)]
struct Lane {
    parcels: VecDeque<Parcel>,
    /// Bytes in all parcels.
    len: usize,
    /// The writer has ended it; when that arrives.
    end: Option<Due>,
    /// Nobody will read any more.
    deaf: bool,
    /// One of the two ends was aborted.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// When something arrives; `None` is at once.
type Due = Option<Instant>;

struct Parcel {
    due: Due,
    bytes: BytesMut,
}

/// What a reader finds.
enum Found<'a> {
    Bytes(&'a mut Parcel),
    End,
    Later(Instant),
    Nothing,
}

impl Lane {
    fn shared() -> Shared {
        Arc::default()
    }

    fn find(&mut self) -> Found<'_> {
        let due = match (self.parcels.front(), self.end) {
            (Some(parcel), _) => parcel.due,
            (None, Some(due)) => due,
            (None, None) => return Found::Nothing,
        };
        match due {
            Some(due) if due > Instant::now() => Found::Later(due),
            _ => self.parcels.front_mut().map_or(Found::End, Found::Bytes),
        }
    }

    fn append(&mut self, slices: &[IoSlice<'_>], mut room: usize, due: Due) {
        if self.parcels.back().is_none_or(|last| last.due != due) {
            self.parcels.push_back(Parcel { due, bytes: BytesMut::new() });
        }
        let parcel = self.parcels.back_mut().expect("there is at least the one just queued");
        for slice in slices {
            let taken = slice.len().min(room);
            parcel.bytes.extend_from_slice(&slice[..taken]);
            room -= taken;
            self.len += taken;
        }
        wake(&mut self.reader);
    }

    fn wake_both(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn lock(lane: &Shared) -> MutexGuard<'_, Lane> {
    // Nothing in here panics half-way, so a poisoned lane is still whole.
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl MemoryStream {
    /// Breaks the stream: from now on the peer's reads and writes fail with
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset), and what was under way is lost.
    pub fn abort(self) {
        for lane in [&self.incoming, &self.outgoing] {
            let mut lane = lock(lane);
            lane.reset = true;
            lane.parcels.clear();
            lane.len = 0;
            lane.wake_both();
        }
    }

    fn due(&self) -> Due {
        (!self.knobs.latency.is_zero()).then(|| Instant::now() + self.knobs.latency)
    }

    /// Bad luck: one time in three.
    fn stumbles(&mut self, cx: &Context<'_>) -> bool {
        let stumbles = self.luck.as_mut().is_some_and(|luck| luck.u8(..3) == 0);
        if stumbles {
            cx.waker().wake_by_ref();
        }
        stumbles
    }

    /// How much of `most`, which is not 0, is done this time.
    fn some_of(&mut self, most: usize) -> usize {
        self.luck.as_mut().map_or(most, |luck| luck.usize(1..=most))
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // Memory is always ready, so without tokio's budget a busy pair would starve everyone else.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        if this.stumbles(cx) {
            return Poll::Pending;
        }
        let most = buf.remaining().min(this.knobs.chunk.max(1));
        let incoming = this.incoming.clone();
        let mut lane = lock(&incoming);
        if lane.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let taken = loop {
            match lane.find() {
                Found::End => break 0,
                Found::Bytes(parcel) => {
                    let taken = this.some_of(most.min(parcel.bytes.len()));
                    buf.put_slice(&parcel.bytes[..taken]);
                    parcel.bytes.advance(taken);
                    break taken;
                }
                Found::Nothing => {
                    lane.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Found::Later(due) => {
                    let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
                    if timer.deadline() != due {
                        timer.as_mut().reset(due);
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        lane.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            }
        };
        budget.made_progress();
        this.timer = None;
        lane.len -= taken;
        if lane.parcels.front().is_some_and(|parcel| parcel.bytes.is_empty()) {
            lane.parcels.pop_front();
        }
        wake(&mut lane.writer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        if this.stumbles(cx) {
            return Poll::Pending;
        }
        let outgoing = this.outgoing.clone();
        let mut lane = lock(&outgoing);
        if lane.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if lane.deaf || lane.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let room = this.knobs.capacity.max(1).saturating_sub(lane.len).min(offered);
        if offered > 0 && room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        budget.made_progress();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        let taken = this.some_of(room);
        lane.append(slices, taken, this.due());
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back: it has been written when it was taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stumbles(cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stumbles(cx) {
            return Poll::Pending;
        }
        let due = self.due();
        let mut lane = lock(&self.outgoing);
        lane.end.get_or_insert(due);
        wake(&mut lane.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        // A clock can be read only inside a runtime, and a value may be dropped anywhere.
        let inside = tokio::runtime::Handle::try_current().is_ok();
        let due = if inside { self.due() } else { None };
        let mut outgoing = lock(&self.outgoing);
        outgoing.end.get_or_insert(due);
        wake(&mut outgoing.reader);
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.deaf = true;
        wake(&mut incoming.writer);
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (incoming, outgoing) = (lock(&self.incoming), lock(&self.outgoing));
        f.debug_struct("MemoryStream")
            .field("incoming", &incoming.len)
            .field("incoming_ended", &incoming.end.is_some())
            .field("outgoing", &outgoing.len)
            .field("outgoing_ended", &outgoing.end.is_some())
            .field("reset", &outgoing.reset)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
