//! From a question to an answer (RFC 1034 §4.3.2).

use super::Zone;
use super::denial::Proof;
use super::lookup::Found;
use super::node::{Node, Set, Stored};
use super::store::Path;
use crate::emit::{Owner, Writer};
use crate::error::NoRoom;
use crate::parse::Section;
use crate::types::rdata::compressible;
use crate::types::{HEADER, NameBuf, NameRef, Rcode, Type};

/// How many aliases are followed in one answer.
const MAX_ALIASES: usize = 16;

/// What is asked of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The name, in the zone.
    pub name: NameRef<'a>,
    /// The type.
    pub rtype: Type,
    /// Whether signatures and proofs are wanted (DO, RFC 3225).
    pub dnssec: bool,
    /// Whether the answer to ANY is but one set (RFC 8482 §4.1). Set at first.
    pub minimal_any: bool,
}

impl<'a> Ask<'a> {
    /// Asks without DNSSEC.
    #[must_use]
    pub fn new(name: NameRef<'a>, rtype: Type) -> Self {
        Self { name, rtype, dnssec: false, minimal_any: true }
    }
}

/// What the header must say of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The code.
    pub rcode: Rcode,
    /// Whether the zone is authoritative for it; not so for delegations.
    pub authoritative: bool,
    /// Whether something that had to be there did not fit.
    pub truncated: bool,
}

/// An answer while it is written.
pub(super) struct Answering<'z, 'w, 'b> {
    zone: &'z Zone,
    writer: &'w mut Writer<'b>,
    dnssec: bool,
    /// Where the origin is in the question's name.
    origin: u16,
    /// The set that answers, if it names hosts.
    hosts: Option<Set<'z>>,
}

/// Whose the records of the answer are.
#[derive(Clone, Copy)]
enum Whose<'n> {
    /// The question's.
    Question,
    /// Of a name that an alias led to.
    Target(NameRef<'n>),
}

impl Zone {
    /// Writes the answer to a question that has been written already, and says what the header must
    /// say. The question's name must be the first thing in the message, uncompressed, and in the zone.
    ///
    /// What does not fit into the answer's and the authority's section is left out by whole sets, and
    /// told as truncated; additional records are left out silently, but for glue without which a
    /// delegation is of no use (RFC 9471 §3). Nothing is allocated.
    ///
    /// # Errors
    /// Never but for a name that is not in the zone.
    pub fn answer(&self, ask: &Ask<'_>, writer: &mut Writer<'_>) -> Result<Outcome, NoRoom> {
        let front = ask.name.strip_suffix(self.origin()).ok_or(NoRoom)?.len();
        // Both are below 256.
        let origin = (HEADER + front) as u16;
        let dnssec = ask.dnssec && self.is_signed();
        let mut out = Answering { zone: self, writer, dnssec, origin, hosts: None };
        let mut outcome = Outcome { rcode: Rcode::NOERROR, authoritative: true, truncated: false };
        if self.resolve(ask, &mut out, &mut outcome) == Err(NoRoom) {
            outcome.truncated = true;
        } else {
            self.additional(&mut out);
        }
        Ok(outcome)
    }

    /// Follows aliases until there is an answer.
    fn resolve<'z>(
        &'z self,
        ask: &Ask<'_>,
        out: &mut Answering<'z, '_, '_>,
        outcome: &mut Outcome,
    ) -> Result<(), NoRoom> {
        let mut target;
        let mut name = ask.name;
        for step in 0..=MAX_ALIASES {
            let whose = if step == 0 { Whose::Question } else { Whose::Target(name) };
            let next = self.step(ask, name, whose, out, outcome)?;
            // The name of the step before is in the answer, and not needed any more.
            match next {
                Some(next) if next.borrowed().is_within(self.origin()) && step < MAX_ALIASES => {
                    target = next;
                    name = target.borrowed();
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Answers for one name; the name to go on with, if it is an alias.
    fn step<'z>(
        &'z self,
        ask: &Ask<'_>,
        name: NameRef<'_>,
        whose: Whose<'_>,
        out: &mut Answering<'z, '_, '_>,
        outcome: &mut Outcome,
    ) -> Result<Option<NameBuf>, NoRoom> {
        let path = self.store.path(name);
        match self.find(&path, ask.rtype) {
            Found::Exact(node) => self.exact(ask, node, None, &path, whose, out),
            Found::Wildcard(node, encloser) => {
                self.exact(ask, node, Some(encloser), &path, whose, out)
            }
            Found::Cut(node, depth) => {
                // After an alias, the answer so far is authoritative.
                outcome.authoritative = matches!(whose, Whose::Target(_));
                self.delegate(node, depth, &path, out).map(|()| None)
            }
            Found::Dname(node) => self.redirect(name, node, whose, out, outcome),
            Found::Nothing(encloser) => {
                outcome.rcode = Rcode::NXDOMAIN;
                self.negative(Proof::NoName(encloser), &path, out).map(|()| None)
            }
        }
    }

    /// The name exists, or a wildcard stands for it.
    fn exact<'z>(
        &'z self,
        ask: &Ask<'_>,
        node: Node<'z>,
        wildcard: Option<usize>,
        path: &Path<'_>,
        whose: Whose<'_>,
        out: &mut Answering<'z, '_, '_>,
    ) -> Result<Option<NameBuf>, NoRoom> {
        if node.is_alias_for(ask.rtype)
            && let Some(set) = node.set(Type::CNAME)
        {
            out.answer(&set, whose)?;
            self.prove_wildcard(wildcard, path, out)?;
            let data = set.records().next().map_or(&[][..], |record| record.data);
            return Ok(NameRef::new(data).map(NameBuf::from));
        }
        let found = match ask.rtype {
            Type::ANY => self.any(ask, node, whose, out)?,
            Type::RRSIG => out.signatures(node, whose)?,
            rtype => match node.set(rtype) {
                Some(set) => {
                    out.answer(&set, whose)?;
                    true
                }
                None => false,
            },
        };
        if found {
            self.prove_wildcard(wildcard, path, out)?;
        } else {
            let proof = wildcard.map_or(Proof::NoData, Proof::WildcardNoData);
            self.negative(proof, path, out)?;
        }
        Ok(None)
    }

    /// All sets, or the first.
    fn any<'z>(
        &'z self,
        ask: &Ask<'_>,
        node: Node<'z>,
        whose: Whose<'_>,
        out: &mut Answering<'z, '_, '_>,
    ) -> Result<bool, NoRoom> {
        let mut found = false;
        for set in node.sets().filter(|set| set.count > 0) {
            out.answer(&set, whose)?;
            found = true;
            if ask.minimal_any {
                break;
            }
        }
        Ok(found)
    }

    fn prove_wildcard<'z>(
        &'z self,
        wildcard: Option<usize>,
        path: &Path<'_>,
        out: &mut Answering<'z, '_, '_>,
    ) -> Result<(), NoRoom> {
        match wildcard {
            Some(encloser) if out.dnssec => self.prove(Proof::Wildcard(encloser), path, out),
            _ => Ok(()),
        }
    }

    /// No such name or no such type: SOA, which says how long that may be believed (RFC 2308 §3), and
    /// the proof.
    fn negative<'z>(
        &'z self,
        proof: Proof,
        path: &Path<'_>,
        out: &mut Answering<'z, '_, '_>,
    ) -> Result<(), NoRoom> {
        if let Some(set) = self.apex().set(Type::SOA) {
            let mut minimum = u32::MAX;
            for record in set.records() {
                let last = record.data.last_chunk().map_or(0, |last| u32::from_be_bytes(*last));
                minimum = last.min(record.ttl.seconds());
                let owner = Owner::At(out.origin);
                let class = self.class;
                out.writer.record(
                    Section::Authority,
                    owner,
                    Type::SOA,
                    class,
                    minimum,
                    record.data,
                )?;
            }
            for record in set.signatures().filter(|_| out.dnssec) {
                let ttl = record.ttl.seconds().min(minimum);
                let owner = Owner::At(out.origin);
                out.writer.record(
                    Section::Authority,
                    owner,
                    Type::RRSIG,
                    self.class,
                    ttl,
                    record.data,
                )?;
            }
        }
        if out.dnssec { self.prove(proof, path, out) } else { Ok(()) }
    }

    /// A referral (RFC 1034 §4.3.2 3b): NS, with DS or the proof that there is none, and glue.
    fn delegate<'z>(
        &'z self,
        node: Node<'z>,
        depth: usize,
        path: &Path<'_>,
        out: &mut Answering<'z, '_, '_>,
    ) -> Result<(), NoRoom> {
        let Some(set) = node.set(Type::NS) else { return Ok(()) };
        let owner = Owner::Name(NameRef::trusted(path.end(depth)));
        out.records(Section::Authority, owner, set.records())?;
        if out.dnssec {
            match node.set(Type::DS) {
                Some(_) => out.authority(node, Type::DS)?,
                None => {
                    let cut = self.store.path(NameRef::trusted(path.end(depth)));
                    self.prove(Proof::NoDs, &cut, out)?;
                }
            }
        }
        // Addresses of servers within the delegation must be there; the others may.
        let is_within =
            |data: &[u8]| NameRef::new(data).is_some_and(|host| host.is_within(node.name()));
        for record in set.records().filter(|record| is_within(record.data)) {
            self.addresses(record.data, out)?;
        }
        for record in set.records().filter(|record| !is_within(record.data)) {
            let mark = out.writer.mark();
            if self.addresses(record.data, out).is_err() {
                out.writer.rewind(mark);
                break;
            }
        }
        Ok(())
    }

    /// A DNAME, and the alias that it makes (RFC 6672 §3.1).
    fn redirect<'z>(
        &'z self,
        name: NameRef<'_>,
        node: Node<'z>,
        whose: Whose<'_>,
        out: &mut Answering<'z, '_, '_>,
        outcome: &mut Outcome,
    ) -> Result<Option<NameBuf>, NoRoom> {
        let Some(set) = node.set(Type::DNAME) else { return Ok(None) };
        let Some(record) = set.records().next() else { return Ok(None) };
        let owner = Owner::Name(node.name());
        let (class, ttl) = (self.class, record.ttl.seconds());
        out.writer.record(Section::Answer, owner, Type::DNAME, class, ttl, record.data)?;
        out.signed(Section::Answer, owner, &set)?;
        let mut target = NameBuf::new();
        let labels = name.strip_suffix(node.name()).unwrap_or_default();
        let joined = NameRef::new(record.data).map(|rest| target.join(labels, rest));
        if joined != Some(Ok(())) {
            outcome.rcode = Rcode::YXDOMAIN;
            return Ok(None);
        }
        let data = target.borrowed().wire();
        out.writer.record(Section::Answer, whose.owner(), Type::CNAME, class, ttl, data)?;
        Ok(Some(target))
    }

    /// Addresses of what the answer names (RFC 1034 §4.3.2 6, RFC 2782, RFC 9460 §4.1).
    fn additional<'z>(&'z self, out: &mut Answering<'z, '_, '_>) {
        let Some(set) = out.hosts else { return };
        let before = host_offset(set.rtype).unwrap_or(0);
        for record in set.records() {
            let host = record.data.get(before..).and_then(NameRef::split_from);
            let mark = out.writer.mark();
            if host.is_some_and(|(host, _)| self.addresses(host.wire(), out).is_err()) {
                out.writer.rewind(mark);
                return;
            }
        }
    }

    /// The addresses that the zone has of a host, those beneath delegations included.
    fn addresses<'z>(&'z self, host: &[u8], out: &mut Answering<'z, '_, '_>) -> Result<(), NoRoom> {
        let Some(host) = NameRef::new(host) else { return Ok(()) };
        let Some(node) = self.node(host) else { return Ok(()) };
        for set in [Type::A, Type::AAAA].into_iter().filter_map(|rtype| node.set(rtype)) {
            let owner = Owner::Name(host);
            out.records(Section::Additional, owner, set.records())?;
            out.signed(Section::Additional, owner, &set)?;
        }
        Ok(())
    }
}

impl<'n> Whose<'n> {
    fn owner(self) -> Owner<'n> {
        match self {
            Self::Question => Owner::At(HEADER as u16),
            Self::Target(name) => Owner::Name(name),
        }
    }
}

/// Where the name of a host is in data whose hosts' addresses help.
const fn host_offset(rtype: Type) -> Option<usize> {
    Some(match rtype {
        Type::NS => 0,
        Type::MX | Type::SVCB | Type::HTTPS => 2,
        Type::SRV => 6,
        _ => return None,
    })
}

impl<'z> Answering<'z, '_, '_> {
    /// Writes a set that answers, and its signatures; all of it or nothing.
    fn answer(&mut self, set: &Set<'z>, whose: Whose<'_>) -> Result<(), NoRoom> {
        let mark = self.writer.mark();
        let written = match whose {
            // The records stand ready.
            Whose::Question if compressible(set.rtype).is_none() => {
                self.writer.copy(Section::Answer, set.wire, set.count)
            }
            _ => self.records(Section::Answer, whose.owner(), set.records()),
        };
        written
            .and_then(|()| self.signatures_of(set, whose))
            .inspect_err(|NoRoom| self.writer.rewind(mark))?;
        self.hosts = host_offset(set.rtype).map(|_| *set);
        Ok(())
    }

    fn signatures_of(&mut self, set: &Set<'z>, whose: Whose<'_>) -> Result<(), NoRoom> {
        match whose {
            _ if !self.dnssec => Ok(()),
            Whose::Question => {
                self.writer.copy(Section::Answer, set.signature_wire, set.signature_count)
            }
            Whose::Target(_) => self.signed(Section::Answer, whose.owner(), set),
        }
    }

    /// Writes all signatures at a node, the answer to RRSIG; whether there are any.
    fn signatures(&mut self, node: Node<'z>, whose: Whose<'_>) -> Result<bool, NoRoom> {
        let mark = self.writer.mark();
        self.records(Section::Answer, whose.owner(), node.sets().flat_map(|set| set.signatures()))
            .inspect_err(|NoRoom| self.writer.rewind(mark))?;
        Ok(node.sets().any(|set| set.signature_count > 0))
    }

    /// Writes a node's set and its signatures into the authority section; all of it or nothing.
    pub(super) fn authority(&mut self, node: Node<'_>, rtype: Type) -> Result<(), NoRoom> {
        let Some(set) = node.set(rtype) else { return Ok(()) };
        let (mark, owner) = (self.writer.mark(), Owner::Name(node.name()));
        self.records(Section::Authority, owner, set.records())
            .and_then(|()| self.signed(Section::Authority, owner, &set))
            .inspect_err(|NoRoom| self.writer.rewind(mark))
    }

    /// Writes the signatures of a set, if they are wanted.
    fn signed(&mut self, section: Section, owner: Owner<'_>, set: &Set<'_>) -> Result<(), NoRoom> {
        if self.dnssec { self.records(section, owner, set.signatures()) } else { Ok(()) }
    }

    fn records<'r>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        records: impl Iterator<Item = Stored<'r>>,
    ) -> Result<(), NoRoom> {
        for record in records {
            let (rtype, ttl) = (record.rtype, record.ttl.seconds());
            self.writer.record(section, owner, rtype, self.zone.class, ttl, record.data)?;
        }
        Ok(())
    }
}
