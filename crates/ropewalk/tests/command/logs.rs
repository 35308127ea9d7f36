//! Logs on standard error, the access log on standard output.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Running, ask, closed_pipe, command, connect, get, site, status, until};

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn off_a_terminal_every_line_is_json() {
    let site = site();
    let root = site.join("site");
    for more in [&[][..], &["-v"], &["-vv"], &["--wire", "--log-level", "debug"]] {
        let arguments = [&["web", "--listen", "tcp:127.0.0.1:0", "--path", &root], more].concat();
        let mut running = Running::spawn(&mut command(&arguments));
        let address = running.address();
        get(address, "/hello.txt");
        get(address, "/absent");
        let ended = running.stop();
        let lines: Vec<Value> = ended.err.lines().map(json).collect();
        let first = lines.iter().find(|line| line["target"] == "ropewalk::notice");
        let message = first.expect("a notice")["message"].as_str().expect("text").to_owned();
        assert!(message.starts_with("serving "), "{message}");
        assert!(
            lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string())
        );
        let connections = lines.iter().filter(|line| line["message"] == "connection ended");
        let expected = if more.is_empty() { 0 } else { 2 };
        assert_eq!(connections.count(), expected, "{more:?}: {}", ended.err);
    }
}

#[test]
fn quiet_is_quiet() {
    let site = site();
    let (root, path) = (site.join("site"), site.join("web.sock"));
    let listen = format!("unix:{path}");
    let running = Running::start(&["web", "-q", "--listen", &listen, "--path", &root]);
    let stream = until("it listens", || UnixStream::connect(&path).ok());
    assert_eq!(status(&ask(stream, "/hello.txt").0), 200);
    assert_eq!(running.stop().err, "");
}

#[test]
fn wire_shows_both_directions_but_no_secret() {
    let site = site();
    let root = site.join("site");
    let mut running =
        Running::start(&["web", "--wire", "--listen", "tcp:127.0.0.1:0", "--path", &root]);
    let mut stream = connect(running.address());
    let request =
        b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic c2VjcmV0\r\n\
        Connection: close\r\n\r\n";
    stream.write_all(request).expect("it listens");
    stream.read_to_end(&mut Vec::new()).expect("a response");
    drop(stream);
    let ended = running.stop();
    for part in ["< GET /hello.txt HTTP/1.1", "> HTTP/1.1 200 OK", "< Authorization:"] {
        assert!(ended.err.contains(part), "{part:?} is not in:\n{}", ended.err);
    }
    assert!(!ended.err.contains("c2VjcmV0"), "{}", ended.err);
}

/// The lines of the access log of two requests.
fn access(format: &str) -> Vec<String> {
    let site = site();
    let root = site.join("site");
    let arguments = ["web", "--log", format, "--listen", "tcp:127.0.0.1:0", "--path", &root];
    let mut running = Running::spawn(command(&arguments).stdout(Stdio::piped()));
    let address = running.address();
    let stdout = BufReader::new(running.stdout());
    get(address, "/hello.txt");
    get(address, "/absent?a=%22");
    // Refused by the server itself.
    let mut stream = connect(address);
    stream.write_all(b"NON\"SENSE\r\n\r\n").expect("it listens");
    stream.read_to_end(&mut Vec::new()).expect("an answer");
    assert_eq!(running.stop().code, Some(0));
    stdout.lines().collect::<Result<_, _>>().expect("text")
}

#[test]
fn combined_lines() {
    let lines = access("combined");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, middle) in lines.iter().zip([
        " +0000] \"GET /hello.txt HTTP/1.1\" 200 ",
        " +0000] \"GET /absent?a=%22 HTTP/1.1\" 404 ",
        " +0000] \"NON\\\"SENSE\" 400 ",
    ]) {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(line.contains(middle), "{line}");
        assert!(line.ends_with(" \"-\" \"-\""), "{line}");
    }
}

#[test]
fn json_lines() {
    let lines = access("json");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let refused = json(&lines[2]);
    assert_eq!((&refused["line"], &refused["status"]), (&"NON\\\"SENSE".into(), &400.into()));
    assert!(refused.get("method").is_none() && refused.get("target").is_none(), "{refused}");
    for (line, (target, status)) in lines.iter().zip([("/hello.txt", 200), ("/absent?a=%22", 404)])
    {
        let line = json(line);
        assert_eq!((&line["method"], &line["target"]), (&"GET".into(), &target.into()));
        assert_eq!((&line["status"], &line["host"]), (&status.into(), &"localhost".into()));
        assert!(line["ts"].as_f64().is_some_and(|ts| ts > 1.7e9), "{line}");
        assert!(line["bytes"].is_u64() && line["took"].is_f64() && line["connection"].is_u64());
    }
}

#[test]
fn off_is_off() {
    assert_eq!(access("off"), [""; 0]);
}

#[test]
fn it_serves_on_when_nobody_reads_what_it_says() {
    let site = site();
    let (root, path) = (site.join("site"), site.join("web.sock"));
    let listen = format!("unix:{path}");
    let arguments = ["web", "-v", "--log", "combined", "--listen", &listen, "--path", &root];
    let mut running =
        Running::spawn(command(&arguments).stdout(closed_pipe()).stderr(closed_pipe()));
    for _ in 0..5 {
        let stream = until("it listens", || UnixStream::connect(&path).ok());
        assert_eq!(status(&ask(stream, "/hello.txt").0), 200);
    }
    assert!(running.ended().is_none());
    assert_eq!(running.stop().code, Some(0));
}
