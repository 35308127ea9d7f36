//! Load generators: not for speed here, but for what they count as an error.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::ours::contains;
use super::{Direction, Lab};
use crate::peers::{AB, H2LOAD, HEY, Peer, WRK};
use crate::process::run;

/// A load: the peer, the case, its arguments before the address, what it must and must not print.
struct Load {
    peer: Peer,
    case: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
    prints: &'static str,
    never: &'static [&'static str],
}

const fn load(
    peer: Peer,
    case: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
    prints: &'static str,
    never: &'static [&'static str],
) -> Load {
    Load { peer, case, arguments, path, prints, never }
}

#[rustfmt::skip]
const LOADS: &[Load] = &[
    load(WRK, "16 connections kept alive", &["-t1", "-c16", "-d1s"], "/hello.txt", "Requests/sec", &["Socket errors", "Non-2xx"]),
    load(WRK, "a connection for each request", &["-t1", "-c16", "-d1s", "-H", "Connection: close"], "/hello.txt", "Requests/sec", &["Socket errors: connect 1", "Non-2xx", "timeout 1"]),
    load(WRK, "a larger file", &["-t1", "-c4", "-d1s"], "/big.bin", "Requests/sec", &["Socket errors", "Non-2xx"]),
    load(AB, "HTTP/1.0 kept alive", &["-q", "-k", "-n2000", "-c16"], "/ten.bin", "Failed requests:        0", &["Non-2xx", "Write errors"]),
    load(AB, "HTTP/1.0, closed each time", &["-q", "-n500", "-c16"], "/ten.bin", "Failed requests:        0", &["Non-2xx", "Write errors"]),
    // Without -host it sends the port in TLS's server name, which is no host name; rustls refuses it.
    load(HEY, "2,000 requests", &["-host", "localhost", "-n", "2000", "-c", "16"], "/hello.txt", "[200]\t2000 responses", &["Error distribution"]),
    load(HEY, "without keep-alive", &["-host", "localhost", "-n", "320", "-c", "16", "-disable-keepalive"], "/hello.txt", "[200]\t320 responses", &["Error distribution"]),
    load(H2LOAD, "--h1, 16 connections", &["--h1", "-n2000", "-c16"], "/hello.txt", "2000 succeeded, 0 failed", &[]),
];

/// Every load against the server at `base`.
pub fn run_all(lab: &mut Lab, base: &str, over: &str) {
    for load in LOADS {
        let case = format!("{}{over}", load.case);
        lab.case(load.peer, Direction::ToOurs, &case, |_| {
            one(load.peer.command()?, load, &format!("{base}{}", load.path))
        });
    }
}

fn one(mut command: Command, load: &Load, url: &str) -> Result<()> {
    let ran = run(command.args(load.arguments).arg(url), Duration::from_secs(60))?;
    let ran = ran.ok(load.peer.program)?;
    contains(&ran.all(), load.prints)?;
    for word in load.never {
        ensure!(!ran.all().contains(word), "{word:?} is in: {}", ran.all().trim());
    }
    Ok(())
}
