//! Requests and answers.

use ropewalk_dns::session::{Limit, Limits};
use ropewalk_dns::types::{
    Class, Cookie, Edns, EdnsOption, Message, Opcode, OptionCode, Rcode, Record, Type,
};

use super::{NOW, answer, name, query, responder, zones};

/// The header of an answer, and how many records the sections have.
fn summary(message: &Message) -> String {
    let flags = message.header.flags;
    assert!(flags.response);
    let word = |is: bool, word: &str| if is { format!(" {word}") } else { String::new() };
    format!(
        "{}{}{}{}{} {}/{}/{}/{}",
        message.header.rcode,
        word(flags.authoritative, "aa"),
        word(flags.truncated, "tc"),
        word(flags.recursion_desired, "rd"),
        word(message.edns.is_some(), "edns"),
        message.questions.len(),
        message.answers.len(),
        message.authorities.len(),
        message.additionals.len(),
    )
}

#[test]
fn questions() {
    // Each: name, type, class, and the answer.
    let table = [
        ("www.example.org", Type::A, Class::IN, "NOERROR aa rd 1/1/0/0"),
        ("www.example.org", Type::A, Class::ANY, "NOERROR aa rd 1/1/0/0"),
        ("www.example.org", Type::A, Class::HS, "REFUSED rd 1/0/0/0"),
        ("nosuch.example.org", Type::A, Class::IN, "NXDOMAIN aa rd 1/0/1/0"),
        ("example.net", Type::A, Class::IN, "REFUSED rd 1/0/0/0"),
        (".", Type::NS, Class::IN, "REFUSED rd 1/0/0/0"),
        ("x.expired.test", Type::A, Class::IN, "SERVFAIL rd 1/0/0/0"),
        // The child is served here, too; its DS is the parent's.
        ("child.example.org", Type::NS, Class::IN, "NOERROR aa rd 1/1/0/0"),
        ("child.example.org", Type::DS, Class::IN, "NOERROR aa rd 1/1/0/0"),
        ("expired.test", Type::DS, Class::IN, "SERVFAIL rd 1/0/0/0"),
        ("www.example.org", Type::MAILB, Class::IN, "NOTIMP rd 1/0/0/0"),
        ("www.example.org", Type::OPT, Class::IN, "FORMERR rd 1/0/0/0"),
        ("www.example.org", Type::TKEY, Class::IN, "FORMERR rd 1/0/0/0"),
        ("example.org", Type::AXFR, Class::IN, "FORMERR rd 1/0/0/0"),
        ("long.example.org", Type::A, Class::IN, "NOERROR aa tc rd 1/0/0/0"),
        ("version.bind", Type::TXT, Class::CH, "NOERROR aa rd 1/1/0/0"),
        ("VERSION.server", Type::TXT, Class::CH, "NOERROR aa rd 1/1/0/0"),
        ("authors.bind", Type::TXT, Class::CH, "REFUSED rd 1/0/0/0"),
    ];
    let (mut responder, zones) = (responder(), zones());
    for (owner, rtype, class, want) in table {
        let mut message = query(owner, rtype);
        message.questions[0].class = class;
        let found = answer(&mut responder, &zones, &message.to_bytes().unwrap()).unwrap();
        assert_eq!(summary(&found), want, "{owner} {rtype} {class}");
        assert_eq!((found.header.id, &found.questions), (7, &message.questions));
    }
}

#[test]
fn the_case_of_the_question_comes_back() {
    let request = query("wWw.eXample.Org", Type::A).to_bytes().unwrap();
    let found = answer(&mut responder(), &zones(), &request).unwrap();
    assert_eq!(found.questions[0].name.to_string(), "wWw.eXample.Org.");
    assert_eq!(found.answers[0].name.to_string(), "wWw.eXample.Org.");
}

#[test]
fn sizes() {
    let (mut responder, zones) = (responder(), zones());
    // Each: what the client takes, and the answer to something of 1,650 bytes, and of some 1,000.
    for (size, truncated) in [(0, true), (512, true), (1232, true), (4096, true)] {
        let mut message = query("long.example.org", Type::A);
        message.edns = Some(Edns { udp_size: size, ..Edns::default() });
        let found = answer(&mut responder, &zones, &message.to_bytes().unwrap()).unwrap();
        assert_eq!(found.header.flags.truncated, truncated, "{size}");
        assert!(found.to_bytes().unwrap().len() <= 1232);
    }
}

fn with_options(options: &[EdnsOption<'_>]) -> Message {
    let mut message = query("www.example.org", Type::A);
    let mut edns = Edns::default();
    for option in options {
        edns.options.push(option).unwrap();
    }
    message.edns = Some(edns);
    message
}

#[test]
fn edns() {
    let (mut responder, zones) = (responder(), zones());
    let mut ask =
        |message: &Message| answer(&mut responder, &zones, &message.to_bytes().unwrap()).unwrap();
    let found = ask(&with_options(&[EdnsOption::Nsid(b"")]));
    assert!(found.edns.unwrap().options.iter().eq([EdnsOption::Nsid(b"one")]));
    let found = ask(&with_options(&[
        EdnsOption::Other(OptionCode(65001), b"x"),
        EdnsOption::Keepalive(None),
    ]));
    assert_eq!(summary(&found), "NOERROR aa rd edns 1/1/0/0");
    assert_eq!(found.edns.unwrap().options.iter().count(), 0);
    let mut message = with_options(&[]);
    message.edns.as_mut().unwrap().version = 1;
    assert_eq!(summary(&ask(&message)), "BADVERS rd edns 1/0/0/0");
    let short = EdnsOption::Other(OptionCode::COOKIE, b"short");
    assert_eq!(summary(&ask(&with_options(&[short]))), "FORMERR rd edns 1/0/0/0");
    let mut message = query("example.net", Type::A);
    message.edns = Some(Edns { dnssec_ok: true, ..Edns::default() });
    let found = ask(&message);
    assert!(found.edns.as_ref().unwrap().dnssec_ok);
    let why: Vec<_> = found.edns.as_ref().unwrap().options.iter().collect();
    assert!(matches!(why[..], [EdnsOption::ExtendedError(error)] if error.code == 20));
}

#[test]
fn cookies() {
    let (mut responder, zones) = (responder(), zones());
    let mut ask =
        |message: &Message| answer(&mut responder, &zones, &message.to_bytes().unwrap()).unwrap();
    let first = ask(&with_options(&[EdnsOption::Cookie(Cookie { client: [1; 8], server: b"" })]));
    let options = first.edns.unwrap().options;
    let Some(EdnsOption::Cookie(cookie)) = options.iter().next() else { panic!("no cookie") };
    assert_eq!((cookie.client, cookie.server.len()), ([1; 8], 16));
    // The same is good, and comes back; another is replaced.
    let again = ask(&with_options(&[EdnsOption::Cookie(cookie)])).edns.unwrap().options;
    assert_eq!(again, options);
    let forged = Cookie { client: [1; 8], server: &[9; 16] };
    let again = ask(&with_options(&[EdnsOption::Cookie(forged)])).edns.unwrap().options;
    assert_eq!(again, options);
    // A cookie can be had without a question.
    let mut message = with_options(&[EdnsOption::Cookie(forged)]);
    message.questions.clear();
    assert_eq!(summary(&ask(&message)), "NOERROR rd edns 0/0/0/0");
}

#[test]
fn cookies_may_be_wanted() {
    let mut config = ropewalk_dns::session::Config::default();
    config.require_cookies = true;
    let jar = ropewalk_dns::session::Cookies::new([7; 16]);
    let good = jar.make([1; 8], "192.0.2.9".parse().unwrap(), NOW as u32);
    let mut responder = ropewalk_dns::session::Responder::new(config).cookies(jar);
    let zones = zones();
    for (server, want) in [(&[9; 16][..], Rcode::BADCOOKIE), (&good, Rcode::NOERROR)] {
        let message = with_options(&[EdnsOption::Cookie(Cookie { client: [1; 8], server })]);
        let found = answer(&mut responder, &zones, &message.to_bytes().unwrap()).unwrap();
        assert_eq!(found.header.rcode, want);
    }
    // Who does not speak of cookies is answered.
    let request = query("www.example.org", Type::A).to_bytes().unwrap();
    assert_eq!(answer(&mut responder, &zones, &request).unwrap().rcode(), Rcode::NOERROR);
}

#[test]
fn what_is_no_question() {
    let (mut responder, zones) = (responder(), zones());
    let good = query("www.example.org", Type::A);
    let mut ask = |message: &Message| {
        answer(&mut responder, &zones, &message.to_bytes().unwrap()).map(|found| summary(&found))
    };
    let mut message = good.clone();
    message.header.flags.response = true;
    assert_eq!(ask(&message), None);
    for (opcode, want) in
        [(Opcode::IQUERY, "NOTIMP"), (Opcode::STATUS, "NOTIMP"), (Opcode(9), "NOTIMP")]
    {
        let mut message = good.clone();
        message.header.opcode = opcode;
        assert_eq!(ask(&message).unwrap(), format!("{want} rd 1/0/0/0"));
    }
    let mut message = good.clone();
    message.questions.clear();
    assert_eq!(ask(&message).unwrap(), "FORMERR rd 0/0/0/0");
    message.questions = vec![good.questions[0].clone(); 2];
    assert_eq!(ask(&message).unwrap(), "FORMERR rd 0/0/0/0");
    let bytes = good.to_bytes().unwrap();
    let cut = answer(&mut responder, &zones, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(summary(&cut), "FORMERR rd 0/0/0/0");
    assert!(answer(&mut responder, &zones, &bytes[..11]).is_none());
}

#[test]
fn notices() {
    use ropewalk_dns::session::{Reply, Transport};
    let (mut responder, zones) = (responder(), zones());
    let soa: Record = "example.org. 60 IN SOA a. b. 6 2 3 4 5".parse().unwrap();
    // Each: zone, from where, the answer, the serial that is told on.
    let table = [
        ("example.org", "192.0.2.9", "NOERROR aa rd 1/0/0/0", Some(Some(6))),
        ("example.org", "198.51.100.9", "REFUSED rd 1/0/0/0", None),
        ("example.net", "192.0.2.9", "NOTAUTH rd 1/0/0/0", None),
        ("www.example.org", "192.0.2.9", "NOTAUTH rd 1/0/0/0", None),
    ];
    for (zone, address, want, serial) in table {
        let mut message = query(zone, Type::SOA);
        message.header.opcode = Opcode::NOTIFY;
        message.answers.push(soa.clone());
        let mut buffer = [0; 1232];
        let request = message.to_bytes().unwrap();
        let peer = super::from(address, Transport::Udp);
        let (len, told) = match responder.respond(&zones, &request, peer, NOW, &mut buffer) {
            Reply::Answer(len) => (len, None),
            Reply::Notify(notice, len) => {
                assert_eq!(notice.origin, name(zone));
                (len, Some(notice.serial))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(summary(&Message::parse(&buffer[..len]).unwrap()), want, "{zone} {address}");
        assert_eq!(told, serial);
    }
}

#[test]
fn the_same_too_often_is_truncated_or_dropped() {
    let limits = Limits { answers: 2, negative: 1, slip: 2, ..Limits::default() };
    let mut responder = responder().limit(Limit::new(limits));
    let zones = zones();
    let request = query("www.example.org", Type::A).to_bytes().unwrap();
    let mut found =
        |request: &[u8]| answer(&mut responder, &zones, request).map(|found| summary(&found));
    let (whole, cut) = ("NOERROR aa rd 1/1/0/0", "NOERROR aa tc rd 1/0/0/0");
    let all: Vec<_> = (0..6).map(|_| found(&request)).collect();
    let want = [Some(whole), Some(whole), None, Some(cut), None, Some(cut)];
    assert_eq!(all.iter().map(Option::as_deref).collect::<Vec<_>>(), want);
    // Names that do not exist count together.
    let random = |n: u8| query(&format!("x{n}.example.org"), Type::A).to_bytes().unwrap();
    assert!(found(&random(1)).is_some());
    assert!(found(&random(2)).is_none());
    // Who has shown a cookie is who it says.
    let jar = ropewalk_dns::session::Cookies::new([7; 16]);
    let server = jar.make([1; 8], "192.0.2.9".parse().unwrap(), NOW as u32);
    let message = with_options(&[EdnsOption::Cookie(Cookie { client: [1; 8], server: &server })]);
    assert!(found(&message.to_bytes().unwrap()).unwrap().starts_with("NOERROR aa rd edns 1/1"));
}

#[test]
fn a_request_takes_no_memory() {
    use ropewalk_dns::session::{From, Reply, Transport};
    let (mut responder, zones) = (responder().limit(Limit::new(Limits::default())), zones());
    let peer = From { address: "192.0.2.9".parse().unwrap(), transport: Transport::Udp };
    let cookie = EdnsOption::Cookie(Cookie { client: [1; 8], server: b"" });
    let mut requests = vec![with_options(&[cookie, EdnsOption::Nsid(b"")])];
    for owner in ["www.example.org", "nosuch.example.org", "x.child.example.org", "example.net"] {
        requests.push(query(owner, Type::A));
    }
    for request in requests {
        let bytes = request.to_bytes().unwrap();
        let mut buffer = [0; 1232];
        let used = allocation_counter::measure(|| {
            let reply = responder.respond(&zones, &bytes, peer, NOW, &mut buffer);
            assert!(matches!(reply, Reply::Answer(_)));
        });
        assert_eq!(used.count_total, 0, "{:?}", request.questions);
    }
}
