//! What is to be sent.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Datagram;

/// The longest datagram that IPv6 without jumbograms carries (RFC 8200 §3, RFC 768): 65,535 bytes less
/// the header of UDP. Over IPv4 it is 20 less, which the kernel knows.
const MAX_DATAGRAM: usize = 65_527;

/// Datagrams to be sent by [`Port::send`](super::Port::send): many small ones to many addresses, in one
/// buffer that is used again each time.
///
/// Bounded in number and in bytes; besides the bytes it takes 72 for each datagram.
pub struct Outbox {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// How many of the entries have been sent or refused.
    done: usize,
    max_datagrams: usize,
    max_bytes: usize,
}

/// One datagram: where its bytes end (they begin where those before it end), and its addresses.
#[derive(Debug, Clone, Copy)]
struct Entry {
    end: usize,
    to: SocketAddr,
    from: Option<IpAddr>,
}

/// One datagram that is to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
}

/// An [`Outbox`] has no room for the datagram: send it first. A datagram that an empty outbox refuses
/// is longer than any may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for another datagram")]
pub struct Full;

impl Outbox {
    /// Room for so many datagrams, at least one, and so many bytes in all, at least one longest
    /// datagram (65,527). The memory is taken as it is needed, and kept.
    #[must_use]
    pub fn new(max_datagrams: usize, max_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            done: 0,
            max_datagrams: max_datagrams.max(1),
            max_bytes: max_bytes.max(MAX_DATAGRAM),
        }
    }

    /// How many datagrams wait to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.done
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a copy of `bytes`, to be sent to `to` from an address of the kernel's choice.
    ///
    /// # Errors
    /// [`Full`]; nothing has been added then.
    pub fn push(&mut self, bytes: &[u8], to: SocketAddr) -> Result<(), Full> {
        self.add(to, None, |buffer| buffer.extend_from_slice(bytes))
    }

    /// Adds a copy of `bytes` as the answer to `datagram`: to its sender, from where it came to.
    ///
    /// # Errors
    /// [`Full`]; nothing has been added then.
    pub fn reply(&mut self, datagram: &Datagram<'_>, bytes: &[u8]) -> Result<(), Full> {
        self.reply_with(datagram, |buffer| buffer.extend_from_slice(bytes))
    }

    /// As [`reply`](Self::reply), of bytes that `write` appends to the buffer. It must leave alone what
    /// is there.
    ///
    /// # Errors
    /// [`Full`]; nothing has been added then.
    pub fn reply_with(
        &mut self,
        datagram: &Datagram<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Full> {
        self.add(datagram.from, datagram.to, write)
    }

    fn add(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Full> {
        if self.entries.len() == self.max_datagrams {
            return Err(Full);
        }
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        if end.saturating_sub(start) > MAX_DATAGRAM || end > self.max_bytes {
            self.bytes.truncate(start);
            self.bytes.shrink_to(self.max_bytes);
            return Err(Full);
        }
        self.entries.push(Entry { end, to, from });
        Ok(())
    }

    /// Those that wait, in order.
    pub(super) fn letters(&self) -> impl Iterator<Item = Letter<'_>> {
        let mut start = self.end_of(self.done);
        self.entries[self.done..].iter().map(move |&Entry { end, to, from }| {
            // Nothing, should a writer have shortened what was there before it.
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            Letter { bytes, to, from }
        })
    }

    /// Where the bytes of the first `count` entries end.
    fn end_of(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.entries[last].end)
    }

    /// The first `count` that wait have been sent or refused.
    pub(super) fn advance(&mut self, count: usize) {
        self.done += count;
    }

    /// Forgets all datagrams; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.done = 0;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.letters()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(outbox: &Outbox) -> Vec<usize> {
        outbox.letters().map(|letter| letter.bytes.len()).collect()
    }

    #[test]
    fn it_is_bounded_in_number_and_bytes() {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        // Each: the bounds, what is pushed, what is taken.
        let table: &[(usize, usize, &[usize], &[usize])] = &[
            (2, 0, &[1, 2, 3], &[1, 2]),
            (0, 0, &[1, 2], &[1]),
            (9, 0, &[65_527, 1], &[65_527]),
            (9, 0, &[65_528, 65_527], &[65_527]),
            (9, 100_000, &[60_000, 60_000, 40_000, 1], &[60_000, 40_000]),
            (9, 0, &[0, 0], &[0, 0]),
        ];
        for (datagrams, bytes, pushed, taken) in table {
            let mut outbox = Outbox::new(*datagrams, *bytes);
            for _ in 0..2 {
                for &len in *pushed {
                    // Refused or not: the lengths tell.
                    let _full = outbox.push(&vec![b'x'; len], to);
                }
                assert_eq!(lengths(&outbox), *taken);
                outbox.advance(1);
                assert_eq!(lengths(&outbox), taken[1..]);
                outbox.clear();
            }
        }
    }

    #[test]
    fn a_writer_that_shortens_the_buffer_harms_only_the_letters() {
        let mut outbox = Outbox::new(4, 0);
        let datagram = Datagram {
            bytes: b"",
            from: SocketAddr::from(([127, 0, 0, 1], 9)),
            to: None,
            truncated: false,
        };
        outbox.reply(&datagram, b"one").expect("there is room");
        outbox.reply_with(&datagram, Vec::clear).expect("there is room");
        assert_eq!(lengths(&outbox), [0, 0]);
    }
}
