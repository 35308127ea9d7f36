//! A name and its record sets, as a stretch of bytes.
//!
//! ```text
//!   len 4 │ children 4 │ flags 1 │ name len 1 │ sets 2 │ name │ set │ set │ ...
//!   set:  type 2 │ records 2 │ signatures 2 │ len 4 │ len of signatures 4 │ records │ signatures
//!   record: C0 0C │ type 2 │ class 2 │ TTL 4 │ length 2 │ data
//! ```
//!
//! Integers are in network order. The records are as an answer has them: their owner is a pointer to
//! the question's name. This module writes what it reads, so that what is missing is never met; it is
//! read as nothing.

use super::ZoneRecord;
use crate::types::{NameRef, Ttl, Type};

/// The name has NS records and is not the zone's top: a delegation.
pub(super) const DELEGATION: u8 = 1;
/// The name has a DNAME record.
pub(super) const DNAME: u8 = 2;
/// The name has a CNAME record.
pub(super) const CNAME: u8 = 4;
/// The name is a wildcard.
pub(super) const WILDCARD: u8 = 8;
/// The name has an NSEC record.
pub(super) const NSEC: u8 = 16;
/// The node has an NSEC3 record, and is no name of the zone but a hash of one.
pub(super) const HASHED: u8 = 32;

pub(super) const HEAD: usize = 12;
pub(super) const SET_HEAD: usize = 14;
/// What comes before the data of a record.
pub(super) const RECORD_HEAD: usize = 12;

/// A node where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'z> {
    bytes: &'z [u8],
}

/// A record set, and its signatures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'z> {
    pub(super) rtype: Type,
    pub(super) count: u16,
    pub(super) signature_count: u16,
    /// The records in wire form.
    pub(super) wire: &'z [u8],
    /// Their RRSIG records, likewise.
    pub(super) signature_wire: &'z [u8],
}

/// One record of a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'z> {
    pub(super) rtype: Type,
    pub(super) ttl: Ttl,
    pub(super) data: &'z [u8],
}

impl<'z> Stored<'z> {
    pub(super) fn of(self, name: NameRef<'z>) -> ZoneRecord<'z> {
        ZoneRecord { name, rtype: self.rtype, ttl: self.ttl, data: self.data }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |two| u16::from_be_bytes(*two))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|bytes| bytes.first_chunk())
        .map_or(0, |four| u32::from_be_bytes(*four))
}

impl<'z> Node<'z> {
    /// The node at the beginning of `bytes`.
    pub(super) fn new(bytes: &'z [u8]) -> Self {
        let len = u32_at(bytes, 0) as usize;
        Self { bytes: bytes.get(..len).unwrap_or_default() }
    }

    /// How long it is.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &'z [u8] {
        self.bytes
    }

    /// How many nodes are directly beneath it.
    pub(super) fn children(&self) -> u32 {
        u32_at(self.bytes, 4)
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes.get(8).copied().unwrap_or(0)
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags() & flag != 0
    }

    pub(super) fn name(&self) -> NameRef<'z> {
        self.split().0
    }

    fn split(&self) -> (NameRef<'z>, &'z [u8]) {
        let len = self.bytes.get(9).copied().unwrap_or(0);
        let split = self.bytes.get(HEAD..).and_then(|rest| rest.split_at_checked(usize::from(len)));
        match split {
            Some((name, sets)) => (NameRef::trusted(name), sets),
            None => (NameRef::ROOT, &[]),
        }
    }

    /// Whether its name is the one of these bytes, which are a name's wire form.
    pub(super) fn is_named(&self, wire: &[u8]) -> bool {
        self.name().wire().eq_ignore_ascii_case(wire)
    }

    pub(super) fn sets(&self) -> Sets<'z> {
        Sets { rest: self.split().1 }
    }

    /// The set of a type that has records.
    pub(super) fn set(&self, rtype: Type) -> Option<Set<'z>> {
        self.sets().find(|set| set.rtype == rtype && set.count > 0)
    }
}

/// The sets of a node.
#[derive(Debug, Clone)]
pub(super) struct Sets<'z> {
    rest: &'z [u8],
}

impl<'z> Iterator for Sets<'z> {
    type Item = Set<'z>;

    #[inline]
    fn next(&mut self) -> Option<Set<'z>> {
        let (head, rest) = self.rest.split_at_checked(SET_HEAD)?;
        let (wire, rest) = rest.split_at_checked(u32_at(head, 6) as usize)?;
        let (signature_wire, rest) = rest.split_at_checked(u32_at(head, 10) as usize)?;
        self.rest = rest;
        Some(Set {
            rtype: Type(u16_at(head, 0)),
            count: u16_at(head, 2),
            signature_count: u16_at(head, 4),
            wire,
            signature_wire,
        })
    }
}

impl<'z> Set<'z> {
    pub(super) fn records(&self) -> impl Iterator<Item = Stored<'z>> + use<'z> {
        records(self.wire)
    }

    pub(super) fn signatures(&self) -> impl Iterator<Item = Stored<'z>> + use<'z> {
        records(self.signature_wire)
    }
}

/// The records in their wire form.
pub(super) fn records(wire: &[u8]) -> impl Iterator<Item = Stored<'_>> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (head, after) = rest.split_at_checked(RECORD_HEAD)?;
        let (data, after) = after.split_at_checked(usize::from(u16_at(head, 10)))?;
        rest = after;
        Some(Stored { rtype: Type(u16_at(head, 2)), ttl: Ttl::new(u32_at(head, 6)), data })
    })
}
