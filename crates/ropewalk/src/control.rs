//! The control socket: how `ropewalk reload`, `status`, `stop` and `upgrade` talk to a running command.
//!
//! A line of JSON each way. Whoever may write to the socket may do all of it, so it is made with mode
//! 0600: its owner and root.
//!
//! ```text
//!   {"do":"reload"}    {"reloaded":{"said":["web at 127.0.0.1:8080", …]}}
//!   {"do":"status"}    {"status":{"pid":…,"services":[…]}}
//!   {"do":"upgrade"}   {"upgraded":{"pid":…}}, of the process that has taken over
//!   {"do":"stop"}      "stopping", and the end of the connection when all has ended
//!                      {"failed":["ropewalk.toml:3: …", …]}
//! ```

mod client;

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::endpoint::{Bound, Endpoint, Registry, Unix};
use ropewalk_core::{
    BoxError, Connection, Factory, LineOut, Lines, Peer, Protocol, Reactor, Refusal, Wire,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::status::Status;

pub(crate) use client::{reload, status, stop, upgrade};

/// The longest line, in bytes: some ten thousand services.
const LINE: usize = 8 * 1024 * 1024;
/// The longest line that is asked.
const ASKED: usize = 4 * 1024;
/// How long somebody who has connected may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// The section `[control]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the socket is; `ropewalk.sock` in `$XDG_RUNTIME_DIR`, or in `/run`, if this is not set.
    /// A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// Where the socket is unless said otherwise.
#[must_use]
pub fn standard() -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    folder.map_or_else(|| PathBuf::from("/run"), PathBuf::from).join("ropewalk.sock")
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Request {
    /// Read the file and the certificates again.
    Reload,
    /// Tell what runs.
    Status,
    /// Hand everything over to a new process, as on SIGUSR2.
    Upgrade,
    /// End, as on SIGTERM.
    Stop,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// It was done; what is new.
    Reloaded {
        /// One line each.
        said: Vec<String>,
    },
    /// What runs.
    Status(Box<Status>),
    /// Another process has taken over.
    Upgraded {
        /// Which.
        pid: u32,
    },
    /// It ends; when it has, so does the connection.
    Stopping,
    /// It was not done, and nothing has changed; what is wrong, one line each.
    Failed(Vec<String>),
}

/// Lines of JSON: `I` comes, `O` goes.
#[derive(Debug)]
pub struct JsonLines<I, O> {
    lines: Lines,
    kinds: PhantomData<fn(O) -> I>,
}

impl<I, O> JsonLines<I, O> {
    /// With lines of at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { lines: Lines::lf().max(most), kinds: PhantomData }
    }
}

impl<I: DeserializeOwned, O: Serialize> Protocol for JsonLines<I, O> {
    type In = I;
    type Out = O;
    type Error = BoxError;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<I>, BoxError> {
        let Some(line) = self.lines.receive(wire)? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&line)?))
    }

    fn send(&mut self, item: O, wire: &mut Wire) -> Result<(), BoxError> {
        let line = Bytes::from(serde_json::to_vec(&item)?);
        Ok(self.lines.send(LineOut::from(line), wire)?)
    }

    fn input_cap(&self) -> usize {
        self.lines.input_cap()
    }
}

/// What does what is asked.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// Answers on the control socket.
pub(crate) struct Server<H>(pub(crate) H);

impl<H: Handler> Factory for Server<H> {
    type Protocol = JsonLines<Request, Answer>;

    fn build(&self, _peer: &Peer) -> Result<Self::Protocol, Refusal> {
        Ok(JsonLines::new(ASKED))
    }

    async fn serve(&self, mut connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        connection.set_idle(SILENCE);
        loop {
            let request = match connection.next().await {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(error) => {
                    let what = format!("this is no request: {error}");
                    connection.send(Answer::Failed(vec![what])).await?;
                    break;
                }
            };
            let answer = self.0.handle(request).await;
            let waits = answer == Answer::Stopping;
            connection.send(answer).await?;
            connection.flush().await?;
            if waits {
                // Until the end: whoever asked waits for it.
                connection.set_idle(Duration::MAX);
            }
        }
        Ok(connection.close().await?)
    }
}

/// Opens the control socket. Whoever connects waits until it is served.
pub(crate) fn bind(path: &Path, registry: &Registry) -> io::Result<Bound> {
    let mut unix = Unix::new(path);
    unix.mode = Some(0o600);
    Endpoint::new(unix).with_registry(registry).bind()
}

/// Answers there, in a reactor of its own: it is to answer while the other one drains.
pub(crate) async fn serve(bound: Bound, handler: impl Handler) -> io::Result<Reactor> {
    let reactor = Reactor::builder().grace(Duration::from_secs(1)).build()?;
    reactor.serve(bound, Server(handler)).await?;
    Ok(reactor)
}

#[cfg(test)]
mod tests;
