//! DNS on [`ropewalk_core`]: messages, records, zone files, zones made for answering, and an
//! authoritative server.
//!
//! ```text
//!   Server: UDP in batches, TCP and TLS             the only part that awaits
//!                 ▲ request      │ answer
//!                 │              ▼
//!           session::Responder                      EDNS, cookies, TSIG, rate limits, transfers, updates
//!                 │ question     ▲ Outcome
//!                 ▼              │
//!              zone::Zone ───▶ emit::Writer         answers by copying, without the heap
//!                 ▲
//!              zonefile::Parser                     a stream of records, errors with file, line, column
//!
//!           parse, emit, types                      bytes to types and back
//! ```
//!
//! # A server
//!
//! ```no_run
//! # #[cfg(feature = "io")]
//! # async fn run() -> Result<(), ropewalk_core::BoxError> {
//! use std::fs::File;
//!
//! use ropewalk_core::{Port, Reactor};
//! use ropewalk_dns::session::{Config, Hosted, Responder, Zones};
//! use ropewalk_dns::zone::Zone;
//! use ropewalk_dns::zonefile::Parser;
//! use ropewalk_dns::{Name, Server};
//!
//! let origin: Name = "example.org".parse()?;
//! let file = File::open("example.zone")?;
//! let zone = Zone::load(&mut Parser::new("example.zone", file, origin.borrowed()), &origin)?;
//! let mut zones = Zones::default();
//! zones.insert(Hosted::new(zone));
//!
//! let server = Server::new(zones, Responder::new(Config::default()));
//! let reactor = Reactor::new()?;
//! reactor.listen("tcp:127.0.0.1:5353", server.clone()).await?;
//! let port = Port::bind("127.0.0.1:5353".parse()?)?;
//! let _answering = reactor.spawn(async move { server.datagrams(&port).await });
//! Ok(reactor.run().await?)
//! # }
//! ```
//!
//! # A message by hand
//!
//! ```
//! use ropewalk_dns::parse::{Packet, Section};
//! use ropewalk_dns::types::{Message, Question, Type};
//!
//! let query = Message::query(7, Question::new("example.org".parse()?, Type::MX)).to_bytes()?;
//! // Read where it lies, nothing copied; everything has been checked.
//! let packet = Packet::parse(&query)?;
//! assert_eq!(packet.questions().next().map(|question| question.rtype), Some(Type::MX));
//! assert_eq!(packet.records(Section::Answer).count(), 0);
//! # Ok::<(), ropewalk_dns::Error>(())
//! ```
//!
//! # The map, in reading order
//!
//! | module | what is in it |
//! |---|---|
//! | [`types`] | names, numbers, records and their data, EDNS options, whole messages |
//! | [`parse`] | messages, read where they lie |
//! | [`emit`] | messages, written into memory of the caller |
//! | [`zonefile`] | zone files, as a stream of records |
//! | [`zone`] | a zone in memory: questions to answers, changes to new versions |
//! | [`session`] | requests to answers: what a server decides |
//! | [`server`] | the server |
//! | [`error`] | what went wrong, who is to blame, and the one mapping to a code |
//!
//! # What is implemented
//!
//! | document | sections | here |
//! |---|---|---|
//! | RFC 1034, 1035 | messages, compression, names; §4.3.2 the algorithm; §5 zone files | [`parse`], [`emit`], [`zone`], [`zonefile`] |
//! | RFC 2181, 2308 | one TTL for each set, aliases alone; negative answers, `$TTL` | [`zone`], [`zonefile`] |
//! | RFC 3597 | unknown types in messages and zone files | [`types`] |
//! | RFC 4343, 4592, 6672 | case, wildcards, DNAME | [`zone`] |
//! | RFC 4034, 5155 | data of DNSSEC's types, canonical form and order, hashed names | [`types`], [`zone`] |
//! | RFC 4035 §3.1, 5155 §7.2 | signed zones served: signatures, DS, proofs with NSEC and NSEC3 | [`zone`] |
//! | RFC 1995, 1996, 5936 | transfers out, whole and incremental; notices taken | [`session`] |
//! | RFC 2136 | updates of unsigned zones | [`session::update`] |
//! | RFC 8945 | signed messages, both sides; not HMAC-MD5, not GSS | [`session::tsig`] |
//! | RFC 6891, 5001, 7828, 7830, 7873, 8467, 8914, 9018 | EDNS; NSID, keepalive, padding, cookies, extended errors | [`session`] |
//! | RFC 7871, 7314 | client subnet and expire: the options alone | [`types`] |
//! | RFC 7766, 7858 | many requests on one connection, answered in order; over TLS | [`server`] |
//! | RFC 8482 | ANY is answered by one set | [`zone`] |
//! | RFC 9471 | glue that must be there, or TC | [`zone`] |
//! | RFC 9460 | SVCB and HTTPS: data, presentation form, additional addresses | [`types`], [`zone`] |
//!
//! Record types with a presentation form of their own are those of the table in
//! [`Type`], but for NULL and WKS.
//!
//! Not here yet: secondary zones (transfers in), NOTIFY sent, journals on disk, a resolver, a cache, a
//! client, and `ropewalk dns` and `ropewalk dig`. Signing and validating are for later.
//!
//! # The feature `io`
//!
//! On by default. Without it there is everything but the [`server`] and the
//! [`Folder`](zonefile::Folder) of included files, and tokio is not among the dependencies.
//!
//! # What is deliberately absent
//!
//! * A clock and a random source: the time and the secrets are arguments. The one exception is the
//!   hash of rate limiting, whose seed nobody needs to know.
//! * Leniency about messages: what is left over behind the last record, points forward or does not
//!   have its type's form is refused as a whole.
//! * Classes other than the Internet's, but for questions about the server itself.

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

#[cfg(doctest)]
mod book;
