//! Our client's session against our server, in memory and under paused time: on a good network, and on
//! bad ones that a seed makes.
//!
//! | file | what is shown there |
//! |---|---|
//! | `wire/requests.rs` | content that comes in: back-pressure, 100-continue, what is not read, what is cut short |
//! | `wire/responses.rs` | every kind of body to every kind of client; a failed one never looks whole |
//! | `wire/order.rs` | pipelining, slow handlers, panics, what keeps a connection and what ends it |
//! | `wire/sites.rs` | virtual hosts and redirects |
//! | `wire/switch.rs` | connections that are handed over: Upgrade and CONNECT |
//! | `wire/time.rs` | deadlines, as the client sees them |
//! | `wire/stop.rs` | the graceful stop, and refusals |
//! | `wire/leaving.rs` | clients that leave while a response is under way |
//! | `wire/facts.rs` | access log, `Date`, who the client is |

#![cfg(feature = "io")]
#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "wire/facts.rs"]
mod facts;
#[path = "wire/leaving.rs"]
mod leaving;
#[path = "wire/order.rs"]
mod order;
#[path = "wire/requests.rs"]
mod requests;
#[path = "wire/responses.rs"]
mod responses;
#[path = "wire/sites.rs"]
mod sites;
#[path = "wire/stop.rs"]
mod stop;
#[path = "wire/switch.rs"]
mod switch;
#[path = "wire/talk.rs"]
mod talk;
#[path = "wire/time.rs"]
mod time;
