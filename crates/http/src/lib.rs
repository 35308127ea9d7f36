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
pub use body::Body;
pub use error::{Blame, Error, Result};
pub use types::{BodyLength, Event, Limits, Outgoing, Pace, Timeouts};
