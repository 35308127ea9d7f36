//! What the tests share: a line protocol with every feature of the trait, and a scripted stream.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use ropewalk_core::{Protocol, Wire};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Lines ended by LF. After `silence` without a whole line the peer is told so and it is an error.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub(crate) silence: Option<Duration>,
    pub(crate) until: Option<Instant>,
    pub(crate) over: bool,
    /// How often `receive` was called.
    pub(crate) asked: usize,
    /// What is answered to each line without being asked, as some protocols do.
    pub(crate) echo: usize,
}

impl Talk {
    pub(crate) fn with_silence(silence: Duration) -> Self {
        Self { silence: Some(silence), ..Self::default() }
    }
}

impl Protocol for Talk {
    type In = Bytes;
    type Out = Bytes;
    type Error = io::Error;

    fn receive(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        self.asked += 1;
        if let Some(end) = wire.input.iter().position(|byte| *byte == b'\n') {
            let line = wire.input.split_to(end).freeze();
            wire.input.advance(1);
            self.until = None;
            wire.output.put(&b"!".repeat(self.echo));
            return Ok(Some(line));
        }
        if self.until.is_some_and(|until| until <= wire.now) {
            wire.output.put(b"too slow\n");
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.until.is_none() {
            self.until = self.silence.map(|silence| wire.now + silence);
        }
        Ok(None)
    }

    fn send(&mut self, line: Bytes, wire: &mut Wire) -> io::Result<()> {
        wire.output.push(line);
        wire.output.put(b"\n");
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.until
    }

    fn farewell(&mut self, wire: &mut Wire) -> bool {
        wire.output.put(b"bye\n");
        true
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn input_cap(&self) -> usize {
        1024
    }
}

/// A stream that yields what it was given, piece by piece, and notes every call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Steps>>);

#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// What each read yields; nothing more is pending for ever.
    pub(crate) reads: VecDeque<Vec<u8>>,
    pub(crate) read_calls: usize,
    /// What each write was.
    pub(crate) writes: Vec<Vec<u8>>,
    /// Writes are not taken, so many times.
    pub(crate) blocked: usize,
}

impl Script {
    pub(crate) fn reading(pieces: &[&[u8]]) -> Self {
        let script = Self::default();
        script.steps().reads.extend(pieces.iter().map(|piece| piece.to_vec()));
        script
    }

    pub(crate) fn steps(&self) -> std::sync::MutexGuard<'_, Steps> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut steps = self.steps();
        steps.read_calls += 1;
        let Some(piece) = steps.reads.pop_front() else { return Poll::Pending };
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut steps = self.steps();
        if steps.blocked > 0 {
            steps.blocked -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        steps.writes.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
