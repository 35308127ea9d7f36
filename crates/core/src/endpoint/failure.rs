//! Errors of endpoints, in one line that says what and what to do.

use std::fmt;
use std::io;

use super::race::AllFailed;

/// What was wanted of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Listen,
    Connect,
}

/// Why an endpoint could not be listened on or connected to. It is inside the [`io::Error`] that
/// `bind`, `listen` and `connect` give, whose kind is that of the cause.
#[derive(Debug)]
pub struct Failure {
    wanted: Wanted,
    endpoint: String,
    cause: io::Error,
}

impl Failure {
    pub(super) fn wrap(wanted: Wanted, endpoint: String, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), Self { wanted, endpoint, cause })
    }

    /// Whether it was to be connected to, rather than listened on.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.wanted == Wanted::Connect
    }

    /// What the system, or a layer of the endpoint, said.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }

    /// What to do, where the cause does not say it itself.
    fn help(&self) -> Option<&'static str> {
        // Only the system's own words want an explanation.
        let raced = self.cause.get_ref().and_then(|inner| inner.downcast_ref::<AllFailed>());
        if self.cause.raw_os_error().is_none() && raced.is_none() {
            return None;
        }
        let is_unix = self.endpoint.starts_with("unix:") || self.endpoint.contains(":unix:");
        match (self.wanted, self.cause.kind()) {
            (Wanted::Listen, io::ErrorKind::AddrInUse) => {
                Some("another program has it; `ss -ltnup` shows which")
            }
            (Wanted::Listen, io::ErrorKind::AddrNotAvailable) => {
                Some("this machine has no such address; `ip addr` shows which it has")
            }
            (_, io::ErrorKind::PermissionDenied) if is_unix => {
                Some("this user may not use that path")
            }
            (Wanted::Listen, io::ErrorKind::PermissionDenied) => {
                Some("ports below 1024 are for root or CAP_NET_BIND_SERVICE; try one above")
            }
            (_, io::ErrorKind::NotFound) => Some("there is no such file, folder or program"),
            (Wanted::Connect, io::ErrorKind::ConnectionRefused) => Some("nobody listens there"),
            _ => None,
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.wanted {
            Wanted::Listen => "listen on",
            Wanted::Connect => "connect to",
        };
        write!(f, "cannot {verb} {}: {}", self.endpoint, self.cause)?;
        self.help().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}
