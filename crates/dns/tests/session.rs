//! What a responder answers: requests and answers by a table, signatures, transfers, updates, limits.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "session/hostile.rs"]
mod hostile;
#[path = "session/requests.rs"]
mod requests;
#[path = "session/signatures.rs"]
mod signatures;
#[path = "session/transfers.rs"]
mod transfers;
#[path = "session/updates.rs"]
mod updates;

use ropewalk_dns::session::{
    Access, Config, Cookies, From, Hosted, Reply, Responder, Transport, Zones,
};
use ropewalk_dns::types::{Message, Name, Question, Type};
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;

/// When all requests come, in seconds since 1970.
const NOW: u64 = 1_700_000_000;

const TEXT: &str = "$TTL 1h\n@ SOA ns hostmaster 5 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n\
    www A 192.0.2.2\nmany TXT x\nchild NS ns.child\nchild DS 1 8 2 ABCD\nns.child A 192.0.2.3\n";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn load(origin: &str, text: &str) -> Zone {
    let origin = name(origin);
    Zone::load(&mut Parser::new("zone", text.as_bytes(), origin.borrowed()), &origin).unwrap()
}

/// example.org, which 192.0.2.0/24 may have and change; its child, which nobody may; and one that has
/// not been loaded.
fn zones() -> Zones {
    let mut zones = Zones::default();
    let ours =
        || Access::nobody().network("192.0.2.0/24".parse().unwrap()).key(name("key").borrowed());
    let mut long = TEXT.to_owned();
    for n in 0..100 {
        long.push_str(&format!("long A 198.51.100.{n}\n"));
    }
    let mut hosted = Hosted::new(load("example.org", &long));
    (hosted.transfer, hosted.update, hosted.notify) = (ours(), ours(), ours());
    zones.insert(hosted);
    zones.insert(Hosted::new(load("child.example.org", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns\n")));
    let mut empty = Hosted::new(load("expired.test", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns\n"));
    empty.zone = None;
    zones.insert(empty);
    zones
}

fn responder() -> Responder {
    let mut config = Config::default();
    config.nsid = b"one".to_vec();
    config.version = Some("ours".to_owned());
    Responder::new(config).cookies(Cookies::new([7; 16]))
}

fn from(address: &str, transport: Transport) -> From {
    From { address: address.parse().unwrap(), transport }
}

/// The answer to a request over UDP from 192.0.2.9.
fn answer(responder: &mut Responder, zones: &Zones, request: &[u8]) -> Option<Message> {
    let mut buffer = vec![0; 65_535];
    match responder.respond(zones, request, from("192.0.2.9", Transport::Udp), NOW, &mut buffer) {
        Reply::Silence => None,
        Reply::Answer(len) | Reply::Notify(_, len) => Some(Message::parse(&buffer[..len]).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn query(owner: &str, rtype: Type) -> Message {
    Message::query(7, Question::new(name(owner), rtype))
}
