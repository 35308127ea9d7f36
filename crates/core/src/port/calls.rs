//! The system calls: `recvmmsg` and `sendmmsg`, by way of nix.
//!
//! nix keeps the headers of a call in a [`MultiHeaders`], which the kernel writes lengths into and
//! which therefore must not be used for another family or direction. It holds pointers, so it cannot
//! live in a value that moves between threads; here each thread has its own, made when first used.

use std::array;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::RawFd;
use std::thread::LocalKey;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvmmsg, sendmmsg, setsockopt, sockopt,
};

use super::MAX_BATCH;
use super::batch::{Batch, Meta};
use super::outbox::{Letter, Outbox};

/// Which IP a socket speaks. One of IPv6 speaks IPv4 too, in mapped addresses (RFC 4291 §2.5.5.2),
/// unless told not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(local: &SocketAddr) -> Self {
        if local.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Has the kernel say of each datagram which address it came to.
    pub(super) fn ask_for_destinations(self, socket: &UdpSocket) -> io::Result<()> {
        match self {
            Self::V4 => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
            Self::V6 => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    /// `address` as a socket of this family must be given it; `None` if it cannot send there.
    pub(super) fn address(self, address: SocketAddr) -> Option<SocketAddr> {
        match (self, address) {
            (Self::V4, SocketAddr::V6(v6)) => {
                Some(SocketAddr::from((v6.ip().to_ipv4_mapped()?, v6.port())))
            }
            (Self::V6, SocketAddr::V4(v4)) => {
                Some(SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())))
            }
            (_, address) => Some(address),
        }
    }
}

/// Receives what is there into `batch`, without waiting, and returns how many.
pub(super) fn receive(
    descriptor: RawFd,
    family: Family,
    batch: &mut Batch,
) -> Result<usize, Errno> {
    match family {
        Family::V4 => receive_as::<SockaddrIn>(descriptor, batch),
        Family::V6 => receive_as::<SockaddrIn6>(descriptor, batch),
    }
}

/// Sends the first letters of `outbox` that have the same source, without waiting, and returns how
/// many went. An error is that of the first one. The source is only said by a socket that is bound to
/// all addresses; any other has but one.
pub(super) fn send(
    descriptor: RawFd,
    family: Family,
    bound_to_all: bool,
    outbox: &Outbox,
) -> Result<usize, Errno> {
    match family {
        Family::V4 => send_as::<SockaddrIn>(descriptor, bound_to_all, outbox),
        Family::V6 => send_as::<SockaddrIn6>(descriptor, bound_to_all, outbox),
    }
}

/// The headers of one thread and one family; about 9 KiB each.
struct Headers<S> {
    receive: Option<MultiHeaders<S>>,
    send: Option<MultiHeaders<S>>,
    /// For letters that say their source.
    send_from: Option<MultiHeaders<S>>,
}

impl<S> Headers<S> {
    const fn none() -> Self {
        Self { receive: None, send: None, send_from: None }
    }
}

thread_local! {
    static V4: RefCell<Headers<SockaddrIn>> = const { RefCell::new(Headers::none()) };
    static V6: RefCell<Headers<SockaddrIn6>> = const { RefCell::new(Headers::none()) };
}

/// An address as the kernel has it.
trait Sockaddr: SockaddrLike + Copy + 'static {
    const FAMILY: Family;
    fn headers() -> &'static LocalKey<RefCell<Headers<Self>>>;
    /// From one that is already of this family.
    fn new(address: SocketAddr) -> Option<Self>;
    fn get(self) -> SocketAddr;
    /// How much room the control message takes that says a source or destination.
    fn control() -> Vec<u8>;
    fn source(ip: IpAddr) -> Option<Source>;
}

impl Sockaddr for SockaddrIn {
    const FAMILY: Family = Family::V4;

    fn headers() -> &'static LocalKey<RefCell<Headers<Self>>> {
        &V4
    }

    fn new(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V4(v4) => Some(v4.into()),
            SocketAddr::V6(_) => None,
        }
    }

    fn get(self) -> SocketAddr {
        SocketAddrV4::from(self).into()
    }

    fn control() -> Vec<u8> {
        cmsg_space!(in_pktinfo)
    }

    fn source(ip: IpAddr) -> Option<Source> {
        let IpAddr::V4(ip) = ip.to_canonical() else { return None };
        let nothing = in_addr { s_addr: 0 };
        let address = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
        Some(Source::V4(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: nothing }))
    }
}

impl Sockaddr for SockaddrIn6 {
    const FAMILY: Family = Family::V6;

    fn headers() -> &'static LocalKey<RefCell<Headers<Self>>> {
        &V6
    }

    fn new(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V4(_) => None,
            SocketAddr::V6(v6) => Some(v6.into()),
        }
    }

    fn get(self) -> SocketAddr {
        let v6 = SocketAddrV6::from(self);
        match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => v6.into(),
        }
    }

    fn control() -> Vec<u8> {
        cmsg_space!(in6_pktinfo)
    }

    fn source(ip: IpAddr) -> Option<Source> {
        let ip = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let address = in6_addr { s6_addr: ip.octets() };
        Some(Source::V6(in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 }))
    }
}

/// A source as the kernel wants to be told it.
enum Source {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl Source {
    fn message(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

fn receive_as<S: Sockaddr>(descriptor: RawFd, batch: &mut Batch) -> Result<usize, Errno> {
    S::headers().with_borrow_mut(|headers| {
        let place = &mut headers.receive;
        let headers =
            place.get_or_insert_with(|| MultiHeaders::preallocate(MAX_BATCH, Some(S::control())));
        let (mut rooms, datagrams) = batch.rooms();
        datagrams.clear();
        let count = rooms.len();
        let mut slices: [[IoSliceMut<'_>; 1]; MAX_BATCH] =
            array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let slices = slices[..count].iter_mut();
        for message in recvmmsg(descriptor, headers, slices, MsgFlags::MSG_DONTWAIT, None)? {
            datagrams.push(meta(&message).ok_or(Errno::EAFNOSUPPORT)?);
        }
        // The kernel leaves in each header how much room the control message has taken, and that is all
        // the room it will have the next time. Should there have been none, new headers are due.
        if datagrams.iter().any(|datagram| datagram.to.is_none()) {
            *place = None;
        }
        Ok(datagrams.len())
    })
}

fn meta<S: Sockaddr>(message: &RecvMsg<'_, '_, S>) -> Option<Meta> {
    // The control messages are not to be read when they were cut.
    let mut control = message.cmsgs().ok().into_iter().flatten();
    Some(Meta {
        len: message.bytes,
        from: message.address?.get(),
        to: control.find_map(destination),
        truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
    })
}

fn destination(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical())
        }
        _ => None,
    }
}

fn send_as<S: Sockaddr>(
    descriptor: RawFd,
    bound_to_all: bool,
    outbox: &Outbox,
) -> Result<usize, Errno> {
    let mut addresses = [None; MAX_BATCH];
    let mut slices = [[IoSlice::new(&[])]; MAX_BATCH];
    let mut from = None;
    let mut count = 0;
    for Letter { bytes, to, from: source } in outbox.letters().take(MAX_BATCH) {
        let Some(address) = S::FAMILY.address(to).and_then(S::new) else { break };
        if count == 0 {
            from = source;
        } else if from != source {
            break;
        }
        addresses[count] = Some(address);
        slices[count] = [IoSlice::new(bytes)];
        count += 1;
    }
    if count == 0 {
        // The first one is of the wrong family.
        return Err(Errno::EAFNOSUPPORT);
    }
    let source = from.filter(|ip| bound_to_all && can_be_source(ip)).and_then(S::source);
    S::headers().with_borrow_mut(|headers| {
        let place = match source {
            Some(_) => &mut headers.send_from,
            None => &mut headers.send,
        };
        let headers = place.get_or_insert_with(|| {
            MultiHeaders::preallocate(MAX_BATCH, source.is_some().then(S::control))
        });
        let control = source.as_ref().map(Source::message);
        let (slices, addresses) = (&slices[..count], &addresses[..count]);
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmmsg(descriptor, headers, slices, addresses, control.as_slice(), flags)?.count())
    })
}

/// Whether an answer may come from `ip`: not if the question went to a group or to everybody.
fn can_be_source(ip: &IpAddr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified()
}
