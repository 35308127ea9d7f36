//! The end: nothing that was sent is lost, and nobody waits for ever.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Transport, transport::memory::Knobs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::talk::Talk;

#[tokio::test(start_paused = true)]
async fn close_hands_over_the_tail_although_the_peer_still_talks() {
    let knobs = Knobs { capacity: 100, ..Knobs::default() };
    let (ours, mut theirs) = Transport::memory_with(knobs, "narrow");
    let mut conn = Connection::new(Talk::default(), ours);
    conn.queue(Bytes::from(vec![b'x'; 100_000])).expect("allowed");
    let peer = tokio::spawn(async move {
        // It says more than fits before it begins to listen.
        theirs.write_all(&[b'y'; 50_000]).await?;
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).await?;
        io::Result::Ok(all.len())
    });
    conn.close().await.expect("all is taken");
    assert_eq!(peer.await.expect("no panic").expect("no reset"), 100_001);
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_the_peers_end() {
    let (ours, mut theirs) = Transport::memory();
    let conn = Connection::new(Talk::default(), ours);
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        theirs.shutdown().await.expect("our side lives");
        sleep(Duration::from_secs(60)).await;
    });
    let start = Instant::now();
    conn.close().await.expect("nothing was owed");
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_ever() {
    for linger in [None, Some(Duration::from_secs(1))] {
        let (ours, mut theirs) = Transport::memory();
        let mut conn = Connection::new(Talk::default(), ours);
        if let Some(linger) = linger {
            conn.set_linger(linger);
        }
        tokio::spawn(async move {
            while theirs.write_all(b"and another thing\n").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let start = Instant::now();
        conn.close().await.expect("nothing was owed");
        assert_eq!(start.elapsed(), linger.unwrap_or(Duration::from_secs(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn close_waits_shortly_for_a_peer_that_was_idle() {
    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    let idle = tokio::time::timeout(Duration::from_secs(9), conn.next()).await;
    let _ = idle.expect_err("nothing comes");
    let start = Instant::now();
    conn.close().await.expect("nothing was owed");
    assert_eq!(start.elapsed(), Duration::from_millis(500));
}

/// Collects what is logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while locked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_unsent_output_is_said() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let said = || String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");

    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.flush().await.expect("nothing is owed");
    drop(conn);
    assert_eq!(said(), "", "nothing was lost");

    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.queue(Bytes::from_static(b"lost")).expect("allowed");
    conn.abort();
    assert_eq!(said(), "", "it was meant");

    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    conn.queue(Bytes::from_static(b"lost")).expect("allowed");
    drop(conn);
    assert!(said().contains("WARN") && said().contains("bytes=5"), "{}", said());
}

#[tokio::test(start_paused = true)]
async fn abort_is_a_reset_to_the_peer() {
    let (ours, mut theirs) = Transport::memory();
    Connection::new(Talk::default(), ours).abort();
    let error = theirs.read(&mut [0; 1]).await.expect_err("no clean end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
