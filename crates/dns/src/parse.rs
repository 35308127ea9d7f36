//! Bytes to types: pure, and without copying what can be borrowed.
//!
//! [`Packet::parse`] checks the whole message once: every name, every length, the data of every type
//! that is known, the places of OPT and TSIG, and that nothing is left over. What it hands out
//! afterwards borrows from the message and cannot fail.

mod cursor;
mod message;
pub(crate) mod rdata;

pub use message::{Entries, Packet, PacketName, PacketQuestion, PacketRecord, Section};

pub(crate) use cursor::Cursor;
