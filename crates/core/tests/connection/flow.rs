//! When is written, when is read, who waits.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::{Connection, Transport, transport::memory::Knobs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::talk::{Script, Talk};

const SOON: Duration = Duration::from_secs(1);

fn narrow(capacity: usize) -> (Transport, Transport) {
    Transport::memory_with(Knobs { capacity, ..Knobs::default() }, "narrow")
}

#[tokio::test(start_paused = true)]
async fn one_read_full_of_requests_is_answered_by_one_write() {
    let script = Script::reading(&[b"1\n2\n3\n4\n", b"5\n"]);
    let mut conn = Connection::new(Talk::default(), Transport::other(script.clone()));
    for line in ["1", "2", "3", "4", "5"] {
        assert_eq!(conn.next().await.expect("a line").expect("not the end"), line);
        conn.send(Bytes::from(line)).await.expect("below the high-water mark");
    }
    let _ = timeout(SOON, conn.next()).await.expect_err("nothing more comes");
    assert_eq!(script.steps().writes, [&b"1\n2\n3\n4\n"[..], b"5\n"]);
}

#[tokio::test(start_paused = true)]
async fn two_peers_that_only_write_do_not_wait_for_each_other() {
    let (ours, theirs) = narrow(100);
    let chatter = async |transport| {
        let mut conn = Connection::new(Talk::default(), transport);
        conn.set_high_water(100);
        for _ in 0..50 {
            conn.send(Bytes::from(vec![b'x'; 999])).await?;
        }
        conn.flush().await?;
        for _ in 0..50 {
            assert_eq!(conn.next().await?.expect("what was read meanwhile is kept").len(), 999);
        }
        io::Result::Ok(())
    };
    let (one, other) = tokio::join!(chatter(ours), chatter(theirs));
    one.expect("no deadlock");
    other.expect("no deadlock");
}

#[tokio::test(start_paused = true)]
async fn not_calling_next_is_the_pause() {
    let (ours, mut theirs) = narrow(100);
    let mut conn = Connection::new(Talk::default(), ours);
    let written = tokio::spawn(async move {
        let mut written = 0;
        while timeout(SOON, theirs.write_all(b"123456789\n")).await.is_ok() {
            written += 10;
        }
        written
    });
    assert_eq!(conn.next().await.expect("a line").expect("not the end"), "123456789");
    let written = written.await.expect("the peer does not panic");
    assert!(written <= 1024 + 100 + 10, "{written} bytes were taken from a peer that should wait");
}

#[tokio::test(start_paused = true)]
async fn send_waits_above_the_high_water_mark_and_only_there() {
    let (ours, mut theirs) = narrow(10);
    let mut conn = Connection::new(Talk::default(), ours);
    conn.set_high_water(100);
    timeout(SOON, conn.send(Bytes::from(vec![b'x'; 99]))).await.expect("no wait").expect("sent");
    let second = Bytes::from(vec![b'y'; 20]);
    let _ = timeout(SOON, conn.send(second)).await.expect_err("111 bytes are too many");
    let reader = tokio::spawn(async move {
        let mut all = vec![0; 123];
        theirs.read_exact(&mut all).await.map(|_| all)
    });
    timeout(SOON, conn.send(Bytes::from("z"))).await.expect("the peer reads").expect("sent");
    conn.flush().await.expect("the peer reads");
    let all = reader.await.expect("no panic").expect("all came");
    assert_eq!(all[118..], *b"yy\nz\n", "an item whose send was dropped is sent once");
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_owes_is_bounded_too() {
    let (ours, mut theirs) = narrow(1000);
    let mut conn = Connection::new(Talk { echo: 100, ..Talk::default() }, ours);
    conn.set_high_water(1000);
    theirs.write_all(&b"\n".repeat(1000)).await.expect("it fits");
    let mut lines = 0;
    while let Ok(line) = timeout(SOON, conn.next()).await {
        line.expect("no error");
        lines += 1;
        assert!(conn.wire().output.len() <= 1100, "answers pile up");
    }
    assert!(lines < 30, "{lines} lines were answered for a peer that reads nothing");
}

#[tokio::test(start_paused = true)]
async fn next_loses_nothing_when_it_is_dropped() {
    let (ours, mut theirs) = narrow(3);
    tokio::spawn(async move {
        for line in 0..100 {
            for byte in format!("{line}\n").bytes() {
                theirs.write_all(&[byte]).await.expect("our side lives");
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let mut conn = Connection::new(Talk::default(), ours);
    for line in 0..100 {
        let got = loop {
            if let Ok(got) = timeout(Duration::from_millis(2), conn.next()).await {
                break got;
            }
        };
        assert_eq!(got.expect("a line").expect("not the end"), line.to_string());
    }
    assert!(conn.next().await.expect("a clean end").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_larger_than_its_cap_is_an_error() {
    let (ours, mut theirs) = narrow(4096);
    theirs.write_all(&[b'x'; 2000]).await.expect("it fits");
    let mut conn = Connection::new(Talk::default(), ours);
    let error = conn.next().await.expect_err("no line ends within the cap");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("1024"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_end_in_the_middle_of_a_message_is_an_error() {
    let (ours, mut theirs) = narrow(4096);
    theirs.write_all(b"whole\nhal").await.expect("it fits");
    theirs.shutdown().await.expect("half closed");
    let mut conn = Connection::new(Talk::default(), ours);
    assert_eq!(conn.next().await.expect("a line").expect("not the end"), "whole");
    let error = conn.next().await.expect_err("half a line is left");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_said_before_it_hung_up_is_read_although_nothing_can_be_sent() {
    let (ours, mut theirs) = narrow(4096);
    theirs.write_all(b"no\n").await.expect("it fits");
    drop(theirs);
    let mut conn = Connection::new(Talk::default(), ours);
    conn.send(Bytes::from_static(b"please")).await.expect("queued");
    assert_eq!(conn.next().await.expect("it was said").expect("not the end"), "no");
    conn.next().await.expect_err("our line was not taken");
}

#[tokio::test(start_paused = true)]
async fn a_protocol_that_is_over_ends_the_connection_after_a_flush() {
    let (ours, mut theirs) = narrow(4096);
    let mut conn = Connection::new(Talk::default(), ours);
    conn.send(Bytes::from_static(b"last")).await.expect("queued");
    conn.protocol_mut().over = true;
    assert!(conn.next().await.expect("no error").is_none());
    let mut got = [0; 5];
    theirs.read_exact(&mut got).await.expect("it was flushed");
    assert_eq!(&got, b"last\n");
}

#[tokio::test(start_paused = true)]
async fn switching_keeps_unread_bytes_and_unsent_ones() {
    let (ours, mut theirs) = narrow(4096);
    theirs.write_all(b"one\ntwo\n").await.expect("it fits");
    let mut conn = Connection::new(Talk::default(), ours);
    assert_eq!(conn.next().await.expect("a line").expect("not the end"), "one");
    conn.send(Bytes::from_static(b"old")).await.expect("queued");
    let mut conn = conn.switch(Box::new(Talk::default()));
    assert_eq!(conn.next().await.expect("a line").expect("not the end"), "two");
    let mut transport = conn.into_transport().await.expect("flushed");
    let mut got = [0; 4];
    theirs.read_exact(&mut got).await.expect("it was flushed");
    assert_eq!(&got, b"old\n");
    theirs.write_all(b"three").await.expect("it fits");
    drop(theirs);
    let mut rest = String::new();
    transport.read_to_string(&mut rest).await.expect("plain bytes");
    assert_eq!(rest, "three");
}

#[tokio::test(start_paused = true)]
async fn a_transport_yields_the_unread_bytes_first() {
    let (ours, mut theirs) = narrow(4096);
    theirs.write_all(b"line\nGET / HTTP").await.expect("it fits");
    let mut conn = Connection::new(Talk::default(), ours);
    conn.next().await.expect("a line").expect("not the end");
    let mut transport = conn.into_transport().await.expect("nothing is owed");
    theirs.write_all(b"/1.1").await.expect("it fits");
    drop(theirs);
    let mut rest = String::new();
    transport.read_to_string(&mut rest).await.expect("plain bytes");
    assert_eq!(rest, "GET / HTTP/1.1");
}
