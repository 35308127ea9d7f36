//! A zone in memory, made for answering.
//!
//! ```text
//!   Builder ──▶ Zone ──▶ answer(question) ──▶ Writer        by copying, without the heap
//!      ▲          │
//!      └── edit ──┘      a new Zone that shares all that has not changed
//! ```
//!
//! Every name that exists, empty ones included, is a node: a stretch of bytes in a chunk, its record
//! sets already in wire form behind a pointer to the question's name. A hash table of 8-byte slots leads
//! from name to node; signed zones have an order besides, of 4 bytes for each NSEC or 16 for each NSEC3.
//! A name with one address takes about 70 bytes.
//!
//! Chunks and pages of the table are shared between a zone and what became of it: an edit copies what
//! it touches, and whoever answers from the old zone goes on undisturbed.
//!
//! ```
//! use ropewalk_dns::emit::Writer;
//! use ropewalk_dns::types::{Message, Name, Type};
//! use ropewalk_dns::zone::{Ask, Zone};
//! use ropewalk_dns::zonefile::Parser;
//!
//! let text = "$TTL 1h\n@ IN SOA ns hostmaster 1 1d 2h 4w 5m\n  NS ns\nns A 192.0.2.1\n";
//! let origin: Name = "example.org".parse()?;
//! let zone = Zone::load(&mut Parser::new("example.zone", text.as_bytes(), origin.borrowed()), &origin)?;
//!
//! let name: Name = "ns.example.org".parse()?;
//! let mut buffer = [0; 1232];
//! let mut writer = Writer::new(&mut buffer)?;
//! writer.question(name.borrowed(), Type::A, zone.class())?;
//! zone.answer(&Ask::new(name.borrowed(), Type::A), &mut writer)?;
//! let len = writer.finish();
//! assert_eq!(Message::parse(&buffer[..len])?.answers[0].data.to_string(), "192.0.2.1");
//! # Ok::<(), ropewalk_dns::Error>(())
//! ```

mod answer;
mod build;
mod denial;
mod hashed;
mod lookup;
mod node;
mod store;

use std::fmt;

use crate::error::{Error, Result};
use crate::types::{Class, Name, NameRef, RecordData as _, Soa, Ttl, Type};
use crate::zonefile::Parser;

pub use answer::{Ask, Outcome};
pub use build::Builder;

use hashed::Hashed;
use node::Node;
use store::{At, Store};

/// A zone, which does not change.
///
/// Cloning is cheap: the clone shares everything.
#[derive(Clone)]
pub struct Zone {
    origin: Name,
    class: Class,
    store: Store,
    /// How many nodes are delegations or have a DNAME, and how many are wildcards: what there is none
    /// of need not be looked for.
    counts: Counts,
    denial: Denial,
    serial: u32,
    records: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    cuts: u64,
    wildcards: u64,
    nsec: u64,
    hashed: u64,
}

/// How the absence of names is proved.
#[derive(Clone)]
enum Denial {
    /// Not at all: the zone is not signed.
    None,
    /// The nodes that have NSEC, in canonical order.
    Nsec(Box<[At]>),
    /// By hashes.
    Nsec3(Hashed),
}

/// A place among the records of a zone. It belongs to the version of the zone that made it.
#[derive(Debug, Clone)]
pub struct Cursor {
    nodes: Vec<At>,
    node: usize,
    /// How many records of the node were taken.
    record: usize,
}

impl Cursor {
    /// Gives records to `take` until it refuses one, which is given again the next time; whether all
    /// have been taken.
    pub fn drive(&mut self, zone: &Zone, mut take: impl FnMut(ZoneRecord<'_>) -> bool) -> bool {
        while let Some(at) = self.nodes.get(self.node) {
            let node = zone.store.node(*at);
            let records = node.sets().flat_map(|set| set.records().chain(set.signatures()));
            for record in records.skip(self.record) {
                if !take(record.of(node.name())) {
                    return false;
                }
                self.record += 1;
            }
            (self.node, self.record) = (self.node + 1, 0);
        }
        true
    }
}

/// A record of a zone, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct ZoneRecord<'z> {
    /// Whose it is.
    pub name: NameRef<'z>,
    /// The type.
    pub rtype: Type,
    /// How long it may be kept.
    pub ttl: Ttl,
    /// The data, not compressed.
    pub data: &'z [u8],
}

impl Zone {
    /// Reads a zone file.
    ///
    /// # Errors
    /// At the first thing that is wrong with the file, or with the zone.
    pub fn load(parser: &mut Parser<'_>, origin: &Name) -> Result<Self> {
        let mut builder = Builder::new(origin, Class::IN);
        loop {
            let added = match parser.next()? {
                None => break,
                Some(entry) => builder.add_entry(&entry),
            };
            added.map_err(|fault| Error::ZoneFile(parser.refuse(fault)))?;
        }
        Ok(builder.finish()?)
    }

    /// The name at its top.
    #[must_use]
    pub fn origin(&self) -> NameRef<'_> {
        self.origin.borrowed()
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its version (RFC 1982).
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// How many records it has.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.records
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let order = match &self.denial {
            Denial::None => 0,
            Denial::Nsec(order) => size_of_val(&**order),
            Denial::Nsec3(hashed) => hashed.memory(),
        };
        self.store.memory() + order
    }

    /// Whether it is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !matches!(self.denial, Denial::None)
    }

    /// The SOA record's data.
    #[must_use]
    pub fn soa(&self) -> Option<Soa> {
        let set = self.apex().set(Type::SOA)?;
        set.records().next().and_then(|record| Soa::read(Type::SOA, record.data))
    }

    /// Begins a new version of the zone.
    #[must_use]
    pub fn edit(&self) -> Builder {
        Builder::edit(self.clone())
    }

    /// All records but that the SOA record comes first, RRSIG and NSEC3 included. This allocates: a
    /// list of the zone's nodes, 4 bytes for each.
    pub fn records(&self) -> impl Iterator<Item = ZoneRecord<'_>> {
        let mut nodes = self.store.all();
        // In the order in which they lie in memory, which is mostly that of the file.
        nodes.sort_unstable();
        let soa = self.apex().set(Type::SOA).into_iter().flat_map(|set| set.records());
        let soa = soa.map(|record| record.of(self.origin()));
        let rest = nodes.into_iter().map(|at| self.store.node(at)).flat_map(|node| {
            let sets = node.sets().flat_map(|set| {
                let records = (set.rtype != Type::SOA).then(|| set.records());
                records.into_iter().flatten().chain(set.signatures())
            });
            sets.map(move |record| record.of(node.name()))
        });
        soa.chain(rest)
    }

    /// A place among the zone's records, to go on from later.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let mut nodes = self.store.all();
        nodes.sort_unstable();
        Cursor { nodes, node: 0, record: 0 }
    }

    /// The records of one set: those of the type at exactly this name, whatever cuts are above it.
    pub fn set(&self, name: NameRef<'_>, rtype: Type) -> impl Iterator<Item = ZoneRecord<'_>> {
        let node = self.node(name);
        let set = node.and_then(|node| node.set(rtype).map(|set| (node, set)));
        set.into_iter()
            .flat_map(|(node, set)| set.records().map(move |record| record.of(node.name())))
    }

    /// All records at exactly this name, RRSIG and NSEC included.
    pub fn at(&self, name: NameRef<'_>) -> impl Iterator<Item = ZoneRecord<'_>> {
        self.node(name).into_iter().flat_map(|node| {
            let records = node.sets().flat_map(|set| set.records().chain(set.signatures()));
            records.map(move |record| record.of(node.name()))
        })
    }

    /// Whether the name exists, if only for what is beneath it.
    #[must_use]
    pub fn has(&self, name: NameRef<'_>) -> bool {
        self.node(name).is_some()
    }

    /// Whether the name has any records of its own.
    #[must_use]
    pub fn has_records(&self, name: NameRef<'_>) -> bool {
        self.node(name).is_some_and(|node| node.sets().any(|set| set.count > 0))
    }

    fn apex(&self) -> Node<'_> {
        self.store.apex()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone")
            .field("origin", &self.origin)
            .field("serial", &self.serial)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl ZoneRecord<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_record(&self, class: Class) -> crate::types::Record {
        crate::types::Record {
            name: self.name.to_name(),
            class,
            ttl: self.ttl,
            data: crate::types::Rdata::trusted(self.rtype, self.data.into()),
        }
    }
}
