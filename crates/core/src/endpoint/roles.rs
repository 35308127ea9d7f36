//! What an endpoint is for: listening, connecting, or both. Known without opening anything.

use std::io;

use super::failure::{Failure, Wanted};
use super::inherited::Adopted;
use super::{Endpoint, Inner, Leaf, Wrapper, adopt, invalid, unsupported};

impl Endpoint {
    /// Whether it can be listened on at all: [`bind`](Self::bind) may still fail for what it finds
    /// then, but not because of what the endpoint is. Opens nothing.
    ///
    /// # Errors
    /// As `bind`, in one line: the endpoint, why not, and what to do.
    pub fn check_listen(&self) -> io::Result<()> {
        let failed = |error| Failure::wrap(Wanted::Listen, self.redacted(), error);
        self.0.is_for_listening().map_err(failed)
    }

    /// Whether it can be connected to at all, for those who connect later:
    /// [`connect`](Self::connect) may still fail for what it finds then, but not because of what the
    /// endpoint is. Connects to nothing, but loads what a `tls:` layer names: roots and certificates.
    ///
    /// # Errors
    /// As `connect`, in one line: the endpoint, why not, and what to do.
    pub fn check_connect(&self) -> io::Result<()> {
        let failed = |error| Failure::wrap(Wanted::Connect, self.redacted(), error);
        self.0.is_for_connecting().and_then(|()| self.0.load()).map_err(failed)
    }
}

impl Inner {
    pub(super) fn is_for_listening(&self) -> io::Result<()> {
        let misplaced = self.leaf.only_for_clients();
        let misplaced =
            misplaced.or_else(|| self.wrappers.iter().find_map(Wrapper::only_for_clients));
        if let Some(key) = misplaced {
            return Err(invalid(format!("{key}= is for connecting: leave it out")));
        }
        if self.hops().next().is_some() {
            return Err(unsupported("a proxy for clients is not for listening"));
        }
        match self.leaf {
            Leaf::Udp(_) if !self.wrappers.is_empty() => Err(invalid("nothing goes around udp:")),
            Leaf::Exec(_) => Err(unsupported("exec: is not for listening")),
            _ => Ok(()),
        }
    }

    pub(super) fn is_for_connecting(&self) -> io::Result<()> {
        let misplaced = self.leaf.only_for_servers();
        let misplaced =
            misplaced.or_else(|| self.wrappers.iter().find_map(Wrapper::only_for_servers));
        if let Some(key) = misplaced {
            return Err(invalid(format!("{key}= is for listening: leave it out")));
        }
        match &self.leaf {
            Leaf::Tcp(_) => Ok(()),
            Leaf::Udp(_) => {
                Err(unsupported("udp: has no connections: take its datagrams by a Port"))
            }
            Leaf::Systemd(_) => Err(unsupported("systemd: is not for connecting")),
            _ if self.hops().next().is_some() => {
                Err(unsupported("a proxy for clients leads to tcp: only"))
            }
            _ => Ok(()),
        }
    }

    /// Loads and looks up what connecting would, as far as it lies on this machine.
    fn load(&self) -> io::Result<()> {
        for wrapper in &self.wrappers {
            if let Wrapper::Tls(tls) = wrapper {
                tls.prepare(self.leaf.host())?;
            }
        }
        match (&self.leaf, &self.leaf_host_for_proxies()) {
            (Leaf::Fd(fd), _) => match adopt(*fd)? {
                Adopted::Tcp(_) | Adopted::Unix(_) => Ok(()),
                _ => Err(unsupported("this descriptor is no connected socket")),
            },
            (_, Some(what)) => Err(invalid(*what)),
            _ => Ok(()),
        }
    }

    /// What is wrong with the host if it is reached through a proxy.
    fn leaf_host_for_proxies(&self) -> Option<&'static str> {
        self.hops().next()?;
        self.leaf.host()?.meaningless_to_proxies()
    }

    /// The proxies on the way, in the order in which they are travelled through.
    pub(super) fn hops(&self) -> impl Iterator<Item = &Wrapper> {
        let is_hop =
            |wrapper: &&Wrapper| matches!(wrapper, Wrapper::Socks5(_) | Wrapper::HttpConnect(_));
        self.wrappers.iter().filter(is_hop)
    }
}
