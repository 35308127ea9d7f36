//! Messages over TCP and TLS (RFC 1035 §4.2.2, RFC 7766, RFC 7858): each behind its length.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ropewalk_core::{FrameError, Prefixed, Protocol, Wire};

/// A connection that carries messages in both directions, in any order.
///
/// A peer that sends nothing whole for the idle time is gone (RFC 7766 §6.2.3). Sending counts, too: who
/// waits for a long transfer is not idle.
#[derive(Debug)]
pub struct Stream {
    frames: Prefixed<u16>,
    idle: Duration,
    deadline: Option<Instant>,
    over: bool,
}

impl Stream {
    /// Messages of up to 65,535 bytes from a peer that may be idle for so long.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { frames: Prefixed::new(), idle, deadline: None, over: false }
    }
}

impl Default for Stream {
    /// 10 seconds, as RFC 7766 §6.2.3 suggests "a few".
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl Protocol for Stream {
    type In = Bytes;
    type Out = Bytes;
    type Error = FrameError;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let now = wire.now;
        let message = self.frames.receive(wire)?;
        match (&message, self.deadline) {
            (None, Some(deadline)) if now >= deadline => self.over = true,
            (None, Some(_)) => {}
            _ => self.deadline = Some(now + self.idle),
        }
        Ok(message)
    }

    fn send(&mut self, message: Bytes, wire: &mut Wire) -> Result<(), FrameError> {
        self.deadline = Some(wire.now + self.idle);
        self.frames.send(message, wire)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn input_cap(&self) -> usize {
        self.frames.input_cap()
    }
}
