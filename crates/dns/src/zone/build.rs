//! A zone while it is made, or changed.

mod draft;

use super::hashed::{Hash, Hashed, hash_in};
use super::node::{DELEGATION, DNAME, HASHED, NSEC, Node, WILDCARD};
use super::store::{At, Store};
use super::{Counts, Denial, Zone};
use crate::error::{ZoneError, ZoneFault};
use crate::types::{Class, Name, NameBuf, NameRef, Nsec3Param, Record, RecordData as _, Ttl, Type};
use crate::zonefile::Entry;

use draft::Draft;

/// Makes a zone out of records in any order, or changes one.
///
/// It goes fastest when the records of a name come one after the other. What was added when an error
/// came stays; only [`finish`](Self::finish) makes a zone of it.
#[derive(Debug, Clone)]
pub struct Builder {
    zone: Zone,
    /// The name that is being worked on.
    draft: Draft,
    /// A node as it is put together.
    bytes: Vec<u8>,
    /// Whether what proves absence must be put in order again.
    denial_changed: bool,
}

impl Builder {
    /// Begins a zone.
    #[must_use]
    pub fn new(origin: &Name, class: Class) -> Self {
        Self::seeded(origin, class, 0)
    }

    /// Begins a zone whose hash table depends on `seed`. A zone whose names strangers choose had better
    /// have one that they do not know.
    #[must_use]
    pub fn seeded(origin: &Name, class: Class, seed: u64) -> Self {
        let store = Store::new(origin.borrowed(), seed);
        let zone = Zone {
            origin: origin.clone(),
            class,
            store,
            counts: Counts::default(),
            denial: Denial::None,
            serial: 0,
            records: 0,
        };
        let mut builder = Self::edit(zone);
        builder.denial_changed = true;
        // The top is there before all else, if only as an empty name. An empty store has room for it.
        builder.draft.begin(origin.borrowed(), None, None);
        let _first = builder.store_draft();
        builder
    }

    /// Begins to change a zone.
    pub(super) fn edit(zone: Zone) -> Self {
        Self { zone, draft: Draft::default(), bytes: Vec::new(), denial_changed: false }
    }

    /// Adds a record of a zone file.
    ///
    /// # Errors
    /// When it is no part of the zone.
    pub fn add_entry(&mut self, entry: &Entry<'_>) -> Result<bool, ZoneFault> {
        if entry.class != self.zone.class {
            return Err(ZoneFault::Class);
        }
        self.add(entry.name, entry.rtype, entry.ttl, entry.data)
    }

    /// Adds a record; whether it was not there before. Its set has the time to live that came first.
    ///
    /// # Errors
    /// When it is no part of the zone.
    pub fn add_record(&mut self, record: &Record) -> Result<bool, ZoneFault> {
        if record.class != self.zone.class {
            return Err(ZoneFault::Class);
        }
        self.add(record.name.borrowed(), record.rtype(), record.ttl, record.data.bytes())
    }

    /// Adds a record whose data is known to be right for its type.
    pub(crate) fn add(
        &mut self,
        name: NameRef<'_>,
        rtype: Type,
        ttl: Ttl,
        data: &[u8],
    ) -> Result<bool, ZoneFault> {
        if rtype.is_meta() {
            return Err(ZoneFault::MetaType);
        }
        self.turn_to(name)?;
        let apex = self.draft.name().wire().len() == self.zone.origin.borrowed().wire().len();
        match rtype {
            Type::SOA if !apex => return Err(ZoneFault::SoaPlace),
            Type::NS if name.is_wildcard() => return Err(ZoneFault::WildcardNs),
            Type::DNAME if name.is_wildcard() => return Err(ZoneFault::WildcardDname),
            _ => {}
        }
        self.draft.add(rtype, self.zone.class, ttl, data)
    }

    /// Takes a record away; whether it was there. Times to live do not matter.
    ///
    /// # Errors
    /// When the zone has become too large.
    pub fn remove(
        &mut self,
        name: NameRef<'_>,
        rtype: Type,
        data: &[u8],
    ) -> Result<bool, ZoneFault> {
        self.turn_to(name)?;
        Ok(self.draft.remove(rtype, data))
    }

    /// Takes a set away, its signatures included; whether it was there.
    ///
    /// # Errors
    /// When the zone has become too large.
    pub fn remove_set(&mut self, name: NameRef<'_>, rtype: Type) -> Result<bool, ZoneFault> {
        self.turn_to(name)?;
        Ok(self.draft.remove_set(rtype))
    }

    /// The types that a name has records of, RRSIG not among them.
    ///
    /// # Errors
    /// When the zone has become too large.
    pub fn types_at(&mut self, name: NameRef<'_>) -> Result<Vec<Type>, ZoneFault> {
        self.turn_to(name)?;
        Ok(self.draft.types().collect())
    }

    /// How many records a set has.
    ///
    /// # Errors
    /// When the zone has become too large.
    pub fn count(&mut self, name: NameRef<'_>, rtype: Type) -> Result<usize, ZoneFault> {
        self.turn_to(name)?;
        Ok(self.draft.count(rtype))
    }

    /// Gives a set another time to live; those of RRSIG stay as they are.
    ///
    /// # Errors
    /// When the zone has become too large.
    pub fn set_ttl(&mut self, name: NameRef<'_>, rtype: Type, ttl: Ttl) -> Result<(), ZoneFault> {
        self.turn_to(name)?;
        self.draft.set_ttl(rtype, ttl);
        Ok(())
    }

    /// The serial that the zone has now.
    ///
    /// # Errors
    /// When it has no SOA record, or has become too large.
    pub fn serial(&mut self) -> Result<u32, ZoneFault> {
        let origin = self.zone.origin.clone();
        self.turn_to(origin.borrowed())?;
        self.draft.serial().ok_or(ZoneFault::NoSoa)
    }

    /// Makes the zone.
    ///
    /// # Errors
    /// When it has no SOA or no NS record at its top.
    pub fn finish(mut self) -> Result<Zone, ZoneError> {
        let origin = self.zone.origin.clone();
        let error = |fault| ZoneError { zone: origin.clone(), owner: origin.clone(), fault };
        self.store_draft().map_err(error)?;
        if self.zone.store.is_wasteful() {
            self.zone.store.compact().map_err(error)?;
            self.denial_changed = true;
        }
        self.zone.store.shrink();
        self.zone.serial = self.zone.soa().ok_or_else(|| error(ZoneFault::NoSoa))?.serial;
        if self.zone.apex().set(Type::NS).is_none() {
            return Err(error(ZoneFault::NoNs));
        }
        if self.denial_changed {
            self.zone.denial = self.denial();
        }
        Ok(self.zone)
    }

    /// Makes `name` the one that is worked on.
    fn turn_to(&mut self, name: NameRef<'_>) -> Result<(), ZoneFault> {
        if self.draft.is_for(name) {
            return Ok(());
        }
        self.store_draft()?;
        if !name.is_within(self.zone.origin.borrowed()) {
            return Err(ZoneFault::OutOfZone);
        }
        let store = &self.zone.store;
        let path = store.path(name);
        let plain = store.find(path.whole(), name.wire()).map(|(_, node)| node);
        let hashed = match name.first_label() {
            Some(label) if label.len() == 32 && self.zone.counts.hashed > 0 => {
                store.find(path.hashed(), name.wire()).map(|(_, node)| node)
            }
            _ => None,
        };
        self.draft.begin(name, plain, hashed);
        Ok(())
    }

    /// Writes down what was worked on.
    fn store_draft(&mut self) -> Result<(), ZoneFault> {
        if !self.draft.end() {
            return Ok(());
        }
        let name = NameBuf::from(self.draft.name());
        let path = self.zone.store.path(name.borrowed());
        let (hash, hashed, apex) = (path.whole(), path.hashed(), path.depth() == 0);
        self.bytes.clear();
        let has_sets = self.draft.encode(apex, false, &mut self.bytes);
        let existed =
            self.replace(hash, name.borrowed(), has_sets || self.draft.children > 0 || apex)?;
        let exists = has_sets || self.draft.children > 0;
        match (existed, exists) {
            (false, true) if !apex => self.grow(name.borrowed())?,
            (true, false) if !apex => self.wither(name.borrowed())?,
            _ => {}
        }
        self.bytes.clear();
        let has_hash = self.draft.encode(apex, true, &mut self.bytes);
        if has_hash || self.draft.was_hashed {
            self.replace(hashed, name.borrowed(), has_hash)?;
        }
        Ok(())
    }

    /// Puts the bytes in the place of the node, or takes it away; whether there was one.
    fn replace(&mut self, hash: u64, name: NameRef<'_>, keep: bool) -> Result<bool, ZoneFault> {
        let store = &mut self.zone.store;
        let old = store.find(hash, name.wire()).map(|(_, node)| Facts::of(node));
        let new = if keep {
            let facts = Facts::of(Node::new(&self.bytes));
            store.put(hash, name.wire(), &self.bytes)?;
            facts
        } else {
            store.remove(hash, name.wire());
            Facts::default()
        };
        let before = old.unwrap_or_default();
        self.zone.counts = self.zone.counts.moved(before.flags, new.flags);
        self.zone.records = self.zone.records + new.records - before.records;
        let proves = (before.flags | new.flags) & (NSEC | HASHED) != 0;
        // The top has NSEC3PARAM.
        self.denial_changed |= proves || name == self.zone.origin.borrowed();
        Ok(old.is_some())
    }

    /// A name has come to exist: all above it do.
    fn grow(&mut self, name: NameRef<'_>) -> Result<(), ZoneFault> {
        let mut at = name;
        while let Some(parent) = at.parent() {
            let hash = self.zone.store.path(parent).whole();
            if let Some((place, _)) = self.zone.store.find(hash, parent.wire()) {
                self.zone.store.count_child(place, true);
                return Ok(());
            }
            self.bytes.clear();
            draft::encode_empty(parent, 1, &mut self.bytes);
            self.replace(hash, parent, true)?;
            at = parent;
        }
        Ok(())
    }

    /// A name has ceased to exist, and with it those above that existed for it alone.
    fn wither(&mut self, name: NameRef<'_>) -> Result<(), ZoneFault> {
        let mut at = name;
        while let Some(parent) = at.parent() {
            let path = self.zone.store.path(parent);
            let (hash, apex) = (path.whole(), path.depth() == 0);
            let Some((place, node)) = self.zone.store.find(hash, parent.wire()) else { break };
            if apex || node.children() > 1 || node.sets().next().is_some() {
                self.zone.store.count_child(place, false);
                break;
            }
            self.replace(hash, parent, false)?;
            at = parent;
        }
        Ok(())
    }

    /// Puts in order what proves absence.
    fn denial(&self) -> Denial {
        let Zone { store, counts, .. } = &self.zone;
        let collect = |flag| {
            let mut nodes = store.all();
            nodes.retain(|at| store.node(*at).has(flag));
            nodes
        };
        if counts.hashed > 0 {
            let set = self.zone.apex().set(Type::NSEC3PARAM);
            let params = set.into_iter().flat_map(|set| set.records());
            let mut params = params
                .filter_map(|record| Nsec3Param::read(Type::NSEC3PARAM, record.data))
                .filter(|param| param.flags == 0);
            let nodes = || -> Vec<(Hash, At)> {
                let hashed = |at| hash_in(store.node(at).name()).map(|hash| (hash, at));
                collect(HASHED).into_iter().filter_map(hashed).collect()
            };
            if let Some(hashed) = params.find_map(|param| Hashed::new(&param, nodes())) {
                return Denial::Nsec3(hashed);
            }
        }
        if counts.nsec == 0 || self.zone.apex().set(Type::NSEC).is_none() {
            return Denial::None;
        }
        let mut order = collect(NSEC);
        // Where they lie is mostly their order already, which makes the real sorting cheap.
        order.sort_unstable();
        order.sort_by(|left, right| store.node(*left).name().cmp(&store.node(*right).name()));
        Denial::Nsec(order.into())
    }
}

/// What is counted of a node.
#[derive(Clone, Copy, Default)]
struct Facts {
    flags: u8,
    records: u64,
}

impl Facts {
    fn of(node: Node<'_>) -> Self {
        let each = node.sets().map(|set| u64::from(set.count) + u64::from(set.signature_count));
        Self { flags: node.flags(), records: each.sum() }
    }
}

impl Counts {
    /// The counts when a node's flags have become others.
    fn moved(self, before: u8, now: u8) -> Self {
        let count = |sum: u64, flags: u8| {
            sum + u64::from(now & flags != 0) - u64::from(before & flags != 0)
        };
        Self {
            cuts: count(self.cuts, DELEGATION | DNAME),
            wildcards: count(self.wildcards, WILDCARD),
            nsec: count(self.nsec, NSEC),
            hashed: count(self.hashed, HASHED),
        }
    }
}
