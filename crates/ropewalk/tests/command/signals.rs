//! SIGTERM and SIGINT.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{Folder, Running, connect};

/// More than any socket holds.
const LARGE: usize = 32 * 1024 * 1024;

/// A download that has begun: the server, where it is, and the stream after the head.
fn begin(more: &[&str]) -> (Folder, Running, SocketAddr, TcpStream) {
    let site = Folder::new().with("large.bin", vec![7; LARGE]);
    let root = site.text();
    let arguments = [&["web", "--listen", "tcp:127.0.0.1:0", "--path", &root], more].concat();
    let mut running = Running::start(&arguments);
    let address = running.address();
    let mut stream = connect(address);
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it listens");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    (site, running, address, stream)
}

#[test]
fn the_first_signal_lets_downloads_finish() {
    for (signal, name, more) in [
        (Signal::TERM, "SIGTERM", &[][..]),
        (Signal::INT, "SIGINT", &[]),
        (Signal::TERM, "SIGTERM", &["--workers", "2"]),
    ] {
        let (_site, mut running, address, mut stream) = begin(more);
        running.signal(signal);
        running.line(&format!("{name}: stopping"));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("all of it");
        assert_eq!(rest.len(), LARGE, "{name} {more:?}");
        drop(stream);
        assert_eq!(running.wait(), Some(0));
        TcpStream::connect(address).expect_err("nobody listens any more");
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    for more in [&[][..], &["--workers", "1"]] {
        let (_site, mut running, _, mut stream) = begin(more);
        running.signal(Signal::TERM);
        running.line("SIGTERM: stopping");
        assert!(running.ended().is_none(), "it waits for the download");
        let begin = Instant::now();
        running.signal(Signal::TERM);
        running.wait();
        assert!(begin.elapsed().as_secs() < 5, "well before the grace is over");
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        assert!(read.is_err() || rest.len() < LARGE, "it was cut short");
    }
}

#[test]
fn the_grace_is_kept() {
    let (_site, running, _, _stream) = begin(&["--grace", "0.2"]);
    let ended = running.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("outlived the grace"), "{}", ended.err);
}

#[test]
fn a_signal_right_at_the_start_is_heard() {
    let site = Folder::new();
    let root = site.text();
    for _ in 0..5 {
        let mut running = Running::start(&["web", "--listen", "tcp:127.0.0.1:0", "--path", &root]);
        running.line("serving");
        let ended = running.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
}
