//! `ropewalk web`.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use ropewalk_core::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Folder, Running, ask, connect, get, site, status, until};

/// A running `web` over `site`, on a port of its own.
fn serve(site: &Folder, more: &[&str]) -> (Running, SocketAddr) {
    let root = site.join("site");
    let arguments = [&["web", "--listen", "tcp:127.0.0.1:0", "--path", &root], more].concat();
    let mut running = Running::start(&arguments);
    let address = running.address();
    (running, address)
}

#[test]
fn it_serves_a_folder_and_says_where() {
    let site = site();
    let (running, address) = serve(&site, &[]);
    let root = site.path().join("site").canonicalize().expect("it is there");
    let says = format!("serving {} at http://{address}/", root.display());
    assert_eq!(running.said, [says]);
    let (head, body) = get(address, "/hello.txt");
    assert_eq!((status(&head), &body[..]), (200, &b"Hello, world!"[..]));
    let (head, body) = get(address, "/");
    let page = String::from_utf8(body).expect("HTML");
    assert_eq!(status(&head), 200);
    assert!(page.contains("hello.txt") && page.contains("sub/") && !page.contains(".hidden"));
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn nothing_outside_the_root_is_reached() {
    let site = site();
    symlink(site.path(), site.path().join("site/out")).expect("a link");
    let (_running, address) = serve(&site, &["--follow-links", "--dotfiles"]);
    for target in [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/out/secret.txt",
        "//../secret.txt",
        "/hello.txt%00",
    ] {
        let (head, body) = get(address, target);
        assert!(status(&head) >= 400, "{target}: {head}");
        assert!(!body.windows(7).any(|word| word == b"outside"), "{target}");
    }
}

#[test]
fn options_change_what_is_served() {
    let site = site().with("site/hello.txt.gz", "not really");
    symlink("hello.txt", site.path().join("site/link")).expect("a link");
    let cases: &[(&[&str], &str, u16, &str)] = &[
        (&[], "/.hidden", 404, ""),
        (&["--dotfiles"], "/.hidden", 200, "hidden"),
        (&[], "/link", 404, ""),
        (&["--follow-links"], "/link", 200, "Hello, world!"),
        (&["--no-listing"], "/", 403, ""),
        (&["--index", "none.html", "--index", "home.html"], "/", 200, "<p>home</p>"),
        (&["--precompressed"], "/hello.txt", 200, "Hello, world!"),
        (&["--workers", "2"], "/hello.txt", 200, "Hello, world!"),
        (&["--rate", "1M", "--rate-all", "2M"], "/hello.txt", 200, "Hello, world!"),
        (&["--max-connections", "0", "--max-per-address", "0"], "/sub/a.txt", 200, "a"),
        (&["--allow", "127.0.0.0/8"], "/sub/a.txt", 200, "a"),
        (&["--allow", "127.0.0.0/8", "--deny", "127.0.0.1"], "/sub/a.txt", 403, ""),
        (&["--allow", "10.0.0.0/8,192.0.2.1"], "/sub/a.txt", 403, ""),
        (&["--accept-rate", "1"], "/sub/a.txt", 200, "a"),
    ];
    for (options, target, expected, content) in cases {
        let (_running, address) = serve(&site, options);
        let (head, body) = get(address, target);
        assert_eq!(status(&head), *expected, "{options:?} {target}: {head}");
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(content), "{options:?} {target}: {body}");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let site = site();
    for cap in ["--max-connections", "--max-per-address"] {
        let (_running, address) = serve(&site, &[cap, "1"]);
        let mut first = connect(address);
        first.write_all(b"GET /sub/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
        first.read_exact(&mut [0; 12]).expect("it has its place");
        let (head, _) = get(address, "/hello.txt");
        assert!(matches!(status(&head), 429 | 503), "{cap}: {head}");
        drop(first);
        until("a place is free again", || {
            let (head, _) = get(address, "/hello.txt");
            (status(&head) == 200).then_some(())
        });
    }
}

#[test]
fn it_serves_over_a_unix_socket_which_is_gone_afterwards() {
    let site = site();
    let (root, path) = (site.join("site"), site.join("web.sock"));
    let listen = format!("unix:{path}");
    let mut running = Running::start(&["web", "--listen", &listen, "--path", &root]);
    running.line(&format!("at unix:{path}"));
    let (head, body) = ask(UnixStream::connect(&path).expect("it listens"), "/hello.txt");
    assert_eq!((status(&head), &body[..]), (200, &b"Hello, world!"[..]));
    assert_eq!(running.stop().code, Some(0));
    assert!(!site.path().join("web.sock").exists());
}

#[test]
fn it_serves_several_endpoints() {
    let site = site();
    let (_running, first) = serve(&site, &["--listen", "tcp:127.0.0.1:0"]);
    let mut running = _running;
    let second = running.address();
    assert_ne!(first, second);
    for address in [first, second] {
        assert_eq!(status(&get(address, "/hello.txt").0), 200);
    }
}

/// The answer over TLS from the server with the certificate that has this fingerprint.
async fn over_tls(address: SocketAddr, pin: &str) -> std::io::Result<String> {
    let endpoint = format!("tls:{address}:pin={pin}:alpn=http/1.1");
    let endpoint = Endpoint::parse(&endpoint).expect("an endpoint");
    let mut transport = endpoint.connect().await?;
    let alpn = transport.tls().and_then(|facts| facts.alpn()).map(<[u8]>::to_vec);
    assert_eq!(alpn.as_deref(), Some(&b"http/1.1"[..]));
    let request = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    transport.write_all(request).await?;
    let mut response = String::new();
    transport.read_to_string(&mut response).await?;
    Ok(response)
}

#[tokio::test]
async fn a_self_signed_certificate_is_the_one_whose_fingerprint_it_says() {
    let site = site();
    let (mut running, address) = serve(&site, &["--tls", "self-signed"]);
    assert!(running.said[0].contains("at https://127.0.0.1:"), "{}", running.said[0]);
    let line = running.line("fingerprint");
    let pin = line.rsplit('=').next().expect("a pin").to_owned();
    let response = over_tls(address, &pin).await.expect("the right certificate");
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("Hello, world!"));
    let other = pin.replace(&pin[..2], if pin.starts_with("00") { "01" } else { "00" });
    over_tls(address, &other).await.expect_err("not that certificate");
    assert_eq!(running.stop().code, Some(0));
}
