//! HTTP/1.0 and 1.1 on [`ropewalk_core`]: one session without I/O for both roles, a client, a server,
//! static files.
//!
//! ```text
//!   Client: get(url).await  ──▶  Response<Received>      connections that are kept, redirections
//!   async fn(Request<Incoming>) -> Response<Body>        your handler, or files::Files
//!                      ▲             │
//!                      │             ▼
//!                     Server: a Factory                  one request after the other, dates, access log
//!                      ▲ Event       │ Outgoing          Head, Data, Trailers, End
//!                      │             ▼
//!                  session::Server / session::Client     framing, limits, deadlines; no I/O
//!                      ▲             │
//!                    parse          emit                 pure: bytes to types, types to bytes
//! ```
//!
//! Methods, targets, fields and status codes are the types of the [`http`] crate; bodies are those of
//! `http-body`.
//!
//! # A client
//!
//! ```
//! use ropewalk_http::Client;
//! # use http::{Request, Response};
//! # use ropewalk_core::testing::Net;
//! # use ropewalk_http::{Body, Incoming, Server};
//! # async fn hello(_: Request<Incoming>) -> Response<Body> { Response::new("hello".into()) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(); // one for the program: clones share its connections
//! # let net = Net::new();
//! # net.listen("example.org", Server::new(hello));
//! # let client = Client::builder().transports(move |origin| {
//! #     let transport = net.connect(origin.host());
//! #     async { transport }
//! # }).build();
//! let response = client.get("http://example.org/").await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.into_body().text().await?, "hello"); // or piece by piece: next().await?
//! # Ok(())
//! # }
//! ```
//!
//! [`client::Ask`] has what else can be said of a request, [`client::Builder`] what holds for all.
//!
//! # A server
//!
//! ```no_run
//! use http::{Request, Response};
//! use ropewalk_core::{BoxError, Reactor};
//! use ropewalk_http::{Body, Incoming, Server};
//!
//! async fn hello(_request: Request<Incoming>) -> Response<Body> {
//!     Response::new(Body::from("Hello, world!\n"))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let reactor = Reactor::new()?;
//!     reactor.listen("tcp:127.0.0.1:8080", Server::new(hello)).await?;
//!     Ok(reactor.run().await?)
//! }
//! ```
//!
//! A folder is served by [`files::Files`] in the handler's place; [`Hosts`], [`Redirect`] and
//! [`HttpsOnly`] are handlers around others, [`Switch`] is how one takes the connection over (Upgrade,
//! CONNECT), and with the feature `tower` any service of `tower` is one: an axum `Router`.
//!
//! # A session by hand
//!
//! The same machine without a socket, as tests and fuzzers use it:
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use ropewalk_core::{Protocol, Wire};
//! use ropewalk_http::session::Server;
//! use ropewalk_http::{BodyLength, Event, Outgoing};
//!
//! let mut wire = Wire::new(std::time::Instant::now());
//! let mut session = Server::default();
//! wire.input.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
//!
//! let Some(Event::Head(request)) = session.receive(&mut wire)? else { panic!("a head") };
//! assert_eq!(request.uri(), "/");
//! assert!(matches!(session.receive(&mut wire)?, Some(Event::End)));
//!
//! session.send(Response::new(BodyLength::Known(5)).into(), &mut wire)?;
//! session.send(Bytes::from("hello").into(), &mut wire)?;
//! session.send(Outgoing::End, &mut wire)?;
//! assert_eq!(wire.output.take()?, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
//! # Ok::<(), ropewalk_http::Error>(())
//! ```
//!
//! # The map, in reading order
//!
//! | module | what is in it |
//! |---|---|
//! | [`types`] | events, what is sent, [`BodyLength`], [`Limits`], [`Timeouts`] |
//! | [`parse`], [`emit`] | heads, fields, chunk lines: bytes to types and back, pure |
//! | [`session`] | the state machines of both roles, with their drawing |
//! | [`error`] | what went wrong, who is to blame, and the one mapping to a status |
//! | [`body`] | what a handler gives back: bytes, files, streams |
//! | [`Incoming`] | a request's content while it comes in, and who sent it |
//! | [`Server`], [`Handler`], [`AccessLog`] | the server |
//! | [`Hosts`], [`Redirect`], [`HttpsOnly`], [`AnyHandler`] | handlers around others |
//! | [`Switch`] | another protocol on the connection |
//! | [`files`] | a folder, served |
//! | [`Client`], [`client`] | the client: requests, connections that are kept, redirections, errors |
//! | [`client::Received`] | a response's content while it comes |
//!
//! # What is implemented
//!
//! | document | sections | here |
//! |---|---|---|
//! | RFC 9110, semantics | §5.5, §5.6 fields; §6.5 trailers; §7.2 Host; §8.6 Content-Length | [`parse`], [`session`] |
//! | | §9.3.2 HEAD, §9.3.6 CONNECT; §10.1.1 Expect; §7.8 Upgrade | [`session`], [`Switch`] |
//! | | §7.2 Host, §15.4 redirection, §15.5.20 misdirected requests | [`Hosts`], [`Redirect`] |
//! | | §15.4 redirections, §9.2.2 idempotent methods | [`client`] |
//! | | §8.8 validators, §12.5.3 Accept-Encoding, §13 conditions, §14 ranges | [`files`] |
//! | RFC 9112, HTTP/1.1 | §2 to §5 messages, lines, fields; §6, §7 content and chunked | [`parse`], [`session`] |
//! | | §9 connections: keep-alive, pipelining, close, also of HTTP/1.0 | [`session`] |
//!
//! Framing is strict, because two readers of one stream must not disagree where a message ends: a bare
//! LF, a length beside a transfer coding, two lengths, folded lines and blanks before a colon are refused
//! with 400.
//!
//! Not here yet: HTTP/2 and HTTP/3, WebSocket, proxying, compression on the fly, authentication of
//! clients; in the client cookies, decompression and a cache.
//!
//! # The feature `io`
//!
//! On by default. Without it there are [`types`], [`parse`], [`emit`], [`session`] and [`error`], and tokio
//! is not among the dependencies.
//!
//! # The feature `tower`
//!
//! Off by default. With it there is `Tower`, a handler around a `tower_service::Service`.
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
mod spare;

pub mod error;

#[cfg(feature = "io")]
pub mod body;
#[cfg(feature = "io")]
pub mod client;
#[cfg(feature = "io")]
mod incoming;
#[cfg(feature = "io")]
mod server;

#[cfg(feature = "io")]
pub mod files;

#[cfg(feature = "io")]
pub use body::Body;
#[cfg(feature = "io")]
pub use client::Client;
pub use error::{Blame, Error, Result};
#[cfg(feature = "io")]
pub use incoming::Incoming;
#[cfg(feature = "tower")]
pub use server::Tower;
#[cfg(feature = "io")]
pub use server::{
    AccessLog, AnyHandler, BadHost, BadRedirect, Entry, Handler, Hosts, HttpsOnly, Redirect,
    Server, Switch,
};
pub use types::{BodyLength, Event, Limits, Outgoing, Pace, Timeouts};

#[cfg(doctest)]
mod book;
