//! What goes wrong is said in one line, with an exit code of sysexits.h.

use std::net::TcpListener;

use crate::harness::{Folder, run};

/// The exit code, parts of what is said, and whether that is one line.
fn check(arguments: &[&str], code: i32, parts: &[&str], one_line: bool) {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
    for part in parts {
        assert!(ended.err.contains(part), "{arguments:?}: {part:?} is not in:\n{}", ended.err);
    }
    if one_line {
        assert_eq!(ended.err.lines().count(), 1, "{arguments:?}:\n{}", ended.err);
        assert!(ended.err.starts_with("ropewalk: "), "{arguments:?}:\n{}", ended.err);
    }
    assert_eq!(ended.out, "", "{arguments:?}");
}

#[test]
fn the_system_says_no() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let busy = format!("tcp:{}", taken.local_addr().expect("it is bound"));
    let folder = Folder::new().with("file", "not a folder").with("rubbish.pem", "no PEM at all");
    let path = folder.text();
    let (file, absent) = (folder.join("file"), folder.join("absent"));
    let (rubbish, missing) = (folder.join("rubbish.pem"), folder.join("missing.pem"));
    let free = "tcp:127.0.0.1:0";
    let busy_words = &["cannot listen on", "in use", "--listen"];
    check(&["web", "--path", &path, "--listen", &busy], 69, busy_words, true);
    check(&["forward", "--listen", &busy, "--to", free], 69, busy_words, true);
    let listen = ["web", "--listen", free, "--path"];
    check(&[&listen[..], &[&absent]].concat(), 66, &[&absent, "--path"], true);
    check(&[&listen[..], &[&file]].concat(), 66, &[&file, "--path"], true);
    let elsewhere = ["web", "--path", &path, "--listen", "tcp:192.0.2.1:0"];
    check(&elsewhere, 69, &["no such address"], true);
    let tls = ["web", "--path", &path, "--listen", free, "--tls"];
    check(&[&tls[..], &[&missing]].concat(), 66, &[&missing], true);
    check(&[&tls[..], &[&rubbish]].concat(), 78, &[&rubbish, "no certificate"], true);
    let tls = ["web", "--path", &path, "--listen", "tls:127.0.0.1:0"];
    check(&tls, 64, &["lacks a certificate", "cert="], true);
    let nowhere = format!("unix:{absent}/web.sock");
    check(&["web", "--path", &path, "--listen", &nowhere], 73, &[&nowhere], true);
    let plain = format!("unix:{file}");
    let ended = run(&["web", "--path", &path, "--listen", &plain]);
    assert_eq!(ended.code, Some(69), "{}", ended.err);
    assert!(ended.err.contains("no socket") && !ended.err.contains("port"), "{}", ended.err);
    check(&["man", &absent], 73, &[&absent], true);
}

#[test]
fn endpoints_are_wrong() {
    for (text, under) in [
        ("tcp:localhost:http", "  ~~~~"),
        ("tcp:80:colour=red", "^"),
        ("tpc:80", "^"),
        ("", "^"),
        ("unix:", "^"),
        ("tls:tls:tls", "^"),
    ] {
        for arguments in [
            &["web", "--listen", text][..],
            &["forward", "--listen", "0", "--to", text],
            &["forward", "--listen", text, "--to", "1"],
        ] {
            let caret = if under == "^" { under } else { "^~~~" };
            let option = if arguments.contains(&"1") { "--listen:" } else { "--" };
            check(arguments, 64, &[caret, option], false);
        }
    }
}

/// What cannot be listened on or connected to is refused before the first connection.
#[test]
fn endpoints_are_of_no_use_in_their_role() {
    let folder = Folder::new().with("rubbish.pem", "no PEM at all");
    let rubbish = folder.join("rubbish.pem");
    let rubbish = format!("tls:127.0.0.1:1:roots={rubbish}");
    for (to, code, what) in [
        ("systemd:0", 64, "systemd: is not for connecting"),
        ("fd:1000000", 64, "file descriptor 1000000 is not open"),
        ("udp:127.0.0.1:53", 64, "udp: has no connections"),
        ("socks5:127.0.0.1:1:unix:/run/x", 64, "leads to tcp: only"),
        ("socks5:127.0.0.1:1:tcp:80", 64, "proxy"),
        ("tcp:127.0.0.1:1:backlog=5", 64, "backlog= is for listening"),
        ("tls:unix:/run/x", 64, "name=HOST"),
        ("tls:127.0.0.1:1:roots=/nonexistent.pem", 66, "/nonexistent.pem"),
        (&rubbish, 78, "no certificate"),
    ] {
        let arguments = ["forward", "--listen", "tcp:127.0.0.1:0", "--to", to];
        check(&arguments, code, &["--to: cannot connect to", what], true);
    }
    for listen in ["exec:cat", "socks5:127.0.0.1:1:tcp:80", "http-connect:127.0.0.1:1:tcp:80"] {
        for rest in [&["forward", "--to", "tcp:127.0.0.1:1"][..], &["web"]] {
            let arguments = [rest, &["--listen", listen]].concat();
            check(&arguments, 64, &["cannot listen on", "is not for listening"], true);
        }
    }
}

#[test]
fn arguments_are_wrong() {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["Usage"]),
        (&["forwad"], &["forward"]),
        (&["web", "--lisen", "80"], &["--listen"]),
        (&["web", "--tls", "a,b,c"], &["self-signed"]),
        (&["web", "--rate", "fast"], &["500K"]),
        (&["web", "--rate", "0"], &["500K"]),
        (&["web", "--workers", "0"], &["--workers"]),
        (&["web", "--grace", "soon"], &["seconds"]),
        (&["web", "--allow", "example.org"], &["10.0.0.0/8"]),
        (&["web", "--log", "xml"], &["combined"]),
        (&["web", "--log-level", "loud=very"], &["--log-level"]),
        (&["web", "-q", "-v"], &["--quiet"]),
        (&["web", "--tls", "self-signed", "--listen", "tls:0:cert=self-signed"], &["--tls"]),
        (&["web", "--listen", "stdio:", "--log", "json"], &["stdio:"]),
        (&["forward", "--listen", "0"], &["--to"]),
        (&["forward", "--listen", "stdio:", "--to", "stdio:"], &["stdio:"]),
        (&["completions", "sh"], &["bash"]),
    ];
    for (arguments, parts) in cases {
        check(arguments, 64, parts, false);
    }
}
