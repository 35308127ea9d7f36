//! The core of Ropewalk: Twisted's idea in Rust, over tokio.
//!
//! Network programs mix two things that are easier apart: *deciding* what bytes mean and what to say,
//! and *waiting* for bytes, clocks and peers. Here a [`Protocol`] decides and never waits; a
//! [`Connection`] waits and never decides; what you write on top is straight-line async code.
//!
//! ```text
//!   your code      async fn serve(conn)          next().await, send().await, close().await
//!                    ▲ In        │ Out
//!                    │           ▼
//!   Connection     Protocol: receive, send, deadline        no I/O, no clock, no tokio
//!                    ▲           │
//!                    │   Wire    ▼               input, output, eof, now: plain data
//!                  Transport                     TCP, TLS, Unix, child process, memory
//!                    ▲
//!   Reactor        Endpoint  "tls:443:cert=…"    listens, connects, keeps time, stops in order
//!                  Factory                       makes the protocol for each new connection
//! ```
//!
//! # A server
//!
//! ```no_run
//! use ropewalk_core::{BoxError, Connection, Raw, Reactor, factory};
//!
//! async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
//!     while let Some(bytes) = conn.next().await? {
//!         conn.send(bytes).await?;
//!     }
//!     Ok(conn.close().await?)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let reactor = Reactor::new()?;
//!     reactor.listen("tcp:127.0.0.1:4040", factory::serve_with(Raw::default, echo)).await?;
//!     Ok(reactor.run().await?) // until SIGINT or SIGTERM, then in order
//! }
//! ```
//!
//! Nothing is read while nobody asks for it, `send` waits while the peer takes nothing, and one read
//! full of messages is answered by one write. [`Connection`]'s methods say so in detail.
//!
//! # A client
//!
//! ```
//! use ropewalk_core::{BoxError, Connection, Lines, Reactor};
//! # use ropewalk_core::{Raw, factory};
//! # async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
//! #     while let Some(bytes) = conn.next().await? {
//! #         conn.send(bytes).await?;
//! #     }
//! #     Ok(conn.close().await?)
//! # }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), BoxError> {
//! let reactor = Reactor::new()?;
//! # reactor.listen("memory:echo", factory::serve_with(Raw::default, echo)).await?;
//! let transport = reactor.connect("memory:echo").await?; // or tcp:localhost:4040, or tls:…
//! let mut conn = Connection::new(Lines::crlf(), transport);
//! conn.send("hello").await?;
//! conn.send("world").await?;
//! assert_eq!(conn.next().await?.expect("an echo"), "hello"); // both went out in one write
//! assert_eq!(conn.next().await?.expect("an echo"), "world");
//! conn.close().await?;
//! # reactor.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # A protocol, without any I/O
//!
//! ```
//! use ropewalk_core::{Lines, Protocol, Wire};
//!
//! let mut wire = Wire::new(std::time::Instant::now());
//! let mut lines = Lines::crlf();
//! wire.input.extend_from_slice(b"NOOP\r\nQU");
//! assert_eq!(lines.receive(&mut wire)?.as_deref(), Some(&b"NOOP"[..]));
//! assert_eq!(lines.receive(&mut wire)?, None); // half a line: more may come
//! # Ok::<(), ropewalk_core::FrameError>(())
//! ```
//!
//! # The map, in reading order
//!
//! | words | what they are |
//! |---|---|
//! | [`Wire`], [`Output`], [`FileRegion`] | both directions of a byte stream as plain data |
//! | [`Protocol`] | decides: bytes to events, items to bytes, deadlines |
//! | [`Raw`], [`Lines`], [`Netstrings`], [`Prefixed`] | framing: protocols to begin with or to build on |
//! | [`testing`] | every cut of the input, pairs in virtual time, transcripts, whole networks in memory |
//! | [`Transport`], [`Address`], [`transport`] | one type for every byte stream, and where it leads |
//! | [`Connection`], [`Peer`] | a protocol on a transport: the one thing that awaits bytes |
//! | [`Endpoint`], [`endpoint`] | where to listen or connect, from a string or from code |
//! | [`tls`] | configurations for both roles, and what a handshake found out |
//! | [`Factory`], [`factory`] | what a server is, and its wrappers: caps, rates, lists, deadlines, counters, logs |
//! | [`Reactor`], [`Listening`], [`Totals`], [`Workers`] | listens, connects, spawns, keeps time, stops in order |
//! | [`Deferred`], [`Resolver`], [`gather`], [`first`] | a result that will arrive, of an operation already begun |
//! | [`Service`], [`Services`], [`ClientService`], [`Lasting`] | things with a start and a stop; a client that reconnects; work that is begun again |
//! | [`Port`], [`Batch`], [`Outbox`] | datagrams, many at a time |
//!
//! The folder `examples` has a program for each of the usual shapes: echo, a chat with a shared room, a
//! protocol of one's own, a pipelining client, STARTTLS, the PROXY protocol.
//!
//! # The feature `io`
//!
//! On by default. Without it the crate is what decides: [`Wire`], [`Protocol`], framing and [`testing`]
//! but for its network; and tokio is not among its dependencies. A protocol written against that serves
//! another runtime or a fuzzer as well.
//!
//! # What is deliberately absent
//!
//! A protocol has no socket, no clock and no source of chance: time is in the wire. No peer can make a
//! buffer grow without a bound. There is no global state: two reactors in one process do not notice each
//! other. There is no `unsafe` in this crate.

mod framing;
mod protocol;
pub mod testing;
mod wire;

pub use framing::{
    Accept, Blame, Chunk, FrameError, LastLine, LineOut, Lines, Netstrings, Newline, Prefix,
    Prefixed, Raw,
};
pub use protocol::Protocol;
pub use wire::{COPY_BELOW, FileRegion, Front, Output, Wire};

/// All that waits, behind the feature `io`.
#[cfg(feature = "io")]
mod io {
    pub use crate::address::Address;
    pub use crate::connection::{Allowance, Connection, Direction, Shape, Tap};
    pub use crate::deferred::{
        Abandoned, Deferred, First, Gather, Resolver, TimeoutError, TryGather, first, gather,
        try_gather,
    };
    pub use crate::endpoint::Endpoint;
    pub use crate::factory::{BoxError, Factory, Refusal};
    pub use crate::peer::Peer;
    pub use crate::port::{Batch, Datagram, Full, MAX_BATCH, Outbox, Port, Sent};
    pub use crate::reactor::{Builder, IntoEndpoint, Listening, Reactor, Totals, Workers};
    pub use crate::service::{
        Backoff, BoxService, ClientService, Delays, Laggard, Lasting, Link, Online, Restarts,
        Service, Services, StartError, StopError, Stopping,
    };
    pub use crate::transport::Transport;
}
#[cfg(feature = "io")]
pub use io::*;

#[cfg(feature = "io")]
mod address;
#[cfg(doctest)]
mod book;
#[cfg(feature = "io")]
mod connection;
#[cfg(feature = "io")]
mod deferred;
#[cfg(feature = "io")]
pub mod endpoint;
#[cfg(feature = "io")]
pub mod factory;
#[cfg(feature = "io")]
mod guarded;
#[cfg(feature = "io")]
mod peer;
#[cfg(feature = "io")]
mod port;
#[cfg(feature = "io")]
mod reactor;
#[cfg(feature = "io")]
mod service;
#[cfg(feature = "io")]
pub mod tls;
#[cfg(feature = "io")]
pub mod transport;
