//! A look at the conversation.

mod named;
mod usual;

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

use super::{BoxError, Factory, Refusal};
use crate::{Connection, Direction, Peer, Tap};

pub use usual::Usual;

/// How many bytes of a line are shown; of the rest the number.
const SHOWN: usize = 1024;

/// Shows both directions of each connection, made printable: the command's `--wire`.
///
/// Each line makes one event of level `INFO` and target `ropewalk::wire`, or one call of the function
/// given [instead](Self::to): `<` before what came, `>` before what went, bytes that are not printable
/// escaped as in Rust, and of lines of more than 1,024 bytes the number of the rest. A line is shown
/// when its end has come, or the connection's. For protocols without lines there is
/// [`chunks`](Self::chunks).
///
/// **Secrets are left out**, as far as a [`Redact`] recognizes them: each connection has one of its own,
/// which sees all lines of both directions in their order. [`Usual`] is there unless the protocol brings
/// [its own](Self::redacting).
///
/// Memory: up to 2 KiB for each connection.
pub struct WireLog<F> {
    inner: F,
    chunks: bool,
    redact: Arc<dyn Fn() -> Box<dyn Redact> + Send + Sync>,
    show: Arc<Show>,
}

/// Where lines go.
type Show = dyn Fn(&Peer, Direction, &str) + Send + Sync;

/// Recognizes secrets by looking on; one for each connection, so it may remember what was said.
pub trait Redact: Send {
    /// From which byte on the line is secret, if it is. `line` is without its end, and cut after 1,024
    /// bytes; what is cut is not shown anyway.
    fn secret_from(&mut self, direction: Direction, line: &[u8]) -> Option<usize>;
}

impl<F> WireLog<F> {
    /// Shows lines, by way of [`tracing`].
    #[must_use]
    pub fn new(inner: F) -> Self {
        Self {
            inner,
            chunks: false,
            redact: Arc::new(|| Box::new(Usual::default())),
            show: Arc::new(|peer, direction, text| {
                let (id, sign) = (peer.id(), sign(direction));
                info!(target: "ropewalk::wire", id, "{sign} {text}");
            }),
        }
    }

    /// Shows bytes as they come and go, whether or not they are lines: for binary protocols.
    #[must_use]
    pub fn chunks(self) -> Self {
        Self { chunks: true, ..self }
    }

    /// Recognizes secrets by what `redact` makes for each connection, instead of by [`Usual`].
    #[must_use]
    pub fn redacting<R: Redact + 'static>(
        self,
        redact: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        Self { redact: Arc::new(move || Box::new(redact())), ..self }
    }

    /// Shows lines by calling `show`, instead of by way of [`tracing`]. It should not wait: the
    /// connection waits for it.
    #[must_use]
    pub fn to(self, show: impl Fn(&Peer, Direction, &str) + Send + Sync + 'static) -> Self {
        Self { show: Arc::new(show), ..self }
    }

    fn log(&self, peer: Peer) -> Log {
        let (redact, show) = ((self.redact)(), Arc::clone(&self.show));
        let state = State { redact, lines: Default::default() };
        Log { peer, chunks: self.chunks, show, state: Mutex::new(state) }
    }
}

/// `<` for what came, `>` for what went.
fn sign(direction: Direction) -> char {
    match direction {
        Direction::Received => '<',
        Direction::Sent => '>',
    }
}

/// The tap of one connection.
struct Log {
    peer: Peer,
    chunks: bool,
    show: Arc<Show>,
    state: Mutex<State>,
}

struct State {
    redact: Box<dyn Redact>,
    /// One for each direction.
    lines: [Line; 2],
}

/// A line whose end has not come.
#[derive(Default)]
struct Line {
    shown: Vec<u8>,
    /// How many bytes more it has.
    more: u64,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = SHOWN - self.shown.len();
        let (shown, rest) = bytes.split_at(room.min(bytes.len()));
        self.shown.extend_from_slice(shown);
        self.more += rest.len() as u64;
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.more == 0
    }

    /// The line as it is shown.
    fn text(&self, direction: Direction, redact: &mut dyn Redact) -> String {
        let line = self.shown.strip_suffix(b"\r\n").or_else(|| self.shown.strip_suffix(b"\n"));
        let line = line.unwrap_or(&self.shown);
        let mut text = String::new();
        let secret = redact.secret_from(direction, line);
        let shown = &line[..secret.unwrap_or(line.len()).min(line.len())];
        // Writing to a string does not fail.
        let _ = write!(text, "{}", shown.escape_ascii());
        if secret.is_some() {
            // Not even its length.
            text.truncate(text.trim_end().len());
            text.push_str(if text.is_empty() { "[secret]" } else { " [secret]" });
        } else {
            text.push_str(&self.shown[line.len()..].escape_ascii().to_string());
            if self.more > 0 {
                let _ = write!(text, " [and {} bytes more]", self.more);
            }
        }
        text
    }
}

impl Log {
    /// Runs `step` on the state, then shows the lines that it has ended.
    fn with(&self, step: impl FnOnce(&mut State, &mut VecDeque<(Direction, String)>)) {
        let mut ended = VecDeque::new();
        // A redactor that panicked leaves its line behind, at worst.
        step(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), &mut ended);
        for (direction, text) in ended {
            (self.show)(&self.peer, direction, &text);
        }
    }
}

impl State {
    fn line(&mut self, direction: Direction) -> &mut Line {
        &mut self.lines[usize::from(direction == Direction::Sent)]
    }

    /// Ends the line of a direction, if there is one.
    fn end(&mut self, direction: Direction, ended: &mut VecDeque<(Direction, String)>) {
        let line = mem::take(self.line(direction));
        if !line.is_empty() {
            ended.push_back((direction, line.text(direction, &mut *self.redact)));
        }
    }
}

impl Tap for Log {
    fn bytes(&self, _peer: &Peer, direction: Direction, bytes: &[u8]) {
        self.with(|state, ended| {
            if self.chunks {
                state.line(direction).push(bytes);
                return state.end(direction, ended);
            }
            for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                state.line(direction).push(piece);
                if piece.ends_with(b"\n") {
                    state.end(direction, ended);
                }
            }
        });
    }

    fn file(&self, _peer: &Peer, bytes: u64) {
        self.with(|state, ended| {
            state.end(Direction::Sent, ended);
            ended.push_back((Direction::Sent, format!("[{bytes} bytes of a file]")));
        });
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.with(|state, ended| {
            for direction in [Direction::Received, Direction::Sent] {
                state.end(direction, ended);
            }
        });
    }
}

impl<F: Factory> Factory for WireLog<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        self.inner.build(peer)
    }

    fn serve(
        &self,
        mut connection: Connection<Self::Protocol>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        // Not `async`: a future of ours would hold the connection a second time.
        let log = self.log(connection.peer().clone());
        connection.tap(Arc::new(log));
        self.inner.serve(connection)
    }

    hand_on!(refusal);
}

impl<F: fmt::Debug> fmt::Debug for WireLog<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireLog").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
