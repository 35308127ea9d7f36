//! What is known of a request: the access log, `Date`, who the client is.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_core::{Address, Connection, Factory as _, Peer, Transport, tls};
use ropewalk_http::session::Client;
use ropewalk_http::{Body, BodyLength, Entry, Incoming, Outgoing, Server};
use tokio::io::AsyncWriteExt as _;
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
    let Entry { method, target, version, status, took, .. } = entry;
    format!("{method} {target} {version:?} {} {}", status.as_u16(), took.as_secs())
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
