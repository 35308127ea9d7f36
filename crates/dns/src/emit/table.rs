//! What was written and can be pointed to.

/// How many names are remembered, a power of two. Each takes two bytes, and the table is cleared for
/// each message.
const SLOTS: usize = 256;

/// How far from its place an entry may be.
const REACH: usize = 4;

/// The highest offset that a pointer can say.
const MAX_POINTER: usize = 0x3fff;

/// Where the ends of names are, found by their hash. A name that finds no place is not remembered.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Offsets; 0 is none, since no name is in the header.
    slots: [u16; SLOTS],
}

impl Table {
    pub(super) fn new() -> Self {
        Self { slots: [0; SLOTS] }
    }

    /// The offsets that may be those of a name with this hash.
    pub(super) fn candidates(&self, hash: u32) -> impl Iterator<Item = usize> {
        let slots = (0..REACH).map(move |step| self.slots[place(hash, step)]);
        slots.take_while(|offset| *offset != 0).map(usize::from)
    }

    /// Remembers a name's offset.
    pub(super) fn insert(&mut self, hash: u32, offset: usize) {
        if offset > MAX_POINTER {
            return;
        }
        let free = (0..REACH).map(|step| place(hash, step)).find(|&slot| self.slots[slot] == 0);
        if let Some(slot) = free {
            self.slots[slot] = offset as u16;
        }
    }

    /// Forgets what is at `len` and beyond.
    pub(super) fn truncate(&mut self, len: usize) {
        for slot in &mut self.slots {
            if usize::from(*slot) >= len {
                *slot = 0;
            }
        }
    }
}

fn place(hash: u32, step: usize) -> usize {
    ((hash >> 16) as usize + step) & (SLOTS - 1)
}

/// The hash of a name that begins with `label`, from that of the rest; case does not matter.
pub(super) fn hash(rest: u32, label: &[u8]) -> u32 {
    label.iter().fold(rest.rotate_left(5) ^ label.len() as u32, |hash, byte| {
        // Setting this bit makes letters lower case; others may collide, which costs nothing.
        (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193)
    })
}
