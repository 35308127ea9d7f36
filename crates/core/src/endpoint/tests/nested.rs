//! Layers over memory: PROXY headers, TLS, and what comes out of both ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::*;

/// Connects `client` to `server` and sends a word each way.
async fn meet(server: &Endpoint, client: &Endpoint) -> io::Result<(Transport, Transport)> {
    let listener = server.listen()?;
    let accept = async { listener.accept().await?.establish().await };
    let (accepted, connected) = tokio::join!(accept, client.connect());
    let (mut accepted, mut connected) = (accepted?, connected?);
    connected.write_all(b"ping").await?;
    connected.flush().await?;
    let mut word = [0; 4];
    accepted.read_exact(&mut word).await?;
    assert_eq!(&word, b"ping");
    accepted.write_all(b"pong").await?;
    accepted.flush().await?;
    connected.read_exact(&mut word).await?;
    assert_eq!(&word, b"pong");
    Ok((accepted, connected))
}

#[tokio::test(start_paused = true)]
async fn names_in_memory_belong_to_a_registry() {
    let registry = Registry::new();
    let server = Endpoint::parse_with("memory:a", &registry).unwrap();
    let client = Endpoint::parse_with("memory:a:chunk=1:latency=5ms", &registry).unwrap();
    let refused = client.connect().await.expect_err("nobody listens yet");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let (accepted, connected) = meet(&server, &client).await.unwrap();
    assert_eq!(accepted.peer(), &Address::Memory("a".into()));
    assert_eq!(connected.peer(), &Address::Memory("a".into()));
    // The listener is gone with its name.
    assert!(client.connect().await.is_err());
    let bound = server.bind().unwrap();
    assert_eq!(bound.local(), [Address::Memory("a".into())]);
    let taken = server.bind().expect_err("the name is taken");
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(taken.to_string(), "cannot listen on memory:a: this name is taken");
    assert!(Endpoint::parse("memory:a").unwrap().connect().await.is_err(), "nothing is global");
    // Two workers share it.
    let (one, two) = (bound.listener().unwrap(), bound.listener().unwrap());
    let _first = client.connect().await.unwrap();
    one.accept().await.unwrap();
    let _second = client.connect().await.unwrap();
    two.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn accepting_is_cancel_safe() {
    let registry = Registry::new();
    let endpoint = Endpoint::parse_with("memory:a", &registry).unwrap();
    let listener = endpoint.listen().unwrap();
    for _ in 0..3 {
        let accept = tokio::time::timeout(Duration::from_millis(1), listener.accept());
        assert!(accept.await.is_err());
    }
    let _client = endpoint.connect().await.unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn tls_over_memory_with_a_pin() {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    let bound = parse("tls:memory:a:cert=self-signed:alpn=b,c").bind().unwrap();
    let pin = bound.tls().next().unwrap().fingerprint().unwrap();
    let listener = bound.listener().unwrap();
    let mut client = Tls::default();
    (client.alpn, client.pin) = (vec!["c".into()], Some(pin));
    let plain = parse("memory:a");
    let nameless = plain.clone().wrap(client.clone()).connect().await.expect_err("no name");
    assert!(nameless.to_string().contains("give it name=HOST"), "{nameless}");
    drop(listener.accept().await.unwrap());

    client.name = Some("localhost".into());
    let endpoint = plain.wrap(client);
    let again: Endpoint = endpoint.to_string().parse().unwrap();
    assert_eq!(again, endpoint, "a pin is written and read");
    for _ in 0..2 {
        let accept = async { listener.accept().await?.establish().await };
        let (accepted, connected) = tokio::join!(accept, endpoint.connect());
        let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.tls().unwrap().alpn(), Some(&b"c"[..]));
        assert_eq!(connected.tls().unwrap().alpn(), Some(&b"c"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_is_cut_off() {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    for text in ["tls:memory:a:cert=self-signed:handshake=7s", "proxy:memory:a:header=7s"] {
        let listener = parse(text).listen().unwrap();
        let mut silent = parse("memory:a").connect().await.unwrap();
        silent.write_all(if text.starts_with('p') { b"PROXY" } else { b"\x16\x03" }).await.unwrap();
        let begin = tokio::time::Instant::now();
        let error = listener.accept().await.unwrap().establish().await.expect_err("it is silent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert_eq!(begin.elapsed().as_secs(), 7);
    }
}

/// What a client sends before its word; whom the server sees, or what it says.
async fn proxied(server: &str, header: &[u8], expected: Result<&str, io::ErrorKind>) {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    let listener = parse(server).listen().unwrap();
    let mut client = parse("memory:a").connect().await.unwrap();
    client.write_all(header).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let mut accepted = listener.accept().await.unwrap();
    let result = accepted.proxied().await;
    match expected {
        Err(kind) => assert_eq!(result.expect_err("refused").kind(), kind),
        Ok(peer) => {
            result.unwrap();
            assert_eq!(accepted.peer().to_string(), peer);
            assert!(accepted.header().is_some() && accepted.is_established());
            let mut rest = Vec::new();
            accepted.establish().await.unwrap().read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"ping");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn proxy_headers() {
    use io::ErrorKind as Kind;
    let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n";
    let v2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe8\x00\x50";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    proxied("proxy:memory:a", v1, Ok("192.0.2.1:1000")).await;
    proxied("proxy:memory:a", v2, Ok("192.0.2.1:1000")).await;
    proxied("proxy:memory:a", local, Ok("memory:a")).await;
    proxied("proxy:memory:a", b"PROXY UNKNOWN\r\n", Ok("memory:a")).await;
    proxied("proxy:memory:a", b"GET / HTTP/1.1\r\n", Err(Kind::InvalidData)).await;
    proxied("proxy:memory:a", &v1[..9], Err(Kind::UnexpectedEof)).await;
    proxied("proxy:memory:a:trust=10.0.0.0/8", v1, Err(Kind::PermissionDenied)).await;
    // Two balancers, one behind the other: the second header is believed if the first one's client
    // is trusted.
    let two = [&v1[..], b"PROXY TCP4 198.51.100.7 192.0.2.2 7 80\r\n"].concat();
    let trust = "proxy:trust=192.0.2.0/24:proxy:memory:a";
    proxied(trust, &two, Ok("198.51.100.7:7")).await;
    proxied("proxy:trust=10.0.0.0/8:proxy:memory:a", &two, Err(Kind::PermissionDenied)).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_half_read_is_not_passed_over() {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    let listener = parse("proxy:memory:a").listen().unwrap();
    let mut client = parse("memory:a").connect().await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.1 ").await.unwrap();
    let mut accepted = listener.accept().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), accepted.proxied()).await.is_err());
    client.write_all(b"192.0.2.2 1000 80\r\nGET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = accepted.establish().await.expect_err("the rest is no header");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn proxy_headers_are_sent() {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    let address = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
    for (client, from, to) in [
        ("proxy:memory:a:version=1", "192.0.2.1:5", "192.0.2.2:6"),
        ("proxy:memory:a:version=2", "192.0.2.1:5", "192.0.2.2:6"),
        ("proxy:memory:a", "[2001:db8::1]:5", "[2001:db8::2]:6"),
    ] {
        let listener = parse("proxy:memory:a").listen().unwrap();
        let (from, to) = (address(from), address(to));
        let client = parse(client);
        let _client = client.connect_as(&from, &to).await.unwrap();
        let accepted = listener.accept().await.unwrap().establish().await.unwrap();
        assert_eq!((accepted.peer(), accepted.local()), (&from, &to));
        // On its own behalf, a client in memory has no address to tell.
        let _client = client.connect().await.unwrap();
        let accepted = listener.accept().await.unwrap().establish().await.unwrap();
        assert_eq!(accepted.peer(), &Address::Memory("a".into()));
    }
}

#[tokio::test]
async fn tls_over_proxy_over_memory() {
    let registry = Registry::new();
    let parse = |text: &str| Endpoint::parse_with(text, &registry).unwrap();
    let bound = parse("tls:proxy:memory:a:cert=self-signed").bind().unwrap();
    let pin = bound.tls().next().unwrap().fingerprint().unwrap();
    let listener = bound.listener().unwrap();
    let mut tls = Tls::default();
    (tls.pin, tls.name) = (Some(pin), Some("localhost".into()));
    let client = parse("proxy:memory:a").wrap(tls);
    let from = Address::from(std::net::SocketAddr::from(([192, 0, 2, 1], 5)));
    let accept = async {
        let mut accepted = listener.accept().await?;
        accepted.proxied().await?;
        assert_eq!(accepted.peer(), &from, "known before the handshake");
        assert!(!accepted.is_established());
        accepted.establish().await
    };
    let (accepted, connected) = tokio::join!(accept, client.connect_as(&from, &from));
    connected.unwrap();
    let accepted = accepted.unwrap();
    assert_eq!(accepted.peer(), &from);
    assert!(accepted.tls().is_some());
}

#[test]
fn options_of_the_other_role_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (text, key) in [
        ("tcp:127.0.0.1:0:backlog=5", "backlog"),
        ("tcp:127.0.0.1:0:reuseport=on", "reuseport"),
        ("unix:/nonexistent/x:mode=600", "mode"),
        ("tls:127.0.0.1:1:cert=a", "cert"),
        ("proxy:127.0.0.1:1:trust=10.0.0.0/8", "trust"),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        let error = runtime.block_on(endpoint.connect()).expect_err(text);
        let expected = format!("{key}= is for listening: leave it out");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let checked = endpoint.check_connect().expect_err(text);
        assert_eq!(checked.to_string(), error.to_string());
    }
    for (text, key) in [
        ("tcp:127.0.0.1:0:timeout=5s", "timeout"),
        ("tcp:127.0.0.1:0:bind=127.0.0.1", "bind"),
        ("udp:127.0.0.1:0:bind=127.0.0.1", "bind"),
        ("tls:127.0.0.1:0:cert=self-signed:roots=a", "roots"),
        ("proxy:127.0.0.1:0:version=1", "version"),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        let error = endpoint.bind().expect_err(text);
        let expected = format!("{key}= is for connecting: leave it out");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(endpoint.check_listen().expect_err(text).to_string(), error.to_string());
    }
}

#[test]
fn what_cannot_be_listened_on_says_so() {
    for (text, what) in [
        ("exec:cat", "exec: is not for listening"),
        ("socks5:a:1:b.c:2", "a proxy for clients is not for listening"),
        ("tls:127.0.0.1:0", "lacks a certificate"),
        ("tls:127.0.0.1:0:cert=/nonexistent.pem", "/nonexistent.pem"),
        ("proxy:udp:127.0.0.1:0", "nothing goes around udp:"),
        ("fd:1000000", "file descriptor 1000000 is not open"),
        ("systemd:web", "no sockets were handed over"),
        ("unix:/nonexistent/x", "no such file"),
        ("tcp:192.0.2.1:0", "no such address"),
    ] {
        let error = Endpoint::parse(text).unwrap().bind().expect_err(text).to_string();
        assert!(error.contains(what), "{error}\nnot {what}");
        assert!(error.starts_with("cannot listen on ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn what_an_endpoint_is_for_is_known_before_anything_is_opened() {
    for (text, listens, connects) in [
        ("tcp:127.0.0.1:0", true, true),
        ("unix:/nonexistent/x", true, true),
        ("stdio:", true, true),
        ("memory:a", true, true),
        ("exec:cat", false, true),
        ("systemd:web", true, false),
        ("udp:127.0.0.1:0", true, false),
        ("proxy:udp:127.0.0.1:0", false, false),
        ("socks5:a:1:b.c:2", false, true),
        ("http-connect:a:1:b.c:2", false, true),
        ("socks5:a:1:tcp:2", false, false),
        ("socks5:a:1:unix:/x", false, false),
        ("tls:unix:/x", true, false),
        ("fd:1000000", true, false),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(endpoint.check_listen().is_ok(), listens, "{text}");
        assert_eq!(endpoint.check_connect().is_ok(), connects, "{text}");
    }
}

#[test]
fn a_password_is_not_shown() {
    for text in [
        "socks5:a:1:tcp:b.c:2:user=me:password=hunter2",
        "http-connect:a:1:b.c:2:user=me:password=hunter2",
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        let shown = format!("{endpoint:?} {:?} {}", endpoint.wrappers(), endpoint.redacted());
        assert!(!shown.contains("hunter2") && shown.contains("me"), "{shown}");
        assert_eq!(endpoint.to_string().matches("hunter2").count(), 1);
    }
}
