//! Small files in memory, so that one that many ask for is not opened and read for each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::encoding::Preference;
use super::found::Head;

/// How much of small files (below [`sendfile_from`](super::Settings::sendfile_from)) is kept in memory.
///
/// What is sent is what is on the disk: each request looks at the file's inode, size and times, and
/// reads it again if they are not the same. Only the choice between an index file, a precompressed
/// sibling and another may be as old as `valid`. No file is held open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// How many files are kept. One that is no longer asked for stays until its place is needed.
    /// Default 1024.
    pub entries: usize,
    /// For how long it is not looked whether a better choice has appeared. Default one second.
    pub valid: Duration,
    /// How many bytes are kept. Default 16 MiB.
    pub bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: 1024, valid: Duration::from_secs(1), bytes: 16 << 20 }
    }
}

/// A file that was found.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The file it was read from, below the root.
    pub(crate) name: Box<[u8]>,
    pub(crate) head: Head,
    pub(crate) content: Bytes,
}

impl Kept {
    /// How much memory it takes.
    fn bytes(&self) -> u64 {
        (self.name.len() + self.content.len()) as u64
    }
}

/// The cache itself.
#[derive(Debug)]
pub(crate) struct Store {
    settings: Cache,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    /// By what the client prefers, then by the path as it was asked for: no lookup allocates.
    slots: HashMap<Preference, HashMap<Box<str>, Slot>>,
    count: usize,
    bytes: u64,
    swept: SystemTime,
}

#[derive(Debug)]
struct Slot {
    kept: Arc<Kept>,
    checked: SystemTime,
}

impl Store {
    pub(crate) fn new(settings: Cache) -> Self {
        let table = Table { slots: HashMap::new(), count: 0, bytes: 0, swept: UNIX_EPOCH };
        Self { settings, table: Mutex::new(table) }
    }

    /// What is known of a path, if it was looked up a moment ago.
    pub(crate) fn fresh(&self, key: (Preference, &str), now: SystemTime) -> Option<Arc<Kept>> {
        let table = self.table();
        let slot = table.slots.get(&key.0)?.get(key.1)?;
        self.is_fresh(slot.checked, now).then(|| slot.kept.clone())
    }

    /// Keeps what was found just now, if there is room.
    pub(crate) fn keep(&self, key: (Preference, &str), kept: Arc<Kept>, now: SystemTime) {
        let mut table = self.table();
        table.remove(key);
        if self.lacks_room(&table, &kept) {
            self.sweep(&mut table, now);
            if self.lacks_room(&table, &kept) {
                return;
            }
        }
        table.count += 1;
        table.bytes += kept.bytes();
        let slots = table.slots.entry(key.0).or_default();
        slots.insert(key.1.into(), Slot { kept, checked: now });
    }

    fn lacks_room(&self, table: &Table, kept: &Kept) -> bool {
        table.count >= self.settings.entries || table.bytes + kept.bytes() > self.settings.bytes
    }

    /// Drops what is no longer fresh; at most once in the time that takes to happen, so that a full
    /// cache does not cost every request a walk through it.
    fn sweep(&self, table: &mut Table, now: SystemTime) {
        if self.is_fresh(table.swept, now) {
            return;
        }
        table.swept = now;
        let (mut count, mut bytes) = (0, 0);
        for slots in table.slots.values_mut() {
            slots.retain(|_, slot| self.is_fresh(slot.checked, now));
            count += slots.len();
            bytes += slots.values().map(|slot| slot.kept.bytes()).sum::<u64>();
        }
        (table.count, table.bytes) = (count, bytes);
    }

    /// A clock that was set back makes everything old.
    fn is_fresh(&self, checked: SystemTime, now: SystemTime) -> bool {
        now.duration_since(checked).is_ok_and(|age| age < self.settings.valid)
    }

    /// Nothing panics while the lock is held; if it did, the table would still be a table.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, key: (Preference, &str)) {
        let slot = self.slots.get_mut(&key.0).and_then(|slots| slots.remove(key.1));
        if let Some(slot) = slot {
            self.count -= 1;
            self.bytes -= slot.kept.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::Facts;
    use super::*;

    const PLAIN: Preference = Preference::PLAIN;

    fn kept(len: usize) -> Arc<Kept> {
        let facts = Facts { inode: 1, size: len as u64, seconds: 1, nanos: 0, changed: (1, 0) };
        let head = Head::new(b"x", None, facts, SystemTime::now());
        Arc::new(Kept { name: Box::default(), head, content: vec![0; len].into() })
    }

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000 + millis)
    }

    #[test]
    fn fresh_for_its_time_and_no_longer() {
        let store = Store::new(Cache::default());
        store.keep((PLAIN, "/a"), kept(1), at(0));
        assert!(store.fresh((PLAIN, "/a"), at(999)).is_some());
        assert!(store.fresh((PLAIN, "/b"), at(0)).is_none());
        assert!(store.fresh((PLAIN, "/a"), at(1000)).is_none());
        assert!(store.fresh((PLAIN, "/a"), UNIX_EPOCH).is_none(), "the clock was set back");
    }

    #[test]
    fn bounded_in_count_and_bytes() {
        let store = Store::new(Cache { entries: 3, bytes: 10, ..Cache::default() });
        for (key, len, millis, held) in [
            ("/a", 4, 0, true),
            ("/b", 4, 0, true),
            ("/c", 4, 1, false), // 12 bytes
            ("/c", 2, 2, true),
            ("/d", 0, 3, false),   // four entries
            ("/a", 3, 4, true),    // in its own place
            ("/e", 4, 1003, true), // those of before 4 have grown old
            ("/f", 11, 3000, false),
        ] {
            store.keep((PLAIN, key), kept(len), at(millis));
            assert_eq!(store.fresh((PLAIN, key), at(millis)).is_some(), held, "{key} at {millis}");
            let table = store.table();
            let slots = table.slots.values().flat_map(HashMap::values);
            let bytes: u64 = slots.clone().map(|slot| slot.kept.bytes()).sum();
            assert_eq!((slots.count(), bytes), (table.count, table.bytes));
            assert!(table.count <= 3 && table.bytes <= 10);
        }
    }
}
