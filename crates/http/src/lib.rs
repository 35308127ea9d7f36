//! HTTP/1.0 and 1.1 on [`ropewalk_core`]: one I/O-free session for client and server.
//!
//! ```text
//!              bytes from the peer                    bytes to the peer
//!                      │                                      ▲
//!                 wire.input                             wire.output
//!                      │                                      │
//!   parse ◀────────────┤                                      ├────────────▶ emit
//!                      ▼                                      │
//!            session::Server::receive               session::Server::send
//!            session::Client::receive               session::Client::send
//!                      │                                      ▲
//!       Event: Head Data* Trailers? End      Outgoing: Head (Data|File)* Trailers? End
//!                      ▼                                      │
//!                      └───────────── your program ───────────┘
//! ```
//!
//! A session decides and never waits: it is fed a [`Wire`](ropewalk_core::Wire) by whoever has the
//! socket. Messages are those of the [`http`] crate; their heads carry a [`BodyLength`] when we send
//! them, which decides the framing.
//!
//! A server that greets, without a socket:
//!
//! ```
//! use http::Response;
//! use ropewalk_core::{Protocol, Wire};
//! use ropewalk_http::{BodyLength, Event, Outgoing, session::Server};
//!
//! let mut wire = Wire::new(std::time::Instant::now());
//! let mut server = Server::default();
//! wire.input.extend_from_slice(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
//! while let Some(event) = server.receive(&mut wire)? {
//!     match event {
//!         Event::Head(request) => assert_eq!(request.uri().path(), "/hello"),
//!         Event::Data(_) | Event::Trailers(_) => {}
//!         Event::End => {
//!             server.send(Response::new(BodyLength::Known(6)).into(), &mut wire)?;
//!             server.send(Outgoing::Data("hello\n".into()), &mut wire)?;
//!             server.send(Outgoing::End, &mut wire)?;
//!         }
//!     }
//! }
//! assert_eq!(wire.output.take()?, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n");
//! # Ok::<(), ropewalk_http::Error>(())
//! ```
//!
//! A client:
//!
//! ```
//! use http::Request;
//! use ropewalk_core::{Protocol, Wire};
//! use ropewalk_http::{BodyLength, Event, Outgoing, session::Client};
//!
//! let mut wire = Wire::new(std::time::Instant::now());
//! let mut client = Client::default();
//! let mut request = Request::new(BodyLength::Empty);
//! *request.uri_mut() = http::Uri::from_static("http://localhost/hello");
//! client.send(request.into(), &mut wire)?;
//! client.send(Outgoing::End, &mut wire)?;
//! // ... the request goes out, the response comes in ...
//! wire.input.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
//! let Some(Event::Head(response)) = client.receive(&mut wire)? else { panic!("a head came") };
//! let Some(Event::Data(data)) = client.receive(&mut wire)? else { panic!("content came") };
//! assert_eq!((response.status().as_u16(), &data[..]), (200, &b"hello\n"[..]));
//! # Ok::<(), ropewalk_http::Error>(())
//! ```
//!
//! # Where what is
//!
//! | what | source | where |
//! |---|---|---|
//! | request line, status line, versions | RFC 9112 §2.3, §3, §4; RFC 9110 §2.5 | [`parse::request`], [`parse::response`] |
//! | forms of the target, Host | RFC 9112 §3.2; RFC 9110 §7.2 | [`parse::request`], [`parse::is_host`] |
//! | field lines, without folding | RFC 9112 §5; RFC 9110 §5.5 | [`parse`] |
//! | line ends, empty line before a request | RFC 9112 §2.2 | [`parse::Scan`], [`session::Server`] |
//! | which length a message has | RFC 9112 §6 | [`parse::Facts`], [`BodyLength`] |
//! | chunked, extensions, trailers | RFC 9112 §7.1; RFC 9110 §6.5 | [`parse::chunk_line`], [`emit::chunk`] |
//! | persistence, pipelining, close | RFC 9112 §9 | [`session::Server`], [`session::Client`] |
//! | incomplete messages | RFC 9112 §8 | [`Error::Closed`] |
//! | Upgrade, CONNECT | RFC 9110 §7.8, §9.3.6 | [`session::Server::is_switched`] |
//! | 100-continue, interim responses | RFC 9110 §10.1.1, §15.2 | [`Outgoing::proceed`], [`session::Server::expects_continue`] |
//! | HEAD, 204, 304 | RFC 9110 §9.3.2, §15.3.5, §15.4.5 | [`session::Server::takes_content`] |
//! | what an error is answered with | RFC 9110 §15.5, §15.6 | [`Error::status`] |
//!
//! # What is deliberately absent
//!
//! * Leniency about framing: two readers of one message must not disagree about where it ends, so
//!   what RFC 9112 lets a recipient repair (bare LF, folded lines, equal lengths said twice) is
//!   refused.
//! * Transfer codings other than `chunked`.
//! * A clock and a random source: the time is [`Wire::now`](ropewalk_core::Wire::now), the `Date`
//!   is [`set`](session::Server::set_date) by the caller.

pub mod types;

pub mod parse;

pub mod emit;

pub mod session;

pub mod error;

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
