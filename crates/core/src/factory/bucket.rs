//! Rates, and the bucket that keeps them.

use std::time::{Duration, Instant};

/// So much in so much time, and how much of it may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    every: Duration,
    burst: u64,
}

impl Rate {
    /// `amount` (at least 1) in every `every` (at least 1 ns), all of which may come at once.
    #[must_use]
    pub fn new(amount: u64, every: Duration) -> Self {
        let amount = amount.max(1);
        Self { amount, every: every.max(Duration::from_nanos(1)), burst: amount }
    }

    /// `amount` in every second.
    #[must_use]
    pub fn per_second(amount: u64) -> Self {
        Self::new(amount, Duration::from_secs(1))
    }

    /// `amount` in every minute.
    #[must_use]
    pub fn per_minute(amount: u64) -> Self {
        Self::new(amount, Duration::from_secs(60))
    }

    /// How much may come at once after a pause, at least 1.
    #[must_use]
    pub fn burst(self, burst: u64) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// How much comes in `time`, rounded up.
    pub(super) fn in_time(&self, time: Duration) -> u64 {
        let amount = u128::from(self.amount).saturating_mul(time.as_nanos());
        u64::try_from(amount.div_ceil(self.every.as_nanos())).unwrap_or(u64::MAX)
    }

    /// How much may come at once.
    pub(super) fn most(&self) -> u64 {
        self.burst
    }

    /// How long `amount` takes, rounded down, so that what was taken piece by piece is never owed
    /// longer than if it had been taken at once.
    fn time(&self, amount: u64) -> Duration {
        let nanos = u128::from(amount).saturating_mul(self.every.as_nanos());
        let nanos = nanos / u128::from(self.amount);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A token bucket, kept as the one moment at which it will be full (ITU-T I.371, the generic cell rate
/// algorithm). It may be overdrawn: then what was taken is due later.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full: Option<Instant>,
}

impl Bucket {
    /// How much is in it.
    pub(super) fn available(&self, rate: &Rate, now: Instant) -> u64 {
        let owed = self.full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        rate.burst.saturating_sub(rate.in_time(owed))
    }

    /// Takes `amount`, and returns when it is due: at once, if there was as much.
    pub(super) fn take(&mut self, rate: &Rate, amount: u64, now: Instant) -> Instant {
        let from = self.full.map_or(now, |full| full.max(now));
        let full = from.checked_add(rate.time(amount)).unwrap_or(from);
        self.full = Some(full);
        full.checked_sub(rate.time(rate.burst)).map_or(now, |due| due.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At so many milliseconds, takes an amount and expects what was there and how many milliseconds
    /// later it is due.
    fn check(rate: Rate, steps: &[(u64, u64, u64, u64)]) {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        for &(at, amount, available, due) in steps {
            let now = start + Duration::from_millis(at);
            assert_eq!(bucket.available(&rate, now), available, "{rate:?} at {at} ms");
            let wait = bucket.take(&rate, amount, now) - now;
            assert_eq!(wait.as_millis(), u128::from(due), "{rate:?}: {amount} at {at} ms");
        }
    }

    #[test]
    fn a_bucket_fills_and_may_be_overdrawn() {
        check(
            Rate::per_second(1000),
            &[(0, 400, 1000, 0), (0, 600, 600, 0), (0, 1, 0, 1), (2, 0, 1, 0), (500, 0, 499, 0)],
        );
        check(Rate::per_second(10).burst(1), &[(0, 1, 1, 0), (50, 1, 0, 50), (150, 1, 0, 50)]);
        check(Rate::per_minute(1), &[(0, 1, 1, 0), (59_000, 1, 0, 1000), (200_000, 1, 1, 0)]);
        check(Rate::per_second(100).burst(1000), &[(0, 2000, 1000, 10_000), (20_000, 0, 1000, 0)]);
        check(Rate::per_second(3), &[(0, 1, 3, 0), (0, 1, 2, 0), (0, 1, 1, 0), (0, 1, 0, 333)]);
        check(Rate::new(0, Duration::ZERO), &[(0, 1, 1, 0), (1, 1, 1, 0)]);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let now = Instant::now();
        for amount in [1, u64::MAX] {
            for every in [Duration::ZERO, Duration::MAX] {
                for burst in [0, u64::MAX] {
                    let rate = Rate::new(amount, every).burst(burst);
                    let mut bucket = Bucket::default();
                    for _ in 0..3 {
                        bucket.take(&rate, u64::MAX, now);
                        bucket.available(&rate, now);
                    }
                }
            }
        }
    }
}
