use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::*;

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A port and an ordinary socket beside it, with a time limit on reading.
fn pair() -> (Port, std::net::UdpSocket) {
    (Port::bind(LOCALHOST).expect("loopback"), client(Ipv4Addr::LOCALHOST.into()))
}

fn client(ip: IpAddr) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind((ip, 0)).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("an option of sockets");
    socket
}

fn read(socket: &std::net::UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).expect("a datagram within ten seconds");
    buffer[..len].to_vec()
}

#[tokio::test]
async fn a_batch_is_received_at_once_and_longer_datagrams_are_marked() {
    let (port, client) = pair();
    let from = client.local_addr().expect("bound");
    for len in [0, 1, 8, 9, 500] {
        client.send_to(&vec![b'x'; len], port.local()).expect("loopback");
    }
    let mut batch = Batch::new(4, 8);
    assert_eq!(port.recv(&mut batch).await.expect("no error"), 4, "as many as there is room for");
    let seen: Vec<_> = batch.iter().map(|d| (d.bytes.len(), d.truncated)).collect();
    assert_eq!(seen, [(0, false), (1, false), (8, false), (8, true)]);
    assert!(batch.iter().all(|d| d.from == from && d.to == Some(LOCALHOST.ip())));
    assert_eq!(port.recv(&mut batch).await.expect("no error"), 1, "what was left");
    assert_eq!(batch.iter().map(|d| (d.bytes.len(), d.truncated)).collect::<Vec<_>>(), [(8, true)]);
}

#[tokio::test]
async fn many_answers_go_to_many_addresses() {
    let port = Port::bind(LOCALHOST).expect("loopback");
    let clients: Vec<_> = (0..100).map(|_| client(LOCALHOST.ip())).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send_to(&[number as u8], port.local()).expect("loopback");
    }
    let (mut batch, mut outbox) = (Batch::new(64, 512), Outbox::new(128, 0));
    let mut received = 0;
    while received < clients.len() {
        received += port.recv(&mut batch).await.expect("no error");
        for datagram in batch.iter() {
            outbox
                .reply_with(&datagram, |buffer| {
                    buffer.extend_from_slice(b"answer ");
                    buffer.extend_from_slice(datagram.bytes);
                })
                .expect("there is room");
        }
    }
    assert_eq!(outbox.len(), 100);
    let report = port.send(&mut outbox).await.expect("no error");
    assert_eq!((report.sent, report.failed, outbox.len()), (100, 0, 0));
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(read(client), [&b"answer "[..], &[number as u8]].concat());
    }
}

#[tokio::test]
async fn a_refused_datagram_does_not_keep_the_others() {
    let (port, client) = pair();
    let good = client.local_addr().expect("bound");
    let no_port = SocketAddr::new(good.ip(), 0);
    let other_family = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 9);
    let mut outbox = Outbox::new(16, 1 << 20);
    let too_long = vec![b'x'; 65_520];
    for (bytes, to) in [
        (&b"one"[..], good),
        (&too_long, good),
        (b"two", good),
        (b"lost", other_family),
        (b"lost", no_port),
        (b"three", good),
        (&too_long, good),
    ] {
        outbox.push(bytes, to).expect("there is room");
    }
    let report = port.send(&mut outbox).await.expect("the socket is well");
    assert_eq!((report.sent, report.failed), (3, 4));
    assert_eq!(
        report.error.and_then(|error| error.raw_os_error()),
        Some(Errno::EMSGSIZE as i32),
        "the first one"
    );
    assert_eq!([read(&client), read(&client), read(&client)], [&b"one"[..], b"two", b"three"]);
}

#[tokio::test]
async fn icmp_errors_are_survived() {
    let (port, client) = pair();
    // So that this socket is told of errors, as a connected one is.
    setsockopt(&port, sockopt::Ipv4RecvErr, &true).expect("an option of sockets");
    let nobody = "127.0.0.1:9".parse().expect("the discard port, which nobody serves");
    let mut outbox = Outbox::new(8, 0);
    for round in 0..3 {
        for _ in 0..4 {
            outbox.push(b"hello?", nobody).expect("there is room");
        }
        let report = port.send(&mut outbox).await.expect("the socket is well");
        // The kernel tells of one by refusing the next: that one is sent all the same.
        assert_eq!((report.sent, report.failed), (4, 0), "round {round}");
    }
    // Over loopback the error of the last one is there before the call returns: it waits, and this is
    // heard in spite of it.
    client.send_to(b"here", port.local()).expect("loopback");
    let mut batch = Batch::new(8, 512);
    assert_eq!(port.recv(&mut batch).await.expect("errors are survived"), 1);
    assert_eq!(batch.iter().next().map(|datagram| datagram.bytes), Some(&b"here"[..]));
}

/// A port bound to all addresses answers from the one that was asked: a connected client hears no
/// other.
async fn check_sources(all: IpAddr, asked: &[IpAddr]) {
    let port = Port::bind(SocketAddr::new(all, 0)).expect("loopback");
    let clients: HashMap<_, _> = asked
        .iter()
        .map(|&ip| {
            let client = client(if ip.is_ipv4() { LOCALHOST.ip() } else { ip });
            client.connect((ip, port.local().port())).expect("loopback");
            (ip, client)
        })
        .collect();
    let (mut batch, mut outbox) = (Batch::new(64, 512), Outbox::new(64, 0));
    for round in 0..3 {
        for client in clients.values() {
            client.send(b"who?").expect("loopback");
        }
        let mut received = 0;
        while received < clients.len() {
            received += port.recv(&mut batch).await.expect("no error");
            for datagram in batch.iter() {
                let to = datagram.to.expect("the kernel tells");
                outbox.reply(&datagram, to.to_string().as_bytes()).expect("there is room");
            }
        }
        let report = port.send(&mut outbox).await.expect("no error");
        assert_eq!((report.sent, report.failed), (clients.len(), 0), "{all} round {round}");
        for (ip, client) in &clients {
            assert_eq!(read(client), ip.to_string().as_bytes());
        }
    }
}

#[tokio::test]
async fn answers_come_from_where_the_question_went() {
    let v4 = |last| IpAddr::from([127, 0, 0, last]);
    check_sources(Ipv4Addr::UNSPECIFIED.into(), &[v4(1), v4(2), v4(3)]).await;
    if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let all = Ipv6Addr::UNSPECIFIED.into();
        check_sources(all, &[Ipv6Addr::LOCALHOST.into(), v4(1), v4(2)]).await;
    }
}

#[tokio::test]
async fn a_dropped_recv_loses_nothing() {
    let (port, client) = pair();
    let mut batch = Batch::new(8, 512);
    tokio::select! {
        biased;
        _ = port.recv(&mut batch) => panic!("nothing was sent"),
        () = std::future::ready(()) => {}
    }
    client.send_to(b"x", port.local()).expect("loopback");
    assert_eq!(port.recv(&mut batch).await.expect("no error"), 1);
}

#[tokio::test]
async fn ports_of_both_families_share_a_thread() {
    if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let mut batch = Batch::new(8, 512);
    for _ in 0..3 {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let port = Port::bind(SocketAddr::new(ip, 0)).expect("loopback");
            let client = client(ip);
            let from = client.local_addr().expect("bound");
            client.send_to(b"x", port.local()).expect("loopback");
            port.recv(&mut batch).await.expect("no error");
            let datagram = batch.iter().next().expect("one has come");
            assert_eq!((datagram.from, datagram.to), (from, Some(ip)));
        }
    }
}

#[test]
fn futures_and_buffers_may_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let (mut batch, mut outbox) = (Batch::new(1, 1), Outbox::new(1, 1));
    check(&batch);
    check(&outbox);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let port = Port::bind(LOCALHOST).expect("loopback");
    check(&port.recv(&mut batch));
    check(&port.send(&mut outbox));
}
