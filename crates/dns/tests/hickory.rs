//! The codec beside hickory-proto's, on generated and on mutated messages.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "common/making.rs"]
mod making;

use fastrand::Rng;
use hickory_proto::op::Message as Theirs;
use ropewalk_dns::types::{Message, Rdata, Type};

/// Types that both know, and whose data hickory keeps as it is: it knows no others of ours, changes
/// texts (NAPTR's flags, CERT's), or writes what cannot be told apart from another form.
fn common(data: &Rdata) -> bool {
    matches!(
        data.rtype(),
        Type::A | Type::AAAA | Type::NS | Type::CNAME | Type::PTR | Type::SOA | Type::MX | Type::TXT
            | Type::SRV | Type::HINFO | Type::TLSA | Type::SSHFP | Type::NSEC | Type::DS
            | Type::DNSKEY | Type::NSEC3PARAM | Type::CSYNC | Type::OPENPGPKEY | Type::NULL
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

#[test]
fn mutated() {
    let (data, mut rng) = (data(), Rng::with_seed(4));
    let mut cat = std::collections::BTreeMap::<String, usize>::new(); let mut diff = 0;
    let (mut both, mut ours, mut theirs) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut bytes = making::message(&mut rng, &data).to_bytes().unwrap();
        making::mutate(&mut rng, &mut bytes);
        match (Message::parse(&bytes), Theirs::from_vec(&bytes)) {
            (Ok(m), Ok(_)) => { both += 1;
              let t = through_hickory(&bytes);
              if t.as_ref() != Some(&m) { diff += 1; if diff < 12 { println!("DIFF\n{m:?}\n{t:?}"); } }
            }
            (Ok(_), Err(e)) => {ours += 1; *cat.entry(format!("ours: {e:.50}")).or_insert(0) += 1; }
            (Err(e), Ok(_)) => {theirs += 1; *cat.entry(format!("theirs: {}", e.fault)).or_insert(0) += 1; }
            (Err(_), Err(_)) => {}
        }
    }
    println!("{cat:#?} diff {diff}");
    println!("both {both}, ours alone {ours}, theirs alone {theirs}");
}
