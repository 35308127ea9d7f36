//! Where in a message we are, and what comes next.

use crate::error::{Fault, WireError};
use crate::types::{MAX_LABEL, MAX_NAME, NameBuf};

/// A place in a message. All offsets are from the message's beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    packet: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a message.
    pub(crate) fn new(packet: &'a [u8]) -> Self {
        Self { packet, at: 0, end: packet.len() }
    }

    /// A stretch of a message.
    pub(crate) fn within(packet: &'a [u8], at: usize, end: usize) -> Self {
        debug_assert!(at <= end && end <= packet.len());
        Self { packet, at, end }
    }

    /// The whole message.
    pub(crate) fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Where we are.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.packet[self.at..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// An error here.
    pub(crate) fn error(&self, fault: Fault) -> WireError {
        WireError { fault, offset: self.at }
    }

    /// Goes on by `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let bytes = self.rest().get(..len).ok_or_else(|| self.error(Fault::Truncated))?;
        self.at += len;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let bytes = self.rest().first_chunk().ok_or_else(|| self.error(Fault::Truncated))?;
        self.at += N;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Goes beyond a name that may be compressed, and checks it.
    pub(crate) fn skip_name(&mut self) -> Result<(), WireError> {
        let mut len = 0;
        self.walk(|label| {
            len += 1 + label.len();
            len <= MAX_NAME
        })
    }

    /// Reads a name that may be compressed.
    pub(crate) fn name(&mut self, name: &mut NameBuf) -> Result<(), WireError> {
        let mut result = Ok(());
        name.fill(|bytes| {
            let mut len = 0;
            result = self.walk(|label| {
                let Some(room) = bytes.get_mut(len..len + 1 + label.len()) else { return false };
                room[0] = label.len() as u8;
                room[1..].copy_from_slice(label);
                len += 1 + label.len();
                true
            });
            if result.is_err() {
                (bytes[0], len) = (0, 1);
            }
            len as u8
        });
        result
    }

    /// Whether the next name is compressed, or not terminated. Its validity is not looked at.
    pub(crate) fn plain_name_len(&self) -> Option<usize> {
        crate::types::wire_len(self.rest())
    }

    /// Gives each label to `accept`, the root's empty one last, until it says no.
    ///
    /// A pointer must point to before the beginning of the stretch of labels that it ends (RFC 1035
    /// §4.1.4: "a prior occurrence"), and not into the header: so every walk ends, and each stretch is
    /// gone through once.
    fn walk(&mut self, mut accept: impl FnMut(&[u8]) -> bool) -> Result<(), WireError> {
        /// The header's length: no name is in it.
        const HEADER: usize = 12;
        let (mut at, mut end, mut stretch) = (self.at, self.end, self.at);
        let mut after = None;
        loop {
            let error = |fault| WireError { fault, offset: at };
            let len = *self.packet[..end].get(at).ok_or_else(|| error(Fault::Truncated))?;
            match len {
                0..=0x3f => {
                    let len = usize::from(len);
                    debug_assert!(len <= MAX_LABEL);
                    let label = self.packet[..end]
                        .get(at + 1..at + 1 + len)
                        .ok_or_else(|| error(Fault::Truncated))?;
                    if !accept(label) {
                        return Err(error(Fault::NameTooLong));
                    }
                    at += 1 + len;
                    if len == 0 {
                        self.at = after.unwrap_or(at);
                        return Ok(());
                    }
                }
                0xc0..=0xff => {
                    let low =
                        *self.packet[..end].get(at + 1).ok_or_else(|| error(Fault::Truncated))?;
                    let target = usize::from(len & 0x3f) << 8 | usize::from(low);
                    if target >= stretch || target < HEADER {
                        return Err(error(Fault::Pointer));
                    }
                    after.get_or_insert(at + 2);
                    // What was read before may be gone to, even if we are in a part of the message.
                    (at, stretch, end) = (target, target, self.packet.len());
                }
                _ => return Err(error(Fault::LabelType)),
            }
        }
    }
}
