//! Dynamic updates (RFC 2136): a row for each rule.

use ropewalk_dns::parse::Packet;
use ropewalk_dns::session::update::{apply, is_later, replay};
use ropewalk_dns::session::{Reply, Transport};
use ropewalk_dns::types::{Class, Message, Opcode, Rcode, Rdata, Record, Ttl, Type};
use ropewalk_dns::zone::Zone;

use super::{NOW, from, load, name, query, responder, zones};

const TEXT: &str = "$TTL 60\n@ SOA a b 5 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\nwww A 192.0.2.2\n\
    alias CNAME www\ntext TXT \"x\"\n";

/// A record of an update: `any NAME TYPE`, `none NAME TYPE [DATA]`, or a record.
fn part(text: &str) -> Record {
    let (word, rest) = text.split_once(' ').unwrap();
    let class = match word {
        "any" => Class::ANY,
        "none" => Class::NONE,
        _ => return text.parse().unwrap(),
    };
    let words: Vec<_> = rest.splitn(3, ' ').collect();
    let rtype: Type = words[1].parse().unwrap();
    let data = match words.get(2) {
        Some(data) => Rdata::from_text(rtype, data, Some(ropewalk_dns::NameRef::ROOT)).unwrap(),
        None => Rdata::empty(rtype),
    };
    Record { name: name(words[0]), class, ttl: Ttl::new(0), data }
}

fn update(prerequisites: &[&str], changes: &[&str]) -> Message {
    let mut message = query("example.org", Type::SOA);
    message.header.opcode = Opcode::UPDATE;
    message.answers = prerequisites.iter().map(|text| part(text)).collect();
    message.authorities = changes.iter().map(|text| part(text)).collect();
    message
}

fn zone() -> Zone {
    load("example.org", TEXT)
}

fn run(message: &Message) -> Result<ropewalk_dns::session::update::Updated, Rcode> {
    let bytes = message.to_bytes().unwrap();
    apply(&zone(), &Packet::parse(&bytes).unwrap())
}

#[test]
fn prerequisites() {
    let table: &[(&[&str], Rcode)] = &[
        (&["any www.example.org ANY"], Rcode::NOERROR),
        (&["any nosuch.example.org ANY"], Rcode::NXDOMAIN),
        (&["any www.example.org A"], Rcode::NOERROR),
        (&["any www.example.org TXT"], Rcode::NXRRSET),
        (&["none nosuch.example.org ANY"], Rcode::NOERROR),
        (&["none www.example.org ANY"], Rcode::YXDOMAIN),
        (&["none www.example.org TXT"], Rcode::NOERROR),
        (&["none www.example.org A"], Rcode::YXRRSET),
        (&["www.example.org 0 A 192.0.2.1", "www.example.org 0 A 192.0.2.2"], Rcode::NOERROR),
        (&["www.example.org 0 A 192.0.2.1"], Rcode::NXRRSET),
        (&["www.example.org 0 A 192.0.2.1", "www.example.org 0 A 192.0.2.3"], Rcode::NXRRSET),
        (&["nosuch.example.org 0 A 192.0.2.1"], Rcode::NXRRSET),
        (&["www.example.org 1 A 192.0.2.1"], Rcode::FORMERR),
        (&["www.example.net 0 A 192.0.2.1"], Rcode::NOTZONE),
        (&["none www.example.org A 192.0.2.1"], Rcode::FORMERR),
        (&["www.example.org 0 CH TXT x"], Rcode::FORMERR),
    ];
    for (prerequisites, want) in table {
        let found = run(&update(prerequisites, &[])).map_or_else(|rcode| rcode, |_| Rcode::NOERROR);
        assert_eq!(found, *want, "{prerequisites:?}");
    }
}

#[test]
fn changes() {
    // Each: the changes, and what is gone and come; SOA apart.
    let table: &[(&[&str], &[&str])] = &[
        (&["new.example.org 60 A 192.0.2.9"], &["+new.example.org. 60 A 192.0.2.9"]),
        (&["www.example.org 60 A 192.0.2.1"], &[]),
        (
            &["www.example.org 90 A 192.0.2.1"],
            &[
                "-www.example.org. 60 A 192.0.2.1",
                "-www.example.org. 60 A 192.0.2.2",
                "+www.example.org. 90 A 192.0.2.1",
                "+www.example.org. 90 A 192.0.2.2",
            ],
        ),
        (&["none www.example.org A 192.0.2.1"], &["-www.example.org. 60 A 192.0.2.1"]),
        (&["none www.example.org A 192.0.2.7"], &[]),
        (
            &["any www.example.org A"],
            &["-www.example.org. 60 A 192.0.2.1", "-www.example.org. 60 A 192.0.2.2"],
        ),
        (&["any text.example.org ANY"], &["-text.example.org. 60 TXT \"x\""]),
        (&["any nosuch.example.org ANY"], &[]),
        // The top keeps SOA and NS, and its last NS.
        (&["any example.org ANY"], &[]),
        (&["any example.org NS"], &[]),
        (&["any example.org SOA"], &[]),
        (&["none example.org NS ns.example.org."], &[]),
        (
            &["example.org 60 NS b.", "none example.org NS ns.example.org."],
            &["-example.org. 60 NS ns.example.org.", "+example.org. 60 NS b."],
        ),
        // An alias and other data do not go together: the newcomer is ignored.
        (&["alias.example.org 60 A 192.0.2.1"], &[]),
        (&["www.example.org 60 CNAME x."], &[]),
        (
            &["alias.example.org 60 CNAME x."],
            &["-alias.example.org. 60 CNAME www.example.org.", "+alias.example.org. 60 CNAME x."],
        ),
        (
            &["any www.example.org ANY", "www.example.org 60 CNAME x."],
            &[
                "-www.example.org. 60 A 192.0.2.1",
                "-www.example.org. 60 A 192.0.2.2",
                "+www.example.org. 60 CNAME x.",
            ],
        ),
        // There and gone again.
        (&["x.example.org 60 A 192.0.2.1", "any x.example.org A"], &[]),
        // An older SOA is ignored, and so is one beneath the top.
        (&["example.org 60 SOA a. b. 4 2 3 4 5"], &[]),
        (&["www.example.org 60 SOA a. b. 9 2 3 4 5"], &[]),
    ];
    for (changes, want) in table {
        let updated = run(&update(&[], changes)).unwrap();
        let lines = |sign: &str, records: &[Record]| -> Vec<String> {
            let line = |record: &Record| {
                format!("{sign}{} {} {} {}", record.name, record.ttl, record.rtype(), record.data)
            };
            records.iter().map(line).collect()
        };
        match &updated.delta {
            Some(delta) => {
                let found = [lines("-", &delta.removed), lines("+", &delta.added)].concat();
                assert_eq!(found, *want, "{changes:?}");
                assert_eq!(updated.zone.serial(), 6);
                // The way is the way.
                let again = replay(&zone(), delta).unwrap();
                assert_eq!(again.record_count(), updated.zone.record_count());
                assert_eq!(again.serial(), 6);
            }
            None => {
                assert!(want.is_empty(), "{changes:?}");
                assert_eq!(updated.zone.serial(), 5);
            }
        }
    }
}

#[test]
fn changes_that_are_refused_as_a_whole() {
    let good = "new.example.org 60 A 192.0.2.9";
    let table: &[(&[&str], Rcode)] = &[
        (&[good, "www.example.net 60 A 192.0.2.1"], Rcode::NOTZONE),
        (&[good, "any www.example.org AXFR"], Rcode::FORMERR),
        (&[good, "*.example.org 60 NS x."], Rcode::REFUSED),
        (&[good, "www.example.org 60 CH TXT x"], Rcode::FORMERR),
    ];
    for (changes, want) in table {
        assert_eq!(run(&update(&[], changes)).map(drop), Err(*want), "{changes:?}");
    }
    let signed = load("example.org", include_str!("../signed/nsec.zone"));
    let bytes = update(&[], &[good]).to_bytes().unwrap();
    assert_eq!(apply(&signed, &Packet::parse(&bytes).unwrap()).map(drop), Err(Rcode::REFUSED));
}

#[test]
fn a_new_soa_sets_the_serial() {
    let updated = run(&update(&[], &["example.org 60 SOA a. b. 100 2 3 4 5"])).unwrap();
    assert_eq!(updated.zone.serial(), 100);
    assert_eq!(updated.delta.unwrap().added, []);
}

#[test]
fn serials_go_round() {
    let table =
        [(1, 0, true), (0, 1, false), (5, 5, false), (0, u32::MAX, true), (1 << 31, 0, false)];
    for (left, right, later) in table {
        assert_eq!(is_later(left, right), later, "{left} {right}");
    }
}

#[test]
fn from_the_wire_to_the_answer() {
    let (mut responder, zones) = (responder(), zones());
    let request = update(&[], &["new.example.org 60 A 192.0.2.9"]).to_bytes().unwrap();
    let mut buffer = [0; 1232];
    let mut ask = |request: &[u8], peer: &str| {
        let peer = from(peer, Transport::Udp);
        match responder.respond(&zones, request, peer, NOW, &mut buffer) {
            Reply::Update(pending) => {
                let zone = pending.hosted.zone.clone().unwrap();
                let rcode = apply(&zone, &Packet::parse(request).unwrap())
                    .map_or_else(|rcode| rcode, |_| Rcode::NOERROR);
                let len = pending.answer(rcode, &mut buffer).unwrap();
                Message::parse(&buffer[..len]).unwrap()
            }
            Reply::Answer(len) => Message::parse(&buffer[..len]).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let found = ask(&request, "192.0.2.9");
    assert_eq!((found.rcode(), found.header.opcode), (Rcode::NOERROR, Opcode::UPDATE));
    assert_eq!(ask(&request, "198.51.100.1").rcode(), Rcode::REFUSED);
    let mut other = update(&[], &[]);
    other.questions[0].name = name("www.example.org");
    assert_eq!(ask(&other.to_bytes().unwrap(), "192.0.2.9").rcode(), Rcode::NOTAUTH);
    other.questions[0].rtype = Type::A;
    assert_eq!(ask(&other.to_bytes().unwrap(), "192.0.2.9").rcode(), Rcode::FORMERR);
}
