//! DNS.

pub mod types;

pub mod parse;

pub mod emit;

mod text;

pub mod zonefile;

pub mod zone;

pub mod session;

pub mod error;

pub use error::{Blame, Error, Result};
pub use types::{Message, Name, NameRef, Question, Record, Type};
