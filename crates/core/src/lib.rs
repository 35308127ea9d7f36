//! The core of Ropewalk.

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
    pub use crate::reactor::{Builder, IntoEndpoint, Listening, Reactor, Workers};
    pub use crate::service::{
        Backoff, BoxService, ClientService, Delays, Laggard, Link, Online, Service, Services,
        StartError, StopError,
    };
    pub use crate::transport::Transport;
}
#[cfg(feature = "io")]
pub use io::*;

#[cfg(feature = "io")]
mod address;
#[cfg(feature = "io")]
mod connection;
#[cfg(feature = "io")]
mod deferred;
#[cfg(feature = "io")]
pub mod endpoint;
#[cfg(feature = "io")]
pub mod factory;
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
