//! `ropewalk forward`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use ropewalk_core::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Folder, Running, command, connect, run};

/// Hears one peer out and only then answers, with what it heard backwards.
fn backwards(stream: io::Result<impl Read + Write>) -> Vec<u8> {
    let mut stream = stream.expect("somebody comes");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("an end");
    let answer: Vec<u8> = heard.iter().rev().copied().collect();
    stream.write_all(&answer).expect("somebody listens");
    heard
}

fn over_tcp() -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let heard = thread::spawn(move || backwards(listener.accept().map(|(stream, _)| stream)));
    (format!("tcp:{address}"), heard)
}

fn over_unix(folder: &Folder) -> (String, JoinHandle<Vec<u8>>) {
    let path = folder.join("target.sock");
    let listener = UnixListener::bind(&path).expect("a path");
    let heard = thread::spawn(move || backwards(listener.accept().map(|(stream, _)| stream)));
    (format!("unix:{path}"), heard)
}

/// Says `words`, ends, and only then hears the answer.
fn converse(mut stream: TcpStream, words: &[u8]) -> Vec<u8> {
    stream.write_all(words).expect("somebody listens");
    stream.shutdown(Shutdown::Write).expect("our end");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    answer
}

#[test]
fn between_tcp_and_unix_each_direction_ends_by_itself() {
    let folder = Folder::new();
    let (to, heard) = over_unix(&folder);
    let mut running = Running::start(&["forward", "--listen", "tcp:127.0.0.1:0", "--to", &to]);
    let answer = converse(connect(running.address()), b"hello");
    assert_eq!(answer, b"olleh");
    assert_eq!(heard.join().expect("no panic"), b"hello");
    let line = running.line("forwarded");
    assert!(line.contains("received=5") && line.contains("sent=5"), "{line}");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn from_unix_to_tcp() {
    let folder = Folder::new();
    let (to, heard) = over_tcp();
    let path = folder.join("front.sock");
    let listen = format!("unix:{path}");
    let mut running = Running::start(&["forward", "--listen", &listen, "--to", &to]);
    running.line("forwarding unix:");
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.write_all(b"hello").expect("it listens");
    stream.shutdown(Shutdown::Write).expect("our end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "olleh");
    assert_eq!(heard.join().expect("no panic"), b"hello");
}

#[test]
fn much_is_forwarded_whole() {
    for more in [&[][..], &["--workers", "2"]] {
        let words: Vec<u8> =
            (0..6_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (to, heard) = over_tcp();
        let arguments = [&["forward", "--listen", "tcp:127.0.0.1:0", "--to", &to], more].concat();
        let mut running = Running::start(&arguments);
        let answer = converse(connect(running.address()), &words);
        assert!(answer.iter().rev().eq(&words), "{more:?}");
        assert!(heard.join().expect("no panic") == words, "{more:?}");
    }
}

#[test]
fn to_a_process() {
    let arguments = ["forward", "--listen", "tcp:127.0.0.1:0", "--to", "exec:cat"];
    let mut running = Running::start(&arguments);
    let address = running.address();
    for words in ["hello", "again"] {
        assert_eq!(converse(connect(address), words.as_bytes()), words.as_bytes());
    }
}

#[test]
fn the_proxy_protocol_tells_who_the_client_is() {
    let (to, heard) = over_tcp();
    let to = format!("proxy:{to}:version=1");
    let mut running = Running::start(&["forward", "--listen", "tcp:127.0.0.1:0", "--to", &to]);
    let address = running.address();
    let stream = connect(address);
    let client = stream.local_addr().expect("it is bound");
    converse(stream, b"hello");
    let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", client.port(), address.port());
    let heard = String::from_utf8(heard.join().expect("no panic")).expect("text");
    assert_eq!(heard, format!("{header}hello"));
}

#[tokio::test]
async fn from_tls_to_tcp() {
    let (to, _heard) = over_tcp();
    let listen = "tls:127.0.0.1:0:cert=self-signed";
    let mut running = Running::start(&["forward", "--listen", listen, "--to", &to]);
    let address = running.address();
    let line = running.line("fingerprint");
    let pin = line.rsplit('=').next().expect("a pin").to_owned();
    let endpoint = Endpoint::parse(&format!("tls:{address}:pin={pin}")).expect("an endpoint");
    let mut stream = endpoint.connect().await.expect("that certificate");
    stream.write_all(b"hello").await.expect("it listens");
    stream.shutdown().await.expect("our end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("a proper end");
    assert_eq!(answer, "olleh");
}

#[test]
fn who_cannot_be_reached_is_one_line_and_a_reset() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = format!("tcp:{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let mut running = Running::start(&["forward", "--listen", "tcp:127.0.0.1:0", "--to", &to]);
    let mut stream = connect(running.address());
    let error = stream.read(&mut [0]).expect_err("no proper end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    running.line(&format!("cannot connect to {to}"));
    let ended = running.stop();
    assert_eq!(ended.err.matches("cannot connect").count(), 1, "{}", ended.err);
}

#[test]
fn an_idle_connection_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    let arguments = ["forward", "--listen", "tcp:127.0.0.1:0", "--to", &to, "--idle", "0.2"];
    let mut running = Running::start(&arguments);
    let mut stream = connect(running.address());
    let _target = listener.accept().expect("somebody comes");
    assert!(stream.read(&mut [0]).is_err(), "an abrupt end");
    running.line("too long");
}

#[test]
fn standard_streams_are_one_connection() {
    let (to, heard) = over_tcp();
    let arguments = ["forward", "--listen", "stdio:", "--to", &to];
    let mut running =
        Running::spawn(command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(b"hello").expect("it reads");
    drop(stdin);
    let mut answer = String::new();
    running.stdout().read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "olleh");
    assert_eq!(heard.join().expect("no panic"), b"hello");
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn standard_streams_to_nobody_are_a_failure() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = format!("tcp:{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let ended = run(&["forward", "-q", "--listen", "stdio:", "--to", &to]);
    assert_eq!(ended.code, Some(69), "{}", ended.err);
    assert_eq!(ended.err.matches("cannot connect").count(), 1, "{}", ended.err);
}
