//! How fast connections may come.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ipnet::IpNet;

use super::bucket::{Bucket, Rate};
use super::prefix::Grouping;
use super::{Factory, Refusal};
use crate::Peer;

/// How many addresses are remembered, unless [`AcceptRate::remember`] says otherwise.
const REMEMBERED: usize = 16 * 1024;

/// Bounds how fast connections may come, in all and from one address (by a token bucket each). One that
/// comes too fast is refused in the protocol's own [words](Factory::refusal), and does not count.
///
/// "In all" is over all listeners that share this factory. As with [`AtMost`](super::AtMost), an IPv6
/// address counts with its network of 64 bits, and peers without an IP address count in all only.
///
/// Memory: about 80 bytes for each address remembered, of which there are at most 16,384: those that
/// came longest ago are forgotten first, and then have a full bucket again.
#[derive(Debug)]
pub struct AcceptRate<F> {
    inner: F,
    all: Option<Rate>,
    per_address: Option<Rate>,
    grouping: Grouping,
    remember: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    all: Bucket,
    by_address: Generations,
}

/// A bounded memory of addresses in two halves: when the new half is full, it becomes the old one, and
/// what was only in the old one is forgotten. Whoever comes often is always in the new one.
#[derive(Debug, Default)]
struct Generations {
    new: HashMap<IpNet, Bucket>,
    old: HashMap<IpNet, Bucket>,
}

impl Generations {
    fn get(&self, address: &IpNet) -> Bucket {
        self.new.get(address).or_else(|| self.old.get(address)).copied().unwrap_or_default()
    }

    fn insert(&mut self, address: IpNet, bucket: Bucket, most: usize) {
        if self.new.len() >= most.div_ceil(2) && !self.new.contains_key(&address) {
            self.old = mem::take(&mut self.new);
        }
        self.old.remove(&address);
        self.new.insert(address, bucket);
    }
}

impl<F> AcceptRate<F> {
    /// Bounds the connections from one address.
    #[must_use]
    pub fn per_address(rate: Rate, inner: F) -> Self {
        Self { per_address: Some(rate), ..Self::none(inner) }
    }

    /// Bounds all connections together.
    #[must_use]
    pub fn all(rate: Rate, inner: F) -> Self {
        Self { all: Some(rate), ..Self::none(inner) }
    }

    /// Bounds all connections together, too.
    #[must_use]
    pub fn and_all(self, rate: Rate) -> Self {
        Self { all: Some(rate), ..self }
    }

    /// How many addresses to remember, at least one: 16,384 unless said otherwise.
    #[must_use]
    pub fn remember(self, addresses: usize) -> Self {
        Self { remember: addresses, ..self }
    }

    /// Counts addresses that agree in so many bits as one: 32 and 64 unless said otherwise.
    #[must_use]
    pub fn prefixes(self, v4: u8, v6: u8) -> Self {
        Self { grouping: Grouping::new(v4, v6), ..self }
    }

    fn none(inner: F) -> Self {
        Self {
            inner,
            all: None,
            per_address: None,
            grouping: Grouping::default(),
            remember: REMEMBERED,
            seen: Mutex::default(),
        }
    }

    fn admit(&self, peer: &Peer, now: Instant) -> Result<(), Refusal> {
        // No code that can panic runs under the lock.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.all.is_some_and(|rate| seen.all.available(&rate, now) == 0) {
            return Err(Refusal::TooFast);
        }
        if let (Some(rate), Some(address)) = (self.per_address, self.grouping.of(peer)) {
            let mut bucket = seen.by_address.get(&address);
            let admitted = bucket.available(&rate, now) > 0;
            if admitted {
                bucket.take(&rate, 1, now);
            }
            // Also when refused: whoever knocks all the time must not be forgotten.
            seen.by_address.insert(address, bucket, self.remember);
            if !admitted {
                return Err(Refusal::TooFast);
            }
        }
        if let Some(rate) = self.all {
            seen.all.take(&rate, 1, now);
        }
        Ok(())
    }
}

impl<F: Factory> Factory for AcceptRate<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        self.admit(peer, tokio::time::Instant::now().into_std())?;
        self.inner.build(peer)
    }

    hand_on!(serve);
    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{Echo, peer};
    use super::*;

    /// At so many milliseconds, somebody comes; whether they are let in.
    fn check(factory: AcceptRate<Echo>, steps: &[(u64, &str, bool)]) {
        let start = Instant::now();
        for &(at, address, welcome) in steps {
            let admitted = factory.admit(&peer(address), start + Duration::from_millis(at));
            let expected = if welcome { Ok(()) } else { Err(Refusal::TooFast) };
            assert_eq!(admitted, expected, "{address} at {at} ms");
        }
    }

    #[test]
    fn rates_are_kept() {
        let (a, b, c) = ("192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1");
        check(
            AcceptRate::per_address(Rate::per_second(2), Echo),
            &[
                (0, a, true),
                (0, a, true),
                (0, a, false),
                (0, b, true),
                (499, a, false),
                (501, a, true),
                (501, a, false),
                (9999, a, true),
                (9999, "memory", true),
                (9999, "memory", true),
                (9999, "memory", true),
            ],
        );
        check(
            AcceptRate::all(Rate::per_second(1).burst(2), Echo),
            &[(0, a, true), (0, b, true), (0, c, false), (0, "memory", false), (1001, c, true)],
        );
        // One that is refused for its address takes nothing from all, and the other way round.
        check(
            AcceptRate::per_address(Rate::per_second(1), Echo).and_all(Rate::per_second(2)),
            &[(0, a, true), (0, a, false), (0, b, true), (0, c, false), (501, c, true)],
        );
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_those_that_come_often() {
        let factory = AcceptRate::per_address(Rate::per_minute(1), Echo).remember(100);
        let now = Instant::now();
        let often = peer("192.0.2.1:1");
        factory.admit(&often, now).expect("the first time");
        for host in 0..10_000_u32 {
            let other = format!("[2001:db8:{:x}:{:x}::1]:1", host >> 8, host & 0xff);
            factory.admit(&peer(&other), now).expect("the first time");
            if host % 40 == 0 {
                assert_eq!(factory.admit(&often, now), Err(Refusal::TooFast), "host {host}");
            }
            let seen = factory.seen.lock().expect("no panic under it");
            assert!(seen.by_address.new.len() + seen.by_address.old.len() <= 100);
        }
        let forgotten = peer("[2001:db8:0:0::1]:1");
        factory.admit(&forgotten, now).expect("it came long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_tokio_s() {
        let factory = AcceptRate::all(Rate::per_minute(1), Echo);
        factory.build(&peer("memory")).expect("the first");
        assert_eq!(factory.build(&peer("memory")).err(), Some(Refusal::TooFast));
        tokio::time::sleep(Duration::from_secs(61)).await;
        factory.build(&peer("memory")).expect("a minute later");
    }
}
