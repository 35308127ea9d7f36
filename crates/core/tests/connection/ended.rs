//! Seeing the peer's end while there is nothing to say: what comes meanwhile is kept.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::talk::Talk;

const MINUTE: Duration = Duration::from_secs(60);

async fn ended(conn: &mut Connection<Talk>) -> io::Result<()> {
    poll_fn(|cx| conn.poll_ended(cx)).await
}

#[tokio::test(start_paused = true)]
async fn the_end_is_seen_at_once_and_what_came_before_it_is_kept() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::with_silence(MINUTE), ours);
    tokio::spawn(async move {
        theirs.write_all(b"one\ntw").await?;
        sleep(5 * MINUTE).await;
        theirs.write_all(b"o\n").await?;
        sleep(5 * MINUTE).await;
        theirs.shutdown().await?;
        sleep(100 * MINUTE).await;
        io::Result::Ok(())
    });
    let start = Instant::now();
    ended(&mut conn).await.expect("an orderly end");
    assert_eq!(
        start.elapsed(),
        10 * MINUTE,
        "neither the protocol's deadline nor the end of input"
    );
    for line in ["one", "two"] {
        assert_eq!(conn.next().await.expect("a line").expect("not the end"), line);
    }
    assert!(conn.next().await.expect("an orderly end").is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_it_loses_nothing_and_a_reset_is_an_error() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    theirs.write_all(b"one\n").await.expect("it fits");
    timeout(MINUTE, ended(&mut conn)).await.expect_err("it has not ended");
    assert_eq!(conn.next().await.expect("a line").expect("not the end"), "one");
    theirs.abort();
    ended(&mut conn).await.expect_err("gone");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_goes_out_meanwhile() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.queue(Bytes::from("owed")).expect("allowed");
    let reading = async {
        let mut heard = [0; 5];
        theirs.read_exact(&mut heard).await.expect("it comes");
        assert_eq!(&heard, b"owed\n");
        drop(theirs);
    };
    let (end, ()) = tokio::join!(ended(&mut conn), reading);
    end.expect("an orderly end");
}

/// A peer that says more than is kept is not read on, and does not make us spin.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_beyond_what_is_kept() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    let writing = tokio::spawn(async move {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..1000 {
            theirs.write_all(&line).await?;
        }
        theirs.shutdown().await?;
        io::Result::Ok(theirs)
    });
    timeout(MINUTE, ended(&mut conn)).await.expect_err("its end is behind what is not read");
    assert!(conn.wire().input.len() <= 64 * 1024);
    let mut lines = 0;
    while conn.next().await.expect("a line").is_some() {
        lines += 1;
    }
    assert_eq!(lines, 1000);
    writing.await.expect("no panic").expect("all was taken");
}

#[tokio::test(start_paused = true)]
async fn the_silence_is_ours_but_the_lifetime_runs() {
    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.set_idle(MINUTE);
    timeout(5 * MINUTE, ended(&mut conn)).await.expect_err("not idle");
    conn.set_lifetime(5 * MINUTE);
    let error = timeout(60 * MINUTE, ended(&mut conn)).await.expect("over").expect_err("too long");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
