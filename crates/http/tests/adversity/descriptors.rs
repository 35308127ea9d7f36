//! Descriptors: having none left, and losing none.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ropewalk_http::{BodyLength, Outgoing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::machine::{
    MIB, alone, ask, descriptors, dial, limit_descriptors, serve, soon, until, visit,
};

#[tokio::test]
async fn running_out_of_descriptors_is_survived() {
    if !alone("descriptors::running_out_of_descriptors_is_survived") {
        return;
    }
    let (reactor, address) = serve().await;
    let mut good = dial(&reactor, &address).await;
    visit(&mut good).await;

    limit_descriptors(Some(descriptors() as u64 + 40));
    // The server runs on this thread too, so it gets none of these until all are taken.
    let socket: SocketAddr = address.trim_start_matches("tcp:").parse().unwrap();
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(socket) {
        clients.push(client);
    }
    assert!(clients.len() > 10, "{}", clients.len());
    sleep(Duration::from_millis(350)).await;
    assert_eq!(reactor.connections().len(), 1, "none could be accepted");
    visit(&mut good).await;

    // Half of them go: there is room for the others, who have waited all the while.
    clients.truncate(clients.len() / 2);
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|client| {
            client.set_nonblocking(true).unwrap();
            tokio::net::TcpStream::from_std(client).unwrap()
        })
        .collect();
    for mut client in waiting {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nfine"), "{answer}");
    }
    visit(&mut dial(&reactor, &address).await).await;
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// As a process does that ends: what it has not read makes a reset of it.
    Drop,
    /// A reset whatever was read.
    Reset,
}

#[tokio::test]
async fn a_peer_that_is_killed_leaves_nothing_behind() {
    if !alone("descriptors::a_peer_that_is_killed_leaves_nothing_behind") {
        return;
    }
    let (reactor, address) = serve().await;
    visit(&mut dial(&reactor, &address).await).await;
    until("all have left", || reactor.connections().is_empty()).await;
    let before = descriptors();
    for leave in [Leave::Drop, Leave::Reset] {
        for path in ["/large", "/upload"] {
            let mut clients = Vec::new();
            for _ in 0..20 {
                let mut conn = dial(&reactor, &address).await;
                if path == "/large" {
                    ask(&mut conn, path).await;
                    // Some of it has come, and more is under way.
                    assert!(soon("a head", conn.next()).await.unwrap().is_some());
                } else {
                    let head = Request::post(path).header("host", "a");
                    let head = head.body(BodyLength::Known(32 * MIB as u64)).unwrap();
                    conn.send(head).await.unwrap();
                    conn.send(Bytes::from(vec![b'x'; MIB])).await.unwrap();
                    soon("a flush", conn.flush()).await.unwrap();
                }
                clients.push(conn);
            }
            assert_eq!(reactor.connections().len(), 20);
            for client in clients {
                match leave {
                    Leave::Drop => drop(client),
                    Leave::Reset => client.abort(),
                }
            }
            let name = format!("{path}, {leave:?}");
            until(&name, || reactor.connections().is_empty()).await;
            until(&name, || descriptors() == before).await;
        }
    }
    visit(&mut dial(&reactor, &address).await).await;
}

/// What a client does before it is gone.
const VISITS: &[&str] = &[
    "",
    "G",
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
    "nonsense\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}",
];

#[tokio::test]
async fn two_thousand_connections_leave_no_descriptor() {
    if !alone("descriptors::two_thousand_connections_leave_no_descriptor") {
        return;
    }
    let (reactor, address) = serve().await;
    let before = descriptors();
    for round in 0..20 {
        let mut clients = Vec::new();
        for number in 0..100 {
            let mut client = soon("connecting", reactor.connect(&address)).await.unwrap();
            let words = VISITS[number % VISITS.len()];
            client.write_all(words.as_bytes()).await.unwrap();
            // Every other one leaves before it was even noticed.
            if (number + round) % 2 == 0 {
                clients.push(client);
            }
        }
        tokio::task::yield_now().await;
        drop(clients);
    }
    until("all have left", || reactor.connections().is_empty()).await;
    until("all is closed", || descriptors() == before).await;
    let mut conn = dial(&reactor, &address).await;
    visit(&mut conn).await;
    // One more way to leave: in mid-upload, after the server was told that no more will come.
    let head = Request::post("/upload").header("host", "a").body(BodyLength::Unknown).unwrap();
    conn.send(head).await.unwrap();
    conn.send(Bytes::from("12345")).await.unwrap();
    conn.send(Outgoing::End).await.unwrap();
    soon("the end", conn.close()).await.unwrap();
    until("all is closed", || descriptors() == before).await;
}
