//! How fast bytes may come and go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Rate};
use super::{BoxError, Factory, Refusal};
use crate::{Allowance, Connection, Direction, Peer, Shape};

/// A turn is what comes in this time …
const TURN: Duration = Duration::from_millis(20);
/// … but at least so many bytes, if the burst has as many: smaller writes are mostly overhead …
const TURN_AT_LEAST: u64 = 512;
/// … and at most so many, that others need not wait long.
const TURN_AT_MOST: u64 = 16 * 1024;

/// Bounds how many bytes may come and go, by token buckets: each connection for itself, all together,
/// or both. The bytes are those of the protocol, above TLS.
///
/// Connections that share a bucket take turns: one that finds it empty books the next turn that is
/// free, of about 20 ms of the rate, so none is starved by one that always has something to send. A
/// connection that is throttled is not one that stalls.
///
/// Memory: about 100 bytes for each connection and bound.
#[derive(Debug)]
pub struct Throttle<F> {
    inner: F,
    /// Rates of which each connection has its own bucket.
    each: Vec<(Direction, Rate)>,
    /// Buckets that connections share.
    all: Vec<(Direction, Arc<Pipe>)>,
}

impl<F> Throttle<F> {
    /// No bounds yet: add them with the other methods.
    #[must_use]
    pub fn new(inner: F) -> Self {
        Self { inner, each: Vec::new(), all: Vec::new() }
    }

    /// Receives at most so many bytes from each connection.
    #[must_use]
    pub fn receive_each(mut self, rate: Rate) -> Self {
        self.each.push((Direction::Received, rate));
        self
    }

    /// Sends at most so many bytes to each connection.
    #[must_use]
    pub fn send_each(mut self, rate: Rate) -> Self {
        self.each.push((Direction::Sent, rate));
        self
    }

    /// Receives at most so many bytes from all connections together.
    #[must_use]
    pub fn receive_all(mut self, rate: Rate) -> Self {
        self.all.push((Direction::Received, Pipe::new(rate)));
        self
    }

    /// Sends at most so many bytes to all connections together.
    #[must_use]
    pub fn send_all(mut self, rate: Rate) -> Self {
        self.all.push((Direction::Sent, Pipe::new(rate)));
        self
    }

    /// What bounds a new connection.
    fn faucets(&self) -> impl Iterator<Item = Faucet> {
        let each = self.each.iter().map(|&(direction, rate)| (direction, Pipe::new(rate)));
        let all = self.all.iter().map(|(direction, pipe)| (*direction, Arc::clone(pipe)));
        each.chain(all).map(|(direction, pipe)| Faucet { direction, pipe, turn: Mutex::default() })
    }
}

/// A bucket, and how much a connection may take in one turn.
#[derive(Debug)]
struct Pipe {
    rate: Rate,
    turn: u64,
    bucket: Mutex<Bucket>,
}

impl Pipe {
    fn new(rate: Rate) -> Arc<Self> {
        let turn = rate.in_time(TURN).clamp(TURN_AT_LEAST, TURN_AT_MOST).min(rate.most());
        Arc::new(Self { rate, turn, bucket: Mutex::default() })
    }
}

/// What one connection draws from a pipe.
#[derive(Debug)]
struct Faucet {
    direction: Direction,
    pipe: Arc<Pipe>,
    turn: Mutex<Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    /// Bytes taken from the bucket that have not passed yet.
    credit: u64,
    /// When a turn comes that has been taken from the bucket.
    booked: Option<Instant>,
    /// When we were last asked.
    now: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shape for Faucet {
    fn allow(&self, direction: Direction, wanted: usize, now: Instant) -> Allowance {
        if direction != self.direction {
            return Allowance::Now(wanted);
        }
        let mut turn = lock(&self.turn);
        turn.now = Some(now);
        match turn.booked {
            Some(due) if now < due => return Allowance::Later(due),
            Some(_) => {
                turn.booked = None;
                turn.credit += self.pipe.turn;
            }
            None => {}
        }
        let at_most =
            |bytes| Allowance::Now(usize::try_from(bytes).map_or(wanted, |b| b.min(wanted)));
        if turn.credit > 0 {
            return at_most(turn.credit);
        }
        let Pipe { rate, turn: whole, bucket } = &*self.pipe;
        let mut bucket = lock(bucket);
        let available = bucket.available(rate, now);
        if available >= (*whole).min(wanted as u64) {
            return at_most(available);
        }
        let due = bucket.take(rate, *whole, now);
        turn.booked = Some(due);
        Allowance::Later(due)
    }

    fn passed(&self, direction: Direction, bytes: usize) {
        if direction != self.direction {
            return;
        }
        let mut turn = lock(&self.turn);
        let bytes = bytes as u64;
        let covered = bytes.min(turn.credit);
        turn.credit -= covered;
        if let (Some(now), true) = (turn.now, bytes > covered) {
            lock(&self.pipe.bucket).take(&self.pipe.rate, bytes - covered, now);
        }
    }
}

impl<F: Factory> Factory for Throttle<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        self.inner.build(peer)
    }

    fn serve(
        &self,
        mut connection: Connection<Self::Protocol>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        // Not `async`: a future of ours would hold the connection a second time.
        for faucet in self.faucets() {
            connection.shape(Arc::new(faucet));
        }
        self.inner.serve(connection)
    }

    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant as Time;

    use super::super::testing::{Echo, Guest};
    use super::*;

    const KILOBYTE: u64 = 1000;

    /// Seconds until one connection has had so many bytes back.
    async fn seconds(factory: &Arc<Throttle<Echo>>, bytes: usize) -> f64 {
        let mut guest = Guest::of(factory, "192.0.2.1:1").expect("welcome");
        let start = Time::now();
        let question = "x".repeat(1000);
        for _ in 0..bytes / 1000 {
            guest.ask(&question).await;
        }
        start.elapsed().as_secs_f64()
    }

    async fn check(factory: Throttle<Echo>, connections: usize, bytes: usize, expected: f64) {
        let name = format!("{:?} {:?}", factory.each, factory.all);
        let factory = Arc::new(factory);
        let guests: Vec<_> = (0..connections)
            .map(|_| {
                let factory = Arc::clone(&factory);
                tokio::spawn(async move { seconds(&factory, bytes).await })
            })
            .collect();
        for guest in guests {
            let seconds = guest.await.expect("it is served");
            // Those that share take turns, and so all end near the end.
            let error = (seconds - expected).abs() / expected.max(1.0);
            assert!(error < 0.05, "{connections} of {name}: {seconds} s, not {expected} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_is_bounded_for_each_and_for_all() {
        let rate = Rate::per_second(10 * KILOBYTE).burst(1000);
        let throttle = || Throttle::new(Echo);
        check(throttle(), 3, 100_000, 0.0).await;
        check(throttle().send_each(rate), 1, 100_000, 9.9).await;
        check(throttle().receive_each(rate), 1, 100_000, 9.9).await;
        check(throttle().send_each(rate).receive_each(rate), 1, 100_000, 9.9).await;
        check(throttle().send_each(rate), 5, 100_000, 9.9).await;
        check(throttle().send_all(rate), 5, 100_000, 49.9).await;
        check(throttle().receive_all(rate), 5, 100_000, 49.9).await;
        check(throttle().send_all(rate).send_each(rate), 5, 100_000, 49.9).await;
        check(
            throttle().send_all(Rate::per_second(30 * KILOBYTE)).send_each(rate),
            5,
            100_000,
            15.7,
        )
        .await;
        // A burst that nobody can exceed at once.
        check(throttle().send_each(rate.burst(100_000)), 1, 100_000, 0.0).await;
        // Slower than a turn, and a burst below any sensible write.
        check(throttle().send_each(Rate::per_second(100)), 1, 2000, 19.0).await;
        check(throttle().send_each(Rate::per_second(100).burst(1)), 1, 2000, 20.0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_connection_sees_the_peer_end() {
        let factory = Arc::new(Throttle::new(Echo).receive_each(Rate::per_second(4)));
        let mut guest = Guest::of(&factory, "192.0.2.1:1").expect("welcome");
        guest.say("quit").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let start = Time::now();
        guest.leave().await.expect("no error");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn an_idle_connection_takes_one_turn_at_most() {
        let factory = Throttle::new(Echo).receive_all(Rate::per_second(1000));
        let faucet = || factory.faucets().next().expect("there is one bound");
        let (idle, busy) = (faucet(), faucet());
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let received = Direction::Received;
        assert_eq!(busy.allow(received, 5000, start), Allowance::Now(1000));
        busy.passed(received, 1000);
        // A turn is 512 bytes.
        assert_eq!(idle.allow(received, 5000, start), Allowance::Later(at(512)));
        assert_eq!(busy.allow(received, 5000, start), Allowance::Later(at(1024)));
        // Nothing comes on the idle one, however often it looks.
        for _ in 0..10 {
            assert_eq!(idle.allow(received, 5000, at(512)), Allowance::Now(512));
        }
        assert_eq!(busy.allow(received, 5000, at(600)), Allowance::Later(at(1024)));
        assert_eq!(busy.allow(received, 5000, at(1024)), Allowance::Now(512));
        busy.passed(received, 512);
        assert_eq!(busy.allow(received, 5000, at(1024)), Allowance::Later(at(1536)));
        // The other direction is free.
        assert_eq!(busy.allow(Direction::Sent, 5000, at(1024)), Allowance::Now(5000));
    }
}
