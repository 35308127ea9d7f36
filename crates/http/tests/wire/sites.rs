//! Virtual hosts and redirects, on a server.

use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_core::{Address, Connection, Factory as _, Peer, Transport, tls};
use ropewalk_http::{AnyHandler, Body, Handler, Hosts, HttpsOnly, Incoming, Redirect, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::talk::{SECOND, all};

/// A handler that says a word.
fn says(word: &'static str) -> impl Handler {
    move |_: Request<Incoming>| std::future::ready(Response::new(Body::from(word)))
}

fn hosts() -> Hosts {
    let moved = Redirect::below("https://new.test/x").unwrap();
    let hosts = Hosts::new().host("a.test", says("a")).unwrap();
    let hosts = hosts.host("*.a.test", says("below a")).unwrap();
    hosts.host("old.test", AnyHandler::new(moved)).unwrap()
}

/// The status, the place if there is one, and the content.
fn parts(heard: &str) -> (u16, &str, &str) {
    let (head, content) = heard.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let place = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or("");
    (status, place, content)
}

const CASES: &[(&str, (u16, &str, &str))] = &[
    ("GET / HTTP/1.1|Host: a.test", (200, "", "a")),
    ("GET / HTTP/1.1|Host: A.test:8080", (200, "", "a")),
    ("GET / HTTP/1.1|Host: x.y.a.test", (200, "", "below a")),
    ("GET http://a.test/ HTTP/1.1|Host: old.test", (200, "", "a")),
    ("GET /y?z HTTP/1.1|Host: old.test", (308, "https://new.test/x/y?z", "Permanent Redirect\n")),
    ("HEAD /y HTTP/1.1|Host: old.test", (308, "https://new.test/x/y", "")),
    (
        "POST /y HTTP/1.1|Host: old.test|Content-Length: 2||ab",
        (308, "https://new.test/x/y", "Permanent Redirect\n"),
    ),
    ("GET / HTTP/1.1|Host: b.test", (421, "", "Misdirected Request\n")),
    ("GET / HTTP/1.0", (421, "", "Misdirected Request\n")),
];

fn request(case: &str) -> String {
    let (head, content) = case.split_once("||").unwrap_or((case, ""));
    format!("{}\r\nConnection: close\r\n\r\n{content}", head.replace('|', "\r\n"))
}

#[tokio::test(start_paused = true)]
async fn each_host_has_its_site_under_every_cut() {
    let net = Net::new();
    net.listen("site", Server::new(hosts()));
    for (case, expected) in CASES {
        let sent = request(case);
        for cut in 0..=sent.len() {
            let mut transport = net.connect("site").unwrap();
            transport.write_all(&sent.as_bytes()[..cut]).await.unwrap();
            sleep(SECOND).await;
            transport.write_all(&sent.as_bytes()[cut..]).await.unwrap();
            assert_eq!(parts(&all(&mut transport).await), *expected, "{case} cut at {cut}");
        }
    }
    net.listen("other", Server::new(hosts().fallback(says("fallback"))));
    for case in ["GET / HTTP/1.1|Host: b.test", "GET / HTTP/1.0"] {
        let mut transport = net.connect("other").unwrap();
        transport.write_all(request(case).as_bytes()).await.unwrap();
        assert_eq!(parts(&all(&mut transport).await), (200, "", "fallback"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_without_tls_is_sent_to_it_and_nobody_else() {
    let server = || Server::new(HttpsOnly::new(8443, hosts()));
    let net = Net::new();
    net.listen("site", server());
    for (case, expected) in [
        (
            "GET /x?y HTTP/1.1|Host: a.test:80",
            (308, "https://a.test:8443/x?y", "Permanent Redirect\n"),
        ),
        ("GET / HTTP/1.0", (400, "", "Bad Request\n")),
    ] {
        let mut transport = net.connect("site").unwrap();
        transport.write_all(request(case).as_bytes()).await.unwrap();
        assert_eq!(parts(&all(&mut transport).await), expected, "{case}");
    }
    let config = tls::Server::builder().self_signed(["a.test"]).build().unwrap();
    let client = tls::Client::builder().pin(config.fingerprint().unwrap()).build().unwrap();
    for (case, expected) in CASES {
        let (near, far) = Transport::memory();
        let name = "a.test".try_into().unwrap();
        let (near, far) = tokio::join!(near.tls_client(&client, &name), far.tls_server(&config));
        let server = server();
        let protocol = server.build(&Peer::new(1, Address::Unknown, Address::Unknown)).unwrap();
        let serving = server.serve(Connection::new(protocol, far.unwrap()));
        let asking = async {
            let mut near = near.unwrap();
            near.write_all(request(case).as_bytes()).await.unwrap();
            let heard = all(&mut near).await;
            near.shutdown().await.unwrap();
            heard
        };
        let (served, heard) = tokio::join!(serving, asking);
        served.unwrap();
        assert_eq!(parts(&heard), *expected, "{case}");
    }
}
