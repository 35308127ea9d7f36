//! One listener of several: its numbers, its own end, new settings over the same socket.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ropewalk_core::endpoint::{Arguments, BoxFuture, Custom, Error, Kind, Registry, Source};
use ropewalk_core::factory::serve_with;
use ropewalk_core::{
    Address, BoxError, Connection, Endpoint, Factory, Lines, Listening, Reactor, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Answers each line with `word`, after as many seconds as the line says.
fn slow(word: &'static str) -> impl Factory<Protocol = Lines> {
    serve_with(Lines::crlf, move |mut conn: Connection<Lines>| async move {
        while let Some(line) = conn.next().await? {
            let seconds: u64 = std::str::from_utf8(&line)?.parse()?;
            sleep(SECOND * u32::try_from(seconds)?).await;
            conn.send(word).await?;
        }
        Ok::<_, BoxError>(conn.close().await?)
    })
}

async fn ask(transport: &mut Transport, line: &str) -> String {
    transport.write_all(format!("{line}\r\n").as_bytes()).await.expect("it fits");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        if transport.read_buf(&mut answer).await.expect("no error") == 0 {
            break;
        }
    }
    String::from_utf8(answer).expect("text").trim_end().to_owned()
}

async fn end(mut transport: Transport) -> String {
    let mut text = String::new();
    let _ = transport.read_to_string(&mut text).await;
    text
}

fn numbers(listening: &Listening) -> [u64; 4] {
    let totals = listening.totals();
    [totals.open, totals.accepted, totals.received, totals.sent]
}

#[tokio::test(start_paused = true)]
async fn it_stops_alone_and_knows_what_it_has_seen() {
    let reactor = Reactor::new().expect("inside a runtime");
    let one = reactor.listen("memory:one", slow("one")).await.expect("a free name");
    let two = reactor.listen("memory:two", slow("two")).await.expect("a free name");
    let mut idle = reactor.connect("memory:one").await.expect("it listens");
    let mut busy = reactor.connect("memory:one").await.expect("it listens");
    let mut deaf = reactor.connect("memory:one").await.expect("it listens");
    let mut other = reactor.connect("memory:two").await.expect("it listens");
    assert_eq!(ask(&mut idle, "0").await, "one");
    assert_eq!(ask(&mut other, "0").await, "two");
    busy.write_all(b"10\r\n").await.expect("it fits");
    deaf.write_all(b"100000\r\n").await.expect("it fits");
    sleep(SECOND).await;
    assert_eq!(numbers(&one), [3, 3, 3 + 4 + 8, 5]);
    assert_eq!(numbers(&two), [1, 1, 3, 5]);

    let begin = Instant::now();
    assert!(one.is_open() && !one.has_ended());
    assert_eq!(one.stop(begin + 30 * SECOND).await, 1, "one is left after the deadline");
    assert_eq!(begin.elapsed(), 30 * SECOND);
    assert_eq!((end(idle).await, end(busy).await), (String::new(), "one\r\n".to_owned()));
    assert!(!one.is_open() && one.has_ended());
    assert_eq!(numbers(&one), [0, 3, 15, 10]);
    drop(deaf);
    assert_eq!(ask(&mut other, "0").await, "two", "the other does not notice");
    reactor.connect("memory:one").await.expect_err("nobody listens");
    reactor.stop().await;
    assert!(two.has_ended());
}

#[tokio::test(start_paused = true)]
async fn closed_it_accepts_nothing_and_keeps_what_it_has() {
    let reactor = Reactor::new().expect("inside a runtime");
    let listening = reactor.listen("memory:one", slow("one")).await.expect("a free name");
    let mut open = reactor.connect("memory:one").await.expect("it listens");
    assert_eq!(ask(&mut open, "0").await, "one");
    listening.close();
    assert_eq!(ask(&mut open, "50").await, "one");
    reactor.connect("memory:one").await.expect_err("nobody listens");
    timeout(SECOND, listening.ended()).await.expect_err("one is open");
    drop(open);
    listening.ended().await;
    assert_eq!(listening.stop(Instant::now()).await, 0);
}

/// A second generation over the same socket: nothing is refused, the old connections go on.
#[tokio::test]
async fn new_settings_over_the_same_socket() {
    for workers in [ropewalk_core::Workers::Shared, ropewalk_core::Workers::PerCore(2)] {
        let reactor = Reactor::builder().workers(workers).build().expect("a runtime");
        let endpoint: Endpoint = "tcp:127.0.0.1:0".parse().expect("an endpoint");
        let mut bound = endpoint.bind().expect("a free port");
        bound.spread(reactor.workers()).expect("siblings");
        let connect = || {
            let to = format!("tcp:{}", bound.local()[0]);
            let reactor = reactor.clone();
            async move { reactor.connect(&to).await.expect("it listens") }
        };
        let copy = bound.try_clone().expect("descriptors");
        let old = reactor.serve(copy, slow("old")).await.expect("it listens");
        let mut first = connect().await;
        assert_eq!(ask(&mut first, "0").await, "old");
        let next = endpoint.rebind(&bound).expect("the same socket");
        assert_eq!(next.local(), bound.local());
        let new = reactor.serve(next, slow("new")).await.expect("it listens");
        old.close();
        // The old loop may have taken one that came before it had heard.
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(ask(&mut connect().await, "0").await);
        }
        assert!(answers.iter().all(|word| word == "old" || word == "new"), "{answers:?}");
        assert!(answers[10..].iter().all(|word| word == "new"), "{answers:?}");
        assert_eq!(ask(&mut first, "0").await, "old", "it goes on as it began");
        assert_eq!(new.totals().panicked, 0);
        drop(first);
        old.ended().await;
        reactor.stop().await;
    }
}

#[test]
fn certificates_are_read_anew_or_the_old_ones_stay() {
    let folder = std::env::temp_dir().join(format!("ropewalk-rebind-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("site.pem");
    let make = || {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(&file, certificate.pem() + &key.serialize_pem()).expect("a file");
    };
    make();
    let endpoint: Endpoint =
        format!("tls:127.0.0.1:0:cert={}", file.display()).parse().expect("an endpoint");
    let shown = |bound: &ropewalk_core::endpoint::Bound| {
        bound.tls().next().and_then(ropewalk_core::tls::Server::fingerprint).expect("one")
    };
    let bound = endpoint.bind().expect("a free port");
    let first = shown(&bound);
    make();
    let second = endpoint.rebind(&bound).expect("another certificate");
    assert_ne!(shown(&second), first);
    assert_eq!(shown(&bound), first, "it is left alone");
    fs::write(&file, "rubbish").expect("a file");
    let error = endpoint.rebind(&second).expect_err("no certificate").to_string();
    assert!(error.contains("site.pem") && !error.contains('\n'), "{error}");
    endpoint.rehearse().expect_err("no certificate");

    let made: Endpoint = "tls:127.0.0.1:0:cert=self-signed".parse().expect("an endpoint");
    let bound = made.bind().expect("a free port");
    let again = made.rebind(&bound).expect("the same");
    assert_eq!(shown(&again), shown(&bound), "one that was made for this run stays");
    let plain = Endpoint::new(made.leaf().clone()).rebind(&again).expect("without TLS");
    assert_eq!((plain.tls().count(), plain.local()), (0, bound.local()));
    fs::remove_dir_all(&folder).expect("it is ours");
}

/// Connections of its own making, and a panic in the place of each third.
#[derive(Debug, Clone, Default)]
struct Shaky(Arc<AtomicU64>);

impl Kind for Shaky {
    fn usage(&self) -> &'static str {
        "shaky:NAME"
    }

    fn parse(&self, _: &Arguments) -> Result<Arc<dyn Custom>, Error> {
        Ok(Arc::new(self.clone()))
    }
}

impl Custom for Shaky {
    fn bind(&self) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
}

impl Source for Shaky {
    fn local(&self) -> Address {
        Address::Unknown
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async {
            sleep(SECOND).await;
            let turn = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(!turn.is_multiple_of(3), "told to");
            let (near, far) = Transport::memory();
            tokio::spawn(async move {
                sleep(3600 * SECOND).await;
                drop(far);
            });
            Ok(near)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_accepting_costs_no_connection() {
    let registry = Registry::new().with_kind("shaky", Shaky::default()).expect("a free name");
    let reactor = Reactor::builder().registry(registry.clone()).build().expect("a runtime");
    let endpoint = Endpoint::parse_with("shaky:x", &registry).expect("an endpoint");
    let bound = endpoint.bind().expect("it can");
    let copy = bound.try_clone().expect("descriptors");
    let first = reactor.serve(copy, slow("one")).await.expect("it listens");
    first.failed().await;
    assert_eq!((first.totals().open, first.is_open(), first.has_ended()), (2, false, false));
    let second = reactor.serve(bound, slow("two")).await.expect("it listens");
    second.failed().await;
    assert_eq!((first.totals().open, second.totals().open), (2, 2));
    reactor.stop().await;
    assert!(first.has_ended() && second.has_ended());
}
