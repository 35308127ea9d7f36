//! Zone files: a table of files with their records and errors, read in pieces of every size; the law
//! that what was written is read again.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "common/making.rs"]
#[allow(dead_code, reason = "each file of tests uses its part")]
mod making;

use std::io::{self, Read};

use ropewalk_dns::types::{Class, Name, Record, Ttl};
use ropewalk_dns::zonefile::{self, Include, Parser};

/// Reads at most so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.len().min(self.1).min(buffer.len());
        let (now, later) = self.0.split_at(len);
        buffer[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

/// The files that the cases include.
struct Files;

impl Include for Files {
    fn open(&mut self, path: &str, _from: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(match path {
            "sub.zone" => &b"@ A 192.0.2.9\n$ORIGIN y.sub.example.org.\nx A 192.0.2.10"[..],
            "broken" => b"\nx A 1.2.3\n",
            "loop" => b"$INCLUDE loop\n",
            _ => return Err(io::Error::other("no such file")),
        }))
    }
}

/// Everything that comes of a file, a line each.
fn outcome(text: &[u8], piece: usize) -> Vec<String> {
    let origin: Name = "example.org".parse().unwrap();
    let mut parser = Parser::new("zone", Pieces(text, piece), origin.borrowed()).include(Files);
    let mut lines = Vec::new();
    loop {
        match parser.next() {
            Ok(Some(entry)) => {
                let record = entry.to_record();
                let Record { name, class, ttl, data } = &record;
                lines.push(format!("= {name} {ttl} {class} {} {data}", record.rtype()));
            }
            Ok(None) => return lines,
            Err(error) => lines.push(format!("! {error}")),
        }
    }
}

#[test]
fn the_table() {
    let table = include_str!("tables/zonefiles.txt");
    let mut wrong = Vec::new();
    for case in table.split("\n# ").skip(1) {
        let (name, case) = case.split_once('\n').unwrap();
        let (want, text): (Vec<_>, Vec<_>) =
            case.lines().partition(|line| line.starts_with("= ") || line.starts_with("! "));
        let text = text.join("\n");
        let text = text.trim_end_matches('\n').as_bytes();
        let found = outcome(text, usize::MAX);
        for piece in [1, 2, 3, 7, 50] {
            assert_eq!(outcome(text, piece), found, "{name} in pieces of {piece}");
        }
        // An error need only say what the table says.
        let same = found.len() == want.len()
            && found.iter().zip(&want).all(|(found, want)| match want.strip_prefix("! ") {
                Some(want) => {
                    let (place, words) = want.split_once(": ").unwrap();
                    found.starts_with(&format!("! {place}: ")) && found.contains(words)
                }
                None => found == want,
            });
        if !same {
            wrong.push(format!(
                "# {name}\n{}\n  instead of\n{}",
                found.join("\n"),
                want.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_was_written_is_read_again() {
    let mut rng = fastrand::Rng::with_seed(5);
    let records: Vec<Record> = making::all_data()
        .into_iter()
        .filter(|data| !data.to_string().is_empty())
        .map(|data| Record {
            name: making::name(&mut rng),
            class: Class::IN,
            ttl: Ttl::new(rng.u32(..)),
            data,
        })
        .collect();
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    let origin: Name = "example.org".parse().unwrap();
    let read = zonefile::records("zone", text.as_bytes(), origin.borrowed()).unwrap();
    assert_eq!(read, records);
    for record in &records {
        assert_eq!(record.to_string().parse::<Record>().unwrap(), *record);
    }
}

#[test]
fn an_entry_has_a_bound() {
    let text = format!("a 60 TXT (\n{}", "x\n".repeat(1 << 20));
    let found = outcome(text.as_bytes(), usize::MAX);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("an entry of more than 1048576 bytes"), "{}", found[0]);
}

#[test]
fn another_class() {
    let origin: Name = "bind".parse().unwrap();
    let text = "version 0 CH TXT \"none\"\n";
    let mut parser = Parser::new("zone", text.as_bytes(), origin.borrowed()).class(Class::CH);
    assert_eq!(parser.next().unwrap().unwrap().class, Class::CH);
    let record: Record = "version.bind. 0 CH TXT \"x\"".parse().unwrap();
    assert_eq!(record.class, Class::CH);
}
