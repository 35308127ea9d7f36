//! Counters of connections and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{BoxError, Factory, Refusal};
use crate::{Connection, Direction, Peer, Tap};

/// Counts connections and bytes. The [`Counts`] are shared: keep a clone to read them, or let several
/// factories count into the same.
#[derive(Debug)]
pub struct Meter<F> {
    inner: F,
    counts: Arc<Counts>,
}

/// What a [`Meter`] has counted. Each number is right at all times; two read one after the other may
/// be of different moments. After 2⁶⁴ they begin anew.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counts {
    /// Connections that were accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that the factory inside has refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        // A connection is closed after it was accepted; read in this order the difference is not
        // negative.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Acquire).saturating_sub(closed)
    }

    /// Connections whose handler ended with an error.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Bytes received, above TLS.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes sent, above TLS.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Tap for Counts {
    fn bytes(&self, _peer: &Peer, direction: Direction, bytes: &[u8]) {
        let counter = match direction {
            Direction::Received => &self.received,
            Direction::Sent => &self.sent,
        };
        counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn file(&self, _peer: &Peer, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An open connection; counts its end when dropped.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}

impl<F> Meter<F> {
    /// Counts from zero.
    #[must_use]
    pub fn new(inner: F) -> Self {
        Self::into_counts(Arc::default(), inner)
    }

    /// Counts into `counts`, beside others.
    #[must_use]
    pub fn into_counts(counts: Arc<Counts>, inner: F) -> Self {
        Self { inner, counts }
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl<F: Factory> Factory for Meter<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        let result = self.inner.build(peer);
        if result.is_ok() {
            self.counts.accepted.fetch_add(1, Ordering::Release);
            peer.hold(Open(Arc::clone(&self.counts)));
        } else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn serve(&self, mut connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        connection.tap(Arc::<Counts>::clone(&self.counts));
        let result = self.inner.serve(connection).await;
        if result.is_err() {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use super::super::AtMost;
    use super::super::testing::{Echo, Guest};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_is_counted_while_it_happens() {
        let counts = Arc::<Counts>::default();
        let limited = AtMost::total(2, Echo);
        let factory = Arc::new(Meter::into_counts(Arc::clone(&counts), limited));
        let check = |step: &str, expected: [u64; 6]| {
            let c = &counts;
            let found = [c.accepted(), c.refused(), c.open(), c.failed(), c.received(), c.sent()];
            assert_eq!(found, expected, "after {step}");
        };
        check("nothing", [0, 0, 0, 0, 0, 0]);
        let mut one = Guest::of(&factory, "192.0.2.1:1").expect("welcome");
        one.ask("hello").await;
        check("five bytes there and back", [1, 0, 1, 0, 5, 5]);
        let mut two = Guest::of(&factory, "192.0.2.1:1").expect("welcome");
        Guest::of(&factory, "192.0.2.1:1").expect_err("one too many");
        two.ask("hi").await;
        check("a refusal", [2, 1, 2, 0, 7, 7]);
        one.leave().await.expect("no error");
        check("an end", [2, 1, 1, 0, 7, 7]);
        two.say("fail").await;
        two.end().await.expect_err("told to");
        check("a failure", [2, 1, 0, 1, 11, 7]);
    }
}
