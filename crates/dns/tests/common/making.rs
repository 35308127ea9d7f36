//! Messages by a seed: records of every type of the table, names that share their ends.

use fastrand::Rng;
use ropewalk_dns::types::{
    Class, Cookie, Edns, EdnsOption, Flags, Header, Message, Name, Opcode, OptionCode, Question,
    Rcode, Rdata, Record, Ttl, Type,
};

/// All data of the table of good data.
pub(crate) fn all_data() -> Vec<Rdata> {
    let origin: Name = "example.".parse().unwrap();
    let table = include_str!("../tables/rdata.txt");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    let data = lines.map(|line| {
        let (rtype, rest) = line.split_once(' ').unwrap();
        let text = rest.split(" => ").next().unwrap().split(" :: ").next().unwrap().trim_end();
        let rtype: Type = rtype.parse().unwrap();
        Rdata::from_text(rtype, text, Some(origin.borrowed())).unwrap()
    });
    data.collect()
}

/// A name of few labels, so that many have an end in common.
pub(crate) fn name(rng: &mut Rng) -> Name {
    let labels = ["a", "B", "www", "example", "Example", "org", "xn--nxasmq6b", "_tcp", "*"];
    let count = rng.usize(0..5);
    let parts: Vec<_> = (0..count).map(|_| labels[rng.usize(0..labels.len())]).collect();
    format!("{}.", parts.join(".")).parse().unwrap()
}

/// A message that keeps the rules.
pub(crate) fn message(rng: &mut Rng, data: &[Rdata]) -> Message {
    let records = |rng: &mut Rng| -> Vec<Record> {
        let one = |rng: &mut Rng| Record {
            name: name(rng),
            class: Class::IN,
            ttl: Ttl::new(rng.u32(0..=Ttl::MAX.seconds())),
            data: data[rng.usize(0..data.len())].clone(),
        };
        (0..rng.usize(0..4)).map(|_| one(rng)).collect()
    };
    let (answers, authorities, additionals) = (records(rng), records(rng), records(rng));
    let edns = rng.bool().then(|| {
        let mut edns = Edns { udp_size: rng.u16(512..), dnssec_ok: rng.bool(), ..Edns::default() };
        if rng.bool() {
            let cookie = Cookie { client: [7; 8], server: &[1; 16] };
            edns.options.push(&EdnsOption::Cookie(cookie)).unwrap();
            edns.options.push(&EdnsOption::Other(OptionCode(65001), b"x")).unwrap();
        }
        edns
    });
    let flags = Flags {
        response: rng.bool(),
        authoritative: rng.bool(),
        truncated: rng.bool(),
        recursion_desired: rng.bool(),
        recursion_available: rng.bool(),
        reserved: false,
        authentic: rng.bool(),
        checking_disabled: rng.bool(),
    };
    let rcode = Rcode(if edns.is_some() { [0, 3, 16, 23][rng.usize(0..4)] } else { rng.u16(0..6) });
    let questions = (0..rng.usize(0..2)).map(|_| Question::new(name(rng), Type(rng.u16(1..260))));
    let questions = questions.collect();
    Message {
        header: Header { id: rng.u16(..), opcode: Opcode::QUERY, flags, rcode },
        questions,
        answers,
        authorities,
        additionals,
        edns,
    }
}

/// Changes a few bytes, or cuts, or doubles a stretch.
pub(crate) fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(0..bytes.len());
        match rng.usize(0..6) {
            0 => bytes[at] = rng.u8(..),
            1 => bytes[at] ^= 1 << rng.usize(0..8),
            2 => bytes[at] = [0, 0x3f, 0x40, 0xc0, 0xff, 1][rng.usize(0..6)],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, rng.u8(..)),
            _ => {
                let end = (at + rng.usize(0..16)).min(bytes.len());
                let stretch = bytes[at..end].to_vec();
                bytes.splice(at..at, stretch);
            }
        }
    }
}
