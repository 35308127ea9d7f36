//! What the tests of all wrappers need: a server that says back what it hears, and somebody to ask it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::{BoxError, Factory, Refusal};
use crate::{Address, Connection, Peer, Protocol, Transport, Wire};

/// Bytes as they come.
#[derive(Debug)]
pub(super) struct Plain;

impl Protocol for Plain {
    type In = Bytes;
    type Out = Bytes;
    type Error = io::Error;

    fn receive(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        let input = wire.input.split().freeze();
        Ok((!input.is_empty()).then_some(input))
    }

    fn send(&mut self, item: Bytes, wire: &mut Wire) -> io::Result<()> {
        wire.output.push(item);
        Ok(())
    }
}

/// Says back what it hears; on `fail` it fails, on `panic` it panics, on `hang` it does nothing more, on
/// `quit` it closes.
#[derive(Debug)]
pub(super) struct Echo;

impl Factory for Echo {
    type Protocol = Plain;

    fn build(&self, _peer: &Peer) -> Result<Plain, Refusal> {
        Ok(Plain)
    }

    async fn serve(&self, mut connection: Connection<Plain>) -> Result<(), BoxError> {
        while let Some(bytes) = connection.next().await? {
            match &bytes[..] {
                b"quit" => break,
                b"fail" => return Err("told to fail".into()),
                b"panic" => panic!("told to panic"),
                b"hang" => std::future::pending().await,
                _ => connection.send(bytes).await?,
            }
        }
        Ok(connection.close().await?)
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        format!("421 {why}\r\n").into()
    }
}

/// A peer at `address`: an IP address with its port, or else a name in memory.
pub(super) fn peer(address: &str) -> Peer {
    let address = match address.parse::<std::net::SocketAddr>() {
        Ok(socket) => Address::from(socket),
        Err(_) => Address::Memory(address.into()),
    };
    Peer::new(7, address, Address::Unknown)
}

/// A client of a factory, in memory.
#[derive(Debug)]
pub(super) struct Guest {
    transport: Transport,
    server: JoinHandle<Result<(), BoxError>>,
}

impl Guest {
    /// Connects to `factory` from `address`, as a reactor would have it.
    pub(super) fn of<F: Factory>(factory: &Arc<F>, address: &str) -> Result<Self, Refusal> {
        let peer = peer(address);
        let protocol = factory.build(&peer)?;
        let (transport, server) = Transport::memory();
        let connection = Connection::with_peer(protocol, server, peer.clone());
        let factory = Arc::clone(factory);
        let server = tokio::spawn(async move {
            let result = factory.serve(connection).await;
            peer.let_go();
            result
        });
        Ok(Self { transport, server })
    }

    /// Says something and waits for as long an answer.
    pub(super) async fn ask(&mut self, question: &str) -> String {
        self.transport.write_all(question.as_bytes()).await.expect("the server listens");
        let mut answer = vec![0; question.len()];
        self.transport.read_exact(&mut answer).await.expect("the server answers");
        String::from_utf8(answer).expect("what was said")
    }

    /// Says something.
    pub(super) async fn say(&mut self, what: &str) {
        self.transport.write_all(what.as_bytes()).await.expect("the server listens");
    }

    /// Hangs up and waits for how the server ended.
    pub(super) async fn leave(mut self) -> Result<(), BoxError> {
        self.transport.shutdown().await.expect("memory can be shut down");
        self.end().await
    }

    /// Waits for how the server ended, without hanging up.
    pub(super) async fn end(self) -> Result<(), BoxError> {
        let ended = self.server.await;
        ended.unwrap_or_else(|error| Err(error.into()))
    }

    /// Drops the server's task, as a reactor does at the end of its patience.
    pub(super) async fn abort(self) {
        self.server.abort();
        // That it was aborted is known.
        let _aborted = self.server.await;
    }
}

/// All wrappers around one factory: each passes on what the others need.
#[tokio::test(start_paused = true)]
async fn wrappers_stack() {
    use std::time::Duration;

    use super::*;

    let second = Duration::from_secs(1);
    let caps = AtMost::per_address(1, AccessList::new(Rules::open(), Echo)).and_total(10);
    let limits = Deadlines::idle(second * 10, Throttle::new(caps).send_each(Rate::per_second(5)));
    let rates = AcceptRate::per_address(Rate::per_second(2), limits);
    let meter = Meter::new(Traced::new("echo", WireLog::new(rates).to(|_, _, _| {})));
    let (counts, factory) = (Arc::clone(meter.counts()), Arc::new(meter));
    let mut guest = Guest::of(&factory, "192.0.2.1:1").expect("the first");
    let why = Guest::of(&factory, "192.0.2.1:2").expect_err("one at a time");
    assert_eq!(why, Refusal::TooManyFromAddress);
    let why = Guest::of(&factory, "192.0.2.1:3").expect_err("two in a second");
    assert_eq!(why, Refusal::TooFast);
    assert_eq!(factory.refusal(&why), "421 connections come too fast\r\n");
    let start = tokio::time::Instant::now();
    assert_eq!(guest.ask("0123456789").await, "0123456789");
    assert_eq!(start.elapsed().as_secs(), 1, "five at once and five in a second");
    let error = guest.end().await.expect_err("it was idle");
    assert_eq!(error.to_string(), "nothing came or went for too long");
    assert_eq!((counts.open(), counts.refused(), counts.failed(), counts.sent()), (0, 2, 1, 10));
    tokio::time::sleep(second).await;
    Guest::of(&factory, "192.0.2.1:4").expect("all were given back");
}
