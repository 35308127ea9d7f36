//! How long to wait before trying again.

use std::time::Duration;

use fastrand::Rng;

/// A policy of waiting between tries: exponential, with full jitter.
///
/// Before the *n*-th try again the wait is chosen evenly between nothing and `initial · factorⁿ⁻¹`, at
/// most `max`. Jitter over the whole range keeps clients that lost the same server from coming back
/// together.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// The most to wait before the first try again: 100 ms.
    pub initial: Duration,
    /// The most to wait before any: 60 s.
    pub max: Duration,
    /// How much longer each wait may be than the one before: 1.6. Below 1 it is taken as 1.
    pub factor: f64,
    /// How many tries may fail one after the other before giving up; `None`, the default: any number.
    pub tries: Option<u32>,
    /// A connection that has lasted this long was a success, and waits begin anew: 10 s. A shorter one
    /// counts as a failed try, so that a server that accepts and hangs up is not hammered.
    pub steady: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(60),
            factor: 1.6,
            tries: None,
            steady: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The waits between one success and the next, by the chances of `rng`.
    #[must_use]
    pub fn delays(&self, rng: Rng) -> Delays {
        Delays { policy: self.clone(), rng, failed: 0, ceiling: self.initial.min(self.max) }
    }
}

/// The waits of a [`Backoff`]: each item comes after a failed try, and is how long to wait before the
/// next one. Ends when there have been too many.
#[derive(Debug, Clone)]
pub struct Delays {
    policy: Backoff,
    rng: Rng,
    failed: u32,
    /// The most that the next wait may be.
    ceiling: Duration,
}

impl Delays {
    /// Begins anew after a success that has come to its end, and gives the wait before the next try,
    /// chosen as that after a first failure.
    pub fn success(&mut self) -> Duration {
        self.reset();
        self.ceiling.mul_f64(self.rng.f64())
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.failed = 0;
        self.ceiling = self.policy.initial.min(self.policy.max);
    }

    /// How many tries have failed since the last success.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.failed
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if self.policy.tries.is_some_and(|tries| self.failed >= tries) {
            return None;
        }
        let delay = self.ceiling.mul_f64(self.rng.f64());
        // In seconds, because a `Duration` times a wild factor would panic.
        let longer = self.ceiling.as_secs_f64() * self.policy.factor.max(1.0);
        let max = self.policy.max;
        self.ceiling = Duration::try_from_secs_f64(longer).map_or(max, |longer| longer.min(max));
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Backoff, ceilings: &[u64]) {
        for seed in 0..50 {
            let mut delays = policy.delays(Rng::with_seed(seed));
            for (index, &ceiling) in ceilings.iter().enumerate() {
                assert_eq!(delays.ceiling.as_millis(), u128::from(ceiling), "ceiling {index}");
                let delay = delays.next().expect("no limit of tries");
                assert!(delay <= Duration::from_millis(ceiling), "{delay:?} of {ceiling} ms");
            }
            delays.reset();
            assert_eq!(delays.ceiling.as_millis(), u128::from(ceilings[0]));
        }
    }

    #[test]
    fn ceilings_grow_up_to_the_cap() {
        let policy = |initial, max, factor| Backoff {
            initial: Duration::from_millis(initial),
            max: Duration::from_millis(max),
            factor,
            ..Backoff::default()
        };
        check(&policy(100, 60_000, 2.0), &[100, 200, 400, 800, 1600, 3200]);
        check(&policy(1000, 3000, 1.5), &[1000, 1500, 2250, 3000, 3000]);
        check(&policy(100, 1000, 0.1), &[100, 100, 100]);
        check(&policy(100, 1000, f64::INFINITY), &[100, 1000, 1000]);
        check(&policy(100, 1000, f64::NAN), &[100, 100]);
        check(&policy(5000, 1000, 2.0), &[1000, 1000]);
        check(&policy(0, 1000, 2.0), &[0, 0]);
    }

    #[test]
    fn jitter_covers_the_range_and_is_repeatable() {
        let policy = Backoff { factor: 1.0, ..Backoff::default() };
        let sample = |seed| -> Vec<_> { policy.delays(Rng::with_seed(seed)).take(1000).collect() };
        let delays = sample(1);
        assert_eq!(delays, sample(1));
        assert_ne!(delays, sample(2));
        let mean = delays.iter().sum::<Duration>() / 1000;
        assert!((45..55).contains(&mean.as_millis()), "mean {mean:?} of 0..100 ms");
    }

    #[test]
    fn tries_are_counted_until_a_success() {
        let mut delays = Backoff { tries: Some(3), ..Backoff::default() }.delays(Rng::with_seed(1));
        assert_eq!(delays.by_ref().count(), 2, "two waits between three tries");
        assert_eq!(delays.failed(), 3);
        delays.reset();
        assert_eq!(delays.by_ref().count(), 2);
    }
}
