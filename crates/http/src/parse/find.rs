//! Bytes that are near.

use memchr::memchr;

/// How far we look ourselves.
const NEAR: usize = 4;

/// Where `byte` comes first. What is looked for in a head is mostly a few bytes away, and there memchr,
/// which asks what the processor can do and prepares itself, takes longer to begin than we to end.
#[inline]
pub(super) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().take(NEAR).enumerate() {
        // A byte of this word is zero where `byte` is. The lowest one that borrows is.
        let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(byte));
        let zero = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zero != 0 {
            return Some(index * 8 + zero.trailing_zeros() as usize / 8);
        }
    }
    if words.len() > NEAR {
        return Some(NEAR * 8 + memchr(byte, &bytes[NEAR * 8..])?);
    }
    let near = rest.iter().position(|&other| other == byte)?;
    Some(bytes.len() - rest.len() + near)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for length in 0..100 {
            for at in 0..=length {
                for around in [0, b'\n' - 1, b'\n' + 1, b'\n' | 0x80, 0xff] {
                    let mut bytes = vec![around; length];
                    bytes.iter_mut().skip(at).step_by(3).for_each(|byte| *byte = b'\n');
                    assert_eq!(find(b'\n', &bytes), (at < length).then_some(at));
                }
            }
        }
    }
}
