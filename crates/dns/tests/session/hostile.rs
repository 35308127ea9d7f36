//! Rubbish: whatever comes, the answer is a message, or there is none.

#[path = "../common/making.rs"]
mod making;

use ropewalk_dns::session::{Reply, Transport};
use ropewalk_dns::types::{Message, Opcode, Type};

use super::{NOW, from, query, responder, zones};

#[test]
fn mutated_requests() {
    let mut rng = fastrand::Rng::with_seed(8);
    let (mut responder, zones) = (responder(), zones());
    let data = making::all_data();
    let mut buffer = vec![0; 65_535];
    for round in 0..50_000 {
        let mut message = making::message(&mut rng, &data);
        message.header.flags.response = false;
        message.header.opcode = [Opcode::QUERY, Opcode::NOTIFY, Opcode::UPDATE][rng.usize(0..3)];
        if rng.bool() {
            message.questions = query("www.example.org", Type(rng.u16(1..260))).questions;
        }
        let mut bytes = message.to_bytes().unwrap();
        if rng.bool() {
            making::mutate(&mut rng, &mut bytes);
        }
        let transport = [Transport::Udp, Transport::Tcp, Transport::Tls][rng.usize(0..3)];
        match responder.respond(&zones, &bytes, from("192.0.2.9", transport), NOW, &mut buffer) {
            Reply::Answer(len) | Reply::Notify(_, len) => {
                let answer = Message::parse(&buffer[..len]).unwrap();
                assert!(answer.header.flags.response, "{round}");
                assert!(transport != Transport::Udp || len <= 1232, "{round}");
            }
            Reply::Silence | Reply::Transfer(..) | Reply::Update(_) => {}
        }
    }
}
