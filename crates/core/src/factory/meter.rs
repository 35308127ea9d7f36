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
    /// By [`Refusal::KINDS`].
    refused: [AtomicU64; Refusal::KINDS.len()],
    unserved: AtomicU64,
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
        self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The same by [`Refusal::kind`], all kinds there are.
    pub fn refused_by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        Refusal::KINDS.into_iter().zip(counts)
    }

    /// Connections that were accepted and ended before they were served: the TLS handshake has failed.
    #[must_use]
    pub fn unserved(&self) -> u64 {
        self.unserved.load(Ordering::Relaxed)
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
struct Open {
    counts: Arc<Counts>,
    served: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.served {
            self.counts.unserved.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.closed.fetch_add(1, Ordering::Release);
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
        match &result {
            Ok(_) => {
                self.counts.accepted.fetch_add(1, Ordering::Release);
                peer.hold(Open { counts: Arc::clone(&self.counts), served: false });
            }
            Err(why) => drop(self.counts.refused[why.place()].fetch_add(1, Ordering::Relaxed)),
        }
        result
    }

    async fn serve(&self, mut connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        connection.peer().each_held(|open: &mut Open| {
            // Somebody else may count as well, into counts of its own.
            open.served |= Arc::ptr_eq(&open.counts, &self.counts);
        });
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
        let refused: Vec<_> = counts.refused_by_kind().filter(|(_, count)| *count > 0).collect();
        assert_eq!((refused, counts.unserved()), (vec![("too_many", 1)], 0));
        two.say("fail").await;
        two.end().await.expect_err("told to");
        check("a failure", [2, 1, 0, 1, 11, 7]);
        let peer = super::super::testing::peer("192.0.2.1:1");
        factory.build(&peer).expect("welcome");
        check("a beginning", [3, 1, 1, 1, 11, 7]);
        peer.let_go();
        check("a handshake that failed", [3, 1, 0, 1, 11, 7]);
        assert_eq!(counts.unserved(), 1);
    }
}
