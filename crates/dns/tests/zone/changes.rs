//! Zones that become other zones.

use ropewalk_dns::types::{Record, Type};
use ropewalk_dns::zone::{Builder, Zone};

use super::table::ask;
use super::{name, zone};

const TOP: &str = "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n";

fn record(text: &str) -> Record {
    text.parse().unwrap()
}

/// Takes a record away, or adds it.
fn apply(builder: &mut Builder, change: &str) -> bool {
    let (sign, text) = change.split_at(1);
    let record = record(text);
    match sign {
        "+" => builder.add_record(&record).unwrap(),
        _ => builder.remove(record.name.borrowed(), record.rtype(), record.data.bytes()).unwrap(),
    }
}

fn lines(zone: &Zone) -> Vec<String> {
    let mut lines: Vec<_> =
        zone.records().map(|record| record.to_record(zone.class()).to_string()).collect();
    lines.sort();
    lines
}

#[test]
fn an_edit_leaves_the_old_zone_as_it_is() {
    let old = zone(&format!("{TOP}www A 192.0.2.1\nx.y.z A 192.0.2.2\n")).unwrap();
    let before = lines(&old);
    let mut builder = old.edit();
    assert!(apply(&mut builder, "+new.example.org. 60 IN A 192.0.2.3"));
    assert!(!apply(&mut builder, "+new.example.org. 60 IN A 192.0.2.3"));
    assert!(apply(&mut builder, "-www.example.org. 60 IN A 192.0.2.1"));
    assert!(!apply(&mut builder, "-www.example.org. 60 IN A 192.0.2.1"));
    assert!(apply(&mut builder, "-x.y.z.example.org. 60 IN A 192.0.2.2"));
    assert!(builder.remove_set(old.origin(), Type::SOA).unwrap());
    assert!(apply(&mut builder, "+example.org. 60 IN SOA a. b. 2 2 3 4 5"));
    let new = builder.finish().unwrap();
    assert_eq!(lines(&old), before);
    assert_eq!((old.serial(), new.serial()), (1, 2));
    assert_eq!(ask(&old, "www A")[0], "NOERROR aa");
    assert_eq!(ask(&new, "www A")[0], "NXDOMAIN aa");
    assert_eq!(ask(&new, "new A")[1], "= new. 60 A 192.0.2.3");
    // The names above it existed for it alone.
    for name in ["x.y.z A", "y.z A", "z A"] {
        assert_eq!(ask(&old, name)[0], "NOERROR aa");
        assert_eq!(ask(&new, name)[0], "NXDOMAIN aa");
    }
    assert_eq!(new.record_count(), 3);
}

#[test]
fn cuts_and_wildcards_come_and_go() {
    let old = zone(&format!("{TOP}a.sub A 192.0.2.1\n")).unwrap();
    let mut builder = old.edit();
    apply(&mut builder, "+sub.example.org. 60 IN NS ns.example.net.");
    apply(&mut builder, "+*.example.org. 60 IN A 192.0.2.9");
    let cut = builder.finish().unwrap();
    assert_eq!(ask(&cut, "a.sub A")[0], "NOERROR");
    assert_eq!(ask(&cut, "x A")[1], "= x. 60 A 192.0.2.9");
    let mut builder = cut.edit();
    apply(&mut builder, "-sub.example.org. 60 IN NS ns.example.net.");
    apply(&mut builder, "-*.example.org. 60 IN A 192.0.2.9");
    let back = builder.finish().unwrap();
    assert_eq!(lines(&back), lines(&old));
    assert_eq!(ask(&back, "a.sub A"), ask(&old, "a.sub A"));
    assert_eq!(ask(&back, "x A"), ask(&old, "x A"));
}

#[test]
fn thousands_of_random_changes() {
    // The same changes to a zone and to a list; now and then both are compared.
    let mut rng = fastrand::Rng::with_seed(7);
    let mut zone = zone(TOP).unwrap();
    let mut model: std::collections::BTreeSet<String> = lines(&zone).into_iter().collect();
    for round in 0..200 {
        let mut builder = zone.edit();
        for _ in 0..50 {
            let labels: Vec<_> =
                (0..rng.usize(1..4)).map(|_| ["a", "b", "c", "d", "*"][rng.usize(0..5)]).collect();
            let owner = format!("{}.example.org.", labels.join("."));
            let rtype = ["A 192.0.2", "TXT \"x"][rng.usize(0..2)];
            let end = if rtype.starts_with('T') { "\"" } else { "" };
            let data = record(&format!("{owner} 60 IN {rtype}.{}{end}", rng.u8(0..4)));
            let line = data.to_string();
            if rng.u8(0..10) < 5 {
                assert_eq!(builder.add_record(&data).unwrap(), model.insert(line));
            } else {
                let owner = data.name.borrowed();
                let removed = builder.remove(owner, data.rtype(), data.data.bytes()).unwrap();
                assert_eq!(removed, model.remove(&line));
            }
        }
        zone = builder.finish().unwrap();
        assert_eq!(zone.record_count(), model.len() as u64, "{round}");
    }
    assert_eq!(lines(&zone), model.iter().cloned().collect::<Vec<_>>());
    // What exists is what the records make exist.
    let owners: Vec<_> = model.iter().map(|line| name(line.split('\t').next().unwrap())).collect();
    for first in ["a", "b", "c", "d", "*"] {
        for second in ["a", "b", "c", "d", "*"] {
            let tried = name(&format!("{first}.{second}.example.org"));
            let exists = owners.iter().any(|owner| owner.borrowed().is_within(tried.borrowed()));
            assert_eq!(zone.has(tried.borrowed()), exists, "{tried}");
        }
    }
}

#[test]
fn memory_does_not_grow_with_changes() {
    let mut text = TOP.to_owned();
    for n in 0..20_000 {
        text.push_str(&format!("h{n} A 192.0.2.1\n"));
    }
    let mut zone = zone(&text).unwrap();
    let first = zone.memory();
    assert!(first / 20_000 < 80, "{}", first / 20_000);
    let mut old = zone.clone();
    for n in 0..2000 {
        let mut builder = zone.edit();
        apply(&mut builder, &format!("+h{}.example.org. 60 IN A 192.0.2.2", n % 500));
        let added = builder.finish().unwrap();
        let mut builder = added.edit();
        apply(&mut builder, &format!("-h{}.example.org. 60 IN A 192.0.2.2", n % 500));
        old = std::mem::replace(&mut zone, builder.finish().unwrap());
    }
    assert_eq!(lines(&zone), lines(&old));
    assert!(zone.memory() < 2 * first, "{} of {first}", zone.memory());
}
