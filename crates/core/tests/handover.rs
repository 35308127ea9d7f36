//! Listening sockets from one reactor to the next, as from one process to the next.

use std::path::PathBuf;
use std::time::Duration;

use ropewalk_core::endpoint::{Endpoint, Registry};
use ropewalk_core::{Address, BoxError, Connection, Lines, Reactor, Workers, factory};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn build(workers: Workers, registry: &Registry) -> Reactor {
    let builder = Reactor::builder().workers(workers).registry(registry.clone());
    builder.grace(5 * SECOND).build().expect("inside a runtime")
}

/// Says its number to whoever asks. Returns where that is.
async fn listen(reactor: &Reactor, at: &str, number: usize) -> Address {
    let serve = move |mut conn: Connection<Lines>| async move {
        while conn.next().await?.is_some() {
            let last = if conn.is_stopping() { " and farewell" } else { "" };
            conn.send(format!("{number}{last}")).await?;
        }
        conn.close().await.map_err(BoxError::from)
    };
    let listening =
        reactor.listen(at, factory::serve_with(Lines::crlf, serve)).await.expect("a free place");
    listening.local().clone()
}

async fn ask(at: &str) -> String {
    let transport =
        Reactor::new().expect("inside a runtime").connect(at).await.expect("it listens");
    let mut conn = Connection::new(Lines::crlf(), transport);
    conn.send("who are you?").await.expect("it listens");
    let answer = conn.next().await.expect("a connection").expect("an answer");
    conn.close().await.expect("a connection");
    String::from_utf8(answer.to_vec()).expect("text")
}

/// One generation after the other, each with so many workers, 0 for shared ones.
async fn check(at: &str, generations: &[usize]) {
    let workers = |number: usize| match generations[number] {
        0 => Workers::Shared,
        count => Workers::PerCore(count),
    };
    let mut old = build(workers(0), &Registry::new());
    let address = listen(&old, at, 0).await;
    let dial = match &address {
        Address::Unix(Some(path)) => format!("unix:{}", path.display()),
        address => format!("tcp:{address}"),
    };
    for number in 1..generations.len() {
        let registry = Registry::new();
        let handed = old.sockets().expect("descriptors");
        let most = generations.iter().max().copied().unwrap_or_default().max(1);
        assert!((1..=most).contains(&handed.len()), "{number} {handed:?}");
        handed.into_iter().for_each(|handed| registry.inherit(handed));
        let new = build(workers(number), &registry);
        assert_eq!(listen(&new, at, number).await, address);
        assert!(registry.unclaimed().is_empty());
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let dial = dial.clone();
                tokio::spawn(async move { ask(&dial).await })
            })
            .collect();
        old.retire(SECOND / 10).await;
        for answer in asking {
            answer.await.expect("nobody is turned away");
        }
        for _ in 0..20 {
            assert_eq!(ask(&dial).await, number.to_string(), "{generations:?}");
        }
        old = new;
    }
    old.stop().await;
    Reactor::new()
        .expect("inside a runtime")
        .connect(&dial)
        .await
        .expect_err("nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_sockets_go_over_whatever_the_workers() {
    for generations in [&[0, 0, 0][..], &[1, 2, 3], &[3, 1, 0, 2]] {
        // Options may change on the way, and do not make it another endpoint.
        check("tcp:127.0.0.1:0:backlog=100", generations).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_go_over_and_the_last_removes_the_path() {
    let path = std::env::temp_dir().join(format!("ropewalk-handover-{}", std::process::id()));
    for generations in [&[0, 0, 0][..], &[2, 1, 0, 3]] {
        check(&format!("unix:{}", path.display()), generations).await;
        assert!(!PathBuf::from(&path).exists(), "{generations:?}");
    }
}

#[tokio::test]
async fn those_of_one_name_are_kept_apart() {
    let (old, registry) = (build(Workers::PerCore(2), &Registry::new()), Registry::new());
    let any = "tcp:127.0.0.1:0";
    let before = [listen(&old, any, 0).await, listen(&old, any, 0).await];
    old.sockets().expect("descriptors").into_iter().for_each(|handed| registry.inherit(handed));
    let new = build(Workers::Shared, &registry);
    assert_eq!([listen(&new, any, 1).await, listen(&new, any, 1).await], before);
    assert!(registry.unclaimed().is_empty());
    old.retire(Duration::ZERO).await;
    for address in before {
        assert_eq!(ask(&format!("tcp:{address}")).await, "1");
    }
}

#[tokio::test]
async fn sockets_that_are_not_accepted_on_go_over_too() {
    let udp = |registry: &Registry| {
        let endpoint = Endpoint::parse_with("udp:127.0.0.1:0", registry).expect("an endpoint");
        endpoint.bind().expect("a free port")
    };
    let (mut old, registry) = (udp(&Registry::new()), Registry::new());
    old.spread(2).expect("descriptors");
    old.handed().expect("descriptors").into_iter().for_each(|handed| registry.inherit(handed));
    let new = udp(&registry);
    assert_eq!(new.local(), old.local());
    assert!(registry.unclaimed().is_empty());
    assert_eq!(new.datagrams().expect("descriptors").len(), 1, "they are siblings");
}

#[tokio::test]
async fn what_is_no_listening_socket_is_not_handed_over() {
    let reactor = Reactor::new().unwrap();
    listen(&reactor, "memory:a", 0).await;
    let error = reactor.sockets().unwrap_err().to_string();
    assert!(error.contains("memory:a"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_retires_lets_the_idle_ask_once_more() {
    let reactor = Reactor::new().unwrap();
    listen(&reactor, "memory:a", 7).await;
    let dial = async || Connection::new(Lines::crlf(), reactor.connect("memory:a").await.unwrap());
    let (mut idle, mut asks) = (dial().await, dial().await);
    sleep(SECOND).await;
    let begun = Instant::now();
    let retired = tokio::spawn({
        let reactor = reactor.clone();
        async move { reactor.retire(SECOND).await }
    });
    reactor.stopping().await;
    reactor.connect("memory:a").await.expect_err("nobody accepts any more");
    sleep(SECOND / 2).await;
    asks.send("still there?").await.unwrap();
    assert_eq!(asks.next().await.unwrap().expect("an answer"), "7 and farewell");
    assert!(idle.next().await.unwrap().is_none(), "it says nothing");
    assert_eq!(begun.elapsed(), SECOND);
    drop((idle, asks));
    retired.await.unwrap();
    assert_eq!(begun.elapsed(), SECOND);
}

#[tokio::test]
async fn every_worker_turns() {
    for workers in [Workers::Shared, Workers::PerCore(2)] {
        let reactor = build(workers, &Registry::new());
        tokio::time::timeout(5 * SECOND, reactor.turn()).await.expect("it turns");
    }
}
