//! Response rate limiting: a forged question must not make us flood whom it names.
//!
//! Answers of one kind to one network are counted for each second. Of those above the rate, one in so
//! many goes out truncated, so that who really asked comes back over TCP; the others are left out.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use crate::types::NameRef;

/// How fast is too fast.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Answers in a second to one network about one name.
    pub answers: u32,
    /// Negative answers and errors in a second to one network, whatever the name, within one zone.
    pub negative: u32,
    /// Every so many-th answer above the rate goes out truncated; 0 for none.
    pub slip: u32,
    /// How many bits of IPv4 and IPv6 addresses tell networks apart.
    pub prefixes: (u8, u8),
    /// How many networks and names are remembered; each takes 16 bytes.
    pub slots: usize,
}

impl Default for Limits {
    /// 200 answers and 50 negative ones in a second, every second slips; networks of /24 and /56; 65,536
    /// slots.
    fn default() -> Self {
        Self { answers: 200, negative: 50, slip: 2, prefixes: (24, 56), slots: 1 << 16 }
    }
}

/// What is to become of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    Truncate,
    Drop,
}

/// Counts answers. Its memory is of a fixed size: who meets a slot of another takes it over.
#[derive(Debug)]
pub struct Limit {
    limits: Limits,
    slots: Box<[Slot]>,
    random: RandomState,
}

/// A second's count for a network and a name.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    second: u32,
    count: u32,
}

impl Limit {
    /// Counts from nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let slots = vec![Slot::default(); limits.slots.max(1)].into_boxed_slice();
        Self { limits, slots, random: RandomState::new() }
    }

    /// Another one with the same limits, that has counted nothing.
    pub(super) fn another(&self) -> Self {
        Self::new(self.limits)
    }

    /// Counts an answer at a time in seconds. `name` is the question's for a positive answer, and the
    /// zone's for a negative one.
    pub(super) fn count(
        &mut self,
        peer: IpAddr,
        name: NameRef<'_>,
        negative: bool,
        now: u32,
    ) -> Verdict {
        let mut hasher = self.random.build_hasher();
        hasher.write(&network(peer, self.limits.prefixes));
        std::hash::Hash::hash(&name, &mut hasher);
        hasher.write_u8(u8::from(negative));
        let key = hasher.finish();
        let index = (key % self.slots.len() as u64) as usize;
        let slot = &mut self.slots[index];
        if slot.key != key || slot.second != now {
            *slot = Slot { key, second: now, count: 0 };
        }
        slot.count = slot.count.saturating_add(1);
        let most = if negative { self.limits.negative } else { self.limits.answers };
        match slot.count.checked_sub(most) {
            None | Some(0) => Verdict::Send,
            Some(above) if self.limits.slip > 0 && above % self.limits.slip == 0 => {
                Verdict::Truncate
            }
            Some(_) => Verdict::Drop,
        }
    }
}

/// The network's part of an address.
fn network(peer: IpAddr, (four, six): (u8, u8)) -> [u8; 16] {
    let kept =
        |bits: u8, all: u8| u128::MAX.checked_shl(u32::from(all.saturating_sub(bits))).unwrap_or(0);
    match peer.to_canonical() {
        IpAddr::V4(peer) => (u128::from(peer.to_bits()) & kept(four, 32)).to_be_bytes(),
        IpAddr::V6(peer) => (peer.to_bits() & kept(six, 128)).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Name;

    #[test]
    fn what_is_too_fast_slips_or_is_dropped() {
        let limits = Limits { answers: 3, negative: 1, slip: 2, ..Limits::default() };
        let mut limit = Limit::new(limits);
        let name: Name = "a".parse().unwrap();
        let mut ask = |peer: &str, negative, now| {
            limit.count(peer.parse().unwrap(), name.borrowed(), negative, now)
        };
        let found: Vec<_> = (0..7).map(|_| ask("192.0.2.1", false, 1)).collect();
        use Verdict::{Drop, Send, Truncate};
        assert_eq!(found, [Send, Send, Send, Drop, Truncate, Drop, Truncate]);
        // The network counts, not the address; another second begins anew.
        assert_eq!(ask("192.0.2.99", false, 1), Drop);
        assert_eq!(ask("192.0.3.1", false, 1), Send);
        assert_eq!(ask("192.0.2.1", false, 2), Send);
        assert_eq!([ask("192.0.2.1", true, 2), ask("192.0.2.1", true, 2)], [Send, Drop]);
        assert_eq!(ask("2001:db8::1", true, 2), Send);
        assert_eq!(ask("2001:db8:0:ff::1", true, 2), Drop);
    }
}
