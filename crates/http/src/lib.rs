//! HTTP/1.0 and 1.1.

pub mod emit;
pub mod error;
pub mod parse;
pub mod session;
pub mod types;

#[cfg(feature = "io")]
pub mod body;
#[cfg(feature = "io")]
pub mod files;

#[cfg(feature = "io")]
mod incoming;
#[cfg(feature = "io")]
mod server;

#[cfg(feature = "io")]
pub use body::Body;
pub use error::{Blame, Error, Result};
#[cfg(feature = "io")]
pub use incoming::Incoming;
#[cfg(feature = "io")]
pub use server::{AccessLog, Entry, Handler, Server};
pub use types::{BodyLength, Event, Limits, Outgoing, Pace, Timeouts};
