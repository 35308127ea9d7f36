//! Zones as rows of messages.

use ropewalk_dns::parse::Packet;
use ropewalk_dns::session::tsig::{Algorithm, Key, Session, sign_request};
use ropewalk_dns::session::update::replay;
use ropewalk_dns::session::{Delta, Hosted, Reply, Transport, Zones};
use ropewalk_dns::types::{Class, Message, Name, Rcode, Record, Type};
use ropewalk_dns::zone::{Builder, Zone};

use super::{NOW, from, load, name, query, responder, zones};

/// All messages of a transfer, or the code of the refusal.
fn messages(
    zones: &Zones,
    request: &[u8],
    peer: &str,
    key: Option<(Key, Session)>,
) -> Result<Vec<Message>, Rcode> {
    let mut responder =
        responder().keys(key.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
    let mut check = key.map(|(_, session)| session);
    let mut buffer = vec![0; 65_535];
    let reply = responder.respond(zones, request, from(peer, Transport::Tcp), NOW, &mut buffer);
    let (mut transfer, mut session) = match reply {
        Reply::Transfer(transfer, session) => (transfer, session),
        Reply::Answer(len) => return Err(Message::parse(&buffer[..len]).unwrap().rcode()),
        other => panic!("{other:?}"),
    };
    let mut all = Vec::new();
    while let Some(len) = transfer.next(&mut buffer, session.as_mut(), NOW).unwrap() {
        let packet = Packet::parse(&buffer[..len]).unwrap();
        if let Some(check) = &mut check {
            assert_eq!(check.check(&packet, NOW), Ok(()));
        }
        all.push(packet.to_message().unwrap());
    }
    Ok(all)
}

fn lines(records: impl IntoIterator<Item = Record>) -> Vec<String> {
    let mut lines: Vec<_> = records.into_iter().map(|record| record.to_string()).collect();
    lines.sort();
    lines
}

fn all(zone: &Zone) -> Vec<String> {
    lines(zone.records().map(|record| record.to_record(zone.class())))
}

/// The zone that the records of a transfer make.
fn received(origin: &Name, messages: &[Message]) -> Zone {
    let records: Vec<_> = messages.iter().flat_map(|message| &message.answers).collect();
    assert_eq!(records.first().unwrap().data, records.last().unwrap().data);
    let mut builder = Builder::new(origin, Class::IN);
    for record in &records[..records.len() - 1] {
        builder.add_record(record).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn a_zone_comes_as_it_is() {
    let zones = zones();
    let origin = name("example.org");
    let zone = zones.get(origin.borrowed()).unwrap().zone.clone().unwrap();
    let request = query("example.org", Type::AXFR).to_bytes().unwrap();
    let found = messages(&zones, &request, "192.0.2.9", None).unwrap();
    assert_eq!(all(&received(&origin, &found)), all(&zone));
    assert_eq!(found[0].questions.len(), 1);
    assert!(found.iter().all(|message| message.header.flags.authoritative));
}

#[test]
fn who_may_not_is_refused() {
    let zones = zones();
    // Each: zone, type, from where, what is said.
    let table = [
        ("example.org", Type::AXFR, "198.51.100.1", Rcode::REFUSED),
        ("child.example.org", Type::AXFR, "192.0.2.9", Rcode::REFUSED),
        ("www.example.org", Type::AXFR, "192.0.2.9", Rcode::NOTAUTH),
        ("example.net", Type::AXFR, "192.0.2.9", Rcode::NOTAUTH),
        ("expired.test", Type::AXFR, "192.0.2.9", Rcode::REFUSED),
        ("example.org", Type::IXFR, "192.0.2.9", Rcode::FORMERR),
    ];
    for (zone, rtype, peer, want) in table {
        let request = query(zone, rtype).to_bytes().unwrap();
        assert_eq!(messages(&zones, &request, peer, None).unwrap_err(), want, "{zone}");
    }
}

#[test]
fn a_large_zone_in_many_signed_messages() {
    let mut text = super::TEXT.to_owned();
    for n in 0..20_000 {
        text.push_str(&format!("host{n} A 192.0.2.1\n"));
    }
    // And one set that takes a message of its own.
    for n in 0..200 {
        text.push_str(&format!("wide TXT \"{n}{}\"\n", "x".repeat(250)));
    }
    let zone = load("example.org", &text);
    let mut hosted = Hosted::new(zone.clone());
    hosted.transfer = ropewalk_dns::session::Access::nobody().key(name("key").borrowed());
    let mut zones = Zones::default();
    zones.insert(hosted);
    let key = Key::new(&name("key"), Algorithm::HmacSha256, b"a secret");
    let mut request = query("example.org", Type::AXFR).to_bytes().unwrap();
    let len = request.len();
    request.resize(512, 0);
    let (len, session) = sign_request(&key, &mut request, len, NOW).unwrap();
    let found = messages(&zones, &request[..len], "198.51.100.1", Some((key, session))).unwrap();
    assert!(found.len() > 10, "{}", found.len());
    assert_eq!(all(&received(&name("example.org"), &found)), all(&zone));
}

/// The next version of a zone, with changes as `+` and `-` lines, and the way to it.
fn next(zone: &Zone, changes: &[&str]) -> (Zone, Delta) {
    let soa = |serial| {
        format!(
            "example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. {serial} 86400 7200 2419200 300"
        )
    };
    let record = |text: &str| text.parse::<Record>().unwrap();
    let of = |sign: &str| {
        changes.iter().filter_map(|change| change.strip_prefix(sign)).map(record).collect()
    };
    let serial = zone.serial();
    let delta = Delta {
        old: record(&soa(serial)),
        new: record(&soa(serial + 1)),
        removed: of("-"),
        added: of("+"),
    };
    (replay(zone, &delta).unwrap(), delta)
}

#[test]
fn changes_alone() {
    let mut zones = zones();
    let origin = name("example.org");
    let mut hosted = (**zones.get(origin.borrowed()).unwrap()).clone();
    let first = hosted.zone.clone().unwrap();
    let (second, one) = next(&first, &["+new.example.org. 60 IN A 192.0.2.7"]);
    let (third, two) = next(
        &second,
        &["-new.example.org. 60 IN A 192.0.2.7", "+b.example.org. 60 IN A 192.0.2.8"],
    );
    hosted.journal.push(one);
    hosted.journal.push(two);
    hosted.zone = Some(third.clone());
    zones.insert(hosted);
    let ask = |serial: u32| {
        let mut message = query("example.org", Type::IXFR);
        let soa = format!("example.org. 0 IN SOA a. b. {serial} 0 0 0 0");
        message.authorities.push(soa.parse().unwrap());
        let found = messages(&zones, &message.to_bytes().unwrap(), "192.0.2.9", None).unwrap();
        found.into_iter().flat_map(|message| message.answers).collect::<Vec<_>>()
    };
    let kinds = |records: &[Record]| -> Vec<String> {
        let serial =
            |record: &Record| record.data.get::<ropewalk_dns::types::Soa>().map(|soa| soa.serial);
        records
            .iter()
            .map(|record| serial(record).map_or_else(|| record.name.to_string(), |s| s.to_string()))
            .collect()
    };
    let (a, b) = ("new.example.org.", "b.example.org.");
    assert_eq!(kinds(&ask(5)), ["7", "5", "6", a, "6", a, "7", b, "7"]);
    assert_eq!(kinds(&ask(6)), ["7", "6", a, "7", b, "7"]);
    assert_eq!(kinds(&ask(7)), ["7"]);
    assert_eq!(kinds(&ask(8)), ["7"]);
    // What is too long ago comes as a whole.
    let whole = ask(1);
    assert_eq!(whole.len() as u64, third.record_count() + 1);
    assert_eq!(lines(whole[..whole.len() - 1].iter().cloned()), all(&third));
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let zone = load("example.org", super::TEXT);
    let record = |text: &str| text.parse::<Record>().unwrap();
    let soa = zone.records().next().unwrap().to_record(Class::IN);
    let delta = Delta {
        old: soa.clone(),
        new: soa,
        removed: vec![record("nosuch.example.org. 60 IN A 192.0.2.1")],
        added: Vec::new(),
    };
    let error = replay(&zone, &delta).unwrap_err().to_string();
    assert!(
        error.contains("nosuch.example.org.: a record that is to be removed and is not there"),
        "{error}"
    );
}
