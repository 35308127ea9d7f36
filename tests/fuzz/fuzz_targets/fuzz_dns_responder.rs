//! Requests: whatever comes, the answer is a message of the right size, or there is none.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ropewalk_dns::Name;
use ropewalk_dns::parse::Packet;
use ropewalk_dns::session::tsig::{Algorithm, Key};
use ropewalk_dns::session::update::apply;
use ropewalk_dns::session::{
    Access, Config, Cookies, From, Hosted, Reply, Responder, Transport, Zones,
};
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;

const PLAIN: &str = "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\na A 192.0.2.1\n*.w MX 1 a\nc CNAME a\n\
    d DNAME w\ns NS a.s\na.s A 192.0.2.2\n";
const SIGNED: &str = include_str!("../../../crates/dns/tests/signed/nsec3.zone");

fn zones() -> Zones {
    let mut zones = Zones::default();
    for (origin, text) in [("x", PLAIN), ("example.org", SIGNED)] {
        let origin: Name = origin.parse().expect("it is a name");
        let mut parser = Parser::new("zone", text.as_bytes(), origin.borrowed());
        let mut hosted = Hosted::new(Zone::load(&mut parser, &origin).expect("it is a zone"));
        let all = || Access::nobody().network("0.0.0.0/0".parse().expect("it is a network"));
        (hosted.transfer, hosted.update, hosted.notify) = (all(), all(), all());
        zones.insert(hosted);
    }
    zones
}

thread_local! {
    static SERVER: RefCell<(Zones, Responder)> = RefCell::new((zones(), {
        let key = Key::new(&"k".parse().expect("it is a name"), Algorithm::HmacSha256, b"s");
        Responder::new(Config::default()).cookies(Cookies::new([0; 16])).keys(vec![key])
    }));
}

fuzz_target!(|data: &[u8]| {
    let Some((first, request)) = data.split_first() else { return };
    let transport = [Transport::Udp, Transport::Tcp, Transport::Tls][usize::from(first % 3)];
    let from = From { address: [192, 0, 2, 1].into(), transport };
    let mut buffer = vec![0; 65_535];
    SERVER.with_borrow_mut(|(zones, responder)| {
        match responder.respond(zones, request, from, 1_700_000_000, &mut buffer) {
            Reply::Silence => {}
            Reply::Answer(len) | Reply::Notify(_, len) => {
                let answer = Packet::parse(&buffer[..len]).expect("an answer is a message");
                assert!(answer.header().flags.response);
                assert!(transport != Transport::Udp || len <= 1232);
            }
            Reply::Transfer(mut transfer, mut session) => {
                while let Ok(Some(len)) = transfer.next(&mut buffer, session.as_mut(), 1_700_000_000) {
                    Packet::parse(&buffer[..len]).expect("a part of a transfer is a message");
                }
            }
            Reply::Update(pending) => {
                let zone = pending.hosted.zone.clone().expect("it is loaded");
                let packet = Packet::parse(request).expect("it was checked");
                if let Ok(updated) = apply(&zone, &packet) {
                    assert_eq!(updated.zone.records().count() as u64, updated.zone.record_count());
                }
            }
        }
    });
});
