//! Signed zones answer as BIND does: the same records in answer and authority. The zones were signed by
//! dnssec-signzone, with NSEC, with NSEC3, and with NSEC3 that opts out.

use ropewalk_dns::emit::Writer;
use ropewalk_dns::types::{Class, Name, Type};
use ropewalk_dns::zone::{Ask, Zone};

use super::table::ask;

/// A signature is told by the type that it covers.
fn short(line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    if words.get(3) == Some(&"RRSIG") { words[..5].join(" ") } else { line.to_owned() }
}

/// Data as BIND and we write it: long hexadecimal and base64 have blanks, hashes another case.
fn plain(line: &str) -> String {
    let (head, data) =
        line.split_at(line.match_indices(' ').nth(3).map_or(line.len(), |(at, _)| at));
    match head.split(' ').nth(3) {
        Some("DNSKEY" | "DS") => format!("{head}{}", data.replace(' ', "")),
        _ => line.to_ascii_lowercase(),
    }
}

fn check(zone: &Zone, table: &str) {
    assert!(zone.is_signed());
    let mut wrong = Vec::new();
    for case in table.split("\n? ").skip(1) {
        let lines: Vec<_> = case.lines().filter(|line| !line.is_empty()).collect();
        let answer = ask(zone, lines[0]);
        let mut found: Vec<_> = answer[1..]
            .iter()
            .filter(|line| !line.starts_with('+'))
            .map(|line| plain(&short(line)))
            .collect();
        let mut want: Vec<_> = lines[2..].iter().map(|line| plain(line)).collect();
        found.sort();
        want.sort();
        if found != want || answer[0] != lines[1] {
            let (found, want) = (found.join("\n"), want.join("\n"));
            wrong.push(format!(
                "? {}\n{}\n{found}\n  instead of\n{}\n{want}",
                lines[0], answer[0], lines[1]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn load(text: &str) -> Zone {
    super::zone(text).unwrap()
}

#[test]
fn nsec() {
    check(&load(include_str!("../signed/nsec.zone")), include_str!("../signed/nsec.txt"));
}

#[test]
fn nsec3() {
    check(&load(include_str!("../signed/nsec3.zone")), include_str!("../signed/nsec3.txt"));
}

#[test]
fn nsec3_that_opts_out() {
    check(&load(include_str!("../signed/optout.zone")), include_str!("../signed/optout.txt"));
}

#[test]
fn proofs_take_no_memory_either() {
    for text in [include_str!("../signed/nsec.zone"), include_str!("../signed/nsec3.zone")] {
        let zone = load(text);
        for owner in ["nosuch", "x.wild", "plain", "www", "empty.names"] {
            let owner = Name::from_text(owner.as_bytes(), zone.origin()).unwrap();
            let asked = Ask { dnssec: true, ..Ask::new(owner.borrowed(), Type::A) };
            let mut buffer = [0; 4096];
            let used = allocation_counter::measure(|| {
                let mut writer = Writer::new(&mut buffer).unwrap();
                writer.question(owner.borrowed(), Type::A, Class::IN).unwrap();
                zone.answer(&asked, &mut writer).unwrap();
                assert!(writer.finish() > 100);
            });
            assert_eq!(used.count_total, 0, "{owner}");
        }
    }
}

#[test]
fn a_zone_that_loses_its_signatures_is_no_longer_signed() {
    let zone = load(include_str!("../signed/nsec3.zone"));
    let mut builder = zone.edit();
    builder.remove_set(zone.origin(), Type::NSEC3PARAM).unwrap();
    let bare = builder.finish().unwrap();
    assert!(!bare.is_signed() && zone.is_signed());
    // Its own signature went with it.
    assert_eq!(bare.record_count(), zone.record_count() - 2);
}
