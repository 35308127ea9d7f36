use std::collections::HashSet;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn texts_that_are_names() {
    let long = "a".repeat(63);
    // Each: the text, the wire form, how it is written.
    let table: &[(&str, &[u8], &str)] = &[
        (".", b"\0", "."),
        ("a", b"\x01a\0", "a."),
        ("a.b.", b"\x01a\x01b\0", "a.b."),
        (r"a\.b.c", b"\x03a.b\x01c\0", r"a\.b.c."),
        (r"\065\\.", b"\x02A\\\0", r"A\\."),
        (r"\000.x", b"\x01\0\x01x\0", r"\000.x."),
        (r"\@.x", b"\x01@\x01x\0", r"\@.x."),
        (r"a\ b", b"\x03a b\0", r"a\032b."),
        ("*.x", b"\x01*\x01x\0", "*.x."),
        ("\u{fc}", b"\x02\xc3\xbc\0", r"\195\188."),
    ];
    for (text, wire, written) in table {
        let found = name(text);
        assert_eq!(found.borrowed().wire(), *wire, "{text}");
        assert_eq!(found.to_string(), *written);
        assert!(name(written).borrowed().is_identical(found.borrowed()));
    }
    assert_eq!(name(&long).borrowed().wire().len(), 65);
}

#[test]
fn texts_that_are_none() {
    let label = "a".repeat(64);
    let row = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(62));
    let table: &[(&str, NameError)] = &[
        ("", NameError::EmptyLabel),
        ("..", NameError::EmptyLabel),
        (".a", NameError::EmptyLabel),
        ("a..b", NameError::EmptyLabel),
        ("@", NameError::NoOrigin),
        ("\\", NameError::BadEscape),
        (r"\25", NameError::BadEscape),
        (r"\256", NameError::BadEscape),
        (r"\2a5", NameError::BadEscape),
        (&label, NameError::LabelTooLong),
        (&row, NameError::TooLong),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Name>(), Err(*error), "{text}");
    }
    assert_eq!(name(&row[1..]).borrowed().wire().len(), MAX_NAME);
}

#[test]
fn bytes_that_are_none() {
    let table: &[&[u8]] =
        &[b"", b"\x01a", b"\x01", b"\x40a\0", b"\xc0\x0c", b"\0\0", &[1; 300], b"\x02a\0"];
    for wire in table {
        assert!(Name::from_wire(wire).is_none(), "{wire:?}");
    }
}

#[test]
fn origins_complete() {
    let origin = name("example.org");
    let table = [("www", "www.example.org."), ("@", "example.org."), ("www.", "www."), (".", ".")];
    for (text, want) in table {
        let found = Name::from_text(text.as_bytes(), origin.borrowed()).unwrap();
        assert_eq!(found.to_string(), want);
    }
}

#[test]
fn the_order_of_rfc_4034() {
    // §6.1's own example.
    let sorted = [
        "example",
        "a.example",
        "yljkjljk.a.example",
        "Z.a.example",
        "zABC.a.EXAMPLE",
        "z.example",
        r"\001.z.example",
        "*.z.example",
        r"\200.z.example",
    ];
    for (at, left) in sorted.iter().enumerate() {
        for (other, right) in sorted.iter().enumerate() {
            assert_eq!(name(left).cmp(&name(right)), at.cmp(&other), "{left} {right}");
        }
    }
}

#[test]
fn case_is_kept_and_not_compared() {
    let long = format!("{0}.{0}.org", "Abc".repeat(20));
    for text in ["Www.Example.ORG.", &long] {
        let lower = name(&text.to_ascii_lowercase());
        assert_eq!(name(text), lower);
        assert!(!name(text).borrowed().is_identical(lower.borrowed()));
        assert_eq!(HashSet::from([name(text), lower]).len(), 1);
    }
    // A dot within a label is none between two.
    assert_ne!(name(r"a\.b"), name("a.b"));
}

#[test]
fn what_is_beneath_what() {
    let table = [
        ("www.example.org", "Example.org", Some(4)),
        ("example.org", "example.org", Some(0)),
        ("example.org", ".", Some(12)),
        ("org", "example.org", None),
        ("badexample.org", "example.org", None),
        (r"bad\007example.org", "example.org", None),
    ];
    for (left, right, front) in table {
        let (left, right) = (name(left), name(right));
        let found = left.borrowed().strip_suffix(right.borrowed());
        assert_eq!(found.map(<[u8]>::len), front, "{left} {right}");
    }
}

#[test]
fn parts() {
    let found = name("a.bc.d");
    assert_eq!(found.borrowed().labels().collect::<Vec<_>>(), [&b"a"[..], b"bc", b"d"]);
    assert_eq!(found.borrowed().skip(2), name("d").borrowed());
    assert!(found.borrowed().skip(9).is_root());
    assert!(name(".").borrowed().parent().is_none());
    assert_eq!(size_of::<Name>(), 48);
    let mut buf = NameBuf::new();
    buf.set_wildcard(found.borrowed()).unwrap();
    assert_eq!(buf.to_string(), "*.a.bc.d.");
    assert!(buf.borrowed().is_wildcard());
    assert_eq!(buf.join(b"\x02a", NameRef::ROOT), Err(NameError::BadLabel));
    assert_eq!(buf.join(&[1; 256], NameRef::ROOT), Err(NameError::TooLong));
}
