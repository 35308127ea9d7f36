//! The codec beside hickory-proto's, on generated and on mutated messages.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "common/making.rs"]
mod making;

use fastrand::Rng;
use hickory_proto::op::Message as Theirs;
use ropewalk_dns::types::{Message, Options, Rdata, Type};

/// Types that both know, and whose data hickory keeps as it is: it knows no others of ours, changes
/// texts (NAPTR's flags, CERT's), or writes what cannot be told apart from another form.
fn common(data: &Rdata) -> bool {
    matches!(
        data.rtype(),
        Type::A
            | Type::AAAA
            | Type::NS
            | Type::CNAME
            | Type::PTR
            | Type::SOA
            | Type::MX
            | Type::TXT
            | Type::SRV
            | Type::HINFO
            | Type::TLSA
            | Type::SSHFP
            | Type::NSEC
            | Type::DS
            | Type::DNSKEY
            | Type::NSEC3PARAM
            | Type::CSYNC
            | Type::OPENPGPKEY
            | Type::NULL
    )
}

/// What hickory reads and writes again, as we read it.
fn through_hickory(bytes: &[u8]) -> Option<Message> {
    let theirs = Theirs::from_vec(bytes).ok()?;
    let again = theirs.to_vec().ok()?;
    Some(Message::parse(&again).unwrap_or_else(|error| panic!("{error}: {theirs}")))
}

fn data() -> Vec<Rdata> {
    making::all_data().into_iter().filter(common).collect()
}

#[test]
fn generated() {
    let (data, mut rng) = (data(), Rng::with_seed(3));
    for _ in 0..20_000 {
        let message = making::message(&mut rng, &data);
        let theirs = through_hickory(&message.to_bytes().unwrap());
        assert_eq!(theirs.as_ref(), Some(&message));
    }
}

/// What hickory does not keep: reserved bits, sizes below 512, and options that it reads as something else.
fn comparable(mut message: Message) -> Message {
    message.header.flags.reserved = false;
    if let Some(edns) = &mut message.edns {
        edns.reserved = 0;
        edns.udp_size = edns.udp_size.max(512);
        edns.options = Options::default();
    }
    message
}

#[test]
fn mutated() {
    let (data, mut rng) = (data(), Rng::with_seed(4));
    let (mut both, mut ours, mut theirs) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut bytes = making::message(&mut rng, &data).to_bytes().unwrap();
        making::mutate(&mut rng, &mut bytes);
        match (Message::parse(&bytes), Theirs::from_vec(&bytes)) {
            (Ok(message), Ok(_)) => {
                let again = through_hickory(&bytes).map(comparable);
                assert_eq!(again, Some(comparable(message)));
                both += 1;
            }
            // Algorithms and flags that hickory does not know; data without a byte.
            (Ok(_), Err(_)) => ours += 1,
            // Mostly bytes after the last record, and types of questions.
            (Err(_), Ok(_)) => theirs += 1,
            (Err(_), Err(_)) => {}
        }
    }
    assert!(both > 20 * ours && both > 5 * theirs, "both {both}, ours {ours}, theirs {theirs}");
}
