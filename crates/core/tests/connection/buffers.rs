//! Memory: an idle connection holds next to none.

use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::talk::Talk;

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_holds_no_buffer_worth_naming() {
    let (ours, mut theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    for size in [10, 600, 1000] {
        theirs.write_all(&vec![b'x'; size]).await.expect("it fits");
        theirs.write_all(b"\n").await.expect("it fits");
        let line = conn.next().await.expect("a line").expect("not the end");
        conn.send(line).await.expect("below the mark");
        let _ = timeout(Duration::from_secs(1), conn.next()).await.expect_err("nothing more");
        assert!(!conn.wire().input.try_reclaim(512), "{size} bytes are kept");
        let output = format!("{:?}", conn.wire().output);
        assert!(output.contains("copied: [],"), "{output}");
        theirs.read_exact(&mut vec![0; size + 1]).await.expect("the echo");
    }
}

/// The state of a task that waits for input is what an idle connection costs.
#[tokio::test(start_paused = true)]
async fn the_state_of_a_waiting_connection_is_small() {
    let (ours, _theirs) = Transport::memory();
    let mut conn = Connection::new(Talk::default(), ours);
    assert!(size_of_val(&conn) <= 768, "a connection takes {} bytes", size_of_val(&conn));
    let next = conn.next();
    assert!(size_of_val(&next) <= 64, "awaiting takes {} bytes more", size_of_val(&next));
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_reads_in_large_pieces() {
    let (ours, mut theirs) = Transport::memory();
    tokio::spawn(async move {
        for _ in 0..2000 {
            theirs.write_all(&[b'x'; 999]).await.expect("our side lives");
            theirs.write_all(b"\n").await.expect("our side lives");
        }
    });
    let mut conn = Connection::new(Talk::default(), ours);
    let mut all = 0;
    while let Some(line) = conn.next().await.expect("lines") {
        assert_eq!(line, Bytes::from(vec![b'x'; 999]));
        all += 1;
    }
    assert_eq!(all, 2000);
}
