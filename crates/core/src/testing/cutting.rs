//! Where input is cut.

use std::fmt;

use super::random::Random;

/// Above this, not every place is cut at, but so many of them, evenly spread: the work is the square
/// of the length.
const MOST_TWO_PART_CUTS: usize = 8192;

/// How input is cut into the parts in which it arrives. Input may come in several turns (a transcript
/// has them); each is cut by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cutting {
    /// Each turn at once.
    Whole,
    /// Every byte by itself.
    Bytewise,
    /// One turn in two parts, the first `at` bytes long.
    Two { turn: usize, at: usize },
    /// Each turn at places that this seed chooses.
    Seeded(u64),
}

impl Cutting {
    /// The parts of `input`, which is turn number `turn`.
    pub(super) fn parts(self, turn: usize, input: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Bytewise => input.chunks(1).collect(),
            Self::Two { turn: cut, at } if cut == turn => {
                let (first, second) = input.split_at(at.min(input.len()));
                vec![first, second]
            }
            Self::Whole | Self::Two { .. } => vec![input],
            Self::Seeded(seed) => seeded(Random::seeded(seed ^ ((turn as u64) << 32)), input),
        }
    }

    /// Every cutting of turns of these lengths that is tried: each byte by itself, each turn in two
    /// at each place, and `count` by chance from `seed` on.
    pub(super) fn all(lengths: Vec<usize>, count: u64, seed: u64) -> impl Iterator<Item = Self> {
        let total: usize = lengths.iter().sum();
        let stride = total.div_ceil(MOST_TWO_PART_CUTS).max(1);
        let two = lengths.into_iter().enumerate().flat_map(move |(turn, len)| {
            (1..len).step_by(stride).map(move |at| Self::Two { turn, at })
        });
        let by_chance = (0..count).map(move |n| Self::Seeded(seed.wrapping_add(n)));
        std::iter::once(Self::Bytewise).chain(two).chain(by_chance)
    }
}

/// Parts of mixed sizes: mostly a few bytes, sometimes many.
fn seeded(mut random: Random, input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let most = if random.upto(4) == 1 { rest.len() } else { 9 };
        let (part, after) = rest.split_at(random.upto(most).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

impl fmt::Display for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("uncut"),
            Self::Bytewise => f.write_str("byte by byte"),
            Self::Two { at, .. } => write!(f, "in two, after {at} bytes"),
            Self::Seeded(seed) => write!(f, "by chance, seed {seed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_any_cutting_are_the_whole() {
        let input: Vec<u8> = (0..200).collect();
        let mut tried = 0;
        for cutting in Cutting::all(vec![input.len(), 0, 1], 50, 7) {
            for turn in 0..3 {
                assert_eq!(cutting.parts(turn, &input).concat(), input, "{cutting}");
            }
            assert_eq!(cutting.parts(1, b"").concat(), b"");
            tried += 1;
        }
        assert_eq!(tried, 1 + 199 + 50);
    }

    #[test]
    fn a_long_input_is_not_cut_at_every_place() {
        let cuts = Cutting::all(vec![1024 * 1024], 0, 0).count();
        assert!((MOST_TWO_PART_CUTS / 2..=MOST_TWO_PART_CUTS + 1).contains(&cuts), "{cuts}");
    }
}
