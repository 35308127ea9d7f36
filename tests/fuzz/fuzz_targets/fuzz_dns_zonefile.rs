//! Zone files: reading never panics and ends; how the file is cut into reads does not matter; a zone
//! has the records that went in.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use ropewalk_dns::types::{Class, Name, Record};
use ropewalk_dns::zone::Builder;
use ropewalk_dns::zonefile::Parser;

/// Gives a few bytes at a time.
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

/// Everything that comes of a file, up to a bound: `$GENERATE` makes much of little.
fn outcome(text: &[u8], piece: usize) -> Vec<Result<Record, String>> {
    let origin: Name = "example.org".parse().expect("it is a name");
    let mut parser = Parser::new("zone", Pieces(text, piece), origin.borrowed());
    let mut all = Vec::new();
    while all.len() < 1000 {
        match parser.next() {
            Ok(Some(entry)) => all.push(Ok(entry.to_record())),
            Ok(None) => break,
            Err(error) => all.push(Err(error.to_string())),
        }
    }
    all
}

fuzz_target!(|data: &[u8]| {
    let found = outcome(data, usize::MAX);
    assert_eq!(outcome(data, 7), found);
    let origin: Name = "example.org".parse().expect("it is a name");
    let mut builder = Builder::new(&origin, Class::IN);
    let top = ["example.org. 60 SOA a. b. 1 2 3 4 5", "example.org. 60 NS a."];
    for line in top {
        let record = line.parse().expect("it is a record");
        builder.add_record(&record).expect("it is the top");
    }
    let mut count = 2;
    for record in found.iter().flatten() {
        let text = record.to_string();
        assert_eq!(text.parse::<Record>().as_ref(), Ok(record), "{text}");
        count += u64::from(builder.add_record(record).unwrap_or(false));
    }
    let zone = builder.finish();
    if let Ok(zone) = zone {
        assert_eq!(zone.records().count() as u64, zone.record_count());
        assert!(zone.record_count() >= count.min(2));
    }
});
