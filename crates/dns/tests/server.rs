//! The server over streams in memory, and over one datagram socket.

#![cfg(feature = "io")]
#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::testing::Net;
use ropewalk_core::{Connection, Port};
use ropewalk_dns::Server;
use ropewalk_dns::server::Watch;
use ropewalk_dns::session::{Access, Config, Delta, Hosted, Responder, Stream, Zones};
use ropewalk_dns::types::{Message, Name, Opcode, Question, Rcode, Soa, Type};
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;

fn zone(serial: u32) -> Zone {
    let text = format!("$TTL 60\n@ SOA a b {serial} 2 3 4 5\n@ NS a\nwww A 192.0.2.{serial}\n");
    let origin: Name = "example.org".parse().unwrap();
    Zone::load(&mut Parser::new("zone", text.as_bytes(), origin.borrowed()), &origin).unwrap()
}

fn hosted(zone: Zone) -> Hosted {
    let mut hosted = Hosted::new(zone);
    let all = Access::nobody().network("0.0.0.0/0".parse().unwrap());
    (hosted.transfer, hosted.update) = (all.clone(), all);
    hosted
}

/// Remembers the serials of changes.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u32>>>);

impl Watch for Seen {
    fn changed(&self, _zones: &Zones, delta: &Delta) {
        self.0.lock().unwrap().push(delta.new.data.get::<Soa>().unwrap().serial);
    }
}

fn server(seen: Seen) -> Server {
    let mut zones = Zones::default();
    zones.insert(hosted(zone(1)));
    Server::watched(zones, Responder::new(Config::default()), seen)
}

fn query(id: u16, owner: &str, rtype: Type) -> Bytes {
    let message = Message::query(id, Question::new(owner.parse().unwrap(), rtype));
    message.to_bytes().unwrap().into()
}

async fn next(connection: &mut Connection<Stream>) -> Message {
    Message::parse(&connection.next().await.unwrap().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_while_others_come() {
    let net = Net::new();
    net.listen("dns", server(Seen::default()));
    let mut connection = net.dial("dns", Stream::default()).unwrap();
    for id in 0..100 {
        connection.send(query(id, "www.example.org", Type::A)).await.unwrap();
    }
    for id in 0..100 {
        let answer = next(&mut connection).await;
        assert_eq!((answer.header.id, answer.answers.len()), (id, 1));
    }
    connection.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_idle_is_left() {
    let net = Net::new();
    net.listen("dns", server(Seen::default()));
    let mut connection = net.dial("dns", Stream::new(Duration::from_secs(3600))).unwrap();
    connection.send(query(1, "www.example.org", Type::A)).await.unwrap();
    next(&mut connection).await;
    let began = tokio::time::Instant::now();
    assert!(connection.next().await.unwrap().is_none());
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_zone_is_transferred_as_it_was_when_it_was_asked_for() {
    let net = Net::new();
    let server = server(Seen::default());
    net.listen("dns", server.clone());
    let mut connection = net.dial("dns", Stream::default()).unwrap();
    connection.send(query(1, "example.org", Type::AXFR)).await.unwrap();
    let answer = next(&mut connection).await;
    assert_eq!(answer.answers.len(), 4);
    server.change(|zones| zones.insert(hosted(zone(2))));
    assert_eq!(server.zones().iter().next().unwrap().zone.as_ref().unwrap().serial(), 2);
    connection.send(query(2, "www.example.org", Type::A)).await.unwrap();
    assert_eq!(next(&mut connection).await.answers[0].data.to_string(), "192.0.2.2");
}

fn update(id: u16, change: &str) -> Bytes {
    let mut message = Message::query(id, Question::new("example.org".parse().unwrap(), Type::SOA));
    message.header.opcode = Opcode::UPDATE;
    message.authorities.push(change.parse().unwrap());
    message.to_bytes().unwrap().into()
}

#[tokio::test]
async fn datagrams_are_answered_and_zones_changed() {
    let seen = Seen::default();
    let server = server(seen.clone());
    let port = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.local();
    let serving = tokio::spawn(async move { server.datagrams(&port).await });
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    let ask = async |request: Bytes| {
        socket.send(&request).await.unwrap();
        let mut buffer = [0; 2048];
        let len = socket.recv(&mut buffer).await.unwrap();
        Message::parse(&buffer[..len]).unwrap()
    };
    let answer = ask(query(1, "www.example.org", Type::A)).await;
    assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
    assert_eq!(ask(query(2, "new.example.org", Type::A)).await.rcode(), Rcode::NXDOMAIN);
    assert_eq!(ask(update(3, "new.example.org 60 A 192.0.2.9")).await.rcode(), Rcode::NOERROR);
    assert_eq!(ask(query(4, "new.example.org", Type::A)).await.rcode(), Rcode::NOERROR);
    assert_eq!(ask(update(5, "new.example.net 60 A 192.0.2.9")).await.rcode(), Rcode::NOTZONE);
    assert_eq!(*seen.0.lock().unwrap(), [2]);
    serving.abort();
}
