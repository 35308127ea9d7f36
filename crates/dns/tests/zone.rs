//! Zones: what they answer, by a table; what makes no zone; changes; that answering does not allocate.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "zone/changes.rs"]
mod changes;
#[path = "zone/counting.rs"]
mod counting;
#[path = "zone/signed.rs"]
mod signed;
#[path = "zone/table.rs"]
mod table;

use ropewalk_dns::types::Name;
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The zone example.org of a text.
fn zone(text: &str) -> ropewalk_dns::Result<Zone> {
    let origin = name("example.org");
    Zone::load(&mut Parser::new("zone", text.as_bytes(), origin.borrowed()), &origin)
}

#[test]
fn what_makes_no_zone() {
    let top = "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n";
    // Each: what is added to a good top, or the whole file after `!`, and what is said.
    let table = [
        ("!", "example.org.: the zone has no SOA"),
        ("!@ 60 SOA a b 1 2 3 4 5", "no NS record at its top"),
        ("!@ 60 NS a", "no SOA record at its top"),
        ("x SOA a b 1 2 3 4 5", "zone:4:1: an SOA record beneath the top"),
        ("@ SOA a b 2 2 3 4 5", "zone:4:1: the zone has more than one SOA"),
        ("x.example.net. A 192.0.2.1", "zone:4:1: a record outside of the zone"),
        ("x A 192.0.2.1\nx CNAME a", "zone:5:1: a CNAME beside other records"),
        ("x CNAME a\nx A 192.0.2.1", "zone:5:1: a CNAME beside other records"),
        ("x CNAME a\ny A 192.0.2.1\nx A 192.0.2.1", "zone:6:1: a CNAME beside other records"),
        ("x CNAME a\nx CNAME b", "zone:5:1: more than one CNAME"),
        ("x DNAME a\nx DNAME b", "zone:5:1: more than one DNAME"),
        ("* NS a", "zone:4:1: an NS record at a wildcard"),
        ("* DNAME a", "zone:4:1: a DNAME record at a wildcard"),
    ];
    for (text, want) in table {
        let whole = text.strip_prefix('!').map_or_else(|| format!("{top}{text}\n"), str::to_owned);
        let error = zone(&whole).map(drop).expect_err(text).to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn records_come_out_as_they_went_in() {
    let text = include_str!("tables/zone.txt").split("\n? ").next().unwrap();
    let text: String =
        text.lines().filter(|line| !line.starts_with("//")).collect::<Vec<_>>().join("\n");
    let origin = name("example.org");
    let mut want: Vec<_> =
        ropewalk_dns::zonefile::records("zone", text.as_bytes(), origin.borrowed())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
    let zone = zone(&text).unwrap();
    let records = zone.records().map(|record| record.to_record(zone.class()));
    let mut found: Vec<_> = records.map(|record| record.to_string()).collect();
    assert!(found[0].contains("SOA"), "{}", found[0]);
    assert_eq!(found.len() as u64, zone.record_count());
    found.sort();
    want.sort();
    assert_eq!(found, want);
    assert_eq!((zone.serial(), zone.soa().unwrap().minimum), (1, 300));
    assert!(zone.has(name("empty.names.example.org").borrowed()));
    assert!(!zone.has_records(name("empty.names.example.org").borrowed()));
    assert!(!zone.is_signed());
}

#[test]
fn records_in_any_order_make_the_same_zone() {
    let top = "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n";
    let mut lines: Vec<_> =
        (0..2000).map(|n| format!("h{}.s{} A 192.0.2.{}\n", n % 50, n % 7, n % 250)).collect();
    let sorted = |zone: &Zone| {
        let mut records: Vec<_> =
            zone.records().map(|record| record.to_record(zone.class()).to_string()).collect();
        records.sort();
        records
    };
    let first = zone(&format!("{top}{}", lines.concat())).unwrap();
    fastrand::Rng::with_seed(1).shuffle(&mut lines);
    let second = zone(&format!("{top}{}", lines.concat())).unwrap();
    assert_eq!(sorted(&first), sorted(&second));
    assert_eq!(first.record_count(), second.record_count());
}
