//! What a zone answers, by `tables/zone.txt`.

use ropewalk_dns::emit::Writer;
use ropewalk_dns::types::{Class, Header, Message, Name, Record, Type};
use ropewalk_dns::zone::{Ask, Zone};

/// Asks a zone; the answer as the table has it.
pub(crate) fn ask(zone: &Zone, question: &str) -> Vec<String> {
    let mut words = question.split(' ');
    let origin = zone.origin();
    let name = Name::from_text(words.next().unwrap().as_bytes(), origin).unwrap();
    let rtype: Type = words.next().unwrap().parse().unwrap();
    let mut asked = Ask::new(name.borrowed(), rtype);
    let mut room = 4096;
    for option in words {
        match option {
            "any" => asked.minimal_any = false,
            "do" => asked.dnssec = true,
            number => room = number.parse().unwrap(),
        }
    }
    let mut buffer = vec![0; room];
    let mut writer = Writer::new(&mut buffer).unwrap();
    writer.question(name.borrowed(), rtype, Class::IN).unwrap();
    let outcome = zone.answer(&asked, &mut writer).unwrap();
    writer.set_header(Header { rcode: outcome.rcode, ..Header::default() });
    let len = writer.finish();
    let message = Message::parse(&buffer[..len]).unwrap();
    let aa = if outcome.authoritative { " aa" } else { "" };
    let tc = if outcome.truncated { " tc" } else { "" };
    let mut lines = vec![format!("{}{aa}{tc}", outcome.rcode)];
    let sections =
        [('=', &message.answers), ('-', &message.authorities), ('+', &message.additionals)];
    for (mark, records) in sections {
        lines.extend(records.iter().map(|record| format!("{mark} {}", line(record, origin))));
    }
    lines
}

/// A record with its owner relative to the origin, in lower case.
fn line(record: &Record, origin: ropewalk_dns::NameRef<'_>) -> String {
    let name = record.name.to_string().to_ascii_lowercase();
    let origin = origin.to_string().to_ascii_lowercase();
    let owner = match name.strip_suffix(&origin) {
        Some("") => ".",
        Some(owner) => owner,
        None => &name,
    };
    format!("{owner} {} {} {}", record.ttl, record.rtype(), record.data)
}

/// Runs all questions of a table against a zone, and says which are answered otherwise.
pub(crate) fn check(zone: &Zone, questions: &str) {
    let mut wrong = Vec::new();
    for case in questions.split("\n? ").skip(1) {
        let lines: Vec<_> =
            case.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).collect();
        let found = ask(zone, lines[0]);
        if found != lines[1..] {
            let (found, want) = (found.join("\n"), lines[1..].join("\n"));
            wrong.push(format!("? {}\n{found}\n  instead of\n{want}", lines[0]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn answers() {
    let table = include_str!("../tables/zone.txt");
    let text = table.split("\n? ").next().unwrap();
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let zone = super::zone(&text.join("\n")).unwrap();
    check(&zone, table);
    // The same after an edit that changes nothing, and in a zone without any cut.
    check(&zone.edit().finish().unwrap(), table);
}

#[test]
fn a_loop_of_aliases_ends() {
    let zone = super::zone(
        "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nloop CNAME loop2\nloop2 CNAME loop\nd DNAME x.d\n",
    )
    .unwrap();
    assert_eq!(ask(&zone, "loop A").len(), 1 + 17);
    // Each step makes the name longer, until it is too long.
    assert!(ask(&zone, "a.d A").len() <= 1 + 2 * 17);
    assert_eq!(ask(&zone, "a.d A").len() % 2, 1);
}

#[test]
fn a_dname_that_makes_a_name_too_long() {
    let label = "x".repeat(60);
    let zone = super::zone(&format!(
        "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nd DNAME {label}.{label}.{label}\n"
    ))
    .unwrap();
    let lines = ask(&zone, &format!("{label}.d A"));
    assert_eq!((lines[0].as_str(), lines.len()), ("YXDOMAIN aa", 2));
}
