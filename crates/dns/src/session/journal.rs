//! What has changed in a zone, for incremental transfers (RFC 1995).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::types::Record;
use crate::zone::Zone;

/// The way from one version of a zone to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The SOA record of the old version.
    pub old: Record,
    /// The SOA record of the new version.
    pub new: Record,
    /// What is gone, SOA left out.
    pub removed: Vec<Record>,
    /// What has come, SOA left out.
    pub added: Vec<Record>,
}

impl Delta {
    fn len(&self) -> usize {
        2 + self.removed.len() + self.added.len()
    }
}

/// The last changes of a zone, the oldest first. A clone shares them.
#[derive(Debug, Clone)]
pub struct Journal {
    deltas: VecDeque<Arc<Delta>>,
    /// How many records they have, and may have.
    records: usize,
    most: usize,
}

impl Default for Journal {
    /// Up to 100,000 records.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Journal {
    /// Keeps changes of up to so many records.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { deltas: VecDeque::new(), records: 0, most }
    }

    /// Adds a change, which must begin where the last one ended: else those before it are forgotten.
    pub fn push(&mut self, delta: Delta) {
        if self.deltas.back().is_some_and(|last| last.new.data != delta.old.data) {
            self.deltas.clear();
            self.records = 0;
        }
        self.records += delta.len();
        self.deltas.push_back(Arc::new(delta));
        while self.records > self.most {
            let Some(first) = self.deltas.pop_front() else { break };
            self.records -= first.len();
        }
    }

    /// The changes from a version of `zone` to the one it has, if all of them are here and have fewer
    /// records than the zone.
    pub(super) fn since(&self, serial: u32, zone: &Zone) -> Option<Vec<Arc<Delta>>> {
        let of = |record: &Record| record.data.get::<crate::types::Soa>().map(|soa| soa.serial);
        let first = self.deltas.iter().position(|delta| of(&delta.old) == Some(serial))?;
        let deltas: Vec<_> = self.deltas.iter().skip(first).cloned().collect();
        let size: usize = deltas.iter().map(|delta| delta.len()).sum();
        let ends = deltas.last().and_then(|delta| of(&delta.new)) == Some(zone.serial());
        (ends && (size as u64) < zone.record_count()).then_some(deltas)
    }
}
