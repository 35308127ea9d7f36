//! DNS.

pub mod types;

pub mod parse;

pub mod emit;

mod text;

pub mod zonefile;

pub mod zone;

pub mod session;

#[cfg(feature = "io")]
pub mod server;

pub mod error;

pub use error::{Blame, Error, Result};
#[cfg(feature = "io")]
pub use server::Server;
pub use types::{Message, Name, NameRef, Question, Record, Type};
