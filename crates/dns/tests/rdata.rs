//! The data of every type: text to bytes, bytes to text, and what is refused, by two tables.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

use ropewalk_dns::types::{
    Aaaa, CharString, Class, Header, Message, Mx, Name, Nsec, Nsec3, Param, Question, Rdata,
    Record, Rest, Rrsig, Soa, Svcb, Ttl, Txt, Type, TypeSet,
};

/// The lines that are cases, cut into type and rest.
fn cases(table: &str) -> impl Iterator<Item = (Type, &str)> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.map(|line| {
        let (word, rest) = line.split_once(' ').unwrap();
        (word.parse().unwrap(), rest)
    })
}

fn origin() -> Name {
    "example.".parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text to bytes, to text, to bytes, and through a message.
fn check(rtype: Type, case: &str) {
    let (case, bytes) = case.split_once(" :: ").map_or((case, None), |(c, b)| (c, Some(b)));
    let (text, want) =
        case.split_once(" => ").unwrap_or_else(|| (case.trim_end(), case.trim_end()));
    let origin = origin();
    let data = Rdata::from_text(rtype, text, Some(origin.borrowed()))
        .unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
    if !(want.starts_with("\\#") && text.starts_with("\\#")) || want != text {
        assert_eq!(data.to_string(), want, "{rtype} {text}");
    } else {
        assert!(data.to_string().starts_with("\\#"), "{rtype} {text}: {data}");
    }
    if let Some(bytes) = bytes {
        let (found, want) = (hex(data.bytes()), bytes.replace(' ', ""));
        match want.strip_suffix("...") {
            Some(beginning) => assert!(found.starts_with(beginning), "{rtype} {text}: {found}"),
            None => assert_eq!(found, want, "{rtype} {text}"),
        }
    }
    if !data.bytes().is_empty() {
        let again = Rdata::from_text(rtype, &data.to_string(), None).unwrap();
        assert_eq!(again, data, "{rtype} {text}");
    }
    let generic = format!("\\# {} {}", data.bytes().len(), hex(data.bytes()));
    assert_eq!(Rdata::from_text(rtype, &generic, None).unwrap(), data);
    through_a_message(&data);
}

fn through_a_message(data: &Rdata) {
    let owner: Name = "sub.example".parse().unwrap();
    let record = Record::new(owner.clone(), Ttl::new(5), data.clone());
    let message = Message {
        header: Header::default(),
        questions: vec![Question { name: owner, rtype: data.rtype(), class: Class::IN }],
        answers: vec![record.clone(), record],
        ..Message::default()
    };
    let bytes = message.to_bytes().unwrap();
    assert_eq!(Message::parse(&bytes).unwrap(), message);
    // What is cut anywhere is no message.
    for end in 0..bytes.len() {
        assert!(Message::parse(&bytes[..end]).is_err(), "{data:?} at {end}");
    }
}

#[test]
fn good() {
    for (rtype, case) in cases(include_str!("tables/rdata.txt")) {
        check(rtype, case);
    }
}

#[test]
fn bad() {
    let mut wrong = Vec::new();
    for (rtype, case) in cases(include_str!("tables/rdata_bad.txt")) {
        let (text, want) = case.split_once("| ").unwrap();
        let (column, words) = want.split_once(' ').unwrap();
        match Rdata::from_text(rtype, text.trim_end(), None) {
            Err(error)
                if error.to_string().contains(words) && error.column.to_string() == column => {}
            other => wrong.push(format!("{rtype} {text}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_type_with_fields_is_in_the_table() {
    let seen: Vec<Type> = cases(include_str!("tables/rdata.txt")).map(|(rtype, _)| rtype).collect();
    for number in 1..=300 {
        let rtype = Type(number);
        let known = rtype.word().is_some() && !rtype.is_meta();
        // SIG is RRSIG's twin for messages.
        assert!(!known || seen.contains(&rtype) || rtype == Type::SIG, "{rtype}");
    }
}

#[test]
fn typed_values() {
    let rdata = |text: &str| text.parse::<Rdata>().unwrap();
    let mx: Mx = rdata("MX 10 a.").get().unwrap();
    assert_eq!((mx.preference, mx.exchange.to_string()), (10, "a.".to_owned()));
    assert!(rdata("MX 10 a.").get::<Soa>().is_none());
    let soa: Soa = rdata("SOA a. b. 1 2 3 4 5").get().unwrap();
    assert_eq!((soa.serial, soa.minimum), (1, 5));
    let aaaa: Aaaa = rdata("AAAA ::1").get().unwrap();
    assert!(aaaa.address.is_loopback());
    let txt = Txt { strings: vec![CharString::new(b"a").unwrap(), CharString::new(b"b").unwrap()] };
    assert_eq!(Rdata::of(&txt).unwrap().to_string(), r#""a" "b""#);
    assert!(CharString::new(&[0; 256]).is_none());
    assert!(Rdata::of(&Txt { strings: Vec::new() }).is_err());
    let types = TypeSet::new([Type::CAA, Type::A, Type::A]);
    let nsec = Nsec { next: "b.".parse().unwrap(), types: types.clone() };
    assert_eq!(Rdata::of(&nsec).unwrap().to_string(), "b. A CAA");
    assert_eq!(Rdata::of(&nsec).unwrap().get::<Nsec>().unwrap().types, types);
    assert!(types.contains(Type::CAA) && !types.contains(Type::MX));
    let nsec3: Nsec3 = rdata("NSEC3 1 1 5 AABB 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A").get().unwrap();
    assert_eq!((nsec3.iterations, nsec3.salt.bytes().len(), nsec3.next.bytes().len()), (5, 2, 20));
    let rrsig: Rrsig = rdata("RRSIG A 8 2 300 5 4 7 a. AQID").get().unwrap();
    assert_eq!((rrsig.covered, rrsig.signature), (Type::A, Rest(vec![1, 2, 3])));
    let long = Param { key: 9, value: vec![0; 70_000] };
    let svcb = Svcb { rtype: Type::HTTPS, priority: 1, target: Name::root(), params: vec![long] };
    assert!(Rdata::of(&svcb).is_err());
    let svcb: Svcb = rdata("HTTPS 1 . port=53").get().unwrap();
    assert_eq!(svcb.params, [Param { key: 3, value: vec![0, 53] }]);
}

#[test]
fn the_key_tag_of_rfc_4034() {
    // §5.4: the DNSKEY whose DS has the tag 60485.
    let key: Rdata = "DNSKEY 256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==".parse().unwrap();
    assert_eq!(key.get::<ropewalk_dns::types::Dnskey>().unwrap().tag(), 60485);
}

#[test]
fn the_canonical_form() {
    // RFC 4034 §6.2 with RFC 6840 §5.1: NSEC's name keeps its case.
    let table = [
        ("NS Ns.Example.", "NS ns.example."),
        ("SRV 0 0 1 A.B.", "SRV 0 0 1 a.b."),
        ("RRSIG A 8 2 300 5 4 7 A. AQID", "RRSIG A 8 2 300 5 4 7 a. AQID"),
        ("NSEC A. A", "NSEC A. A"),
        ("SVCB 1 A. port=53", "SVCB 1 A. port=53"),
        ("TXT A", "TXT A"),
    ];
    for (text, want) in table {
        let (data, want): (Rdata, Rdata) = (text.parse().unwrap(), want.parse().unwrap());
        let mut bytes = Vec::new();
        data.canonical(&mut bytes);
        assert_eq!(bytes, want.bytes(), "{text}");
        assert!(data.is_same(&want));
    }
    let (a, b): (Rdata, Rdata) = ("TXT A".parse().unwrap(), "TXT a".parse().unwrap());
    assert!(!a.is_same(&b));
}
