//! Chance that can be had again.

/// SplitMix64 (Steele, Lea, Flood 2014): chance that a seed gives again, here and in a year. A crate's
/// generator may change its sequence with its version, and with it what a recorded seed means.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 1 to `most`, which is at least 1.
    pub(super) fn upto(&mut self, most: usize) -> usize {
        1 + (self.next() % most.max(1) as u64) as usize
    }
}
