//! Who is at the other end, for as long as the connection lives.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use atomic_waker::AtomicWaker;

use crate::Address;

/// Who is at the other end of a connection, and the connection's place in its reactor. Cloning is
/// cheap.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    id: u64,
    address: Address,
    local: Address,
    received: AtomicU64,
    sent: AtomicU64,
    leaving: AtomicBool,
    stopping: AtomicBool,
    waker: AtomicWaker,
    /// Dropped when the connection ends, whatever ends it.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Peer {
    /// A peer with an `id` that is unique within its reactor; 0 outside one.
    #[must_use]
    pub fn new(id: u64, address: Address, local: Address) -> Self {
        Self(Arc::new(Inner {
            id,
            address,
            local,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            held: Mutex::new(Vec::new()),
        }))
    }

    /// The connection's number, unique within its reactor; logs name it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The other end; behind a trusted proxy, the one that the proxy names.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Our end.
    #[must_use]
    pub fn local(&self) -> &Address {
        &self.0.local
    }

    /// Bytes received so far, above TLS.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Bytes sent so far, above TLS.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Keeps `guard` until the connection ends, whatever ends it: how a wrapping factory gives back
    /// what it counted in `build`.
    pub fn hold(&self, guard: impl Any + Send) {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(guard));
    }

    /// Drops what is [held](Self::hold): the connection has ended.
    pub(crate) fn let_go(&self) {
        let held = std::mem::take(&mut *self.0.held.lock().unwrap_or_else(PoisonError::into_inner));
        drop(held);
    }

    /// Does `f` with each value of type `T` that is [held](Self::hold).
    pub fn each_held<T: Any>(&self, f: impl FnMut(&mut T)) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter_mut().filter_map(|guard| guard.downcast_mut()).for_each(f);
    }

    /// Whether the reactor is stopping or [retiring](crate::Reactor::retire) and the connection should
    /// end soon.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// Tells the connection that the reactor is stopping.
    pub(crate) fn stop(&self) {
        self.leave();
        self.0.stopping.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Tells the connection that what it answers next should be the last. An idle one is left in peace.
    pub(crate) fn leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// Asks to be woken when the reactor stops; whether it is stopping already.
    pub(crate) fn poll_stopping(&self, cx: &Context<'_>) -> bool {
        self.0.waker.register(cx.waker());
        self.0.stopping.load(Ordering::Acquire)
    }

    // Only the connection itself counts, so a load and a store will do.
    pub(crate) fn count_received(&self, bytes: u64) {
        self.0.received.store(self.received() + bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_sent(&self, bytes: u64) {
        self.0.sent.store(self.sent() + bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.0.id)
            .field("address", &self.0.address)
            .field("local", &self.0.local)
            .finish_non_exhaustive()
    }
}
