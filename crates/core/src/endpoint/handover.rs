//! Listening sockets on their way from one process to the next.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::bound::Socket;
use super::inherited::{Adopted, recognize};
use super::listener::Live;
use super::unix::Unlink;
use super::{Endpoint, Leaf, Listener};

/// A listening socket, and what it listens for: what [`Reactor::sockets`](crate::Reactor::sockets)
/// gives and [`Registry::inherit`](super::Registry::inherit) takes.
#[derive(Debug)]
pub struct Handed {
    /// The innermost part of the endpoint, without options: `tcp:127.0.0.1:80`, `unix:/run/x.sock`,
    /// `systemd:web`. Layers around it, and options, may be others in the next process.
    pub name: String,
    /// The socket.
    pub socket: OwnedFd,
}

impl Endpoint {
    /// What its sockets are known by from one process to the next.
    pub(super) fn name(&self) -> String {
        match self.leaf() {
            Leaf::Tcp(tcp) => format!("tcp:{}:{}", tcp.host, tcp.port),
            Leaf::Udp(udp) => format!("udp:{}:{}", udp.host, udp.port),
            Leaf::Unix(unix) => {
                let path = std::path::absolute(&unix.path);
                format!("unix:{}", path.as_ref().unwrap_or(&unix.path).display())
            }
            _ => Self::new(self.leaf().clone()).with_registry(&self.0.registry).redacted(),
        }
    }

    /// Sockets of the process before, in the place of new ones.
    pub(super) fn adopt(&self, sockets: Vec<OwnedFd>) -> io::Result<Vec<Socket>> {
        let mut adopted = Vec::<Socket>::new();
        for socket in sockets {
            match (recognize(socket, "what was handed over")?, self.leaf()) {
                (Adopted::TcpListener(socket), Leaf::Tcp(tcp)) => {
                    let local = socket.local_addr()?;
                    let sibling = adopted.iter_mut().find_map(|other| match other {
                        Socket::Tcp(siblings, _) => {
                            (siblings[0].local_addr().ok() == Some(local)).then_some(siblings)
                        }
                        _ => None,
                    });
                    match sibling {
                        Some(siblings) => siblings.push(socket),
                        None => adopted.push(Socket::Tcp(vec![socket], Some(tcp.clone()))),
                    }
                }
                (Adopted::UnixListener(socket), Leaf::Unix(unix)) => {
                    let unlink = Unlink::new(&unix.path).ok().map(Arc::new);
                    adopted.push(Socket::Unix(socket, unlink));
                }
                (other, _) => adopted.push(Socket::adopted(other)?),
            }
        }
        Ok(adopted)
    }
}

impl Listener {
    /// Copies of its sockets.
    pub(crate) fn handed(&self) -> io::Result<Vec<Handed>> {
        let copy = |live: &Live| {
            let socket = match live {
                Live::Tcp(socket) => socket.as_fd(),
                Live::Unix(socket, _) => socket.as_fd(),
                Live::Memory(_) | Live::Single(_) | Live::Source(_) => {
                    let what = format!("{} cannot be handed over: it is no socket", self.name);
                    return Err(io::Error::new(io::ErrorKind::Unsupported, what));
                }
            };
            Ok(Handed { name: self.name.to_string(), socket: socket.try_clone_to_owned()? })
        };
        self.live.iter().map(copy).collect()
    }

    /// The paths of its sockets stay when it is dropped.
    pub(crate) fn leave_paths(&self) {
        for live in &self.live {
            if let Live::Unix(_, Some(unlink)) = live {
                unlink.leave();
            }
        }
    }
}
