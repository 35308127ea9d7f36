//! Messages: the law that what was emitted is parsed as it was, a table of what is none, compression,
//! and limits.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "common/making.rs"]
mod making;

use fastrand::Rng;
use ropewalk_dns::emit::{Owner, Writer};
use ropewalk_dns::parse::{Packet, Section};
use ropewalk_dns::types::{Class, Edns, Header, Message, Name, Question, Rcode, Record, Type};

#[test]
fn what_was_emitted_is_parsed_as_it_was() {
    let data = making::all_data();
    let mut rng = Rng::with_seed(1);
    for _ in 0..20_000 {
        let message = making::message(&mut rng, &data);
        let bytes = message.to_bytes().unwrap();
        assert_eq!(Message::parse(&bytes).unwrap(), message);
    }
}

#[test]
fn what_is_accepted_can_be_emitted_again() {
    let data = making::all_data();
    let mut rng = Rng::with_seed(2);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut bytes = making::message(&mut rng, &data).to_bytes().unwrap();
        making::mutate(&mut rng, &mut bytes);
        let Ok(message) = Message::parse(&bytes) else { continue };
        accepted += 1;
        assert_eq!(Message::parse(&message.to_bytes().unwrap()).unwrap(), message);
    }
    assert!(accepted > 5000, "{accepted}");
}

/// The bytes of a case: hexadecimal with blanks, `3f*63` for a label of 63 letters, `h` for a header.
fn bytes_of(case: &str) -> Vec<u8> {
    let mut words = case.split_whitespace();
    assert_eq!(words.next(), Some("h"));
    let mut bytes = vec![0, 7, 0, 0];
    for _ in 0..4 {
        bytes.extend(words.next().unwrap().parse::<u16>().unwrap().to_be_bytes());
    }
    for word in words {
        if word == "3f*63" {
            bytes.push(63);
            bytes.extend([b'x'; 63]);
            continue;
        }
        let digits = word.as_bytes().chunks(2);
        bytes.extend(
            digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()),
        );
    }
    bytes
}

#[test]
fn messages_that_are_none() {
    let table = include_str!("tables/messages_bad.txt");
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let (case, want) = line.split_once(" | ").unwrap();
        match Packet::parse(&bytes_of(case)) {
            Err(error) if error.to_string().contains(want) => {}
            other => wrong.push(format!("{case}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(Packet::parse(&[0; 11]).is_err());
}

#[test]
fn a_long_chain_of_pointers_is_read_in_one_pass() {
    // Each name is a label and a pointer to the one before: as long as a name may be, and then too long.
    let mut bytes = vec![0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([1, b'a', 0, 0, 1, 0, 1]);
    let mut last = 12u16;
    for count in 2..200u16 {
        let at = bytes.len() as u16;
        bytes.extend([1, b'a']);
        bytes.extend((0xc000 | last).to_be_bytes());
        bytes.extend([0, 1, 0, 1]);
        bytes[4..6].copy_from_slice(&count.to_be_bytes());
        last = at;
        assert_eq!(Packet::parse(&bytes).is_ok(), count <= 127, "{count}");
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn names_are_compressed_in_the_data_of_old_types_alone() {
    let soa: Record =
        "example.org. 1 IN SOA ns.example.org. mail.EXAMPLE.org. 1 2 3 4 5".parse().unwrap();
    let srv: Record = "example.org. 1 IN SRV 0 0 1 ns.example.org.".parse().unwrap();
    let write = |record: &Record, keep: bool| {
        let mut buffer = [0; 512];
        let mut writer = Writer::new(&mut buffer).unwrap();
        writer.keep_case(keep);
        writer.question(record.name.borrowed(), Type::SOA, Class::IN).unwrap();
        let owner = Owner::Name(record.name.borrowed());
        let (rtype, ttl, data) = (record.rtype(), record.ttl.seconds(), record.data.bytes());
        writer.record(Section::Answer, owner, rtype, record.class, ttl, data).unwrap();
        let len = writer.finish();
        buffer[..len].to_vec()
    };
    let question = 12 + 13 + 4;
    assert_eq!(write(&soa, false).len(), question + 12 + (2 + 1 + 2) + (4 + 1 + 2) + 20);
    // Another case is another name for who keeps it: only `org.` is shared.
    assert_eq!(write(&soa, true).len(), question + 12 + (2 + 1 + 2) + (4 + 1 + 8 + 2) + 20);
    assert_eq!(write(&srv, false).len(), question + 12 + 6 + 16);
    for keep in [false, true] {
        let packet = write(&soa, keep);
        let message = Message::parse(&packet).unwrap();
        assert!(message.answers[0].data.is_same(&soa.data));
    }
}

#[test]
fn what_does_not_fit_is_left_out() {
    let owner = name("www.example.org");
    let data = [192, 0, 2, 1];
    for size in 0..120 {
        let mut buffer = vec![0; size];
        let Ok(mut writer) = Writer::new(&mut buffer) else {
            assert!(size < 12);
            continue;
        };
        let mut written = 0;
        let asked = writer.question(owner.borrowed(), Type::A, Class::IN).is_ok();
        assert_eq!(asked, size >= 12 + 21);
        if !asked {
            continue;
        }
        loop {
            let mark = writer.mark();
            let record = Owner::Name(owner.borrowed());
            if writer.record(Section::Answer, record, Type::A, Class::IN, 5, &data).is_err() {
                assert_eq!(writer.len(), 12 + 21 + 16 * written);
                writer.rewind(mark);
                break;
            }
            written += 1;
        }
        let len = writer.finish();
        assert_eq!(
            Packet::parse(&buffer[..len]).unwrap().records(Section::Answer).count(),
            written
        );
    }
}

#[test]
fn taking_back_forgets_names() {
    let mut buffer = [0; 512];
    let mut writer = Writer::new(&mut buffer).unwrap();
    writer.question(name("org").borrowed(), Type::A, Class::IN).unwrap();
    let mark = writer.mark();
    let long = name("a.very.long.name.org");
    let add = |writer: &mut Writer<'_>| {
        let owner = Owner::Name(long.borrowed());
        writer.record(Section::Answer, owner, Type::TXT, Class::IN, 5, b"\0").unwrap();
    };
    add(&mut writer);
    let len = writer.len();
    writer.rewind(mark);
    writer.question(name("other").borrowed(), Type::A, Class::IN).unwrap();
    add(&mut writer);
    assert_eq!(writer.len(), len + 7 + 4);
    assert_eq!(writer.count(Section::Answer), 1);
    let len = writer.finish();
    assert_eq!(Message::parse(&buffer[..len]).unwrap().answers[0].name, long);
}

#[test]
fn codes_above_15_want_edns() {
    let mut message = Message::query(1, Question::new(name("a"), Type::A));
    message.header.rcode = Rcode::BADCOOKIE;
    assert!(message.to_bytes().is_err());
    message.edns = Some(Edns::default());
    let bytes = message.to_bytes().unwrap();
    assert_eq!(Packet::parse(&bytes).unwrap().rcode(), Rcode::BADCOOKIE);
    assert_eq!(Packet::header_of(&bytes).unwrap().rcode, Rcode(7));
    assert_eq!(Packet::header_of(&bytes[..11]), None);
}

#[test]
fn every_header_there_and_back() {
    for bits in 0..=u16::MAX {
        let [high, low] = bits.to_be_bytes();
        assert_eq!(Header::from_bytes([1, 2, high, low]).to_bytes(), [1, 2, high, low]);
    }
}

#[test]
fn many_records_fill_a_message_to_its_end() {
    let records =
        (0..5000).map(|n| format!("n{n}.example.org. 5 IN A 192.0.2.1").parse::<Record>());
    let mut message =
        Message { answers: records.map(Result::unwrap).collect(), ..Message::default() };
    assert!(message.to_bytes().is_err());
    message.answers.truncate(2000);
    let bytes = message.to_bytes().unwrap();
    // Beyond 16 KiB no name can be pointed to, but the ends of the first can.
    assert!(bytes.len() < 2000 * 24, "{}", bytes.len());
    assert_eq!(Message::parse(&bytes).unwrap(), message);
}
