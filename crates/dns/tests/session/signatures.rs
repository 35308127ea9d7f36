//! Signed messages (RFC 8945).

use ropewalk_dns::parse::Packet;
use ropewalk_dns::session::tsig::{Algorithm, BadTsig, Key, Session, check_request, sign_request};
use ropewalk_dns::session::{Reply, Transport};
use ropewalk_dns::types::{Message, Rcode, Type};

use super::{NOW, from, name, query, responder, zones};

fn key(algorithm: Algorithm) -> Key {
    Key::new(&name("key"), algorithm, b"a secret that nobody knows")
}

/// A signed question, and the session that checks its answer.
fn signed(key: &Key, now: u64) -> (Vec<u8>, Session) {
    let mut bytes = query("www.example.org", Type::A).to_bytes().unwrap();
    let len = bytes.len();
    bytes.resize(512, 0);
    let (len, session) = sign_request(key, &mut bytes, len, now).unwrap();
    bytes.truncate(len);
    (bytes, session)
}

#[test]
fn requests_and_answers_of_every_algorithm() {
    use Algorithm::{HmacSha1, HmacSha224, HmacSha256, HmacSha384, HmacSha512};
    for algorithm in [HmacSha1, HmacSha224, HmacSha256, HmacSha384, HmacSha512] {
        let key = key(algorithm);
        let (request, mut session) = signed(&key, NOW);
        let mut responder = responder().keys(vec![key.clone()]);
        let mut buffer = vec![0; 1232];
        let peer = from("192.0.2.9", Transport::Udp);
        let reply = responder.respond(&zones(), &request, peer, NOW, &mut buffer);
        let Reply::Answer(len) = reply else { panic!("{reply:?}") };
        let packet = Packet::parse(&buffer[..len]).unwrap();
        assert_eq!(packet.rcode(), Rcode::NOERROR);
        assert_eq!(session.check(&packet, NOW), Ok(()));
        // Each byte is signed, but for the transaction's id, which a forwarder may change.
        for at in 2..len {
            let mut bad = buffer[..len].to_vec();
            bad[at] ^= 1;
            let (_, mut session) = signed(&key, NOW);
            let checked = Packet::parse(&bad).map(|packet| session.check(&packet, NOW));
            assert!(!matches!(checked, Ok(Ok(()))), "{algorithm:?} {at}");
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let ours = key(Algorithm::HmacSha256);
    let other = Key::new(&name("other"), Algorithm::HmacSha256, b"x");
    let wrong = Key::new(&name("key"), Algorithm::HmacSha256, b"x");
    let weak = key(Algorithm::HmacSha1);
    // Each: the client's key and time; what the server says; whether that is signed.
    let table = [
        (&other, NOW, Rcode::BADKEY, false),
        (&weak, NOW, Rcode::BADKEY, false),
        (&wrong, NOW, Rcode::BADSIG, false),
        (&ours, NOW - 301, Rcode::BADTIME, true),
        (&ours, NOW + 301, Rcode::BADTIME, true),
    ];
    for (key, time, want, is_signed) in table {
        let (request, mut session) = signed(key, time);
        let mut responder = responder().keys(vec![ours.clone()]);
        let mut buffer = vec![0; 1232];
        let peer = from("192.0.2.9", Transport::Udp);
        let reply = responder.respond(&zones(), &request, peer, NOW, &mut buffer);
        let Reply::Answer(len) = reply else { panic!("{reply:?}") };
        let packet = Packet::parse(&buffer[..len]).unwrap();
        assert_eq!(packet.rcode(), Rcode::NOTAUTH);
        assert_eq!(session.check(&packet, time), Err(BadTsig::Peer(want)));
        let message = Message::parse(&buffer[..len]).unwrap();
        let record = message.additionals.last().unwrap();
        assert_eq!(record.rtype(), Type::TSIG);
        assert_eq!(record.data.bytes().len() > 13 + 16, is_signed, "{want}");
    }
}

#[test]
fn times_within_the_fudge_are_taken() {
    let key = key(Algorithm::HmacSha256);
    for (time, good) in [(NOW - 300, true), (NOW + 300, true), (NOW - 301, false)] {
        let (request, _) = signed(&key, time);
        let packet = Packet::parse(&request).unwrap();
        assert_eq!(check_request(&packet, std::slice::from_ref(&key), NOW).is_ok(), good);
    }
}

#[test]
fn an_answer_without_a_signature_is_none() {
    let key = key(Algorithm::HmacSha256);
    let (_, mut session) = signed(&key, NOW);
    let bytes = query("www.example.org", Type::A).to_bytes().unwrap();
    assert_eq!(session.check(&Packet::parse(&bytes).unwrap(), NOW), Err(BadTsig::Missing));
}

#[test]
fn words_for_algorithms() {
    assert_eq!(Algorithm::from_word("HMAC-SHA256."), Some(Algorithm::HmacSha256));
    assert_eq!(Algorithm::from_word("hmac-sha512"), Some(Algorithm::HmacSha512));
    assert_eq!(Algorithm::from_word("hmac-md5.sig-alg.reg.int."), None);
    assert!(!format!("{:?}", key(Algorithm::HmacSha256)).contains("secret"));
}
