//! Messages to an echo server, a number of them in flight on one connection:
//! `load-echo ADDRESS IN_FLIGHT SECONDS`; prints how many came back, and in how many seconds.
//!
//! A message is a line of 64 bytes. Those in flight go out in one write, and are all awaited before
//! the next write.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const MESSAGE: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, in_flight, seconds] = arguments.as_slice() else {
        return Err("usage: load-echo ADDRESS IN_FLIGHT SECONDS".into());
    };
    let (in_flight, seconds): (usize, f64) = (in_flight.parse()?, seconds.parse()?);
    let mut message = vec![b'x'; MESSAGE - 1];
    message.push(b'\n');
    let batch = message.repeat(in_flight);
    let mut back = vec![0; batch.len()];
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (start, mut messages) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        stream.write_all(&batch)?;
        stream.read_exact(&mut back)?;
        messages += in_flight;
    }
    if back != batch {
        return Err("what came back is not what was sent".into());
    }
    println!("{messages} {:.6}", start.elapsed().as_secs_f64());
    Ok(())
}
