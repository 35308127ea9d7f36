//! What a server decides, without I/O: bytes of a request in, bytes of an answer out.
//!
//! ```text
//!            ┌────────────── Responder ───────────────┐
//!  request ─▶│ header ─▶ EDNS ─▶ TSIG ─▶ opcode        │
//!            │                            ├ QUERY ─▶ Zones::find ─▶ Zone::answer ─▶ RRL ─┐
//!            │                            ├ AXFR, IXFR ─▶ Reply::Transfer               ├─▶ cookie, NSID,
//!            │                            ├ NOTIFY ─▶ Reply::Notify                     │   TSIG ─▶ answer
//!            │                            └ UPDATE ─▶ Reply::Update                     ┘
//!            └─────────────────────────────────────────┘
//! ```
//!
//! A [`Responder`] belongs to one worker: it has no locks, and answers from a [`Zones`] that anybody may
//! replace by another. What takes longer than an answer is handed back to the caller: a transfer's
//! messages, an update, a notice that a zone has changed elsewhere.

mod access;
mod cookies;
mod journal;
mod limit;
mod options;
mod responder;
mod stream;
mod transfer;
pub mod tsig;
pub mod update;
mod zones;

pub use access::Access;
pub use cookies::Cookies;
pub use journal::{Delta, Journal};
pub use limit::{Limit, Limits};
pub use responder::{Config, From, Notice, Pending, Reply, Responder, Transport};
pub use stream::Stream;
pub use transfer::Transfer;
pub use zones::{Hosted, Zones};
