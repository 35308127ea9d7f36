use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::*;

/// Every kind of pipe: what is sent must arrive over all of them.
fn kinds() -> Vec<Knobs> {
    let plain = Knobs::default();
    let late = Duration::from_millis(30);
    let mut kinds = vec![
        plain,
        Knobs { capacity: 0, ..plain },
        Knobs { capacity: 7, chunk: 3, ..plain },
        Knobs { chunk: 0, ..plain },
        Knobs { latency: late, ..plain },
        Knobs { latency: late, capacity: 100, chunk: 30, ..plain },
    ];
    for seed in 0..8 {
        kinds.push(Knobs { seed: Some(seed), ..plain });
        kinds.push(Knobs { seed: Some(seed), latency: late, capacity: 50, ..plain });
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_in_order_both_ways() {
    let words: Vec<u8> = (0..2_000_u32).flat_map(u32::to_be_bytes).collect();
    for knobs in kinds() {
        let (one, two) = pipe(knobs);
        let exchange = async |stream: MemoryStream| {
            let (mut reader, mut writer) = split(stream);
            let mut heard = Vec::new();
            let (written, read) = tokio::join!(
                async {
                    writer.write_all(&words).await?;
                    writer.flush().await?;
                    writer.shutdown().await
                },
                reader.read_to_end(&mut heard)
            );
            written.unwrap();
            read.unwrap();
            assert_eq!(heard, words, "{knobs:?}");
        };
        tokio::join!(exchange(one), exchange(two));
    }
}

#[tokio::test(start_paused = true)]
async fn half_close_leaves_the_other_direction_open() {
    for knobs in kinds() {
        let (mut one, mut two) = pipe(knobs);
        one.write_all(b"l").await.unwrap();
        one.shutdown().await.unwrap();
        one.shutdown().await.unwrap();
        let mut heard = Vec::new();
        two.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"l");
        two.write_all(b"a").await.unwrap();
        assert_eq!(one.read_u8().await.unwrap(), b'a');
        assert_eq!(one.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        two.write_all(b"z").await.unwrap();
        drop(two);
        heard.clear();
        one.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"z", "what was under way when the peer went is still read");
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_holds_the_writer_back() {
    let (mut one, mut two) = pipe(Knobs { capacity: 4, ..Knobs::default() });
    assert_eq!(one.write(b"123456").await.unwrap(), 4);
    let waiting = tokio::spawn(async move { one.write(b"56").await.map(|taken| (taken, one)) });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert_eq!(two.read_u8().await.unwrap(), b'1');
    let (taken, mut one) = waiting.await.unwrap().unwrap();
    assert_eq!(taken, 1);
    // A writer that waits learns that nobody will read.
    let waiting = tokio::spawn(async move { one.write(b"6").await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(two);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn chunk_limits_one_read() {
    let (mut one, mut two) = pipe(Knobs { chunk: 3, ..Knobs::default() });
    one.write_all(b"12345").await.unwrap();
    let mut buf = [0; 16];
    assert_eq!(two.read(&mut buf).await.unwrap(), 3);
    assert_eq!(two.read(&mut buf).await.unwrap(), 2);
    assert_eq!(two.read(&mut []).await.unwrap(), 0, "no room is not the end");
}

#[tokio::test(start_paused = true)]
async fn latency_is_virtual_and_per_write() {
    let latency = Duration::from_secs(3600);
    let (mut one, mut two) = pipe(Knobs { latency, ..Knobs::default() });
    let begin = Instant::now();
    one.write_all(b"a").await.unwrap();
    let early = timeout(latency / 2, two.read_u8()).await;
    assert!(early.is_err(), "it cannot be here yet");
    one.write_all(b"b").await.unwrap();
    assert_eq!(two.read_u8().await.unwrap(), b'a');
    assert_eq!(begin.elapsed().as_secs(), latency.as_secs());
    assert_eq!(two.read_u8().await.unwrap(), b'b');
    assert_eq!(begin.elapsed().as_secs(), (latency * 3 / 2).as_secs());
    drop(one);
    let gone = Instant::now();
    assert_eq!(two.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(gone.elapsed().as_secs(), latency.as_secs(), "the end is under way as long");
}

#[tokio::test(start_paused = true)]
async fn abort_resets_the_peer() {
    let latency = Duration::from_secs(1);
    for knobs in [Knobs::default(), Knobs { latency, capacity: 4, ..Knobs::default() }] {
        let (mut one, two) = pipe(knobs);
        one.write_all(b"lost").await.unwrap();
        let (mut reader, mut writer) = split(two);
        writer.write_all(b"1234").await.unwrap();
        let waiting = tokio::spawn(async move {
            let mut heard = Vec::new();
            let drained = reader.read_exact(&mut [0; 4]).await;
            drained.and(reader.read_to_end(&mut heard).await)
        });
        tokio::task::yield_now().await;
        one.abort();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = writer.write_all(b"5").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// The sizes of the reads, with the number of polls that found nothing in between.
async fn reads(seed: u64) -> Vec<usize> {
    let (mut one, mut two) = pipe(Knobs { seed: Some(seed), ..Knobs::default() });
    one.write_all(&[7; 5_000]).await.unwrap();
    drop(one);
    let (mut sizes, mut buf) = (Vec::new(), [0; 1024]);
    loop {
        let size = two.read(&mut buf).await.unwrap();
        sizes.push(size);
        if size == 0 {
            return sizes;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn adversity_is_repeatable() {
    assert_eq!(reads(1).await, reads(1).await);
    assert_ne!(reads(1).await, reads(2).await);
    assert!(reads(1).await.len() > 6, "some reads must be short");
}

#[tokio::test(start_paused = true)]
async fn vectored_writes_take_all_slices() {
    let (mut one, mut two) = pipe(Knobs { capacity: 5, ..Knobs::default() });
    assert!(one.is_write_vectored());
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdefg")];
    assert_eq!(one.write_vectored(&slices).await.unwrap(), 5);
    assert_eq!(one.write_vectored(&[]).await.unwrap(), 0);
    let mut heard = [0; 5];
    two.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"abcde");
}

#[tokio::test(start_paused = true)]
async fn a_busy_pair_lets_others_run() {
    let (mut one, mut two) = pipe(Knobs::default());
    let busy = tokio::spawn(async move {
        loop {
            one.write_all(b"x").await.unwrap();
            two.read_u8().await.unwrap();
        }
    });
    // On one thread this returns only if the pair yields.
    tokio::task::yield_now().await;
    busy.abort();
}

#[test]
fn a_stream_may_be_dropped_outside_a_runtime() {
    let latency = Duration::from_secs(1);
    let (one, two) = pipe(Knobs { latency, ..Knobs::default() });
    assert!(format!("{one:?}").contains("incoming: 0"), "{one:?}");
    drop((one, two));
}
