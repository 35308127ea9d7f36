//! Connections that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_core::{Address, BoxError, Connection, Factory, Peer, Refusal};
use ropewalk_http::client::{Client, Keep};
use ropewalk_http::{Body, Incoming, Server, Timeouts};
use tokio::time::sleep;

use crate::on;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the connections that are made to a server.
struct Counted<F>(F, Arc<AtomicU32>);

impl<F: Factory> Factory for Counted<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<F::Protocol, Refusal> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.build(peer)
    }

    async fn serve(&self, conn: Connection<F::Protocol>) -> Result<(), BoxError> {
        self.0.serve(conn).await
    }
}

/// Servers of these names, and how many connections were made to them.
fn sites(names: &[&str], timeouts: Timeouts) -> (Net, Arc<AtomicU32>) {
    let (net, count) = (Net::new(), Arc::new(AtomicU32::new(0)));
    for name in names {
        let server = Server::new(async |request: Request<Incoming>| {
            if request.uri().path() == "/slow" {
                sleep(SECOND).await;
            }
            Response::new(Body::from("fine"))
        });
        net.listen(name, Counted(server.timeouts(timeouts), count.clone()));
    }
    (net, count)
}

async fn get(client: &Client, url: &str) {
    let response = client.get(url).await.unwrap();
    assert_eq!(response.into_body().text().await.unwrap(), "fine");
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_requests_that_come_one_after_the_other() {
    let (net, count) = sites(&["a"], Timeouts::default());
    let client = on(&net).build();
    for _ in 0..10 {
        get(&client, "http://a/").await;
        assert_eq!(client.idle(), 1);
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // A clone shares it; another port is another origin.
    get(&client.clone(), "http://a/").await;
    get(&client, "http://a:81/").await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle()), (2, 2));
    client.close_idle().await;
    assert_eq!(client.idle(), 0);
    assert!(net.stop().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_kept_than_the_caps_allow() {
    let (net, count) = sites(&["a", "b", "c"], Timeouts::default());
    let keep = Keep { per_origin: 2, total: 3, ..Keep::default() };
    let client = on(&net).keep(keep).build();
    let many = (0..5).map(|_| get(&client, "http://a/slow"));
    futures(many).await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle()), (5, 2));
    get(&client, "http://b/").await;
    assert_eq!(client.idle(), 3);
    get(&client, "http://c/").await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle()), (7, 3));
    // The one that had waited longest is the one that went.
    get(&client, "http://a/").await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle()), (7, 3));
    let client = on(&net).keep(Keep { per_origin: 0, ..keep }).build();
    get(&client, "http://a/").await;
    assert_eq!(client.idle(), 0);
}

/// All at once.
async fn futures(all: impl Iterator<Item: Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn they_wait_no_longer_than_they_may() {
    let (net, count) = sites(&["a"], Timeouts::default());
    let keep = Keep { idle: 5 * SECOND, ..Keep::default() };
    let client = on(&net).keep(keep).build();
    get(&client, "http://a/").await;
    sleep(4 * SECOND).await;
    get(&client, "http://a/").await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle(), net.open()), (1, 1, 1));
    // Nobody asks, and yet it goes.
    sleep(7 * SECOND).await;
    assert_eq!((client.idle(), net.open()), (0, 0));
    get(&client, "http://a/").await;
    assert_eq!((count.load(Ordering::Relaxed), client.idle()), (2, 1));
    drop(client);
    sleep(SECOND).await;
    assert_eq!(net.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_has_ended_is_not_used_again() {
    let timeouts = Timeouts { idle: Some(3 * SECOND), ..Timeouts::default() };
    let (net, count) = sites(&["a"], timeouts);
    let client = on(&net).build();
    get(&client, "http://a/").await;
    sleep(10 * SECOND).await;
    assert_eq!(client.idle(), 0, "seen within a second");
    // A POST is not repeated: it must not meet a connection that has ended.
    for wait in [2990, 2999, 3000, 3001, 3010] {
        get(&client, "http://a/").await;
        sleep(Duration::from_millis(wait)).await;
        let response = client.post("http://a/").body("x").await.unwrap();
        assert_eq!(response.into_body().text().await.unwrap(), "fine");
    }
    assert!(count.load(Ordering::Relaxed) >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_ends_takes_its_connections_along() {
    let client = {
        let (net, _) = sites(&["a"], Timeouts::default());
        on(&net).build()
    };
    let other = client.clone();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(get(&other, "http://a/"));
    });
    elsewhere.join().unwrap();
    get(&client, "http://a/").await;
    assert_eq!(client.idle(), 1);
    sleep(100 * SECOND).await;
    assert_eq!(client.idle(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_there_and_who_is_not() {
    let (net, _) = sites(&["a"], Timeouts::default());
    let client = on(&net).build();
    let error = client.get("http://nowhere/").await.expect_err("nobody is there");
    assert_eq!(error.to_string(), "http://nowhere/: nothing listens on \"nowhere\"");
    let response = client.get("http://a/").await.unwrap();
    assert_eq!(response.body().peer().address(), &Address::Memory("a".into()));
    assert_eq!(response.body().missing(), Some(4));
    assert_eq!(response.body().url(), "http://a/");
}

/// A client is for all threads, and so are its futures.
#[test]
fn everything_can_be_sent() {
    fn is<T: Send + Sync>(_: &T) {}
    fn goes<T: Send>(_: &T) {}
    let client = Client::new();
    is(&client);
    goes(&client.get("http://a/"));
    goes(&client.get("http://a/").send());
    goes(&client.send(Request::new(Body::empty())));
}
