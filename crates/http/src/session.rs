//! The state machines of both roles.
//!
//! Each connection has two halves, what we read and what we write, and a session is the pair of
//! them. A server's:
//!
//! ```text
//!   reading   Awaited ──head──▶ Body ──last byte──▶ Done ─┐
//!                ▲                                        ├─ both done, and the connection is kept
//!                ├────────────────────────────────────────┤
//!   writing   Idle ──head──▶ Owed ──send(Head)──▶ Sending ──send(End)──▶ Done
//!                              │
//!                              └─ send(Head) of 101, or of 2xx to CONNECT ──▶ over, handed over
//! ```
//!
//! A client's halves are looser, since it may send the next request before the last one's response
//! has come: a queue of requests under way ties them together.
//!
//! ```text
//!   writing   Idle ◀──send(End)── Sending ◀──send(Head)── Idle       each Head joins the queue
//!   reading   Awaited ──1xx──▶ Awaited ──head──▶ Body ──▶ Awaited    each End leaves it
//! ```
//!
//! Either is over after the last message of a connection, after an error, and after it has been
//! handed over; then nothing is read any more, and unread bytes stay where they are.
//!
//! Functions on the way of every request that have one caller are marked `inline(always)` here, in
//! `parse` and in `emit`: to call one and to hand its result on took a tenth of the
//! instructions of an exchange.

mod client;
mod clock;
mod fields;
mod reader;
mod server;
mod writer;

#[cfg(feature = "io")]
pub(crate) use client::Line;
pub use client::{Client, ClientIn, ClientOut};
pub use server::{Refused, Server, ServerIn, ServerOut};
