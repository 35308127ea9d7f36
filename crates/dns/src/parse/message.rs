//! Messages, borrowed (RFC 1035 §4).

use std::fmt;

use super::Cursor;
use super::rdata::{self, Piece};
use crate::error::{Fault, WireError};
use crate::types::{
    Class, Edns, HEADER, Header, Message, Name, NameBuf, NameRef, Options, Question, Rcode, Rdata,
    Record, Ttl, Type, edns_check,
};

/// A section of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// What answers the question; in an update, the prerequisites.
    Answer,
    /// Who is authoritative; in an update, the changes.
    Authority,
    /// What may help.
    Additional,
}

/// A message that has been checked and is read where it lies.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    header: Header,
    counts: [u16; 4],
    /// Where questions, answers, authorities and additionals begin.
    starts: [usize; 4],
    opt: Option<PacketRecord<'a>>,
    tsig: Option<PacketRecord<'a>>,
}

/// A name in a message, perhaps compressed. It has been checked.
#[derive(Clone, Copy)]
pub struct PacketName<'a> {
    at: Cursor<'a>,
}

/// A question in a message.
#[derive(Debug, Clone, Copy)]
pub struct PacketQuestion<'a> {
    /// The name.
    pub name: PacketName<'a>,
    /// The type.
    pub rtype: Type,
    /// The class.
    pub class: Class,
}

/// A record in a message. Its data has been checked by its type.
#[derive(Debug, Clone, Copy)]
pub struct PacketRecord<'a> {
    /// Whose it is.
    pub name: PacketName<'a>,
    /// The type.
    pub rtype: Type,
    /// The class; in OPT, a size.
    pub class: Class,
    /// The 32 bits of the time to live as they came; in OPT, other things.
    pub raw_ttl: u32,
    packet: &'a [u8],
    /// Where the record begins.
    start: usize,
    data: usize,
    len: usize,
}

/// The records of one section.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    cursor: Cursor<'a>,
    left: u16,
}

impl<'a> Packet<'a> {
    /// Reads and checks a message.
    ///
    /// # Errors
    /// When it is none, with the offset.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(bytes);
        let header = Header::from_bytes(cursor.array()?);
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let mut packet = Self { bytes, header, counts, starts: [HEADER; 4], opt: None, tsig: None };
        for _ in 0..counts[0] {
            cursor.skip_name()?;
            cursor.take(4)?;
        }
        let update = header.opcode == crate::types::Opcode::UPDATE;
        for (section, count) in counts.into_iter().enumerate().skip(1) {
            packet.starts[section] = cursor.at();
            for left in (0..count).rev() {
                let record = PacketRecord::parse(&mut cursor)?;
                record.check(update)?;
                packet.note(record, section == 3, left == 0)?;
            }
        }
        if !cursor.is_empty() {
            return Err(cursor.error(Fault::Trailing));
        }
        Ok(packet)
    }

    /// Remembers OPT and TSIG, and refuses them in the wrong place.
    fn note(
        &mut self,
        record: PacketRecord<'a>,
        additional: bool,
        last: bool,
    ) -> Result<(), WireError> {
        let error = |fault| Err(WireError { fault, offset: record.start });
        match record.rtype {
            Type::OPT if !additional || self.opt.is_some() || !record.name.is_root() => {
                error(Fault::OptPlace)
            }
            Type::OPT => {
                edns_check(record.data(), record.data)?;
                self.opt = Some(record);
                Ok(())
            }
            Type::TSIG if !additional || !last => error(Fault::TsigPlace),
            Type::TSIG => {
                self.tsig = Some(record);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The header and the counts, if there is so much: what a reply to a malformed request needs.
    #[must_use]
    pub fn header_of(bytes: &[u8]) -> Option<Header> {
        bytes.get(..HEADER)?.first_chunk().map(|bytes| Header::from_bytes(*bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header as it is.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The whole code, with OPT's bits.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        let upper = self.opt.map_or(0, |opt| (opt.raw_ttl >> 24) as u16);
        Rcode(upper << 4 | self.header.rcode.0)
    }

    /// How many questions there are.
    #[must_use]
    pub fn question_count(&self) -> usize {
        usize::from(self.counts[0])
    }

    /// Where the questions end, in bytes from the beginning.
    #[must_use]
    pub fn questions_end(&self) -> usize {
        self.starts[1]
    }

    /// The questions.
    pub fn questions(&self) -> impl Iterator<Item = PacketQuestion<'a>> + use<'a> {
        let mut cursor = Cursor::within(self.bytes, HEADER, self.bytes.len());
        let mut left = self.counts[0];
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let name = PacketName { at: cursor };
            cursor.skip_name().ok()?;
            let (rtype, class) = (Type(cursor.u16().ok()?), Class(cursor.u16().ok()?));
            Some(PacketQuestion { name, rtype, class })
        })
    }

    /// The records of a section, OPT and TSIG among them.
    #[must_use]
    pub fn records(&self, section: Section) -> Entries<'a> {
        let index = match section {
            Section::Answer => 1,
            Section::Authority => 2,
            Section::Additional => 3,
        };
        let start = self.starts[index];
        Entries {
            cursor: Cursor::within(self.bytes, start, self.bytes.len()),
            left: self.counts[index],
        }
    }

    /// The OPT record.
    #[must_use]
    pub fn opt(&self) -> Option<PacketRecord<'a>> {
        self.opt
    }

    /// The TSIG record.
    #[must_use]
    pub fn tsig(&self) -> Option<PacketRecord<'a>> {
        self.tsig
    }

    /// What the OPT record says, owned.
    #[must_use]
    pub fn edns(&self) -> Option<Edns> {
        let opt = self.opt?;
        Some(Edns {
            udp_size: opt.class.0,
            version: (opt.raw_ttl >> 16) as u8,
            dnssec_ok: opt.raw_ttl & 0x8000 != 0,
            reserved: (opt.raw_ttl & 0x7fff) as u16,
            options: Options::from_wire(opt.data()).ok()?,
        })
    }

    /// An owned copy. The TSIG record is among the additionals.
    ///
    /// # Errors
    /// When a record's data is above 65,535 bytes without compression.
    pub fn to_message(&self) -> Result<Message, WireError> {
        let owned = |section| self.records(section).map(|record| record.to_record());
        let mut header = self.header;
        header.rcode = self.rcode();
        Ok(Message {
            header,
            questions: self.questions().map(|question| question.to_question()).collect(),
            answers: owned(Section::Answer).collect::<Result<_, _>>()?,
            authorities: owned(Section::Authority).collect::<Result<_, _>>()?,
            additionals: self
                .records(Section::Additional)
                .filter(|record| record.rtype != Type::OPT)
                .map(|record| record.to_record())
                .collect::<Result<_, _>>()?,
            edns: self.edns(),
        })
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("header", &self.header)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl<'a> PacketName<'a> {
    /// Copies it into `name`, without compression.
    pub fn read(&self, name: &mut NameBuf) {
        // It was checked when the message was.
        let _checked = self.at.clone().name(name);
    }

    /// In place, if it is not compressed.
    #[must_use]
    pub fn plain(&self) -> Option<NameRef<'a>> {
        let len = self.at.plain_name_len()?;
        self.at.rest().get(..len).map(NameRef::trusted)
    }

    /// Whether it is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.at.rest().first() == Some(&0)
    }

    /// An owned copy.
    #[must_use]
    pub fn to_name(&self) -> Name {
        let mut name = NameBuf::new();
        self.read(&mut name);
        name.borrowed().to_name()
    }
}

impl fmt::Debug for PacketName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_name(), f)
    }
}

impl PacketQuestion<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_question(&self) -> Question {
        Question { name: self.name.to_name(), rtype: self.rtype, class: self.class }
    }
}

impl<'a> PacketRecord<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<Self, WireError> {
        let name = PacketName { at: *cursor };
        let start = cursor.at();
        cursor.skip_name()?;
        let (rtype, class) = (Type(cursor.u16()?), Class(cursor.u16()?));
        let (raw_ttl, len) = (cursor.u32()?, usize::from(cursor.u16()?));
        let data = cursor.at();
        cursor.take(len)?;
        let packet = cursor.packet();
        Ok(Self { name, rtype, class, raw_ttl, packet, start, data, len })
    }

    /// Checks the data by the type. An update has records without data, whose class says what is to
    /// become of them, and whose type may be ANY (RFC 2136 §2.4, §2.5).
    fn check(&self, update: bool) -> Result<(), WireError> {
        if update && self.len == 0 && matches!(self.class, Class::ANY | Class::NONE) {
            return Ok(());
        }
        if self.rtype.is_meta() && !matches!(self.rtype, Type::OPT | Type::TSIG | Type::TKEY) {
            return Err(WireError { fault: Fault::MetaType, offset: self.start });
        }
        let data = Cursor::within(self.packet, self.data, self.data + self.len);
        rdata::walk(self.rtype, data, |_| {})
    }

    /// How long it may be kept.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        Ttl::new(self.raw_ttl)
    }

    /// The data as it lies there, with its names perhaps compressed.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        &self.packet[self.data..self.data + self.len]
    }

    /// Where the record begins, in bytes from the beginning of the message.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.start
    }

    /// Appends the data to `out`, its names not compressed.
    ///
    /// # Errors
    /// When that is above 65,535 bytes; `out` has something of it then.
    pub fn expand(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        if self.len == 0 {
            return Ok(());
        }
        rdata::expand(self.rtype, self.packet, self.data, self.len, out)
    }

    /// The data, owned.
    ///
    /// # Errors
    /// When it is above 65,535 bytes without compression.
    pub fn to_rdata(&self) -> Result<Rdata, WireError> {
        if self.len == 0 {
            return Ok(Rdata::empty(self.rtype));
        }
        let mut bytes = Vec::with_capacity(self.len);
        self.expand(&mut bytes)?;
        Ok(Rdata::trusted(self.rtype, bytes.into()))
    }

    /// An owned copy.
    ///
    /// # Errors
    /// When its data is above 65,535 bytes without compression.
    pub fn to_record(&self) -> Result<Record, WireError> {
        Ok(Record {
            name: self.name.to_name(),
            class: self.class,
            ttl: self.ttl(),
            data: self.to_rdata()?,
        })
    }

    /// The names in the data, in order.
    pub fn names_in_data(&self, mut visit: impl FnMut(PacketName<'a>)) {
        let data = Cursor::within(self.packet, self.data, self.data + self.len);
        let _checked = rdata::walk(self.rtype, data, |piece| {
            if let Piece::Name(at, _) = piece {
                visit(PacketName { at });
            }
        });
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = PacketRecord<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        PacketRecord::parse(&mut self.cursor).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}
