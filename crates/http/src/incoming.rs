//! The body of a request while it comes in.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use ropewalk_core::{BoxError, Peer, tls};

/// The body of a request, as the client sends it, and who the client is.
///
/// It streams: at most one piece waits here, and the connection is read only when the handler asks
/// for the next one, so that a client cannot send faster than it is listened to. Asking for the first
/// piece is what sends `100 Continue` to a client that waits for it (RFC 9110 §10.1.1).
///
/// Dropping it is fine: what is left is read and dropped up to
/// [`Limits::drain`](crate::Limits::drain), or the connection ends after the response.
pub struct Incoming {
    peer: Peer,
    tls: Option<tls::Facts>,
    // No more than this: a request is moved from hand to hand, and most have no content.
    /// `None` if there is no content.
    slot: Option<Slot>,
}

impl Incoming {
    /// A body without content.
    pub(crate) fn empty(peer: Peer, tls: Option<tls::Facts>) -> Self {
        Self { peer, tls, slot: None }
    }

    /// A body that is filled through the returned half. `length` is its length, if it is known.
    pub(crate) fn streamed(
        peer: Peer,
        tls: Option<tls::Facts>,
        length: Option<u64>,
    ) -> (Filler, Self) {
        let slot = Slot(Arc::new(Mutex::new(State { left: length, ..State::default() })));
        (Filler(slot.clone()), Self { peer, tls, slot: Some(slot) })
    }

    /// How many bytes are still to come, if that is known.
    fn left(&self) -> Option<u64> {
        self.slot.as_ref().map_or(Some(0), |slot| slot.lock().left)
    }

    /// Who sent the request.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What TLS negotiated, if the request came over TLS; the client's certificate is in it.
    #[must_use]
    pub fn tls(&self) -> Option<&tls::Facts> {
        self.tls.as_ref()
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(slot) = &self.slot else { return Poll::Ready(None) };
        let mut state = slot.lock();
        if let Some(frame) = state.frame.take() {
            if let (Some(left), Some(data)) = (&mut state.left, frame.data_ref()) {
                *left = left.saturating_sub(data.len() as u64);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        match state.end {
            End::Open => {}
            End::Whole => return Poll::Ready(None),
            End::Cut => {
                state.end = End::Whole;
                return Poll::Ready(Some(Err("the request was not received whole".into())));
            }
        }
        state.wanted = true;
        state.reader = Some(cx.waker().clone());
        if let Some(filler) = state.filler.take() {
            filler.wake();
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| {
            let state = slot.lock();
            state.frame.is_none() && state.end == End::Whole
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("peer", &self.peer)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            let mut state = slot.lock();
            state.wanted = false;
            state.frame = None;
        }
    }
}

/// Where a piece changes hands.
#[derive(Clone)]
struct Slot(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many bytes the handler has not had, if that is known.
    left: Option<u64>,
    frame: Option<Frame<Bytes>>,
    end: End,
    /// The handler waits for a piece.
    wanted: bool,
    reader: Option<Waker>,
    filler: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Whole,
    Cut,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's half of an [`Incoming`]. Dropping it before [`end`](Self::end) tells the handler
/// that the request was cut short.
pub(crate) struct Filler(Slot);

impl Filler {
    /// Waits until the handler asks for a piece.
    pub(crate) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.wanted {
            return Poll::Ready(());
        }
        state.filler = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether anybody still has the other half.
    pub(crate) fn is_heard(&self) -> bool {
        Arc::strong_count(&self.0.0) > 1
    }

    pub(crate) fn data(&self, data: Bytes) {
        self.fill(|state| state.frame = Some(Frame::data(data)));
    }

    pub(crate) fn trailers(&self, trailers: HeaderMap) {
        self.fill(|state| state.frame = Some(Frame::trailers(trailers)));
    }

    pub(crate) fn end(&self) {
        self.fill(|state| state.end = End::Whole);
    }

    fn fill(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        state.wanted = false;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.fill(|state| {
            if state.end == End::Open {
                state.end = End::Cut;
            }
        });
    }
}
