//! The client, in memory and under paused time.
//!
//! | file | what is shown there |
//! |---|---|
//! | `client/scripts/*.txt` | against a server that says exactly what is written there, on networks good and bad |
//! | `client/pool.rs` | what is kept, for how long, and what is not used again |
//! | `client/server.rs` | against our own server: content both ways, early answers, cancelling at any step |
//! | `client/tls.rs` | `https`: whom is trusted, content cut short |
#![cfg(feature = "io")]
#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "client/pool.rs"]
mod pool;
#[path = "client/script.rs"]
mod script;
#[path = "client/server.rs"]
mod server;
#[path = "client/tls.rs"]
mod tls;

use ropewalk_core::testing::Net;
use ropewalk_http::client::{Builder, Client};

/// A client to whom every origin is what listens on its host's name.
pub(crate) fn on(net: &Net) -> Builder {
    let net = net.clone();
    Client::builder().transports(move |origin| {
        let transport = net.connect(origin.host());
        async move { transport }
    })
}
