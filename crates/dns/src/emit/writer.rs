//! A message being written.

use super::table::{Table, hash};
use crate::error::NoRoom;
use crate::parse::Section;
use crate::types::rdata::compressible;
use crate::types::{Class, Edns, HEADER, Header, MAX_LABELS, NameRef, Rcode, Type, edns_extended};

/// Writes a message into a slice.
///
/// Sections are written in their order. What does not fit is an error, and leaves what was there.
///
/// ```
/// use ropewalk_dns::emit::{Owner, Writer};
/// use ropewalk_dns::parse::Section;
/// use ropewalk_dns::types::{Class, Header, Message, Name, Type};
///
/// let name: Name = "example.org".parse()?;
/// let mut buffer = [0; 512];
/// let mut writer = Writer::new(&mut buffer)?;
/// writer.set_header(Header { id: 7, ..Header::default() });
/// writer.question(name.borrowed(), Type::A, Class::IN)?;
/// let owner = Owner::Name(name.borrowed());
/// writer.record(Section::Answer, owner, Type::A, Class::IN, 300, &[192, 0, 2, 1])?;
/// let len = writer.finish();
/// assert_eq!(len, 12 + 17 + 16); // the second name is a pointer to the first
/// assert_eq!(Message::parse(&buffer[..len])?.answers[0].data.to_string(), "192.0.2.1");
/// # Ok::<(), ropewalk_dns::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// How much of the buffer may be used now.
    limit: usize,
    counts: [u16; 4],
    table: Table,
    keep_case: bool,
}

/// Whose a record is.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'n> {
    /// A name, compressed if that can be.
    Name(NameRef<'n>),
    /// The name at this offset of the message, which has been written before.
    At(u16),
}

/// How far a message has come, to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    len: usize,
    counts: [u16; 4],
}

impl<'b> Writer<'b> {
    /// Begins a message that may be as long as the buffer, but of at most 65,535 bytes.
    ///
    /// # Errors
    /// When there is not even room for a header.
    pub fn new(buffer: &'b mut [u8]) -> Result<Self, NoRoom> {
        let limit = buffer.len().min(super::MAX_MESSAGE);
        buffer.get_mut(..HEADER).ok_or(NoRoom)?.fill(0);
        Ok(Self {
            buffer,
            len: HEADER,
            limit,
            counts: [0; 4],
            table: Table::new(),
            keep_case: false,
        })
    }

    /// Whether a name is only compressed to one of the same case; not so at first.
    pub fn keep_case(&mut self, keep: bool) {
        self.keep_case = keep;
    }

    /// From now on the message may have so many bytes; no more than the buffer, and no fewer than it
    /// has.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.buffer.len()).min(super::MAX_MESSAGE).max(self.len);
    }

    /// How many bytes the message may have.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is but a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == HEADER
    }

    /// How many records the section has.
    #[must_use]
    pub fn count(&self, section: Section) -> usize {
        usize::from(self.counts[index(section)])
    }

    /// Writes the header; it may be written again.
    pub fn set_header(&mut self, header: Header) {
        self.buffer[..4].copy_from_slice(&header.to_bytes());
    }

    /// What the header says now.
    #[must_use]
    pub fn header(&self) -> Header {
        let &[a, b, c, d, ..] = &*self.buffer else { return Header::default() };
        Header::from_bytes([a, b, c, d])
    }

    /// Where the message is now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { len: self.len, counts: self.counts }
    }

    /// Takes back what came after the mark.
    pub fn rewind(&mut self, mark: Mark) {
        if mark.len < self.len {
            self.len = mark.len;
            self.counts = mark.counts;
            self.table.truncate(self.len);
        }
    }

    /// Writes a question.
    ///
    /// # Errors
    /// When there is no room.
    pub fn question(&mut self, name: NameRef<'_>, rtype: Type, class: Class) -> Result<(), NoRoom> {
        let mark = self.mark();
        self.name(name)
            .and_then(|()| self.put(&rtype.0.to_be_bytes()))
            .and_then(|()| self.put(&class.0.to_be_bytes()))
            .and_then(|()| self.counted(0))
            .inspect_err(|NoRoom| self.rewind(mark))
    }

    /// Writes a record; `data` is right for the type and not compressed. `ttl` are the 32 bits as they
    /// go out.
    ///
    /// # Errors
    /// When there is no room.
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Type,
        class: Class,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), NoRoom> {
        let mark = self.mark();
        let mut fixed = [0; 8];
        fixed[..2].copy_from_slice(&rtype.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&class.0.to_be_bytes());
        fixed[4..].copy_from_slice(&ttl.to_be_bytes());
        self.owner(owner)
            .and_then(|()| self.put(&fixed))
            .and_then(|()| self.data(rtype, data))
            .and_then(|()| self.counted(index(section)))
            .inspect_err(|NoRoom| self.rewind(mark))
    }

    /// Copies records that are already in wire form, whose owner is a pointer to offset 12, where the
    /// first question's name is.
    pub(crate) fn copy(
        &mut self,
        section: Section,
        records: &[u8],
        count: u16,
    ) -> Result<(), NoRoom> {
        let sum = self.counts[index(section)].checked_add(count).ok_or(NoRoom)?;
        self.put(records)?;
        self.counts[index(section)] = sum;
        Ok(())
    }

    /// Writes an OPT record (RFC 6891 §6.1.2) with the upper bits of `rcode`.
    ///
    /// # Errors
    /// When there is no room.
    pub fn edns(&mut self, edns: &Edns, rcode: Rcode) -> Result<(), NoRoom> {
        let flags = u16::from(edns.dnssec_ok) << 15 | edns.reserved & 0x7fff;
        let ttl = u32::from(edns_extended(rcode)) << 24
            | u32::from(edns.version) << 16
            | u32::from(flags);
        let root = Owner::Name(NameRef::ROOT);
        let class = Class(edns.udp_size);
        self.record(Section::Additional, root, Type::OPT, class, ttl, edns.options.wire())
    }

    /// Writes the counts and returns the length.
    #[must_use]
    pub fn finish(self) -> usize {
        for (room, count) in self.buffer[4..HEADER].chunks_exact_mut(2).zip(self.counts) {
            room.copy_from_slice(&count.to_be_bytes());
        }
        self.len
    }

    fn counted(&mut self, section: usize) -> Result<(), NoRoom> {
        self.counts[section] = self.counts[section].checked_add(1).ok_or(NoRoom)?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let end = self.len + bytes.len();
        if end > self.limit {
            return Err(NoRoom);
        }
        self.buffer[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn owner(&mut self, owner: Owner<'_>) -> Result<(), NoRoom> {
        match owner {
            Owner::Name(name) => self.name(name),
            Owner::At(offset) => self.put(&(0xc000 | offset & 0x3fff).to_be_bytes()),
        }
    }

    /// Writes length and data, and compresses names where the type allows it.
    fn data(&mut self, rtype: Type, data: &[u8]) -> Result<(), NoRoom> {
        let at = self.len;
        self.put(&[0, 0])?;
        // Updates have records without data.
        match compressible(rtype).filter(|_| !data.is_empty()) {
            Some((before, names)) => {
                let (first, mut rest) = data.split_at_checked(before).ok_or(NoRoom)?;
                self.put(first)?;
                for _ in 0..names {
                    let (name, after) = NameRef::split_from(rest).ok_or(NoRoom)?;
                    self.name(name)?;
                    rest = after;
                }
                self.put(rest)?;
            }
            None => self.put(data)?,
        }
        let len = u16::try_from(self.len - at - 2).map_err(|_| NoRoom)?;
        self.buffer[at..at + 2].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    /// Writes a name, its end as a pointer to the longest that was written before.
    fn name(&mut self, name: NameRef<'_>) -> Result<(), NoRoom> {
        let wire = name.wire();
        let mut starts = [0u8; MAX_LABELS];
        let (mut labels, mut at) = (0, 0);
        while wire[at] != 0 {
            starts[labels] = at as u8;
            labels += 1;
            at += 1 + usize::from(wire[at]);
        }
        let label = |index: usize| {
            let at = usize::from(starts[index]);
            &wire[at + 1..at + 1 + usize::from(wire[at])]
        };
        // From the right: the longest end that is known.
        let (mut known, mut target, mut sum) = (labels, None, 0);
        while known > 0 {
            let longer = hash(sum, label(known - 1));
            let found = self
                .table
                .candidates(longer)
                .find(|&offset| self.is_at(offset, label(known - 1), target));
            let Some(offset) = found else { break };
            (known, target, sum) = (known - 1, Some(offset), longer);
        }
        let front = if known == labels { at } else { usize::from(starts[known]) };
        let start = self.len;
        self.put(&wire[..front])?;
        match target {
            Some(offset) => self.put(&(0xc000 | offset as u16).to_be_bytes())?,
            None => self.put(&[0])?,
        }
        for index in (0..known).rev() {
            sum = hash(sum, label(index));
            self.table.insert(sum, start + usize::from(starts[index]));
        }
        Ok(())
    }

    /// Whether at `offset` there is `label`, followed by the name at `rest`, or the root.
    fn is_at(&self, offset: usize, label: &[u8], rest: Option<usize>) -> bool {
        let written = &self.buffer[..self.len];
        let end = offset + 1 + label.len();
        let Some((len, bytes)) = written.get(offset..end).and_then(|bytes| bytes.split_first())
        else {
            return false;
        };
        let same = if self.keep_case { bytes == label } else { bytes.eq_ignore_ascii_case(label) };
        if usize::from(*len) != label.len() || !same {
            return false;
        }
        match (rest, &written[end..]) {
            (None, [0, ..]) => true,
            (Some(rest), _) if rest == end => true,
            (Some(rest), [high @ 0xc0..=0xff, low, ..]) => {
                usize::from(high & 0x3f) << 8 | usize::from(*low) == rest
            }
            _ => false,
        }
    }
}

fn index(section: Section) -> usize {
    match section {
        Section::Answer => 1,
        Section::Authority => 2,
        Section::Additional => 3,
    }
}
