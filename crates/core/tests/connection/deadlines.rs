//! Deadlines: the protocol's, and the driver's own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Protocol, Transport, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::talk::Talk;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_told_at_the_deadline() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    let start = Instant::now();
    assert_eq!(conn.next().await.expect_err("silence").kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), MINUTE);
    let closing = tokio::spawn(conn.close());
    let mut words = String::new();
    theirs.read_to_string(&mut words).await.expect("its words come before the end");
    assert_eq!(words, "too slow\n");
    drop(theirs);
    closing.await.expect("no panic").expect("all was sent");
}

#[tokio::test(start_paused = true)]
async fn what_came_in_time_counts_although_we_looked_late() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    let _ = timeout(MINUTE / 2, conn.next()).await.expect_err("nothing came yet");
    theirs.write_all(b"here\n").await.expect("it fits");
    sleep(MINUTE).await;
    assert_eq!(conn.next().await.expect("it is here").expect("not the end"), "here");
}

#[tokio::test(start_paused = true)]
async fn the_time_in_a_handler_is_not_the_peers() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    theirs.write_all(b"one\n").await.expect("it fits");
    conn.next().await.expect("a line").expect("not the end");
    sleep(2 * MINUTE).await;
    let start = Instant::now();
    conn.next().await.expect_err("silence");
    assert_eq!(start.elapsed(), MINUTE, "the clock begins when we begin to wait");
}

#[tokio::test(start_paused = true)]
async fn nor_is_it_when_half_a_message_is_buffered() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    theirs.write_all(b"one\nhal").await.expect("it fits");
    conn.next().await.expect("a line").expect("not the end");
    sleep(2 * MINUTE).await;
    let start = Instant::now();
    conn.next().await.expect_err("no other half");
    assert_eq!(start.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    for limit in [None, Some(MINUTE / 4)] {
        let (ours, _theirs) = Transport::memory();
        let mut conn = Connection::new(Talk::default(), ours);
        if let Some(limit) = limit {
            conn.set_stall(limit);
        }
        conn.queue(Bytes::from(vec![b'x'; 1 << 20])).expect("allowed");
        let start = Instant::now();
        assert_eq!(conn.flush().await.expect_err("stalled").kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), limit.unwrap_or(MINUTE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_stalled_one() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.queue(Bytes::from(vec![b'x'; 1 << 20])).expect("allowed");
    let reader = tokio::spawn(async move {
        let mut all = 0;
        let mut buffer = vec![0; 65536];
        while all <= 1 << 20 {
            sleep(MINUTE / 2).await;
            all += theirs.read(&mut buffer).await.expect("our side lives");
        }
        all
    });
    conn.flush().await.expect("slow, but it reads");
    assert_eq!(reader.await.expect("no panic"), (1 << 20) + 1);
}

#[tokio::test(start_paused = true)]
async fn idle_time_and_lifetime_are_bounded_when_asked() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.set_idle(MINUTE);
    conn.set_lifetime(3 * MINUTE);
    let start = Instant::now();
    tokio::spawn(async move {
        loop {
            sleep(MINUTE / 2).await;
            if theirs.write_all(b"again\n").await.is_err() {
                return;
            }
        }
    });
    let error = loop {
        if let Err(error) = conn.next().await {
            break error;
        }
    };
    assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, 3 * MINUTE));

    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.set_idle(MINUTE);
    let start = Instant::now();
    conn.next().await.expect_err("idle");
    assert_eq!(start.elapsed(), MINUTE);
}

/// Counts how often it is polled.
async fn counted<T>(polls: &AtomicUsize, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

/// 1,000 lines, one a second, each moving a deadline of a minute: a timer that were armed anew on
/// every read would never fire; one that is re-armed when it fires does so about once a minute.
#[tokio::test(start_paused = true)]
async fn the_timer_is_armed_anew_only_when_it_fires() {
    let (ours, mut theirs) = Transport::memory();
    tokio::spawn(async move {
        for _ in 0..1000 {
            sleep(Duration::from_secs(1)).await;
            theirs.write_all(b"again\n").await.expect("our side lives");
        }
    });
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    let polls = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        counted(&polls, conn.next()).await.expect("a line").expect("not the end");
    }
    let polls = polls.load(Ordering::Relaxed) - 2000;
    assert!((10..=20).contains(&polls), "the timer woke the connection {polls} times");
}

/// Never does anything about its deadline.
struct Stuck(std::time::Instant);

impl Protocol for Stuck {
    type In = ();
    type Out = ();
    type Error = io::Error;

    fn receive(&mut self, _wire: &mut Wire) -> io::Result<Option<()>> {
        Ok(None)
    }

    fn send(&mut self, (): (), _wire: &mut Wire) -> io::Result<()> {
        Ok(())
    }

    fn deadline(&self) -> Option<std::time::Instant> {
        Some(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_nobody_minds_does_not_spin() {
    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Stuck(Instant::now().into_std() + MINUTE), ours);
    assert_eq!(conn.next().await.expect_err("no spin").kind(), io::ErrorKind::TimedOut);
}
