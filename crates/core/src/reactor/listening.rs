//! The handle to what listens.

use tokio::sync::watch;

use crate::Address;

/// A handle to what [`Reactor::listen`](crate::Reactor::listen) began. Dropping it changes nothing.
#[derive(Debug)]
pub struct Listening {
    pub(super) local: Vec<Address>,
    pub(super) open: watch::Sender<bool>,
}

impl Listening {
    /// Where it listens: with port 0 asked for, the port that was given.
    #[must_use]
    pub fn local(&self) -> &Address {
        self.local.first().unwrap_or(&Address::Unknown)
    }

    /// All addresses it listens on, as a host name or dual stack may have several.
    #[must_use]
    pub fn locals(&self) -> &[Address] {
        &self.local
    }

    /// Accepts nothing more. Open connections go on.
    pub fn close(&self) {
        self.open.send_replace(false);
    }
}
