//! Where a head ends.

use super::fault;
use super::find::find;
use crate::error::{Cap, Error, Fault, Result};
use crate::types::Limits;

/// What is looked for: both end with an empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// A start line, then fields.
    Head,
    /// Fields only.
    Trailer,
}

/// A search for the end of a head or trailer section that goes on where it had stopped.
///
/// It finds the lines, refuses those that do not end in CR LF, and holds to the caps; what it
/// refuses depends on the bytes only, never on how they were cut.
#[derive(Debug, Default)]
pub struct Scan {
    /// How many bytes have been looked at.
    searched: usize,
    /// Where each line ends, behind its line end; the empty last one is left out.
    ends: Vec<u32>,
}

/// Heads are measured in `u32`, whatever the limits say.
const LARGEST: usize = 1 << 30;

impl Scan {
    /// The length of the section at the beginning of `input`, the empty line included, or `None` if
    /// it is not yet whole. Until it is, call again with the same bytes and more.
    ///
    /// # Errors
    /// [`Error::Limit`], or a [`Fault::LineEnd`].
    pub fn find(
        &mut self,
        input: &[u8],
        section: Section,
        limits: &Limits,
    ) -> Result<Option<usize>> {
        let head = section == Section::Head;
        let total = match section {
            Section::Head => (limits.head.min(LARGEST), Cap::Head),
            Section::Trailer => (limits.trailer.min(LARGEST), Cap::Trailer),
        };
        let (mut limit, mut cap) = total;
        if head && self.ends.is_empty() {
            (limit, cap) = (limit.min(limits.start_line), Cap::StartLine);
        }
        let too_long = |end: usize, limit: usize, cap| {
            Err(Error::Limit { cap, limit: limit as u64, got: end as u64 })
        };
        let mut begin = self.ends.last().map_or(0, |&end| end as usize);
        while let Some(at) = find(b'\n', &input[self.searched..]) {
            let end = self.searched + at + 1;
            // The first place where the next line could begin counts.
            if end > limit {
                return too_long(end, limit, cap);
            }
            if end < begin + 2 || input[end - 2] != b'\r' {
                return Err(fault(Fault::LineEnd, begin));
            }
            self.searched = end;
            if end == begin + 2 {
                return match section {
                    Section::Head if begin == 0 => Err(fault(Fault::StartLine, begin)),
                    _ => Ok(Some(end)),
                };
            }
            self.ends.push(end as u32);
            begin = end;
            (limit, cap) = total;
            // Asked as soon as a line has ended, lest the next one's length be held against another
            // cap first, or not, depending on how much of it has come.
            let fields = self.ends.len() - usize::from(head);
            if fields > limits.fields.min(20_000) {
                let (limit, got) = (limits.fields as u64, fields as u64);
                return Err(Error::Limit { cap: Cap::Fields, limit, got });
            }
        }
        self.searched = input.len();
        // What follows is at least one byte longer.
        let end = input.len() + 1;
        if end > limit {
            return too_long(end, limit, cap);
        }
        Ok(None)
    }

    /// Forgets everything: the next section begins.
    pub fn clear(&mut self) {
        self.searched = 0;
        self.ends.clear();
    }

    /// Where each line ends, behind its line end, the empty last line left out.
    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }
}
