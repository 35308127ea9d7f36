//! `&[u8]` → types, pure: the grammar of RFC 9112 and what it says about framing.
//!
//! A head is found first ([`Scan`], which remembers how far it has looked, so that a head that comes
//! byte by byte is not read again and again) and then taken apart in one pass over its lines, with
//! field values as slices of the input.
//!
//! This is our own parser rather than httparse: httparse takes a bare LF and obsolete forms, so each
//! line would have to be checked again, and it gives slices that must be turned into `Bytes` by
//! pointer arithmetic. The two cost the same within the noise, see [`request`].

mod chunk;
mod fields;
mod host;
mod request;
mod response;
mod scan;

pub use chunk::chunk_line;
pub use fields::{BodyKind, Facts, trailers};
pub use host::is_host;
pub(crate) use request::is_target_text;
pub use request::request;
pub use response::response;
pub use scan::{Scan, Section};

use crate::error::{Error, Fault};

/// A fault at `offset` of what is being parsed.
fn fault(fault: Fault, offset: usize) -> Error {
    Error::Malformed { fault, offset: offset as u64 }
}
