//! Loads a zone file and tells what came of it: `load FILE ORIGIN`.

#![allow(clippy::print_stdout)] // it is a program

use std::fs::File;
use std::time::Instant;

use ropewalk_dns::Name;
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(origin)) = (arguments.next(), arguments.next()) else {
        return Err("usage: load FILE ORIGIN".into());
    };
    let origin: Name = origin.parse()?;
    let began = Instant::now();
    let mut parser = Parser::new(&file, File::open(&file)?, origin.borrowed());
    let zone = Zone::load(&mut parser, &origin)?;
    let (records, mib) = (zone.record_count(), zone.memory() / (1 << 20));
    println!("{origin} {}: {records} records, {mib} MiB, {:?}", zone.serial(), began.elapsed());
    Ok(())
}
