//! `memory:`: connections within one process.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::parse::{Arguments, Error};
use super::print::Printed;
use super::values::Time;
use crate::transport::memory::Knobs;
use crate::{Address, Transport};

/// How many connections may wait to be accepted.
const BACKLOG: usize = 1024;

/// A name in memory: `memory:a`. It is known to the endpoints of one [`Registry`](super::Registry).
///
/// The options make a slow or adverse line, for tests; those of the connecting end count.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Memory {
    /// The name.
    pub name: String,
    /// `latency=`, `chunk=`, `capacity=`, `seed=`: how the line behaves.
    pub knobs: Knobs,
}

impl Memory {
    pub(super) const KEYS: &'static [&'static str] = &["latency", "chunk", "capacity", "seed"];
    pub(super) const USAGE: &'static str = "memory:NAME";

    /// With the default knobs.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), knobs: Knobs::default() }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let mut memory = Self::new(arguments.sole("a name")?.text());
        let (bytes, knobs) = ("write a number of bytes", &mut memory.knobs);
        knobs.latency = arguments.time("latency")?.unwrap_or(knobs.latency);
        knobs.chunk = arguments.value("chunk", bytes)?.unwrap_or(knobs.chunk);
        knobs.capacity = arguments.value("capacity", bytes)?.unwrap_or(knobs.capacity);
        knobs.seed = arguments.value("seed", "write a number")?.or(knobs.seed);
        for key in ["chunk", "capacity"] {
            if let Some(value) = arguments.option(key).filter(|value| value.text() == "0") {
                return Err(value.error(format!("{key}=0 lets nothing through"), bytes));
            }
        }
        Ok(memory)
    }

    pub(super) fn print(&self) -> Printed {
        let (knobs, default) = (&self.knobs, Knobs::default());
        Printed::new("memory")
            .argument(&self.name)
            .unless("latency", &Time(knobs.latency), &Time(default.latency))
            .unless("chunk", &knobs.chunk, &default.chunk)
            .unless("capacity", &knobs.capacity, &default.capacity)
            .maybe("seed", knobs.seed)
    }
}

/// Who listens, by name: one for each [`Registry`](super::Registry).
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, mpsc::Sender<Transport>>>>);

impl Names {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, mpsc::Sender<Transport>>) -> T) -> T {
        // Nothing panics while it is held, so a poisoned map is whole.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn listen(&self, name: &str) -> io::Result<Arc<Inbox>> {
        self.with(|names| {
            if names.contains_key(name) {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "this name is taken"));
            }
            let (sender, receiver) = mpsc::channel(BACKLOG);
            names.insert(name.to_owned(), sender);
            let receiver = AsyncMutex::new(receiver);
            Ok(Arc::new(Inbox { name: name.to_owned(), names: self.clone(), receiver }))
        })
    }

    /// Cancel-safe: nobody sees a connection that was not finished.
    pub(super) async fn connect(&self, name: &str, knobs: Knobs) -> io::Result<Transport> {
        let refused = || {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "nobody listens under this name in this registry: parse both endpoints with one",
            )
        };
        let sender = self.with(|names| names.get(name).cloned()).ok_or_else(refused)?;
        let (ours, theirs) = Transport::memory_with(knobs, name);
        sender.send(theirs).await.map_err(|_| refused())?;
        Ok(ours)
    }
}

/// A name that is listened on, until this is dropped.
#[derive(Debug)]
pub(super) struct Inbox {
    name: String,
    names: Names,
    receiver: AsyncMutex<mpsc::Receiver<Transport>>,
}

impl Inbox {
    /// Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Transport> {
        let received = self.receiver.lock().await.recv().await;
        received.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(super) fn local(&self) -> Address {
        Address::Memory(self.name.as_str().into())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.names.with(|names| names.remove(&self.name));
    }
}
