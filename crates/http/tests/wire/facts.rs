//! What is known of a request: the access log, `Date`, who the client is.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_core::{Address, Connection, Factory as _, Peer, Transport, tls};
use ropewalk_http::session::Client;
use ropewalk_http::{Body, BodyLength, Entry, Incoming, Limits, Outgoing, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::talk::{
    KIB, SECOND, Step, Steps, all, ask, count, dial, get, hear, noise, post, request,
};

async fn site(request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/slow" => {
            sleep(3 * SECOND).await;
            Response::new(Body::from("slow"))
        }
        "/absent" => Response::builder().status(404).body(Body::empty()).unwrap(),
        "/panic" => panic!("told to panic"),
        "/cut" => Response::new(Steps::new([Step::Data("cut".into()), Step::Fail]).body()),
        "/large" => {
            let steps = std::iter::repeat_n(Step::Data(noise(16 * KIB)), 64);
            Response::new(Steps::new(steps).body())
        }
        "/upload" => count(request).await,
        _ => Response::new(Body::from("fine")),
    }
}

type Entries = Arc<Mutex<Vec<Entry>>>;

fn logged() -> (Net, Entries) {
    let (net, entries) = (Net::new(), Entries::default());
    let log = entries.clone();
    let server = Server::new(site).access_log(move |entry: &Entry| {
        log.lock().unwrap().push(entry.clone());
    });
    net.listen("site", server);
    (net, entries)
}

/// An entry as `METHOD target version status seconds`.
fn line(entry: &Entry) -> String {
    let combined = entry.combined().to_string();
    let status = entry.status.as_u16();
    let (_, request) = combined.split_once("] \"").unwrap();
    let (request, _) = request.split_once(&format!("\" {status} {} ", entry.bytes)).unwrap();
    format!("{request} {status} {}", entry.took.as_secs())
}

#[tokio::test(start_paused = true)]
async fn each_answered_request_is_logged_in_order_with_its_size() {
    let (net, entries) = logged();
    let mut transport =
        net.connect_from(Address::Ip(([192, 0, 2, 1], 4000).into()), "site").unwrap();
    let text = "GET /a?b HTTP/1.1\r\nHost: a\r\nReferer: r\r\nUser-Agent: u\r\n\r\n\
                HEAD /slow HTTP/1.1\r\nHost: a\r\n\r\n\
                POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
                GET /absent HTTP/1.1\r\nHost: a\r\n\r\n\
                GET /panic HTTP/1.1\r\nHost: a\r\n\r\n";
    transport.write_all(text.as_bytes()).await.unwrap();
    let heard = all(&mut transport).await;
    let entries = entries.lock().unwrap();
    let lines: Vec<String> = entries.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "GET /a?b HTTP/1.1 200 0",
            "HEAD /slow HTTP/1.1 200 3",
            "POST /upload HTTP/1.1 200 0",
            "GET /absent HTTP/1.1 404 0",
            "GET /panic HTTP/1.1 500 0",
        ]
    );
    let sizes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    assert_eq!(sizes, heard.len() as u64, "{entries:?}");
    assert_eq!((&entries[0].referer[..], &entries[0].user_agent[..]), (&b"r"[..], &b"u"[..]));
    assert_eq!((entries[1].referer.len(), entries[1].user_agent.len()), (0, 0));
    for entry in &*entries {
        assert_eq!(entry.connection, 1);
        assert_eq!(entry.peer.to_string(), "192.0.2.1:4000");
        assert!(entry.time <= SystemTime::now());
    }
}

/// What did not get whole is logged with what was sent of it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_short_is_logged_too() {
    let (net, entries) = logged();
    let mut conn = dial(&net);
    ask(&mut conn, "GET /cut").await;
    hear(&mut conn).await.expect_err("cut");
    let mut conn = dial(&net);
    ask(&mut conn, "GET /large").await;
    conn.flush().await.unwrap();
    sleep(SECOND).await;
    conn.abort();
    sleep(SECOND).await;
    let entries = entries.lock().unwrap();
    let lines: Vec<String> = entries.iter().map(line).collect();
    assert_eq!(lines, ["GET /cut HTTP/1.1 200 0", "GET /large HTTP/1.1 200 1"]);
    assert!(entries[1].bytes < 1000 * KIB as u64, "{}", entries[1].bytes);
}

/// A request that never got whole got no answer either.
#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_not_logged() {
    let (net, entries) = logged();
    let mut conn = dial(&net);
    conn.send(request("POST /upload", BodyLength::Known(10))).await.unwrap();
    conn.flush().await.unwrap();
    sleep(SECOND).await;
    conn.abort();
    sleep(SECOND).await;
    assert!(entries.lock().unwrap().is_empty());
}

/// What the server answers by itself is logged with what is known of it.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_is_logged_too() {
    let get = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\n{fields}\r\n");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000));
    let begun = format!("GET /{}", "x".repeat(1019));
    for (sent, line, agent) in [
        (get("Host: b\r\n"), "GET /a HTTP/1.1 400", ""),
        (get("Content-Length: 1x\r\n"), "GET /a HTTP/1.1 400", ""),
        (get("Content-Length: 101\r\n"), "GET /a HTTP/1.1 413", "u"),
        (get("Transfer-Encoding: gzip, chunked\r\n"), "GET /a HTTP/1.1 501", ""),
        (get("Expect: miracles\r\n"), "GET /a HTTP/1.1 417", ""),
        // Content that is wrong from some byte on.
        (get("Transfer-Encoding: chunked\r\n") + "x\r\n", "GET /a HTTP/1.1 400", "u"),
        (get("Transfer-Encoding: chunked\r\n") + "70\r\n", "GET /a HTTP/1.1 413", "u"),
        (get("Content-Length: 7\r\n"), "GET /a HTTP/1.1 408", "u"),
        // Not even a request line.
        ("GET / HTTP/2.0\r\n\r\n".into(), "GET / HTTP/2.0 505", ""),
        ("GET /a \"b\r\n\r\n".into(), "GET /a \\\"b 400", ""),
        ("\x16\x03\x01".into(), "\\x16\\x03\\x01 400", ""),
        ("GET /a".into(), "GET /a 408", ""),
        (format!("GET /a HTTP/1.1\r\nx: {}", "x".repeat(70_000)), "GET /a HTTP/1.1 431", ""),
        (long, &format!("{begun} 414"), ""),
    ] {
        for (before, at_once) in
            [("", true), ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true), ("", false)]
        {
            // What cannot be HTTP is refused by its first byte: then no more of it has come.
            if !at_once && line.starts_with("\\x16") {
                continue;
            }
            let entries = Entries::default();
            let log = entries.clone();
            let limits = Limits { body: Some(100), ..Limits::default() };
            let server = Server::new(count).limits(limits);
            let server =
                server.access_log(move |entry: &Entry| log.lock().unwrap().push(entry.clone()));
            let net = Net::new();
            net.listen("site", server);
            let transport = net.connect("site").unwrap();
            let (mut reading, mut writing) = tokio::io::split(transport);
            let all = format!("{before}{sent}");
            let piece = if at_once { all.len() } else { all.len().div_ceil(700).max(1) };
            let write = async {
                for piece in all.as_bytes().chunks(piece) {
                    // The server may have refused it by what has come.
                    let _ = writing.write_all(piece).await;
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let mut heard = String::new();
            let (_, read) = tokio::join!(write, reading.read_to_string(&mut heard));
            read.unwrap();
            let entries = entries.lock().unwrap();
            let lines: Vec<_> = entries.iter().map(self::line).collect();
            let last = lines.last().map_or("", |last| last.rsplit_once(' ').unwrap().0);
            assert_eq!((last, lines.len()), (line, 1 + before.len().min(1)), "{sent:.60}");
            let entry = entries.last().unwrap();
            // A request line alone is none that was understood.
            assert_eq!(String::from_utf8_lossy(&entry.user_agent), agent, "{sent:.60}");
            let sizes: u64 = entries.iter().map(|entry| entry.bytes).sum();
            assert_eq!(sizes, heard.len() as u64, "{sent:.60}");
            assert!(heard.contains(&line[line.len() - 3..]), "{sent:.60}");
        }
    }
}

/// A client that says nothing, or leaves, was refused nothing.
#[tokio::test(start_paused = true)]
async fn who_only_leaves_is_not_logged() {
    for sent in ["", "GET /a HTT"] {
        let (net, entries) = logged();
        let mut transport = net.connect("site").unwrap();
        transport.write_all(sent.as_bytes()).await.unwrap();
        transport.shutdown().await.unwrap();
        all(&mut transport).await;
        assert!(entries.lock().unwrap().is_empty(), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_a_date_but_those_that_bring_their_own() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| match request.uri().path() {
            "/own" => Response::builder().header("date", "mine").body(Body::empty()).unwrap(),
            _ => Response::new(Body::empty()),
        }),
    );
    let mut conn = dial(&net);
    for _ in 0..2 {
        let before = SystemTime::now() - Duration::from_secs(1);
        let answer = get(&mut conn, "GET /").await;
        let date = httpdate::parse_http_date(answer.field("date")).unwrap();
        assert!(before <= date && date <= SystemTime::now(), "{:?}", answer.fields);
    }
    let answer = get(&mut conn, "GET /own").await;
    assert_eq!(answer.fields.get_all("date").iter().collect::<Vec<_>>(), ["mine"]);
    // The session's own words have one too, once it knows the time.
    conn.close().await.unwrap();
    let mut transport = net.connect("site").unwrap();
    transport.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/9.9\r\n\r\n").await.unwrap();
    let heard = all(&mut transport).await;
    assert!(heard.contains("HTTP/1.1 505"), "{heard}");
    assert_eq!(heard.matches("date: ").count(), 2, "{heard}");
}

/// Says who asked, and over what.
async fn who(request: Request<Incoming>) -> Response<Body> {
    let body = request.body();
    let tls = body.tls().map_or_else(|| "plain".into(), |facts| facts.version().to_string());
    Response::new(Body::from(format!("{} {tls}", body.peer().address())))
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_who_asks_with_and_without_content() {
    let net = Net::new();
    net.listen("site", Server::new(who));
    let from = Address::Ip(([192, 0, 2, 1], 4000).into());
    let transport = net.connect_from(from, "site").unwrap();
    let mut conn = Connection::new(Client::default(), transport);
    assert_eq!(get(&mut conn, "GET /").await.text(), "192.0.2.1:4000 plain");
    post(&mut conn, "POST /", b"content").await;
    assert_eq!(hear(&mut conn).await.unwrap().text(), "192.0.2.1:4000 plain");
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_what_tls_found_out() {
    let config = tls::Server::builder().self_signed(["site.test"]).build().unwrap();
    let pin = config.fingerprint().unwrap();
    let client = tls::Client::builder().pin(pin).build().unwrap();
    let (near, far) = Transport::memory();
    let name = "site.test".try_into().unwrap();
    let (near, far) = tokio::join!(near.tls_client(&client, &name), far.tls_server(&config));
    let server = Server::new(who);
    let protocol = server.build(&Peer::new(1, Address::Unknown, Address::Unknown)).unwrap();
    let serving = server.serve(Connection::new(protocol, far.unwrap()));
    let asking = async {
        let mut conn = Connection::new(Client::default(), near.unwrap());
        let plain = get(&mut conn, "GET /").await;
        conn.send(request("POST /", BodyLength::Unknown)).await.unwrap();
        conn.send(Outgoing::End).await.unwrap();
        let with_content = hear(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        [plain, with_content]
    };
    let (served, answers) = tokio::join!(serving, asking);
    served.unwrap();
    for answer in answers {
        assert!(answer.text().contains("TLS"), "{}", answer.text());
    }
}
