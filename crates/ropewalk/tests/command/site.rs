//! `ropewalk web`: hosts, redirects, fields and pages of one's own.

use std::net::SocketAddr;

use crate::harness::{Folder, Running, ask_of, connect, run, status};

fn site() -> Folder {
    Folder::new()
        .with("a/index.html", "<p>a</p>")
        .with("a/lost.html", "<p>lost in a</p>")
        .with("b/index.html", "<p>b</p>")
        .with("file", "no folder")
}

fn start(site: &Folder, more: &[&str]) -> (Running, SocketAddr) {
    let path = site.join("a");
    let mut running = Running::start(&[&["web", "--path", &path], more].concat());
    let address = running.address();
    (running, address)
}

/// The status, the fields called `field`, and the content.
fn check(address: SocketAddr, host: &str, target: &str, expected: (u16, &str, &str), part: &str) {
    let (code, field, value) = expected;
    let (head, body) = ask_of(connect(address), host, target);
    let body = String::from_utf8_lossy(&body);
    assert_eq!(status(&head), code, "{host}{target}: {head}");
    assert!(body.contains(part), "{host}{target}: {body}");
    let line = format!("\r\n{field}: {value}\r\n");
    assert_eq!(head.contains(&line), !value.is_empty(), "{host}{target}: {head}");
}

#[test]
fn each_host_has_its_own() {
    let site = site();
    let (second, moved) = (format!("*.b.test={}", site.join("b")), "old.test=https://new.test/x");
    let listen = "tcp:127.0.0.1:0";
    let options =
        ["--listen", listen, "--host", &second, "--host", moved, "--error-page", "404=lost.html"];
    let (_running, address) = start(&site, &options);
    check(address, "www.b.test", "/", (200, "location", ""), "<p>b</p>");
    check(address, "WWW.B.test:80", "/", (200, "location", ""), "<p>b</p>");
    check(address, "b.test", "/", (200, "location", ""), "<p>a</p>");
    check(address, "old.test", "/y?z", (308, "location", "https://new.test/x/y?z"), "");
    // A page that only one of them has.
    check(address, "a.test", "/absent", (404, "location", ""), "<p>lost in a</p>");
    check(address, "www.b.test", "/absent", (404, "location", ""), "404 Not Found");
}

#[test]
fn who_comes_without_tls_is_sent_to_it() {
    let site = site();
    let listen = ["--listen", "tcp:127.0.0.1:0", "--listen", "tls:127.0.0.1:0:cert=self-signed"];
    let (mut running, address) = start(&site, &[&listen[..], &["--https-redirect"]].concat());
    let https = running.address();
    let place = format!("https://a.test:{}/x?y", https.port());
    check(address, "a.test", "/x?y", (308, "location", &place), "");
    drop(running);
    // Where clients see another port than the one listened on.
    let (_running, address) = start(&site, &[&listen[..2], &["--https-redirect=443"]].concat());
    check(address, "a.test:80", "/x?y", (308, "location", "https://a.test/x?y"), "");
}

#[test]
fn fields_and_freshness() {
    let site = site();
    let options = ["--listen", "tcp:127.0.0.1:0", "--max-age", "60", "--header", "X-Own: mine"];
    let (_running, address) = start(&site, &options);
    check(address, "a.test", "/", (200, "x-own", "mine"), "<p>a</p>");
    check(address, "a.test", "/", (200, "cache-control", "max-age=60"), "<p>a</p>");
    check(address, "a.test", "/absent", (404, "x-own", "mine"), "");
}

#[test]
fn mistakes_are_said_at_the_start() {
    let site = site();
    let (path, file) = (site.join("a"), site.join("file"));
    let (absent, no_folder) = (format!("a.test={path}/absent"), format!("a.test={file}"));
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--host", "a.test"], 64, "write a.example=/srv/a"),
        (&["--host", "a.test:80=b"], 64, "without a port"),
        (&["--host", &absent], 66, "give an existing folder with --host"),
        (&["--host", &no_folder], 66, "give an existing folder with --host"),
        (&["--https-redirect"], 64, "no --listen has TLS"),
        (&["--header", "X-Own"], 64, "write 'Name: value'"),
        (&["--header", "Content-Length: 5"], 64, "content-length is the server's to say"),
        (&["--error-page", "404"], 64, "write 404=404.html"),
        (&["--error-page", "404=absent.html"], 66, "the page for 404, absent.html"),
        (&["--max-age", "long"], 64, "--max-age"),
    ];
    for (options, code, what) in cases {
        let listen = ["web", "--listen", "tcp:127.0.0.1:0", "--path", &path];
        let ended = run(&[&listen[..], options].concat());
        assert_eq!(ended.code, Some(*code), "{options:?}: {}", ended.err);
        assert!(ended.err.contains(what), "{options:?}: {}", ended.err);
    }
}
