//! Frames behind their length.

use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf, Bytes};

use super::{COMFORTABLE, DEFAULT_MAX, FrameError, unfinished};
use crate::{Protocol, Wire};

mod sealed {
    pub trait Sealed {}
}

/// What can be a length prefix: `u8`, `u16`, `u32` and `u64`, in network order (big endian).
pub trait Prefix: sealed::Sealed + 'static {
    /// How many bytes the prefix has.
    const WIDTH: usize;
    /// The longest frame that it can announce, in bytes.
    const MAX: u64;
}

macro_rules! prefix {
    ($($integer:ty),*) => {
        $(impl sealed::Sealed for $integer {}
        impl Prefix for $integer {
            const WIDTH: usize = size_of::<Self>();
            const MAX: u64 = Self::MAX as u64;
        })*
    };
}
prefix!(u8, u16, u32, u64);

/// Frames behind their length in bytes, a big-endian integer that does not count itself: DNS over
/// TCP (RFC 1035 §4.2.2) is `Prefixed<u16>`, the ssh agent's protocol is `Prefixed<u32>`.
///
/// ```
/// use ropewalk_core::Prefixed;
/// use ropewalk_core::testing::cuts;
///
/// let heard = cuts(Prefixed::<u16>::new, b"\0\x05hello\0\0");
/// assert_eq!(heard.events, [r#"b"hello""#, r#"b"""#]);
/// ```
pub struct Prefixed<N> {
    max: usize,
    prefix: PhantomData<fn() -> N>,
}

impl<N> Clone for Prefixed<N> {
    fn clone(&self) -> Self {
        Self { max: self.max, prefix: PhantomData }
    }
}

impl<N> fmt::Debug for Prefixed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefixed").field("max", &self.max).finish_non_exhaustive()
    }
}

impl<N: Prefix> Default for Prefixed<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Prefix> Prefixed<N> {
    /// Frames as long as the prefix can say, but of at most 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max: DEFAULT_MAX.min(usize::try_from(N::MAX).unwrap_or(usize::MAX)),
            prefix: PhantomData,
        }
    }

    /// Accepts frames of at most `bytes`, the prefix not counted. What is sent is bounded by the
    /// prefix alone.
    #[must_use]
    pub fn max(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }
}

impl<N: Prefix> Protocol for Prefixed<N> {
    type In = Bytes;
    type Out = Bytes;
    type Error = FrameError;

    #[inline]
    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = wire.input.get(..N::WIDTH) else {
            return unfinished(wire);
        };
        let announced = prefix.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let len = usize::try_from(announced).ok().filter(|len| *len <= self.max);
        let Some(len) = len else {
            return Err(FrameError::AnnouncedTooLong { limit: self.max, announced });
        };
        if wire.input.len() - N::WIDTH < len {
            return unfinished(wire);
        }
        wire.input.advance(N::WIDTH);
        Ok(Some(wire.input.split_to(len).freeze()))
    }

    #[inline]
    fn send(&mut self, frame: Bytes, wire: &mut Wire) -> Result<(), FrameError> {
        let len = frame.len() as u64;
        if len > N::MAX {
            return Err(FrameError::Unframeable { len: frame.len(), limit: N::MAX });
        }
        wire.output.put(&len.to_be_bytes()[size_of::<u64>() - N::WIDTH..]);
        wire.output.push(frame);
        Ok(())
    }

    fn input_cap(&self) -> usize {
        self.max.saturating_add(N::WIDTH).max(COMFORTABLE)
    }
}
