//! The header of a message (RFC 1035 §4.1.1).

use super::{Opcode, Rcode};

/// The length of the header, in bytes.
pub const HEADER: usize = 12;

/// The bits of the header that are flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// QR: it is a response.
    pub response: bool,
    /// AA: the server is authoritative for the name.
    pub authoritative: bool,
    /// TC: something is missing for want of room.
    pub truncated: bool,
    /// RD: recursion is wanted.
    pub recursion_desired: bool,
    /// RA: recursion can be had.
    pub recursion_available: bool,
    /// The reserved bit, zero.
    pub reserved: bool,
    /// AD: the data is authentic, says the server (RFC 4035 §3.2.3).
    pub authentic: bool,
    /// CD: the client checks itself (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
}

/// The header but for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What response and request have in common.
    pub id: u16,
    /// The kind of message, 0 to 15.
    pub opcode: Opcode,
    /// The flags.
    pub flags: Flags,
    /// What became of the request: the lower 4 bits. The upper ones are in
    /// [`Edns`](super::Edns).
    pub rcode: Rcode,
}

impl Default for Header {
    fn default() -> Self {
        Self { id: 0, opcode: Opcode::QUERY, flags: Flags::default(), rcode: Rcode::NOERROR }
    }
}

impl Header {
    /// The first four bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let Flags {
            response,
            authoritative,
            truncated,
            recursion_desired,
            recursion_available,
            reserved,
            authentic,
            checking_disabled,
        } = self.flags;
        let [high, low] = self.id.to_be_bytes();
        let third = u8::from(response) << 7
            | (self.opcode.0 & 15) << 3
            | u8::from(authoritative) << 2
            | u8::from(truncated) << 1
            | u8::from(recursion_desired);
        let fourth = u8::from(recursion_available) << 7
            | u8::from(reserved) << 6
            | u8::from(authentic) << 5
            | u8::from(checking_disabled) << 4
            | (self.rcode.0 & 15) as u8;
        [high, low, third, fourth]
    }

    /// Reads the first four bytes.
    #[must_use]
    pub fn from_bytes([high, low, third, fourth]: [u8; 4]) -> Self {
        let flags = Flags {
            response: third & 0x80 != 0,
            authoritative: third & 4 != 0,
            truncated: third & 2 != 0,
            recursion_desired: third & 1 != 0,
            recursion_available: fourth & 0x80 != 0,
            reserved: fourth & 0x40 != 0,
            authentic: fourth & 0x20 != 0,
            checking_disabled: fourth & 0x10 != 0,
        };
        Self {
            id: u16::from_be_bytes([high, low]),
            opcode: Opcode(third >> 3 & 15),
            flags,
            rcode: Rcode(u16::from(fourth & 15)),
        }
    }
}
