//! The graceful stop, and who is not let in.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response};
use ropewalk_core::factory::AtMost;
use ropewalk_core::testing::Net;
use ropewalk_core::{Address, Connection, Factory, Reactor, Refusal};
use ropewalk_http::session::Client;
use ropewalk_http::{Body, BodyLength, Incoming, Outgoing, Server};
use tokio::time::{Instant, sleep};

use crate::talk::{
    KIB, SECOND, Step, Steps, all, ask, get, hear, noise, patient, post, read, request,
};

/// Takes ten seconds for the first part of the answer and ten for the rest; or reads, then answers.
async fn site(request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/at-once" => Response::new(Body::from("at once")),
        "/upload" => {
            let (content, _) = read(request).await.unwrap();
            Response::new(Body::from(content.len().to_string()))
        }
        "/large" => Response::new(Body::from(noise(300 * KIB))),
        "/slow" => {
            sleep(10 * SECOND).await;
            Response::new(Body::from("slow"))
        }
        _ => {
            let half = || Step::Data("half ".into());
            let steps = [half(), Step::Wait(10 * SECOND), half()];
            Response::new(Steps::new(steps).body())
        }
    }
}

async fn start() -> Reactor {
    let reactor = Reactor::new().unwrap();
    reactor.listen("memory:site", Server::new(site)).await.unwrap();
    reactor
}

async fn dial(reactor: &Reactor) -> Connection<Client> {
    Connection::new(Client::default(), reactor.connect("memory:site").await.unwrap())
}

/// Stops in the background; says when that was done.
fn stop(reactor: &Reactor) -> tokio::task::JoinHandle<u64> {
    let (reactor, begun) = (reactor.clone(), Instant::now());
    tokio::spawn(async move {
        reactor.stop().await;
        begun.elapsed().as_secs()
    })
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_at_once_and_without_a_word() {
    let reactor = start().await;
    let (mut fresh, mut used) = (dial(&reactor).await, dial(&reactor).await);
    assert_eq!(get(&mut used, "GET /at-once").await.text(), "at once");
    sleep(SECOND).await;
    let stopped = stop(&reactor);
    let begun = Instant::now();
    assert_eq!(hear(&mut fresh).await.unwrap_err(), "ended after 0 bytes");
    assert_eq!(hear(&mut used).await.unwrap_err(), "ended after 0 bytes");
    assert_eq!(begun.elapsed().as_secs(), 0);
    drop((fresh, used));
    assert_eq!(stopped.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_retires_answers_the_idle_once_more_and_says_that_this_was_all() {
    let reactor = start().await;
    let (mut idle, mut fresh, mut used) =
        (dial(&reactor).await, dial(&reactor).await, dial(&reactor).await);
    assert_eq!(get(&mut used, "GET /at-once").await.text(), "at once");
    let retired = tokio::spawn({
        let reactor = reactor.clone();
        async move { reactor.retire(SECOND).await }
    });
    sleep(SECOND / 2).await;
    for conn in [&mut fresh, &mut used] {
        let answer = get(conn, "GET /at-once").await;
        assert_eq!((answer.text(), answer.closes()), ("at once", true));
        hear(conn).await.expect_err("that was the last");
    }
    let begun = Instant::now();
    assert_eq!(hear(&mut idle).await.unwrap_err(), "ended after 0 bytes");
    assert_eq!(begun.elapsed(), SECOND / 2);
    drop((idle, fresh, used));
    retired.await.unwrap();
}

/// What is under way when the stop comes, and the answer to it.
#[tokio::test(start_paused = true)]
async fn busy_connections_finish_and_say_that_this_was_all() {
    for (text, expected, closes) in [
        ("GET /slow", "slow", true),
        // Its head had gone out before anybody knew.
        ("GET /halves", "half half ", false),
    ] {
        let reactor = start().await;
        let mut conn = dial(&reactor).await;
        ask(&mut conn, text).await;
        ask(&mut conn, "GET /at-once").await;
        conn.flush().await.unwrap();
        sleep(SECOND).await;
        let stopped = stop(&reactor);
        let answer = hear(&mut conn).await.unwrap();
        assert_eq!((answer.text(), answer.closes()), (expected, closes), "{text}");
        if !closes {
            // What was there before the stop is still answered, as nobody has told the client.
            let answer = hear(&mut conn).await.unwrap();
            assert_eq!((answer.text(), answer.closes()), ("at once", true), "{text}");
        }
        hear(&mut conn).await.expect_err("that was the last");
        drop(conn);
        assert_eq!(stopped.await.unwrap(), 9, "{text}");
        assert!(reactor.connections().is_empty(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_under_way_is_finished() {
    let reactor = start().await;
    let mut conn = dial(&reactor).await;
    conn.send(request("POST /upload", BodyLength::Known(10))).await.unwrap();
    conn.send(Bytes::from("12345")).await.unwrap();
    conn.flush().await.unwrap();
    sleep(SECOND).await;
    let stopped = stop(&reactor);
    sleep(5 * SECOND).await;
    conn.send(Bytes::from("67890")).await.unwrap();
    conn.send(Outgoing::End).await.unwrap();
    let answer = hear(&mut conn).await.unwrap();
    assert_eq!((answer.text(), answer.closes()), ("10", true));
    drop(conn);
    assert_eq!(stopped.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_download_under_way_is_finished() {
    let reactor = start().await;
    let mut conn = dial(&reactor).await;
    ask(&mut conn, "GET /large").await;
    conn.flush().await.unwrap();
    sleep(SECOND).await;
    let stopped = stop(&reactor);
    sleep(20 * SECOND).await;
    assert_eq!(hear(&mut conn).await.unwrap().content, noise(300 * KIB));
    hear(&mut conn).await.expect_err("that was the last");
    drop(conn);
    assert_eq!(stopped.await.unwrap(), 20);
}

/// A download that outlives the grace is aborted, and does not look whole, not even where only the end
/// of the connection says so.
#[tokio::test(start_paused = true)]
async fn what_outlives_the_grace_does_not_look_whole() {
    for text in ["GET /halves", "GET /halves HTTP/1.0"] {
        let reactor = Reactor::builder().grace(5 * SECOND).build().unwrap();
        reactor.listen("memory:site", Server::new(site)).await.unwrap();
        let mut conn = dial(&reactor).await;
        ask(&mut conn, text).await;
        conn.flush().await.unwrap();
        sleep(SECOND).await;
        let stopped = stop(&reactor);
        hear(&mut conn).await.expect_err(text);
        assert_eq!(stopped.await.unwrap(), 5, "{text}");
    }
}

/// Under any timing: what was begun is finished, and nothing fails.
#[tokio::test(start_paused = true)]
async fn a_stop_cuts_nothing_off() {
    for seed in 0..20 {
        let net = Net::seeded(seed);
        net.listen("site", patient(site));
        let clients: Vec<_> = (0..6)
            .map(|number: u32| {
                let mut conn = net.dial("site", Client::default()).unwrap();
                tokio::spawn(async move {
                    sleep(SECOND * number / 5).await;
                    let mut answered = 0;
                    loop {
                        post(&mut conn, "POST /upload", &noise(100)).await;
                        match hear(&mut conn).await {
                            Ok(answer) => {
                                assert_eq!(answer.text(), "100", "seed {seed}");
                                answered += 1;
                                if answer.closes() {
                                    return answered;
                                }
                                sleep(SECOND / 3).await;
                            }
                            // An idle connection may end while the request is under way to it.
                            Err(error) => {
                                assert!(error.ends_with("after 0 bytes"), "seed {seed}: {error}");
                                return answered;
                            }
                        }
                    }
                })
            })
            .collect();
        sleep(30 * SECOND).await;
        let failures = net.stop().await;
        assert!(failures.is_empty(), "seed {seed}: {failures:?}");
        for client in clients {
            client.await.unwrap();
        }
    }
}

/// Connects from there and reads what is said to one who has said nothing.
async fn refused(net: &Net, from: &str) -> String {
    let from: IpAddr = from.parse().unwrap();
    let from = Address::Ip((from, 4000).into());
    all(&mut net.connect_from(from, "site").unwrap()).await
}

fn words(status: &str, retry: bool) -> String {
    let text = format!("{}\n", &status[4..]);
    let length = text.len();
    let retry = if retry { "Retry-After: 10\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n{retry}Connection: close\r\n\r\n{text}"
    )
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_refused_in_words_of_http() {
    let net = Net::new();
    net.listen("site", AtMost::per_address(1, Server::new(site)).and_total(2));
    let from = |address: [u8; 4]| Address::Ip((address, 4000).into());
    let connect = |address| net.connect_from(from(address), "site").unwrap();
    let first = connect([192, 0, 2, 1]);
    sleep(SECOND).await;
    let many = words("429 Too Many Requests", true);
    assert_eq!(refused(&net, "192.0.2.1").await, many);
    let second = connect([192, 0, 2, 2]);
    sleep(SECOND).await;
    assert_eq!(refused(&net, "192.0.2.3").await, words("503 Service Unavailable", true));
    drop((first, second));
    sleep(SECOND).await;
    // Their places are free again, and the refusal is understood by our own client.
    let mut third = Connection::new(Client::default(), connect([192, 0, 2, 1]));
    assert_eq!(get(&mut third, "GET /at-once").await.text(), "at once");
    let mut fourth = Connection::new(Client::default(), connect([192, 0, 2, 1]));
    ask(&mut fourth, "GET /").await;
    let answer = hear(&mut fourth).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (429, true));
}

#[test]
fn each_refusal_has_its_status() {
    let server = Server::new(site);
    for (why, status, retry) in [
        (Refusal::Denied, "403 Forbidden", false),
        (Refusal::TooFast, "429 Too Many Requests", true),
        (Refusal::TooManyFromAddress, "429 Too Many Requests", true),
        (Refusal::TooMany, "503 Service Unavailable", true),
    ] {
        assert_eq!(server.refusal(&why), words(status, retry), "{why}");
    }
}
