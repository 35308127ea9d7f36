//! Connections that are handed over: what has come behind the request is not lost, and what held for
//! the connection holds on.

use std::sync::{Arc, Mutex};

use http::{HeaderValue, Request, Response, StatusCode};
use ropewalk_core::factory::{AtMost, Deadlines};
use ropewalk_core::testing::Net;
use ropewalk_core::{
    Address, BoxError, Connection, Factory as _, Lines, Peer, Raw, Transport, tls,
};
use ropewalk_http::{Body, Entry, Incoming, Server, Switch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::talk::{SECOND, all, nets, patient, read};

/// Gives back what comes, until the client ends.
async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
    while let Some(bytes) = conn.next().await? {
        conn.send(bytes).await?;
    }
    Ok(conn.close().await?)
}

/// Gives back lines, as a protocol of lines.
async fn lines(conn: Connection<Raw>) -> Result<(), BoxError> {
    let mut conn = conn.switch(Lines::crlf());
    while let Some(line) = conn.next().await? {
        conn.send(line).await?;
    }
    Ok(conn.close().await?)
}

/// Gives back what comes, as any program with streams would.
async fn copy(conn: Connection<Raw>) -> Result<(), BoxError> {
    let (mut reading, mut writing) = tokio::io::split(conn.into_transport().await?);
    tokio::io::copy(&mut reading, &mut writing).await?;
    Ok(writing.shutdown().await?)
}

fn protocol() -> HeaderValue {
    HeaderValue::from_static("echo")
}

async fn site(request: Request<Incoming>) -> Response<Body> {
    match (request.method().as_str(), request.uri().path()) {
        ("CONNECT", _) if request.uri().port_u16() == Some(443) => Switch::new(echo).tunnel(),
        ("CONNECT", _) => Response::builder().status(403).body("not there".into()).unwrap(),
        (_, "/lines") => Switch::new(lines).upgrade(protocol()),
        (_, "/copy") => Switch::new(copy).upgrade(protocol()),
        (_, "/read") => {
            read(request).await.unwrap();
            Switch::new(echo).upgrade(protocol())
        }
        (_, "/wrong") => Response::new(Body::from(Switch::new(echo))),
        (_, "/fails") => Switch::new(async |_| Err("told to fail".into())).upgrade(protocol()),
        (_, "/hello") => Response::new("hello".into()),
        _ => Switch::new(echo).upgrade(protocol()),
    }
}

const UPGRADE: &str = "Host: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo\r\n\r\n";

fn upgrade(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{UPGRADE}")
}

/// Says `sent` in two pieces, ends, and hears all there is.
async fn converse(mut transport: Transport, sent: &str, cut: usize) -> String {
    let (first, second) = sent.as_bytes().split_at(cut);
    transport.write_all(first).await.unwrap();
    transport.flush().await.unwrap();
    sleep(SECOND).await;
    transport.write_all(second).await.unwrap();
    transport.shutdown().await.unwrap();
    all(&mut transport).await
}

/// What is heard: the head's first line, and what follows it.
fn parts(heard: &str) -> (&str, &str) {
    let (head, rest) = heard.split_once("\r\n\r\n").unwrap_or((heard, ""));
    (head.lines().next().unwrap_or(""), rest)
}

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols";
const OK: &str = "HTTP/1.1 200 OK";

/// What is said, and what is heard: everything behind the request comes back.
fn conversations() -> [(String, &'static str, &'static str); 6] {
    let connect = "CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n";
    let post = format!("POST /read HTTP/1.1\r\nContent-Length: 7\r\n{UPGRADE}content");
    [
        (upgrade("/") + "behind\r\nthe request", SWITCHED, "behind\r\nthe request"),
        (upgrade("/lines") + "a\r\nbc\r\n", SWITCHED, "a\r\nbc\r\n"),
        (upgrade("/copy") + "copied", SWITCHED, "copied"),
        // What follows looks like HTTP, and is none.
        (
            connect.to_owned() + &upgrade("/"),
            OK,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo\r\n\r\n",
        ),
        (connect.to_owned(), OK, ""),
        (post + "behind", SWITCHED, "behind"),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_request_is_the_next_protocols_under_every_cut() {
    let net = Net::new();
    net.listen("site", Server::new(site));
    for (sent, line, rest) in conversations() {
        for cut in 0..=sent.len() {
            let heard = converse(net.connect("site").unwrap(), &sent, cut).await;
            assert_eq!(parts(&heard), (line, rest), "{sent:?} cut at {cut}");
        }
    }
    for (name, net) in nets() {
        net.listen("site", patient(site));
        for (sent, line, rest) in conversations() {
            let conversation = converse(net.connect("site").unwrap(), &sent, 0);
            let heard = timeout(300 * SECOND, conversation).await.expect(&name);
            assert_eq!(parts(&heard), (line, rest), "{name}: {sent:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_comes_after_the_answers_before_it() {
    let net = Net::new();
    net.listen("site", Server::new(site));
    let sent = format!("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n{}behind", upgrade("/"));
    let heard = converse(net.connect("site").unwrap(), &sent, 0).await;
    let (first, rest) = heard.split_once("hello").expect("the first answer");
    assert!(first.starts_with(OK), "{heard}");
    assert_eq!(parts(rest), (SWITCHED, "behind"), "{heard}");
    let head = rest.to_ascii_lowercase();
    assert!(head.contains("upgrade: echo\r\n") && head.contains("connection: upgrade\r\n"));
}

/// What the client did not ask for, or not yet, is our mistake and not its protocol.
#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_a_500() {
    let net = Net::new();
    net.listen("site", Server::new(site));
    let unread = format!("POST / HTTP/1.1\r\nContent-Length: 7\r\n{UPGRADE}content");
    for sent in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        &upgrade("/wrong"),
        &unread,
    ] {
        let heard = converse(net.connect("site").unwrap(), sent, 0).await;
        let (line, rest) = parts(&heard);
        assert_eq!(line, "HTTP/1.1 500 Internal Server Error", "{sent}");
        assert_eq!(rest, "Internal Server Error\n", "{sent}");
    }
    // A tunnel that is refused is a response like others.
    let sent = "CONNECT b.test:80 HTTP/1.1\r\nHost: b.test:80\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let heard = converse(net.connect("site").unwrap(), sent, 0).await;
    assert_eq!(parts(&heard).0, "HTTP/1.1 403 Forbidden");
    assert!(heard.ends_with("hello"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn it_works_over_tls() {
    let config = tls::Server::builder().self_signed(["site.test"]).build().unwrap();
    let pin = config.fingerprint().unwrap();
    let client = tls::Client::builder().pin(pin).build().unwrap();
    let server = Server::new(site);
    for (sent, line, rest) in conversations() {
        let (near, far) = Transport::memory();
        let name = "site.test".try_into().unwrap();
        let (near, far) = tokio::join!(near.tls_client(&client, &name), far.tls_server(&config));
        let protocol = server.build(&Peer::new(1, Address::Unknown, Address::Unknown)).unwrap();
        let serving = server.serve(Connection::new(protocol, far.unwrap()));
        let (served, heard) = tokio::join!(serving, converse(near.unwrap(), &sent, sent.len() - 2));
        served.unwrap();
        assert_eq!(parts(&heard), (line, rest), "{sent}");
    }
}

/// Asks for an echo and gets it; the rest of the conversation is the caller's.
async fn switched(net: &Net) -> Transport {
    let mut transport = net.connect("site").unwrap();
    transport.write_all(upgrade("/").as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert_ne!(transport.read_buf(&mut heard).await.unwrap(), 0);
    }
    transport
}

#[tokio::test(start_paused = true)]
async fn what_stood_around_the_connection_still_does() {
    // The place is taken until the end, and the lifetime runs on.
    let net = Net::new();
    let one = AtMost::total(1, Deadlines::lifetime(100 * SECOND, Server::new(site)));
    net.listen("site", one);
    let mut transport = switched(&net).await;
    sleep(90 * SECOND).await;
    transport.write_all(b"still").await.unwrap();
    let mut heard = [0; 5];
    transport.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still", "HTTP's deadlines are gone");
    let mut second = net.connect("site").unwrap();
    assert!(all(&mut second).await.starts_with("HTTP/1.1 503"), "the place is taken");
    sleep(20 * SECOND).await;
    assert_eq!(transport.read(&mut heard).await.unwrap_or(0), 0, "it has lived long enough");
    drop(transport);
    sleep(SECOND).await;
    switched(&net).await;

    // A stop is heard by what lives there now.
    let net = Net::new();
    net.listen("site", Server::new(site));
    let mut transport = switched(&net).await;
    let (stopped, end) = tokio::join!(net.stop(), async {
        let end = transport.read(&mut heard).await.unwrap();
        transport.shutdown().await.unwrap();
        end
    });
    assert!(stopped.is_empty(), "{stopped:?}");
    assert_eq!(end, 0);
}

#[tokio::test(start_paused = true)]
async fn the_switch_is_logged_and_what_fails_later_is_the_connections_end() {
    let (net, entries) = (Net::new(), Arc::new(Mutex::new(Vec::<(StatusCode, u64)>::new())));
    let log = entries.clone();
    let server = Server::new(site).access_log(move |entry: &Entry| {
        log.lock().unwrap().push((entry.status, entry.bytes));
    });
    net.listen("site", server);
    let heard = converse(net.connect("site").unwrap(), &(upgrade("/") + "behind"), 0).await;
    let head = heard.len() - "behind".len();
    assert_eq!(*entries.lock().unwrap(), [(StatusCode::SWITCHING_PROTOCOLS, head as u64)]);
    let mut transport = net.connect("site").unwrap();
    transport.write_all(upgrade("/fails").as_bytes()).await.unwrap();
    assert_eq!(parts(&all(&mut transport).await), (SWITCHED, ""));
    assert_eq!(net.stop().await.len(), 1);
}
