//! Connecting: the way there, then the layers from the inside out.

use std::io;

use super::dialogue::hold;
use super::layers::{Leaf, Wrapper};
use super::listener::Single;
use super::tcp::Tcp;
use super::values::Host;
use super::{Inner, adopt, inherited::Adopted, stdio, unsupported};
use crate::{Address, Transport};

pub(super) async fn connect(
    endpoint: &Inner,
    relayed: Option<(&Address, &Address)>,
) -> io::Result<Transport> {
    endpoint.is_for_connecting()?;
    let mut transport = dial(endpoint).await?;
    for wrapper in endpoint.wrappers.iter().rev() {
        match wrapper {
            Wrapper::Tls(tls) => {
                transport = tls.connect(transport, endpoint.leaf.host()).await?;
            }
            Wrapper::Proxy(proxy) => {
                let own = (transport.local().clone(), transport.peer().clone());
                let (from, to) = relayed.unwrap_or((&own.0, &own.1));
                proxy.send(&mut transport, from, to).await?;
            }
            // They were travelled through by `dial`.
            Wrapper::Socks5(_) | Wrapper::HttpConnect(_) => {}
        }
    }
    Ok(transport)
}

async fn dial(endpoint: &Inner) -> io::Result<Transport> {
    match &endpoint.leaf {
        Leaf::Tcp(tcp) => {
            let route = travel(endpoint, tcp);
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            tokio::time::timeout(tcp.timeout, route).await.map_err(late)?
        }
        Leaf::Unix(unix) => Ok(Transport::unix(tokio::net::UnixStream::connect(&unix.path).await?)),
        Leaf::Fd(fd) => match adopt(*fd)? {
            Adopted::Tcp(stream) => Single::Tcp(stream).open(),
            Adopted::Unix(stream) => Single::Unix(stream).open(),
            _ => Err(unsupported("this descriptor is no connected socket")),
        },
        Leaf::Stdio => Ok(stdio()),
        Leaf::Exec(exec) => exec.start(),
        Leaf::Memory(memory) => endpoint.registry.memory.connect(&memory.name, memory.knobs).await,
        Leaf::Custom(leaf) => leaf.custom().connect().await,
        // Was refused.
        Leaf::Udp(_) | Leaf::Systemd(_) => Err(unsupported("this is not for connecting")),
    }
}

/// Connects to the first hop, asks it for the next, and so on to the target.
async fn travel(endpoint: &Inner, tcp: &Tcp) -> io::Result<Transport> {
    let hops: Vec<&Wrapper> = endpoint.hops().collect();
    let target = (&tcp.host, tcp.port);
    let mut places: Vec<(&Host, u16)> = hops.iter().filter_map(|hop| place(hop)).collect();
    places.push(target);
    let (host, port) = places[0];
    let stream = tcp.dial(host, port, &*endpoint.registry.resolver).await?;
    let mut transport = Transport::tcp(stream);
    for (hop, (host, port)) in hops.iter().zip(&places[1..]) {
        match hop {
            Wrapper::Socks5(proxy) => hold(&mut transport, &mut proxy.ask(host, *port)?).await?,
            Wrapper::HttpConnect(proxy) => {
                hold(&mut transport, &mut proxy.ask(host, *port)?).await?;
            }
            Wrapper::Tls(_) | Wrapper::Proxy(_) => {}
        }
    }
    Ok(transport)
}

/// Where a hop is.
fn place(hop: &Wrapper) -> Option<(&Host, u16)> {
    match hop {
        Wrapper::Socks5(proxy) => Some((&proxy.host, proxy.port)),
        Wrapper::HttpConnect(proxy) => Some((&proxy.host, proxy.port)),
        Wrapper::Tls(_) | Wrapper::Proxy(_) => None,
    }
}
