//! Two connections made one: what comes on either goes out on the other.
//!
//! ```text
//!          Open ── the source has ended ──▶ Ending ── all is sent and the end passed on ──▶ Ended
//! ```
//! Each direction goes its own way through these; the relay is over when both have ended. Not reading
//! is the back-pressure: a side is read only while the other has room.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Protocol, Wire};

/// How many unsent bytes on one side keep the other from being read. One read comes on top.
const FULL: u64 = 256 * 1024;
/// How long what was read before a failure may take to be passed on.
const LAST: Duration = Duration::from_secs(1);

/// Bytes as they come. On a stop it says nothing and goes on: what is relayed has its own goodbye.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pipe;

impl Protocol for Pipe {
    type In = Bytes;
    type Out = Bytes;
    type Error = io::Error;

    fn receive(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        Ok((!wire.input.is_empty()).then(|| wire.input.split().freeze()))
    }

    fn send(&mut self, bytes: Bytes, wire: &mut Wire) -> io::Result<()> {
        wire.output.push(bytes);
        Ok(())
    }

    fn farewell(&mut self, _wire: &mut Wire) -> bool {
        false
    }
}

/// How far the direction away from a side has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Ending,
    Ended,
}

struct Side<'a> {
    connection: &'a mut Connection<Pipe>,
    flow: Flow,
}

/// Relays until both sides have ended; the end of each is passed on by itself. When one side fails,
/// what came before is passed on, and both end abruptly, so that neither peer takes what it has for
/// the whole.
///
/// # Errors
/// The first failure of either side.
pub async fn relay(mut one: Connection<Pipe>, mut other: Connection<Pipe>) -> io::Result<()> {
    for side in [&mut one, &mut other] {
        // What is unsent to a side must not keep what it says from being heard: `FULL` is the bound.
        side.set_high_water(u64::MAX);
    }
    let relayed = exchange(&mut one, &mut other).await;
    if relayed.is_err() {
        // The one that failed fails again, at once.
        let rest = async { tokio::join!(one.flush(), other.flush()) };
        let _ = tokio::time::timeout(LAST, rest).await;
        one.abort();
        other.abort();
    }
    relayed
}

async fn exchange(one: &mut Connection<Pipe>, other: &mut Connection<Pipe>) -> io::Result<()> {
    let mut one = Side { connection: one, flow: Flow::Open };
    let mut other = Side { connection: other, flow: Flow::Open };
    poll_fn(|cx| {
        loop {
            if one.flow == Flow::Ended && other.flow == Flow::Ended {
                return Poll::Ready(Ok(()));
            }
            let full = (one.is_full(), other.is_full());
            let mut moved = step(cx, &mut one, &mut other)?;
            moved |= step(cx, &mut other, &mut one)?;
            // A side that has room again may have kept the other from being read.
            if !moved && full == (one.is_full(), other.is_full()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Moves what there is from one side to the other. Returns whether anything has changed.
fn step(cx: &mut Context<'_>, from: &mut Side<'_>, to: &mut Side<'_>) -> io::Result<bool> {
    match from.flow {
        Flow::Open if !to.is_full() => match from.connection.poll_next(cx)? {
            Poll::Ready(Some(bytes)) => to.connection.queue(bytes)?,
            Poll::Ready(None) => from.flow = Flow::Ending,
            Poll::Pending => return Ok(false),
        },
        Flow::Ending => {
            from.write(cx)?;
            match pin!(to.connection.half_close()).poll(cx)? {
                Poll::Ready(()) => from.flow = Flow::Ended,
                Poll::Pending => return Ok(false),
            }
        }
        Flow::Open | Flow::Ended => {
            from.write(cx)?;
            return Ok(false);
        }
    }
    Ok(true)
}

impl Side<'_> {
    fn is_full(&mut self) -> bool {
        self.connection.wire().output.len() >= FULL
    }

    /// Sends what is owed to this side while nothing is wanted from it.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match pin!(self.connection.flush()).poll(cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ropewalk_core::Transport;
    use ropewalk_core::transport::memory::Knobs;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    /// The far ends of both sides, and what becomes of the relay.
    fn start(capacity: usize, chunk: usize) -> (Transport, Transport, JoinHandle<io::Result<()>>) {
        let knobs = || Knobs { capacity, chunk, ..Knobs::default() };
        let (client, one) = Transport::memory_with(knobs(), "client");
        let (server, other) = Transport::memory_with(knobs(), "server");
        let relay = relay(Connection::new(Pipe, one), Connection::new(Pipe, other));
        (client, server, tokio::spawn(relay))
    }

    async fn check(bytes: usize, capacity: usize, chunk: usize) {
        let (mut client, mut server, relay) = start(capacity, chunk);
        let question: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let answer: Vec<u8> = question.iter().rev().copied().collect();
        let expected = (question.clone(), answer.clone());
        let asking = async {
            client.write_all(&question).await.unwrap();
            client.shutdown().await.unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got
        };
        let answering = async {
            // The end of the question must come while the answer can still be given.
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
            got
        };
        let (got_back, asked) = tokio::join!(asking, answering);
        assert!(asked == expected.0 && got_back == expected.1, "{bytes} by {chunk} in {capacity}");
        relay.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_direction_ends_by_itself_and_nothing_is_lost() {
        for bytes in [0, 1, 1000, 100_000, 2_000_000] {
            check(bytes, 64 * 1024, usize::MAX).await;
            check(bytes, 4096, 1000).await;
        }
        check(3000, 1, 1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_takes_nothing_keeps_the_other_from_being_read() {
        let (mut client, mut server, relay) = start(1024, usize::MAX);
        let block = vec![7; 1024];
        let mut sent = 0;
        while tokio::time::timeout(LAST, client.write_all(&block)).await.is_ok() {
            sent += block.len();
            assert!(sent < 1024 * 1024, "somebody holds all of it");
        }
        // The other direction goes on, and what was held comes when it is asked for.
        server.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).await.unwrap();
        let mut held = vec![0; sent];
        server.read_exact(&mut held).await.unwrap();
        relay.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_passed_on_after_what_came_before() {
        let (mut client, mut server, relay) = start(64 * 1024, usize::MAX);
        client.write_all(b"half of it").await.unwrap();
        let mut heard = [0; 10];
        server.read_exact(&mut heard).await.unwrap();
        client.abort();
        let error = server.read(&mut heard).await.expect_err("no proper end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        relay.await.unwrap().expect_err("it failed");
    }
}
