//! Transfers out: a zone, or what has changed in it, as a row of messages (RFC 5936, RFC 1995).

use std::sync::Arc;

use super::journal::Delta;
use super::tsig;
use crate::emit::{Owner, Writer};
use crate::error::NoRoom;
use crate::parse::Section;
use crate::types::{Class, Header, Name, NameRef, Question, Record, Ttl, Type};
use crate::zone::{Cursor, Zone};

/// How long messages are, in bytes: what a compression pointer reaches, so that all names of a message
/// can be compressed.
const MESSAGE: usize = 16 * 1024;

/// How many records a message has at most: the counter has 16 bits.
const RECORDS: usize = 10_000;

/// A transfer that is under way. It holds the zone as it was when it began.
#[derive(Debug)]
pub struct Transfer {
    header: Header,
    question: Option<Question>,
    class: Class,
    origin: Name,
    zone: Zone,
    /// What is still to be sent, the next one last.
    parts: Vec<Part>,
}

/// A stretch of records.
#[derive(Debug)]
enum Part {
    One(Record),
    Whole(Cursor),
    Removed(Arc<Delta>, usize),
    Added(Arc<Delta>, usize),
}

impl Transfer {
    /// All of a zone, its SOA record first and last.
    pub(super) fn whole(header: Header, question: Question, zone: Zone) -> Option<Self> {
        let soa = soa(&zone)?;
        let parts = vec![Part::One(soa.clone()), Part::Whole(zone.cursor()), Part::One(soa)];
        Some(Self::of(header, question, zone, parts))
    }

    /// Nothing but the SOA record: the client has it all, or must ask over TCP.
    pub(super) fn current(header: Header, question: Question, zone: Zone) -> Option<Self> {
        let parts = vec![Part::One(soa(&zone)?)];
        Some(Self::of(header, question, zone, parts))
    }

    /// What has changed (RFC 1995 §4).
    pub(super) fn changes(
        header: Header,
        question: Question,
        zone: Zone,
        deltas: Vec<Arc<Delta>>,
    ) -> Option<Self> {
        let soa = soa(&zone)?;
        let mut parts = vec![Part::One(soa.clone())];
        for delta in deltas {
            parts.push(Part::One(delta.old.clone()));
            parts.push(Part::Removed(delta.clone(), 0));
            parts.push(Part::One(delta.new.clone()));
            parts.push(Part::Added(delta, 0));
        }
        parts.push(Part::One(soa));
        Some(Self::of(header, question, zone, parts))
    }

    fn of(header: Header, question: Question, zone: Zone, mut parts: Vec<Part>) -> Self {
        parts.reverse();
        let (class, origin) = (zone.class(), zone.origin().to_name());
        Self { header, question: Some(question), class, origin, zone, parts }
    }

    /// The zone's name.
    #[must_use]
    pub fn origin(&self) -> NameRef<'_> {
        self.origin.borrowed()
    }

    /// Writes the next message into `buffer`, which should have 64 KiB; its length, or `None` after the
    /// last one. `now`, in seconds since 1970, is for the signature.
    ///
    /// # Errors
    /// When a record does not fit into a message of its own.
    pub fn next(
        &mut self,
        buffer: &mut [u8],
        tsig: Option<&mut tsig::Session>,
        now: u64,
    ) -> Result<Option<usize>, NoRoom> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let reserved = tsig.as_ref().map_or(0, |session| session.room());
        let most = buffer.len().min(crate::emit::MAX_MESSAGE).saturating_sub(reserved);
        let mut writer = Writer::new(buffer)?;
        writer.keep_case(true);
        writer.set_header(self.header);
        if let Some(question) = self.question.take() {
            writer.question(question.name.borrowed(), question.rtype, question.class)?;
        }
        writer.set_limit(most.min(MESSAGE));
        self.fill(&mut writer);
        if writer.count(Section::Answer) == 0 {
            // A record that is longer than messages usually are.
            writer.set_limit(most);
            self.fill(&mut writer);
            if writer.count(Section::Answer) == 0 {
                return Err(NoRoom);
            }
        }
        let len = writer.finish();
        match tsig {
            Some(session) => session.sign(buffer, len, now, None).map(Some),
            None => Ok(Some(len)),
        }
    }

    /// Writes records until there is no room.
    fn fill(&mut self, writer: &mut Writer<'_>) {
        let class = self.class;
        let mut put = |name: NameRef<'_>, rtype: Type, ttl: Ttl, data: &[u8]| {
            let (owner, ttl) = (Owner::Name(name), ttl.seconds());
            writer.count(Section::Answer) < RECORDS
                && writer.record(Section::Answer, owner, rtype, class, ttl, data).is_ok()
        };
        while let Some(part) = self.parts.last_mut() {
            let mut one = |record: &Record| {
                put(record.name.borrowed(), record.rtype(), record.ttl, record.data.bytes())
            };
            let done = match part {
                Part::One(record) => one(record),
                Part::Removed(delta, at) => all(&delta.removed, at, one),
                Part::Added(delta, at) => all(&delta.added, at, one),
                // SOA stands before and behind.
                Part::Whole(cursor) => cursor.drive(&self.zone, |record| {
                    record.rtype == Type::SOA
                        || put(record.name, record.rtype, record.ttl, record.data)
                }),
            };
            if !done {
                return;
            }
            self.parts.pop();
        }
    }
}

/// Writes records from `at` on; whether all have been written.
fn all(records: &[Record], at: &mut usize, mut put: impl FnMut(&Record) -> bool) -> bool {
    while let Some(record) = records.get(*at) {
        if !put(record) {
            return false;
        }
        *at += 1;
    }
    true
}

/// The zone's SOA record.
pub(super) fn soa(zone: &Zone) -> Option<Record> {
    zone.set(zone.origin(), Type::SOA).next().map(|record| record.to_record(zone.class()))
}
