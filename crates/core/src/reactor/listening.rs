//! The handle to what listens.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Address, Peer, Refusal};

/// A handle to what [`Reactor::listen`](crate::Reactor::listen) began. Dropping it changes nothing.
pub struct Listening {
    pub(super) local: Vec<Address>,
    pub(super) state: watch::Sender<State>,
    /// Each accept loop has a receiver for as long as it or one of its connections lives.
    pub(super) alive: watch::Sender<()>,
    pub(super) ledger: Arc<Ledger>,
}

/// How far a listener has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It accepts.
    Open,
    /// It accepts nothing more; its connections go on.
    Closed,
    /// Its connections are aborted.
    Cut,
}

/// What a listener has seen: numbers since it began, above TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Connections that are open now.
    pub open: u64,
    /// Connections that have come, refused ones among them.
    pub accepted: u64,
    /// Connections that were not let in, by [`Refusal::KINDS`].
    pub refused: [u64; Refusal::KINDS.len()],
    /// Connections that ended before they were served: the TLS handshake has failed.
    pub unserved: u64,
    /// Connections whose handler ended with an error.
    pub failed: u64,
    /// Connections whose handler panicked.
    pub panicked: u64,
    /// Bytes received, those of open connections among them.
    pub received: u64,
    /// Bytes sent, those of open connections among them.
    pub sent: u64,
}

impl std::ops::Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            accepted: self.accepted + other.accepted,
            refused: std::array::from_fn(|kind| self.refused[kind] + other.refused[kind]),
            unserved: self.unserved + other.unserved,
            failed: self.failed + other.failed,
            panicked: self.panicked + other.panicked,
            received: self.received + other.received,
            sent: self.sent + other.sent,
        }
    }
}

/// The connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: Mutex<Open>,
    /// By [`Refusal::KINDS`].
    refused: [AtomicU64; Refusal::KINDS.len()],
    pub(super) unserved: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) panicked: AtomicU64,
    /// An accept loop panicked.
    pub(super) broken: AtomicBool,
}

/// What is open, and the sum of what was.
#[derive(Debug, Default)]
struct Open {
    peers: HashMap<u64, Peer>,
    /// Says goodbye to whoever comes late.
    draining: bool,
    accepted: u64,
    received: u64,
    sent: u64,
}

impl Ledger {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, peer: &Peer) {
        let mut open = self.open();
        open.peers.insert(peer.id(), peer.clone());
        open.accepted += 1;
        if open.draining {
            peer.stop();
        }
    }

    pub(super) fn refuse(&self, why: &Refusal) {
        self.refused[why.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, peer: &Peer) {
        let mut open = self.open();
        if open.peers.remove(&peer.id()).is_some() {
            open.received += peer.received();
            open.sent += peer.sent();
        }
    }
}

impl Listening {
    /// Where it listens: with port 0 asked for, the port that was given.
    #[must_use]
    pub fn local(&self) -> &Address {
        self.local.first().unwrap_or(&Address::Unknown)
    }

    /// All addresses it listens on, as a host name or dual stack may have several.
    #[must_use]
    pub fn locals(&self) -> &[Address] {
        &self.local
    }

    /// Accepts nothing more. Open connections go on.
    pub fn close(&self) {
        self.advance(State::Closed);
    }

    /// Accepts nothing more, and has every connection end as when the reactor stops: idle ones say
    /// goodbye, busy ones finish what they do.
    pub fn drain(&self) {
        self.close();
        let mut open = self.ledger.open();
        open.draining = true;
        for peer in open.peers.values() {
            peer.stop();
        }
    }

    /// [Drains](Self::drain), waits for the busy ones until `deadline`, and aborts what is left then.
    /// Returns how many those were.
    ///
    /// Not cancel-safe: it has then drained, and aborts nothing.
    pub async fn stop(&self, deadline: Instant) -> u64 {
        self.drain();
        if timeout_at(deadline, self.ended()).await.is_ok() {
            return 0;
        }
        let left = self.totals().open;
        self.advance(State::Cut);
        // An aborted task ends at its next await; one that never awaits is not waited for.
        let _ = timeout(Duration::from_secs(1), self.ended()).await;
        left
    }

    /// Waits until it accepts nothing more and its connections have ended. Cancel-safe.
    pub async fn ended(&self) {
        self.alive.closed().await;
    }

    /// Whether it accepts nothing more and its connections have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.alive.is_closed()
    }

    /// Whether it accepts. It does not when it was closed, when the reactor stops, and when accepting
    /// has panicked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.state.borrow() == State::Open && !self.has_ended()
    }

    /// Waits until accepting has panicked, which can only be a mistake in a
    /// [kind of endpoint](crate::endpoint::Source) of somebody else's. Then it is closed; what was
    /// open goes on. Never returns when it is closed or ends otherwise. Cancel-safe.
    pub async fn failed(&self) {
        let mut state = self.state.subscribe();
        // An error cannot be: the sender is here.
        let _ = state.wait_for(|state| *state != State::Open).await;
        if !self.ledger.broken.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }

    /// What it has seen. Takes a look at each open connection.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let open = self.ledger.open();
        let sum = |count: fn(&Peer) -> u64| open.peers.values().map(count).sum::<u64>();
        Totals {
            open: open.peers.len() as u64,
            accepted: open.accepted,
            refused: std::array::from_fn(|kind| read(&self.ledger.refused[kind])),
            unserved: read(&self.ledger.unserved),
            failed: read(&self.ledger.failed),
            panicked: read(&self.ledger.panicked),
            received: open.received + sum(Peer::received),
            sent: open.sent + sum(Peer::sent),
        }
    }

    fn advance(&self, to: State) {
        advance(&self.state, to);
    }
}

/// Goes on to a state, never back.
pub(super) fn advance(state: &watch::Sender<State>, to: State) {
    state.send_if_modified(|state| {
        let goes_on = *state < to;
        *state = (*state).max(to);
        goes_on
    });
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening")
            .field("local", &self.local)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
