//! The access log of `ropewalk web`, on standard output.
//!
//! A request's line is put into a buffer that one thread empties a few times a second, so that no
//! connection waits for whoever reads the log.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use ropewalk_http::{AccessLog, Entry};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// How many bytes may wait to be written; lines beyond are dropped and counted.
const BUFFER: usize = 4 * 1024 * 1024;
/// How long the last lines may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// How requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The "combined" lines that log analysers read; times in UTC
    Combined,
    /// One JSON object a line; `ts` in seconds since 1970, `took` in seconds
    Json,
    /// None
    Off,
}

/// A log that a thread writes. Clones write to the same.
#[derive(Debug, Clone)]
pub struct Log {
    format: Format,
    shared: Arc<Shared>,
}

/// Ends the log when dropped: what is in it is written, in two seconds at most.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a first line, or the end has come.
    filled: Condvar,
    /// The thread has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: String,
    dropped: u64,
    /// Nothing more will come.
    ending: bool,
    /// Nothing more can be written, or the thread has ended.
    over: bool,
}

impl Log {
    /// A log that is written to `output`, until the writer is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to(format: Format, output: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        let thread =
            thread::Builder::new().name("access-log".into()).spawn(move || writer.write(output))?;
        let log = Self { format, shared: shared.clone() };
        Ok((log, Writer { shared, thread: Some(thread) }))
    }
}

impl AccessLog for Log {
    fn entry(&self, entry: &Entry) {
        let mut state = self.shared.state();
        if state.over {
            return;
        }
        if state.lines.len() > BUFFER {
            state.dropped += 1;
            return;
        }
        let first = state.lines.is_empty();
        match self.format {
            Format::Combined => {
                // Writing to a string does not fail.
                let _ = writeln!(state.lines, "{}", entry.combined());
            }
            Format::Json => state.lines.push_str(&json(entry)),
            Format::Off => {}
        }
        drop(state);
        if first {
            self.shared.filled.notify_one();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A line may be half there, at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does.
    fn write(&self, mut output: impl Write) {
        let mut lines = String::new();
        loop {
            let state = self.state();
            let waiting = |state: &mut State| state.lines.is_empty() && !state.ending;
            let state = self.filled.wait_while(state, waiting);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            // The first line has come: let others join it.
            let gathered = self.filled.wait_timeout_while(state, GATHER, |state| !state.ending);
            let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            lines.clear();
            std::mem::swap(&mut lines, &mut state.lines);
            let (dropped, ending) = (std::mem::take(&mut state.dropped), state.ending);
            drop(state);
            if dropped > 0 {
                warn!(dropped, "the access log was not read fast enough: lines are lost");
            }
            let written = output.write_all(lines.as_bytes()).and_then(|()| output.flush());
            if let Err(error) = &written
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                warn!(%error, "the access log cannot be written and ends here");
            }
            if ending || written.is_err() {
                break;
            }
        }
        let mut state = self.state();
        state.over = true;
        state.lines = String::new();
        self.ended.notify_all();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ending = true;
        self.shared.filled.notify_all();
        // Whoever reads the log may have stopped reading.
        let ended = self.shared.ended.wait_timeout_while(state, LAST, |state| !state.over);
        let over = ended.unwrap_or_else(PoisonError::into_inner).0.over;
        if let (true, Some(thread)) = (over, self.thread.take()) {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// A request, as JSON has it.
#[derive(Serialize)]
struct Line<'a> {
    ts: f64,
    connection: u64,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What came in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    status: u16,
    bytes: u64,
    took: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    referer: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
}

fn json(entry: &Entry) -> String {
    let line = Line {
        ts: seconds(entry.time),
        connection: entry.connection,
        peer: entry.peer.to_string(),
        method: entry.method.as_ref().map(AsRef::as_ref),
        target: entry.target.as_ref().map(ToString::to_string),
        version: entry.version.map(|version| format!("{version:?}")),
        line: entry.line.as_ref().map(|line| line.escape_ascii().to_string()),
        status: entry.status.as_u16(),
        bytes: entry.bytes,
        took: entry.took.as_micros() as f64 / 1e6,
        host: &String::from_utf8_lossy(&entry.host),
        referer: &String::from_utf8_lossy(&entry.referer),
        user_agent: &String::from_utf8_lossy(&entry.user_agent),
    };
    let mut text = serde_json::to_string(&line).expect("strings and numbers are JSON");
    text.push('\n');
    text
}

/// Seconds since 1970, to the millisecond.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1e3
}
