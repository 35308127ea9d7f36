//! The reactor: listening, refusing, keeping time, stopping in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::factory::{AtMost, serve_with};
use ropewalk_core::{
    BoxError, Connection, Factory, Lines, Peer, Protocol, Reactor, Refusal, Transport, Wire,
    Workers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Lines, with a word for the end.
struct Polite(Lines);

impl Protocol for Polite {
    type In = <Lines as Protocol>::In;
    type Out = <Lines as Protocol>::Out;
    type Error = <Lines as Protocol>::Error;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Self::In>, Self::Error> {
        self.0.receive(wire)
    }

    fn send(&mut self, item: Self::Out, wire: &mut Wire) -> Result<(), Self::Error> {
        self.0.send(item, wire)
    }

    fn farewell(&mut self, wire: &mut Wire) -> bool {
        wire.output.put(b"bye\r\n");
        true
    }
}

/// Answers each line after as many seconds as it says.
struct Slow;

impl Factory for Slow {
    type Protocol = Polite;

    fn build(&self, _peer: &Peer) -> Result<Polite, Refusal> {
        Ok(Polite(Lines::crlf()))
    }

    async fn serve(&self, mut conn: Connection<Polite>) -> Result<(), BoxError> {
        while let Some(line) = conn.next().await? {
            let seconds: u64 = std::str::from_utf8(&line)?.parse()?;
            sleep(SECOND * u32::try_from(seconds)?).await;
            conn.send(line).await?;
        }
        Ok(conn.close().await?)
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        format!("no: {why}\r\n").into()
    }
}

async fn connect(reactor: &Reactor, name: &str) -> Transport {
    reactor.connect(name).await.expect("somebody listens")
}

async fn all(mut transport: Transport) -> String {
    let mut text = String::new();
    transport.read_to_string(&mut text).await.expect("a clean end");
    text
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_idle_at_once_and_waits_for_the_busy() {
    let reactor = Reactor::new().expect("inside a runtime");
    reactor.listen("memory:slow", Slow).await.expect("a free name");
    let idle = connect(&reactor, "memory:slow").await;
    let mut busy = connect(&reactor, "memory:slow").await;
    busy.write_all(b"20\r\n").await.expect("it fits");
    sleep(SECOND).await;
    assert_eq!(reactor.connections().len(), 2);

    let start = Instant::now();
    let stopping = tokio::spawn({
        let reactor = reactor.clone();
        async move { reactor.stop().await }
    });
    assert_eq!(all(idle).await, "bye\r\n");
    assert_eq!(start.elapsed(), Duration::ZERO, "the idle one did not have to wait");
    assert!(reactor.is_stopping());
    reactor.connect("memory:slow").await.expect_err("nothing is accepted any more");
    reactor.listen("memory:other", Slow).await.expect_err("nothing new is begun");
    assert_eq!(all(busy).await, "20\r\nbye\r\n");
    stopping.await.expect("no panic");
    assert_eq!(start.elapsed(), 19 * SECOND);
    assert_eq!(reactor.connections().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_grace_is_aborted() {
    let reactor = Reactor::builder().grace(5 * SECOND).build().expect("inside a runtime");
    reactor.listen("memory:slow", Slow).await.expect("a free name");
    let mut busy = connect(&reactor, "memory:slow").await;
    busy.write_all(b"1000000\r\n").await.expect("it fits");
    sleep(SECOND).await;
    let start = Instant::now();
    reactor.stop().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(all(busy).await, "");
    assert_eq!(reactor.connections().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_peer_is_told_why_and_gives_its_place_back() {
    let reactor = Reactor::new().expect("inside a runtime");
    reactor.listen("memory:slow", AtMost::total(1, Slow)).await.expect("a free name");
    let first = connect(&reactor, "memory:slow").await;
    sleep(SECOND).await;
    let second = connect(&reactor, "memory:slow").await;
    assert_eq!(all(second).await, "no: too many connections\r\n");
    drop(first);
    sleep(10 * SECOND).await;
    let mut third = connect(&reactor, "memory:slow").await;
    third.write_all(b"0\r\n").await.expect("it fits");
    third.shutdown().await.expect("half closed");
    assert_eq!(all(third).await, "0\r\n");
}

#[tokio::test(start_paused = true)]
async fn closing_a_listener_leaves_its_connections() {
    let reactor = Reactor::new().expect("inside a runtime");
    let listening = reactor.listen("memory:slow", Slow).await.expect("a free name");
    let mut open = connect(&reactor, "memory:slow").await;
    sleep(SECOND).await;
    listening.close();
    sleep(SECOND).await;
    reactor.connect("memory:slow").await.expect_err("closed");
    open.write_all(b"1\r\n").await.expect("it fits");
    open.shutdown().await.expect("half closed");
    assert_eq!(all(open).await, "1\r\n");
    reactor.listen("memory:slow", Slow).await.expect("the name is free again");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_harms_nobody_else() {
    let reactor = Reactor::new().expect("inside a runtime");
    let factory = serve_with(Lines::crlf, async |mut conn: Connection<Lines>| {
        let line = conn.next().await?.expect("one line comes");
        assert_ne!(line, "panic", "as it was asked to");
        conn.send(line).await?;
        Ok(conn.close().await?)
    });
    reactor.listen("memory:a", factory).await.expect("a free name");
    let mut bad = connect(&reactor, "memory:a").await;
    bad.write_all(b"panic\r\n").await.expect("it fits");
    assert_eq!(all(bad).await, "");
    let mut good = connect(&reactor, "memory:a").await;
    good.write_all(b"fine\r\n").await.expect("it fits");
    good.shutdown().await.expect("half closed");
    assert_eq!(all(good).await, "fine\r\n");
    sleep(SECOND).await;
    assert_eq!(reactor.connections().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_reactors_do_not_notice_each_other() {
    let (one, other) = (Reactor::new().expect("one"), Reactor::new().expect("other"));
    one.listen("memory:same", Slow).await.expect("a free name");
    other.connect("memory:same").await.expect_err("another reactor's name");
    other.listen("memory:same", Slow).await.expect("free here");
    let mut client = connect(&one, "memory:same").await;
    other.stop().await;
    client.write_all(b"1\r\n").await.expect("it fits");
    client.shutdown().await.expect("half closed");
    assert_eq!(all(client).await, "1\r\n");
    assert!(!one.is_stopping());
}

#[tokio::test(start_paused = true)]
async fn calls_come_when_they_are_due_and_skipped_ticks_are_counted() {
    let reactor = Reactor::new().expect("inside a runtime");
    let start = Instant::now();
    assert_eq!(reactor.call_later(3 * SECOND, async { 7 }).await.expect("not abandoned"), 7);
    assert_eq!(start.elapsed(), 3 * SECOND);

    let (ticks, skipped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let calls = reactor.call_every(SECOND, {
        let (ticks, skipped) = (ticks.clone(), skipped.clone());
        move |missed| {
            skipped.fetch_add(missed, Ordering::Relaxed);
            let tick = ticks.fetch_add(1, Ordering::Relaxed);
            // The third call takes three and a half periods.
            async move { sleep(if tick == 2 { SECOND * 7 / 2 } else { Duration::ZERO }).await }
        }
    });
    sleep(Duration::from_millis(10_100)).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!((ticks.load(Ordering::Relaxed), skipped.load(Ordering::Relaxed)), (7, 3));
    drop(calls);
    sleep(10 * SECOND).await;
    assert_eq!(ticks.load(Ordering::Relaxed), 7, "dropping the deferred ends it");
}

#[tokio::test(start_paused = true)]
async fn what_was_spawned_is_cancelled_by_dropping_it_and_by_the_end() {
    let reactor = Reactor::new().expect("inside a runtime");
    let alive = Arc::new(());
    let held = |alive: Arc<()>| async move {
        sleep(SECOND * 1_000_000).await;
        drop(alive);
    };
    let dropped = reactor.spawn(held(alive.clone()));
    let kept = reactor.spawn(held(alive.clone()));
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(dropped);
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&alive), 2);
    reactor.stop().await;
    kept.await.expect_err("abandoned by the reactor's end");
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Real sockets: what is under test is that each worker accepts by itself.
#[test]
fn workers_of_its_own_accept_and_stop() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let reactor = Reactor::builder().workers(Workers::PerCore(2)).build().expect("two threads");
        let listening = reactor.listen("tcp:127.0.0.1:0", Slow).await.expect("a free port");
        let port = listening.local().port().expect("a TCP port");
        let mut clients = Vec::new();
        for _ in 0..32 {
            let mut client = reactor.connect(&format!("tcp:127.0.0.1:{port}")).await.expect("open");
            client.write_all(b"0\r\n").await.expect("it fits");
            let mut answer = [0; 3];
            client.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"0\r\n");
            clients.push(client);
        }
        assert_eq!(reactor.connections().len(), 32);
        let (stopped, ends) = tokio::join!(reactor.stop(), async {
            for client in clients {
                assert_eq!(all(client).await, "bye\r\n");
            }
        });
        let ((), ()) = (stopped, ends);
        let refused = reactor.connect(&format!("tcp:127.0.0.1:{port}")).await;
        refused.expect_err("nobody listens any more");
    });
}

#[tokio::test]
async fn a_busy_port_is_an_error_that_names_it() {
    let reactor = Reactor::new().expect("inside a runtime");
    let listening = reactor.listen("tcp:127.0.0.1:0", Slow).await.expect("a free port");
    let port = listening.local().port().expect("a TCP port");
    let error = reactor.listen(&format!("tcp:127.0.0.1:{port}"), Slow).await.expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}
