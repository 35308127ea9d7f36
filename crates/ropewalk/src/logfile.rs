//! A log in a file, which never keeps anybody waiting.
//!
//! Lines go into a buffer that a thread writes. What cannot be written, because the disk is full, the
//! file must not be written, or the buffer is full, is lost and counted; that is said once on standard
//! error, and once more when it is over. Serving goes on all the while.
//!
//! The order of calls, which [`Process`](crate::operations::Process) keeps: a [`LogFile`] may be
//! written to from the beginning, and keeps what comes; [`LogFile::open`] when privileges were dropped,
//! so that the file is that user's and can be opened again; [`LogFile::reopen`] on SIGUSR1, after
//! somebody has moved the file away, as with nginx. Clones are handles to the same. [`Logs`] are all
//! of one process, which outlive the settings of a service.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::exit::{Code, Failure};

mod table;

pub use table::{Logs, Lost};

/// How many bytes may wait to be written.
const BUFFER: usize = 4 * 1024 * 1024;
/// How long the last lines may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// A log in a file. Writing to it never fails and never waits.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Shared>);

/// Ends the log when dropped: what is in it is written, in two seconds at most.
#[derive(Debug)]
pub struct Writer {
    log: LogFile,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// There is something to do for the thread, or it has ended.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    lost: u64,
    reopen: bool,
    /// Nothing more will come.
    ending: bool,
    /// The thread has ended.
    over: bool,
}

impl LogFile {
    /// The log at `path`. Nothing is opened.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // The working directory may change before it is opened.
        let path = std::path::absolute(&path).unwrap_or(path);
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { path, state, changed }))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Opens the file and writes what comes from now on, and what has come. To be called once.
    ///
    /// # Errors
    /// When the file cannot be opened or made, or no thread started.
    pub fn open(&self) -> Result<Writer, Failure> {
        let failure = |error: io::Error| {
            let code = match Code::of(&error) {
                Code::NoInput | Code::Io => Code::CantCreate,
                code => code,
            };
            Failure::new(code, format!("log file {}: {error}", self.path().display()))
        };
        let file = append(self.path()).map_err(failure)?;
        let mut output = Output { shared: self.0.clone(), file, lost: 0, torn: false };
        let thread = thread::Builder::new().name("log-file".into()).spawn(move || output.run());
        Ok(Writer { log: self.clone(), thread: Some(thread.map_err(failure)?) })
    }

    /// Writes what waits to the file as it is, then opens it anew by its path. When that fails, it
    /// goes on in the old one and says so.
    pub fn reopen(&self) {
        self.0.state().reopen = true;
        self.0.changed.notify_all();
    }

    /// How many lines were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.state().lost
    }
}

impl Write for LogFile {
    /// Takes whole lines, all or none.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.over || state.lines.len() + lines.len() > BUFFER {
            state.lost += count(lines);
            return Ok(lines.len());
        }
        let first = state.lines.is_empty();
        state.lines.extend_from_slice(lines);
        drop(state);
        if first {
            self.0.changed.notify_all();
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A line may be half there, at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let shared = &self.log.0;
        let mut state = shared.state();
        state.ending = true;
        shared.changed.notify_all();
        // The disk may hang.
        let ended = shared.changed.wait_timeout_while(state, LAST, |state| !state.over);
        let over = ended.unwrap_or_else(PoisonError::into_inner).0.over;
        if let (true, Some(thread)) = (over, self.thread.take()) {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// The thread's half.
struct Output {
    shared: Arc<Shared>,
    file: File,
    /// How many lines were lost since it was said that some are.
    lost: u64,
    /// The last line in the file has no end.
    torn: bool,
}

impl Output {
    fn run(&mut self) {
        let mut lines = Vec::new();
        loop {
            let shared = self.shared.clone();
            let waiting =
                |state: &mut State| state.lines.is_empty() && !state.ending && !state.reopen;
            let state = shared.changed.wait_while(shared.state(), waiting);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            lines.clear();
            std::mem::swap(&mut lines, &mut state.lines);
            let (reopen, ending) = (std::mem::take(&mut state.reopen), state.ending);
            drop(state);
            self.write(&lines);
            if reopen {
                self.reopen();
            }
            if ending {
                break;
            }
        }
        let mut state = self.shared.state();
        state.over = true;
        self.shared.changed.notify_all();
    }

    fn reopen(&mut self) {
        match append(&self.shared.path) {
            Ok(file) => (self.file, self.torn) = (file, false),
            Err(error) => {
                self.say(format_args!("cannot be opened anew: {error}; the old one is written on"));
            }
        }
    }

    /// Writes what can be written, and counts the rest.
    fn write(&mut self, mut lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = self.end_torn_line().and_then(|()| {
            while !lines.is_empty() {
                let length = self.write_some(lines)?;
                self.torn = lines[length - 1] != b'\n';
                lines = &lines[length..];
            }
            Ok(())
        });
        match written {
            Ok(()) if self.lost > 0 => {
                let lost = std::mem::take(&mut self.lost);
                self.say(format_args!("can be written again; {lost} lines were lost"));
            }
            Ok(()) => {}
            Err(error) => self.lose(lines, &error),
        }
    }

    /// Lest the next line go on where the last one broke off.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.write_some(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn lose(&mut self, lines: &[u8], error: &io::Error) {
        if self.lost == 0 {
            self.say(format_args!("cannot be written: {error}; lines are lost and counted"));
        }
        let lost = count(lines);
        self.lost += lost;
        self.shared.state().lost += lost;
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        let path = self.shared.path.display();
        // With nobody to read it there is still the count.
        let _ = writeln!(io::stderr(), "ropewalk: log file {path}: {what}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ropewalk-logfile-{name}-{}", std::process::id()))
    }

    fn until(what: &str, ask: impl Fn() -> bool) {
        for _ in 0..2000 {
            if ask() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("in vain: {what}");
    }

    #[test]
    fn what_came_before_it_was_open_is_in_it() {
        let path = path("before");
        let log = LogFile::new(&path);
        log.clone().write_all(b"early\n").unwrap();
        assert!(!path.exists());
        let writer = log.open().unwrap();
        log.clone().write_all(b"late\n").unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), "early\nlate\n");
        log.clone().write_all(b"too late\n").unwrap();
        assert_eq!(log.lost(), 1);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_when_asked() {
        let (path, moved) = (path("moved"), path("moved.1"));
        let log = LogFile::new(&path);
        let writer = log.open().unwrap();
        log.clone().write_all(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        log.clone().write_all(b"two\n").unwrap();
        log.reopen();
        until("it is there again", || path.exists());
        log.clone().write_all(b"three\n").unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        fs::remove_file(path).unwrap();
        fs::remove_file(moved).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let log = LogFile::new("/dev/full");
        let writer = log.open().unwrap();
        for _ in 0..3 {
            log.clone().write_all(b"one\ntwo\n").unwrap();
        }
        drop(writer);
        assert_eq!(log.lost(), 6);
    }

    #[test]
    fn the_buffer_has_a_bound() {
        let log = LogFile::new("/nowhere/at/all");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..BUFFER / line.len() + 7 {
            log.clone().write_all(&line).unwrap();
        }
        assert_eq!(log.lost(), 7);
        let error = log.open().unwrap_err();
        assert_eq!(error.code(), Code::CantCreate);
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let path = path("torn");
        let shared = LogFile::new(&path).0;
        let file = append(&path).unwrap();
        let mut output = Output { shared, file, lost: 0, torn: false };
        output.write(b"one\ntw");
        output.lose(b"o\n", &io::ErrorKind::StorageFull.into());
        output.write(b"three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
        assert_eq!(output.lost, 0);
        fs::remove_file(path).unwrap();
    }
}
