//! The core of Ropewalk.

mod framing;
mod protocol;
pub mod testing;
mod wire;

pub use protocol::Protocol;
pub use wire::{COPY_BELOW, FileRegion, Front, Output, Wire};

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

#[cfg(feature = "io")]
pub use address::Address;
#[cfg(feature = "io")]
pub use connection::{Allowance, Connection, Direction, Shape, Tap};
#[cfg(feature = "io")]
pub use factory::{BoxError, Factory, Refusal};
#[cfg(feature = "io")]
pub use peer::Peer;
#[cfg(feature = "io")]
pub use transport::Transport;
