//! What was received.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::MAX_BATCH;

/// Room for datagrams, filled by [`Port::recv`](super::Port::recv) and used again each time.
///
/// It takes `datagrams · size` bytes and 72 bytes more for each datagram; the kernel gives the memory
/// page by page, when it is first written.
pub struct Batch {
    buffer: Box<[u8]>,
    /// How many bytes of the buffer belong to each.
    size: usize,
    datagrams: Vec<Meta>,
}

/// What is known of a datagram besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) len: usize,
    pub(super) from: SocketAddr,
    pub(super) to: Option<IpAddr>,
    pub(super) truncated: bool,
}

/// One datagram that was received. IPv4 addresses that came mapped into IPv6 are given as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// What it says; as much as there was room for.
    pub bytes: &'a [u8],
    /// Who sent it, or claims to have.
    pub from: SocketAddr,
    /// The address of ours that it came to, or the group, if the kernel has told.
    pub to: Option<IpAddr>,
    /// It was longer than the room, and the rest is lost.
    pub truncated: bool,
}

impl Batch {
    /// Room for so many datagrams (1 to [`MAX_BATCH`]; others are taken as the nearest) of so many
    /// bytes each (1 to 65,535, likewise). A longer one is cut, and
    /// [marked](Datagram::truncated).
    #[must_use]
    pub fn new(datagrams: usize, size: usize) -> Self {
        let datagrams = datagrams.clamp(1, MAX_BATCH);
        let size = size.clamp(1, usize::from(u16::MAX));
        let buffer = vec![0; datagrams * size].into_boxed_slice();
        Self { buffer, size, datagrams: Vec::with_capacity(datagrams) }
    }

    /// How many datagrams were received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// The datagrams, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Datagram<'_>> {
        self.datagrams.iter().zip(self.buffer.chunks_exact(self.size)).map(|(meta, room)| {
            let &Meta { len, from, to, truncated } = meta;
            Datagram { bytes: &room[..len], from, to, truncated }
        })
    }

    /// Forgets the datagrams.
    pub(super) fn clear(&mut self) {
        self.datagrams.clear();
    }

    /// The room for each, and where to note what has come. There are never more than `MAX_BATCH`
    /// rooms.
    pub(super) fn rooms(&mut self) -> (impl ExactSizeIterator<Item = &mut [u8]>, &mut Vec<Meta>) {
        (self.buffer.chunks_exact_mut(self.size), &mut self.datagrams)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
