//! Where nodes are kept, and how they are found.

use std::sync::Arc;

use super::node::Node;
use crate::error::ZoneFault;
use crate::types::{MAX_LABELS, NameRef};

/// Where a node is: its chunk in the upper half, and its offset there, in units of 4 bytes, in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(u32);

/// How long chunks are, in bytes: what an offset of 16 bits in units of 4 reaches. A longer node has a
/// chunk of its own.
const CHUNK: usize = 1 << 18;
const UNIT: usize = 4;

/// How many slots a page of the table has.
const PAGE: usize = 2048;

/// An empty slot, and one whose node was taken away. No node has such a place, since a chunk's last
/// unit has no room for one.
const FREE: u64 = u64::MAX;
const GONE: u64 = u64::MAX - 1;

/// Nodes, and a hash table with linear probing that leads to them: a slot has 32 bits of the hash and
/// the place.
#[derive(Clone)]
pub(super) struct Store {
    chunks: Vec<Arc<Vec<u8>>>,
    pages: Vec<Arc<[u64; PAGE]>>,
    slots: usize,
    used: usize,
    gone: usize,
    apex: At,
    /// The hash of the origin's name.
    apex_hash: u64,
    apex_labels: usize,
    /// How many bytes of chunks are of no use any more.
    waste: usize,
}

/// A name cut into labels, with the hash of each end of it down from the origin.
pub(super) struct Path<'n> {
    name: NameRef<'n>,
    /// Where labels begin, from the left; those of the origin are left out.
    starts: [u8; MAX_LABELS],
    labels: usize,
    hash: u64,
}

impl<'n> Path<'n> {
    /// How many labels are beneath the origin.
    pub(super) fn depth(&self) -> usize {
        self.labels
    }

    /// The end of the name that is so deep beneath the origin.
    pub(super) fn end(&self, depth: usize) -> &'n [u8] {
        &self.name.wire()[self.start(depth)..]
    }

    /// Where that end begins.
    pub(super) fn start(&self, depth: usize) -> usize {
        match self.labels - depth {
            index if index < self.labels => usize::from(self.starts[index]),
            _ => self.front(),
        }
    }

    /// How long what is in front of the origin is.
    fn front(&self) -> usize {
        match self.labels {
            0 => 0,
            labels => {
                let last = usize::from(self.starts[labels - 1]);
                last + 1 + usize::from(self.name.wire()[last])
            }
        }
    }

    /// The hash of the end that is one label deeper than that with the hash `above`.
    pub(super) fn deeper(&self, above: u64, depth: usize) -> u64 {
        let start = self.start(depth);
        let wire = self.name.wire();
        hash(above, &wire[start + 1..start + 1 + usize::from(wire[start])])
    }

    /// The hash of the origin.
    pub(super) fn top(&self) -> u64 {
        self.hash
    }

    /// A hash that no name has: where the NSEC3 record is whose owner is the whole name.
    pub(super) fn hashed(&self) -> u64 {
        hash(self.whole(), b"\0")
    }

    /// The hash of the whole name.
    pub(super) fn whole(&self) -> u64 {
        (1..=self.labels).fold(self.hash, |hash, depth| self.deeper(hash, depth))
    }
}

/// The hash of a name, from that of what is behind its first label.
pub(super) fn hash(above: u64, label: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = above.rotate_left(23) ^ label.len() as u64;
    for chunk in label.chunks(8) {
        let mut eight = [0u8; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        eight.make_ascii_lowercase();
        hash = (hash ^ u64::from_le_bytes(eight)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    }
    hash.wrapping_mul(FACTOR)
}

/// The part of a hash that a slot keeps; the place is chosen by it, too.
fn kept(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Store {
    pub(super) fn new(origin: NameRef<'_>, seed: u64) -> Self {
        let labels: Vec<_> = origin.labels().collect();
        let apex_hash = labels.iter().rev().fold(seed, |above, label| hash(above, label));
        Self {
            chunks: Vec::new(),
            pages: vec![Arc::new([FREE; PAGE])],
            slots: PAGE,
            used: 0,
            gone: 0,
            apex: At(0),
            apex_hash,
            apex_labels: labels.len(),
            waste: 0,
        }
    }

    /// Cuts a name that is beneath the origin, or is it.
    pub(super) fn path<'n>(&self, name: NameRef<'n>) -> Path<'n> {
        let wire = name.wire();
        let mut path = Path { name, starts: [0; MAX_LABELS], labels: 0, hash: self.apex_hash };
        let (mut at, mut labels) = (0, 0);
        while wire[at] != 0 {
            path.starts[labels] = at as u8;
            labels += 1;
            at += 1 + usize::from(wire[at]);
        }
        path.labels = labels.saturating_sub(self.apex_labels);
        path
    }

    /// How much memory chunks and table take, in bytes.
    pub(super) fn memory(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.capacity()).sum();
        chunks + self.pages.len() * size_of::<[u64; PAGE]>()
    }

    pub(super) fn apex(&self) -> Node<'_> {
        self.node(self.apex)
    }

    #[inline]
    pub(super) fn node(&self, At(at): At) -> Node<'_> {
        let chunk = self.chunks.get((at >> 16) as usize).map_or(&[][..], |chunk| chunk.as_slice());
        Node::new(chunk.get((at & 0xffff) as usize * UNIT..).unwrap_or_default())
    }

    /// All nodes of the table.
    pub(super) fn all(&self) -> Vec<At> {
        let slots = self.pages.iter().flat_map(|page| page.iter());
        slots.filter(|slot| **slot < GONE).map(|slot| At(*slot as u32)).collect()
    }

    /// The slot where a hash's search begins.
    fn home(&self, kept: u32) -> usize {
        ((u64::from(kept) * self.slots as u64) >> 32) as usize
    }

    fn slot(&self, index: usize) -> u64 {
        self.pages[index / PAGE][index % PAGE]
    }

    fn set_slot(&mut self, index: usize, slot: u64) {
        Arc::make_mut(&mut self.pages[index / PAGE])[index % PAGE] = slot;
    }

    /// The slot of the node with this name.
    #[inline]
    fn find_slot(&self, hash: u64, wire: &[u8]) -> Option<(usize, At)> {
        let kept = kept(hash);
        let mut index = self.home(kept);
        loop {
            let slot = self.slot(index);
            if slot == FREE {
                return None;
            }
            if (slot >> 32) as u32 == kept && slot != GONE {
                let at = At(slot as u32);
                if self.node(at).is_named(wire) {
                    return Some((index, at));
                }
            }
            index += 1;
            if index == self.slots {
                index = 0;
            }
        }
    }

    /// The node with this name.
    #[inline]
    pub(super) fn find(&self, hash: u64, wire: &[u8]) -> Option<(At, Node<'_>)> {
        self.find_slot(hash, wire).map(|(_, at)| (at, self.node(at)))
    }

    /// Keeps a node's bytes, which are not in the table yet.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<At, ZoneFault> {
        let padded = bytes.len().next_multiple_of(UNIT);
        // A chunk that another zone shares is left as it is.
        let room = self
            .chunks
            .last_mut()
            .and_then(Arc::get_mut)
            .filter(|chunk| chunk.len() + padded <= CHUNK);
        if room.is_none() {
            if self.chunks.len() > usize::from(u16::MAX) - 1 {
                return Err(ZoneFault::TooLarge);
            }
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK.max(padded))));
        }
        let number = self.chunks.len() - 1;
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        let start = chunk.len();
        chunk.extend_from_slice(bytes);
        chunk.resize(start + padded, 0);
        // Both halves have room, by the checks above.
        Ok(At((number as u32) << 16 | (start / UNIT) as u32))
    }

    /// Puts a node into the table, in the place of one with its name.
    pub(super) fn put(&mut self, hash: u64, wire: &[u8], bytes: &[u8]) -> Result<At, ZoneFault> {
        let at = self.keep(bytes)?;
        let slot = u64::from(kept(hash)) << 32 | u64::from(at.0);
        if let Some((index, old)) = self.find_slot(hash, wire) {
            self.waste += self.node(old).len();
            self.set_slot(index, slot);
            if old == self.apex {
                self.apex = at;
            }
            return Ok(at);
        }
        if (self.used + self.gone + 1) * 4 > self.slots * 3 {
            // Half as many again as are needed now, or as many where there was much that is gone.
            self.rebuild((self.used + 1) * 2);
        }
        self.insert(slot);
        self.used += 1;
        if self.used == 1 {
            // The origin's node is the first.
            self.apex = at;
        }
        Ok(at)
    }

    fn insert(&mut self, slot: u64) {
        let mut index = self.home((slot >> 32) as u32);
        while self.slot(index) < GONE {
            index = (index + 1) % self.slots;
        }
        if self.slot(index) == GONE {
            self.gone -= 1;
        }
        self.set_slot(index, slot);
    }

    /// Takes a node out of the table.
    pub(super) fn remove(&mut self, hash: u64, wire: &[u8]) {
        if let Some((index, at)) = self.find_slot(hash, wire) {
            self.waste += self.node(at).len();
            self.set_slot(index, GONE);
            self.used -= 1;
            self.gone += 1;
        }
    }

    /// Makes the table anew with so many slots at least.
    fn rebuild(&mut self, slots: usize) {
        let old = std::mem::take(&mut self.pages);
        let pages = slots.div_ceil(PAGE).max(1);
        self.pages = (0..pages).map(|_| Arc::new([FREE; PAGE])).collect();
        (self.slots, self.gone) = (pages * PAGE, 0);
        for slot in old.iter().flat_map(|page| page.iter()).filter(|slot| **slot < GONE) {
            self.insert(*slot);
        }
    }

    /// Changes how many nodes are directly beneath that at `at`.
    pub(super) fn count_child(&mut self, At(at): At, more: bool) {
        let start = (at & 0xffff) as usize * UNIT + 4;
        let Some(chunk) = self.chunks.get_mut((at >> 16) as usize) else { return };
        if let Some(room) =
            Arc::make_mut(chunk).get_mut(start..).and_then(|rest| rest.first_chunk_mut())
        {
            let count = u32::from_be_bytes(*room);
            let count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
            *room = count.to_be_bytes();
        }
    }

    /// Whether more than a third of what is kept is of no use, or it lies in too many pieces.
    pub(super) fn is_wasteful(&self) -> bool {
        let all: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        let waste = self.waste > CHUNK && self.waste * 3 > all;
        waste || self.chunks.len() > 256 + 2 * (all / CHUNK)
    }

    /// Copies all nodes together.
    pub(super) fn compact(&mut self) -> Result<(), ZoneFault> {
        let old = std::mem::take(&mut self.chunks);
        let mut apex = self.apex;
        for index in 0..self.slots {
            let slot = self.slot(index);
            if slot >= GONE {
                continue;
            }
            let at = slot as u32;
            let chunk = old.get((at >> 16) as usize).map_or(&[][..], |chunk| chunk.as_slice());
            let node = Node::new(chunk.get((at & 0xffff) as usize * UNIT..).unwrap_or_default());
            let moved = self.keep(node.bytes())?;
            if At(at) == self.apex {
                apex = moved;
            }
            self.set_slot(index, slot >> 32 << 32 | u64::from(moved.0));
        }
        (self.apex, self.waste) = (apex, 0);
        Ok(())
    }

    /// Gives back what was reserved and not used.
    pub(super) fn shrink(&mut self) {
        let best = self.used * 4 / 3 + 1;
        if self.slots > best + best / 4 + PAGE {
            self.rebuild(best + best / 8);
        }
        if let Some(chunk) = self.chunks.last_mut().and_then(Arc::get_mut) {
            chunk.shrink_to_fit();
        }
    }
}
