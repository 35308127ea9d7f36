//! PLACEHOLDER over tokio's duplex, until the real one lands.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What can be set.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// How long a byte takes.
    pub latency: Duration,
    /// Bytes per read.
    pub chunk: usize,
    /// Bytes under way.
    pub capacity: usize,
    /// Adverse timing.
    pub seed: Option<u64>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { latency: Duration::ZERO, chunk: usize::MAX, capacity: 64 * 1024, seed: None }
    }
}

/// One end.
#[derive(Debug)]
pub struct MemoryStream(DuplexStream);

impl MemoryStream {
    /// Reset.
    pub fn abort(&self) {}
}

/// Two ends.
#[must_use]
pub fn pipe(knobs: Knobs) -> (MemoryStream, MemoryStream) {
    let (one, other) = tokio::io::duplex(knobs.capacity);
    (MemoryStream(one), MemoryStream(other))
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, b)
    }
}
impl AsyncWrite for MemoryStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, b)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, b)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
