//! Framing: where one message of a byte stream ends and the next begins.
//!
//! A TCP connection carries bytes, not messages. Each protocol here cuts them into messages in one of
//! the usual ways, and is used on its own or inside a protocol of one's own:
//!
//! | protocol | on the wire | event |
//! |---|---|---|
//! | [`Raw`] | anything | what has come |
//! | [`Lines`] | `hello` CR LF | `hello`; or raw bytes, while told so |
//! | [`Netstrings`] | `5:hello,` | `hello` |
//! | [`Prefixed<u16>`](Prefixed) | `00 05 hello` | `hello` |
//!
//! Every event is a [`Bytes`](bytes::Bytes) cut out of the input without copying. It keeps the buffer
//! it was cut from alive: whoever stores a few bytes of many frames for long copies them.
//!
//! Every frame has a cap, since the peer decides how long it is and we pay for the memory. A frame
//! above it is an error that tells the limit, and [`FrameError::blame`] says whose fault an error is.
//!
//! ```
//! use bytes::Bytes;
//! use ropewalk_core::Lines;
//! use ropewalk_core::{Protocol, Wire};
//!
//! let mut wire = Wire::new(std::time::Instant::now());
//! let mut lines = Lines::crlf();
//! wire.input.extend_from_slice(b"NOOP\r\nQU");
//! assert_eq!(lines.receive(&mut wire)?, Some(Bytes::from("NOOP")));
//! assert_eq!(lines.receive(&mut wire)?, None); // half a line is no error: more may come
//! lines.send("250 OK".into(), &mut wire)?;
//! assert_eq!(wire.output.take()?, "250 OK\r\n");
//! # Ok::<(), ropewalk_core::FrameError>(())
//! ```

mod error;
mod lines;
mod netstrings;
mod prefixed;
mod raw;

pub use error::{Blame, FrameError};
pub use lines::{Accept, LastLine, LineOut, Lines, Newline};
pub use netstrings::Netstrings;
pub use prefixed::{Prefix, Prefixed};
pub use raw::{Chunk, Raw};

use bytes::Bytes;

use crate::Wire;

/// How much input a framing lets pile up at least, in bytes: less would only mean more reads.
const COMFORTABLE: usize = 64 * 1024;

/// The longest frame that is accepted unless told otherwise, in bytes, where the wire has no lower
/// bound of its own.
const DEFAULT_MAX: usize = 1024 * 1024;

/// All input, as one event without copying; nothing if there is none.
#[inline]
fn everything(wire: &mut Wire) -> Option<Bytes> {
    (!wire.input.is_empty()).then(|| wire.input.split().freeze())
}

/// What an unfinished frame is: nothing yet, or, once the peer has ended, an error.
fn unfinished(wire: &Wire) -> Result<Option<Bytes>, FrameError> {
    if wire.eof && !wire.input.is_empty() {
        Err(FrameError::Truncated { got: wire.input.len() })
    } else {
        Ok(None)
    }
}
