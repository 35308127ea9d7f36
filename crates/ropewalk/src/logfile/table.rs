//! All log files of a process, by their paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{LogFile, Writer};
use crate::exit::Failure;

/// All log files of a process. Whoever logs to the same path logs to the same file, also across
/// reloads: lines are in order, and lost ones are counted together. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<BTreeMap<PathBuf, Entry>>>);

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    log: LogFile,
    /// What writes it, if it was ever opened.
    writer: Option<Weak<Writer>>,
    /// How many lines were lost before it was last opened.
    lost: u64,
}

/// What a log has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What is logged there: `log`, `access`.
    pub kind: &'static str,
    /// The file.
    pub path: PathBuf,
    /// How many lines could not be written.
    pub lines: u64,
}

impl Logs {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Entry>> {
        // Nothing is left half done where it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log at `path`: the one that is open there, or one that is not open yet.
    #[must_use]
    pub fn file(&self, kind: &'static str, path: &Path) -> LogFile {
        let log = LogFile::new(path);
        let mut entries = self.entries();
        let known = entries.get(log.path());
        let is_over = |writer: &Weak<Writer>| writer.strong_count() == 0;
        let lost = match known {
            Some(entry) if !entry.writer.as_ref().is_some_and(is_over) => return entry.log.clone(),
            Some(entry) => entry.lost + entry.log.lost(),
            None => 0,
        };
        let path = log.path().to_owned();
        entries.insert(path, Entry { kind, log: log.clone(), writer: None, lost });
        log
    }

    /// Writes what comes, and what has come, for as long as somebody has what is returned.
    ///
    /// # Errors
    /// When the file cannot be opened or made, or no thread started.
    pub fn open(&self, log: &LogFile) -> Result<Arc<Writer>, Failure> {
        let mut entries = self.entries();
        let entry = entries.get_mut(log.path());
        let open = entry.as_ref().and_then(|entry| entry.writer.as_ref()?.upgrade());
        if let Some(writer) = open {
            return Ok(writer);
        }
        let writer = Arc::new(log.open()?);
        if let Some(entry) = entry {
            entry.writer = Some(Arc::downgrade(&writer));
        }
        Ok(writer)
    }

    /// Notes a log that is not open yet.
    pub fn adopt(&self, kind: &'static str, log: LogFile) {
        let path = log.path().to_owned();
        self.entries().insert(path, Entry { kind, log, writer: None, lost: 0 });
    }

    /// Opens all of them anew ([`LogFile::reopen`]).
    pub fn reopen(&self) {
        self.entries().values().for_each(|entry| entry.log.reopen());
    }

    /// What each has lost so far.
    #[must_use]
    pub fn lost(&self) -> Vec<Lost> {
        let of = |(path, entry): (&PathBuf, &Entry)| Lost {
            kind: entry.kind,
            path: path.clone(),
            lines: entry.lost + entry.log.lost(),
        };
        self.entries().iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn one_path_is_one_log_and_what_it_has_lost_is_not_forgotten() {
        let logs = Logs::default();
        let path = Path::new("/dev/full");
        let lost = |lines| vec![Lost { kind: "access", path: path.to_owned(), lines }];
        let first = logs.file("access", path);
        // Staged, and never begun.
        assert_eq!(logs.file("access", path).path(), first.path());
        let writer = logs.open(&first).unwrap();
        first.clone().write_all(b"one\n").unwrap();
        let second = logs.file("access", path);
        let again = logs.open(&second).unwrap();
        assert!(Arc::ptr_eq(&writer, &again));
        drop(writer);
        second.clone().write_all(b"two\n").unwrap();
        drop(again);
        assert_eq!(logs.lost(), lost(2));
        let third = logs.file("access", path);
        let writer = logs.open(&third).unwrap();
        third.clone().write_all(b"three\n").unwrap();
        drop(writer);
        assert_eq!(logs.lost(), lost(3));
    }
}
