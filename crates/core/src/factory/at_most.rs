//! Caps on open connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use super::prefix::Grouping;
use super::{Factory, Refusal};
use crate::Peer;

/// Caps how many connections are open at once, in all and from one address. One too many is refused in
/// the protocol's own [words](Factory::refusal).
///
/// An IPv6 address counts with all of its network of 64 bits, since anybody who has one has them all;
/// [`prefixes`](Self::prefixes) changes that. Peers without an IP address count in all only.
///
/// Memory: about 50 bytes for each address that has connections open.
#[derive(Debug)]
pub struct AtMost<F> {
    inner: F,
    total: Option<usize>,
    per_address: Option<usize>,
    grouping: Grouping,
    open: Tally,
}

/// What an [`AtMost`] counts. Clones are one count: for factories that share a cap, and for one that
/// takes the place of another while connections of that are open.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Open>>);

/// What is open.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only those with at least one.
    by_address: HashMap<IpNet, usize>,
}

/// One connection; gives its place back when dropped.
struct Permit {
    open: Tally,
    address: Option<IpNet>,
}

impl<F> AtMost<F> {
    /// At most `count` connections in all.
    #[must_use]
    pub fn total(count: usize, inner: F) -> Self {
        Self { total: Some(count), ..Self::none(inner) }
    }

    /// At most `count` connections from one address.
    #[must_use]
    pub fn per_address(count: usize, inner: F) -> Self {
        Self { per_address: Some(count), ..Self::none(inner) }
    }

    /// And at most `count` in all.
    #[must_use]
    pub fn and_total(self, count: usize) -> Self {
        Self { total: Some(count), ..self }
    }

    /// Counts addresses that agree in so many bits as one: 32 and 64 unless said otherwise.
    #[must_use]
    pub fn prefixes(self, v4: u8, v6: u8) -> Self {
        Self { grouping: Grouping::new(v4, v6), ..self }
    }

    /// Counts in `tally`, beside others or after them.
    #[must_use]
    pub fn counting_in(self, tally: &Tally) -> Self {
        Self { open: tally.clone(), ..self }
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.lock().total
    }

    fn none(inner: F) -> Self {
        Self {
            inner,
            total: None,
            per_address: None,
            grouping: Grouping::default(),
            open: Tally::default(),
        }
    }

    fn permit(&self, peer: &Peer) -> Result<Permit, Refusal> {
        let address = self.grouping.of(peer);
        let mut open = self.open.lock();
        if self.total.is_some_and(|total| open.total >= total) {
            return Err(Refusal::TooMany);
        }
        if let Some(address) = address {
            let from_address = open.by_address.get(&address).copied().unwrap_or(0);
            if self.per_address.is_some_and(|most| from_address >= most) {
                return Err(Refusal::TooManyFromAddress);
            }
            open.by_address.insert(address, from_address + 1);
        }
        open.total += 1;
        Ok(Permit { open: self.open.clone(), address })
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Open> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

impl<F: Factory> Factory for AtMost<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        let permit = self.permit(peer)?;
        let protocol = self.inner.build(peer)?;
        peer.hold(permit);
        Ok(protocol)
    }

    hand_on!(serve);
    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Echo, Guest, peer};
    use super::*;

    /// Peers come (`+address`) and go (`-address`); what those that come are told.
    fn check(factory: AtMost<Echo>, steps: &[(&str, Option<Refusal>)]) {
        let mut guests = Vec::<(&str, Peer)>::new();
        for (step, refusal) in steps {
            let (sign, address) = step.split_at(1);
            if sign == "-" {
                let index = guests.iter().position(|(name, _)| *name == address);
                let (_, peer) = guests.remove(index.expect("it has come before"));
                peer.let_go();
                continue;
            }
            let peer = peer(address);
            assert_eq!(factory.build(&peer).err(), *refusal, "{step}");
            if refusal.is_none() {
                guests.push((address, peer));
            }
            assert_eq!(factory.open(), guests.len(), "{step}");
        }
        drop(guests);
        assert_eq!(factory.open(), 0);
        assert!(factory.open.lock().by_address.is_empty(), "nothing is kept for those that left");
    }

    #[test]
    fn caps_are_kept_and_places_given_back() {
        use Refusal::{TooMany, TooManyFromAddress};
        let (a, b, c) = ("+192.0.2.1:1", "+192.0.2.2:1", "+192.0.2.3:1");
        check(
            AtMost::total(2, Echo),
            &[
                (a, None),
                (b, None),
                (c, Some(TooMany)),
                ("-192.0.2.1:1", None),
                (c, None),
                (a, Some(TooMany)),
            ],
        );
        check(
            AtMost::per_address(2, Echo).and_total(4),
            &[
                (a, None),
                ("+192.0.2.1:2", None),
                ("+192.0.2.1:3", Some(TooManyFromAddress)),
                (b, None),
                ("-192.0.2.1:2", None),
                ("+192.0.2.1:3", None),
                (c, None),
                (c, Some(TooMany)),
            ],
        );
        check(
            AtMost::per_address(1, Echo),
            &[
                ("+[2001:db8:0:1::1]:1", None),
                ("+[2001:db8:0:1::2]:1", Some(TooManyFromAddress)),
                ("+[2001:db8:0:2::1]:1", None),
                ("+memory", None),
                ("+memory", None),
            ],
        );
        check(
            AtMost::per_address(1, Echo).prefixes(24, 32),
            &[
                (a, None),
                (b, Some(TooManyFromAddress)),
                ("+[2001:db8:0:1::1]:1", None),
                ("+[2001:db8:0:2::1]:1", Some(TooManyFromAddress)),
            ],
        );
        check(AtMost::total(0, Echo), &[(a, Some(TooMany))]);
    }

    #[test]
    fn a_refusal_from_within_costs_no_place_and_the_words_are_the_protocol_s() {
        let factory = AtMost::total(1, AtMost::total(0, Echo));
        assert_eq!(factory.build(&peer("192.0.2.1:1")).err(), Some(Refusal::TooMany));
        assert_eq!(factory.open(), 0);
        assert_eq!(factory.refusal(&Refusal::TooMany), "421 too many connections\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_for_as_long_as_the_connection_lives() {
        let factory = Arc::new(AtMost::per_address(1, Echo));
        let mut guest = Guest::of(&factory, "192.0.2.1:1").expect("the first");
        assert_eq!(guest.ask("hello").await, "hello");
        assert_eq!(Guest::of(&factory, "192.0.2.1:2").err(), Some(Refusal::TooManyFromAddress));
        guest.leave().await.expect("no error");
        Guest::of(&factory, "192.0.2.1:2").expect("the first has left");
    }
}
