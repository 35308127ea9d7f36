//! The records of one name while they are worked on.

use super::super::node::{
    CNAME, DELEGATION, DNAME, HASHED, NSEC, Node, RECORD_HEAD, SET_HEAD, WILDCARD, records,
};
use crate::error::ZoneFault;
use crate::types::{Class, MAX_RDATA, NameBuf, NameRef, RecordData as _, Ttl, Type};

/// One name. Its memory is used again for the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    name: NameBuf,
    open: bool,
    /// The first `used` of these are sets of the name.
    sets: Vec<SetDraft>,
    used: usize,
    /// How many names are directly beneath it.
    pub(super) children: u32,
    /// Whether there was a node of NSEC3.
    pub(super) was_hashed: bool,
}

/// One set, its records in the form that a node has.
#[derive(Debug, Clone, Default)]
struct SetDraft {
    rtype: Type,
    count: u16,
    wire: Vec<u8>,
    signature_count: u16,
    signature_wire: Vec<u8>,
}

impl Draft {
    pub(super) fn name(&self) -> NameRef<'_> {
        self.name.borrowed()
    }

    /// Whether it is this name that is worked on.
    pub(super) fn is_for(&self, name: NameRef<'_>) -> bool {
        self.open && self.name.borrowed() == name
    }

    /// Begins with what there is.
    pub(super) fn begin(
        &mut self,
        name: NameRef<'_>,
        plain: Option<Node<'_>>,
        hashed: Option<Node<'_>>,
    ) {
        // The case in which the name came first stays.
        self.name.set(plain.or(hashed).map_or(name, |node| node.name()));
        (self.open, self.used) = (true, 0);
        self.children = plain.map_or(0, |node| node.children());
        self.was_hashed = hashed.is_some();
        for set in [plain, hashed].into_iter().flatten().flat_map(|node| node.sets()) {
            let draft = self.set_mut(set.rtype);
            (draft.count, draft.signature_count) = (set.count, set.signature_count);
            draft.wire.extend_from_slice(set.wire);
            draft.signature_wire.extend_from_slice(set.signature_wire);
        }
    }

    /// Ends; whether there was something.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    fn sets(&self) -> &[SetDraft] {
        &self.sets[..self.used]
    }

    fn find(&mut self, rtype: Type) -> Option<&mut SetDraft> {
        self.sets[..self.used].iter_mut().find(|set| set.rtype == rtype)
    }

    /// The set of a type, empty if there was none.
    fn set_mut(&mut self, rtype: Type) -> &mut SetDraft {
        let at = self.sets().iter().position(|set| set.rtype == rtype).unwrap_or_else(|| {
            if self.used == self.sets.len() {
                self.sets.push(SetDraft::default());
            }
            self.sets[self.used].reset(rtype);
            self.used += 1;
            self.used - 1
        });
        &mut self.sets[at]
    }

    /// The types that there are records of.
    pub(super) fn types(&self) -> impl Iterator<Item = Type> {
        self.sets().iter().filter(|set| set.count > 0).map(|set| set.rtype)
    }

    pub(super) fn count(&self, rtype: Type) -> usize {
        let set = self.sets().iter().find(|set| set.rtype == rtype);
        set.map_or(0, |set| usize::from(set.count))
    }

    /// Adds a record; whether it was not there.
    pub(super) fn add(
        &mut self,
        rtype: Type,
        class: Class,
        ttl: Ttl,
        data: &[u8],
    ) -> Result<bool, ZoneFault> {
        if rtype == Type::RRSIG {
            let set = self.set_mut(covered(data));
            return add(&mut set.signature_wire, &mut set.signature_count, rtype, class, ttl, data);
        }
        let alias = rtype == Type::CNAME;
        let conflicts = |other: Type| {
            other != rtype
                && (alias && !other.goes_with_alias()
                    || other == Type::CNAME && !rtype.goes_with_alias())
        };
        // Hashes are no names of the zone.
        if rtype != Type::NSEC3
            && self.types().any(|other| other != Type::NSEC3 && conflicts(other))
        {
            return Err(ZoneFault::CnameAndOther);
        }
        let set = self.set_mut(rtype);
        let added = add(&mut set.wire, &mut set.count, rtype, class, ttl, data)?;
        match rtype {
            _ if set.count < 2 => Ok(added),
            Type::CNAME => Err(ZoneFault::CnameTwice),
            Type::DNAME => Err(ZoneFault::DnameTwice),
            Type::SOA => Err(ZoneFault::SoaTwice),
            _ => Ok(added),
        }
    }

    /// Takes a record away; whether it was there.
    pub(super) fn remove(&mut self, rtype: Type, data: &[u8]) -> bool {
        let of_type = if rtype == Type::RRSIG { covered(data) } else { rtype };
        let Some(set) = self.find(of_type) else { return false };
        if rtype == Type::RRSIG {
            remove(&mut set.signature_wire, &mut set.signature_count, rtype, data)
        } else {
            remove(&mut set.wire, &mut set.count, rtype, data)
        }
    }

    /// Takes a set away; whether it was there. RRSIG are those of all sets.
    pub(super) fn remove_set(&mut self, rtype: Type) -> bool {
        if rtype == Type::RRSIG {
            let mut removed = false;
            for set in &mut self.sets[..self.used] {
                removed |= std::mem::take(&mut set.signature_count) > 0;
                set.signature_wire.clear();
            }
            return removed;
        }
        self.find(rtype).is_some_and(|set| {
            let removed = set.count > 0;
            set.reset(rtype);
            removed
        })
    }

    /// Gives a set another time to live.
    pub(super) fn set_ttl(&mut self, rtype: Type, ttl: Ttl) {
        let Some(set) = self.find(rtype) else { return };
        let starts: Vec<_> = records(&set.wire)
            .scan(0, |at, record| {
                let start = *at;
                *at += RECORD_HEAD + record.data.len();
                Some(start)
            })
            .collect();
        for start in starts {
            set.wire[start + 6..start + 10].copy_from_slice(&ttl.seconds().to_be_bytes());
        }
    }

    /// The serial of the SOA record.
    pub(super) fn serial(&self) -> Option<u32> {
        let set = self.sets().iter().find(|set| set.rtype == Type::SOA)?;
        let data = records(&set.wire).next()?.data;
        crate::types::Soa::read(Type::SOA, data).map(|soa| soa.serial)
    }

    /// Appends the node: of NSEC3, or of all the rest. Whether it has any set.
    pub(super) fn encode(&self, apex: bool, hashed: bool, out: &mut Vec<u8>) -> bool {
        let sets = || {
            let mine = |set: &&SetDraft| (set.rtype == Type::NSEC3) == hashed && !set.is_empty();
            self.sets().iter().filter(mine)
        };
        let has = |rtype| sets().any(|set| set.rtype == rtype && set.count > 0);
        let mut flags = 0;
        let mut flag = |is: bool, flag: u8| flags |= if is { flag } else { 0 };
        flag(hashed && has(Type::NSEC3), HASHED);
        flag(!apex && has(Type::NS), DELEGATION);
        flag(has(Type::DNAME), DNAME);
        flag(has(Type::CNAME), CNAME);
        flag(has(Type::NSEC), NSEC);
        flag(!hashed && self.name.borrowed().is_wildcard(), WILDCARD);
        let count = sets().count();
        let start = out.len();
        head(self.name.borrowed(), if hashed { 0 } else { self.children }, flags, count, out);
        for set in sets() {
            set.encode(out);
        }
        end(start, out);
        count > 0
    }
}

/// The node of a name that has no records.
pub(super) fn encode_empty(name: NameRef<'_>, children: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let flags = if name.is_wildcard() { WILDCARD } else { 0 };
    head(name, children, flags, 0, out);
    end(start, out);
}

fn head(name: NameRef<'_>, children: u32, flags: u8, sets: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&children.to_be_bytes());
    // A name has at most 255 bytes, and there are 65,536 types.
    out.extend_from_slice(&[flags, name.wire().len() as u8]);
    out.extend_from_slice(&(sets as u16).to_be_bytes());
    out.extend_from_slice(name.wire());
}

/// Writes the length.
fn end(start: usize, out: &mut [u8]) {
    // At most 65,536 sets of 64 KiB each: 4 GiB, and no machine has added so many.
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

impl SetDraft {
    fn reset(&mut self, rtype: Type) {
        self.rtype = rtype;
        (self.count, self.signature_count) = (0, 0);
        self.wire.clear();
        self.signature_wire.clear();
    }

    fn is_empty(&self) -> bool {
        self.count == 0 && self.signature_count == 0
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut head = [0; SET_HEAD];
        head[..2].copy_from_slice(&self.rtype.0.to_be_bytes());
        head[2..4].copy_from_slice(&self.count.to_be_bytes());
        head[4..6].copy_from_slice(&self.signature_count.to_be_bytes());
        // Neither is above 64 KiB.
        head[6..10].copy_from_slice(&(self.wire.len() as u32).to_be_bytes());
        head[10..].copy_from_slice(&(self.signature_wire.len() as u32).to_be_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.wire);
        out.extend_from_slice(&self.signature_wire);
    }
}

/// The type that a signature is of.
fn covered(data: &[u8]) -> Type {
    data.first_chunk().map_or(Type(0), |covered| Type(u16::from_be_bytes(*covered)))
}

fn add(
    wire: &mut Vec<u8>,
    count: &mut u16,
    rtype: Type,
    class: Class,
    ttl: Ttl,
    data: &[u8],
) -> Result<bool, ZoneFault> {
    if records(wire).any(|record| crate::emit::is_same(rtype, record.data, data)) {
        return Ok(false);
    }
    // The records of a set live equally long (RFC 2181 §5.2); those of RRSIG as what they cover.
    let ttl = records(wire).next().map_or(ttl, |first| first.ttl);
    if wire.len() + RECORD_HEAD + data.len() > MAX_RDATA {
        return Err(ZoneFault::RrsetTooLarge);
    }
    wire.extend_from_slice(&[0xc0, 12]);
    wire.extend_from_slice(&rtype.0.to_be_bytes());
    wire.extend_from_slice(&class.0.to_be_bytes());
    wire.extend_from_slice(&ttl.seconds().to_be_bytes());
    // Below the bound above.
    wire.extend_from_slice(&(data.len() as u16).to_be_bytes());
    wire.extend_from_slice(data);
    *count += 1;
    Ok(true)
}

fn remove(wire: &mut Vec<u8>, count: &mut u16, rtype: Type, data: &[u8]) -> bool {
    let mut at = 0;
    let found = records(wire).find_map(|record| {
        let start = at;
        at += RECORD_HEAD + record.data.len();
        crate::emit::is_same(rtype, record.data, data).then_some(start..at)
    });
    let Some(stretch) = found else { return false };
    wire.drain(stretch);
    *count -= 1;
    true
}
