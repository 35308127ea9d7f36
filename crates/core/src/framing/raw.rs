//! No framing: bytes as they come.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::{FileRegion, Protocol, Wire};

/// No framing at all: each event is all that has come, without copying; bytes and stretches of files
/// go out as they are.
///
/// There is nothing to get wrong, so the only errors are the transport's.
///
/// ```
/// use ropewalk_core::Raw;
/// use ropewalk_core::{Protocol, Wire};
///
/// let mut wire = Wire::new(std::time::Instant::now());
/// wire.input.extend_from_slice(b"any\0thing");
/// let bytes = Raw.receive(&mut wire)?.expect("something has come");
/// Raw.send(bytes.into(), &mut wire)?;
/// assert_eq!(wire.output.take()?, "any\0thing");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw;

/// What goes out unframed.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Bytes. From [`COPY_BELOW`](crate::COPY_BELOW) on they are not copied.
    Bytes(Bytes),
    /// A stretch of a file, sent by `sendfile` where the transport can.
    File(FileRegion),
}

impl Chunk {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(region) => region.len,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues it.
    #[inline]
    pub(super) fn push(self, wire: &mut Wire) {
        match self {
            Self::Bytes(bytes) => wire.output.push(bytes),
            Self::File(region) => wire.output.push_file(region),
        }
    }
}

impl From<FileRegion> for Chunk {
    fn from(region: FileRegion) -> Self {
        Self::File(region)
    }
}

/// What can become `Bytes` without copying can be sent as `$out`.
macro_rules! from_bytes {
    ($out:ty, $variant:path: $($source:ty),*) => {
        $(impl From<$source> for $out {
            fn from(bytes: $source) -> Self {
                $variant(Bytes::from(bytes))
            }
        })*
        impl<const N: usize> From<&'static [u8; N]> for $out {
            fn from(bytes: &'static [u8; N]) -> Self {
                $variant(Bytes::from_static(bytes))
            }
        }
    };
}
pub(super) use from_bytes;

from_bytes!(Chunk, Self::Bytes: Bytes, BytesMut, Vec<u8>, String, &'static [u8], &'static str);

impl Protocol for Raw {
    type In = Bytes;
    type Out = Chunk;
    type Error = io::Error;

    #[inline]
    fn receive(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        Ok(super::everything(wire))
    }

    #[inline]
    fn send(&mut self, chunk: Chunk, wire: &mut Wire) -> io::Result<()> {
        chunk.push(wire);
        Ok(())
    }

    fn input_cap(&self) -> usize {
        super::COMFORTABLE
    }
}
