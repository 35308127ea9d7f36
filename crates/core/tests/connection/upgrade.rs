//! STARTTLS: check, then write, then shake hands.

use std::io;

use bytes::Bytes;
use ropewalk_core::tls::rustls_types::ServerName;
use ropewalk_core::transport::memory::Knobs;
use ropewalk_core::{Connection, Transport, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::talk::{Script, Talk};

fn desk() -> (tls::Server, tls::Client) {
    let server = tls::Server::builder().self_signed(["localhost"]).build().expect("a certificate");
    let fingerprint = server.fingerprint().expect("it has one");
    let client = tls::Client::builder().pin(fingerprint).build().expect("a client");
    (server, client)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// The server says "go" and shakes hands at once; the client answers "go" by its first handshake
/// bytes at once, so that these are often there before "go" is flushed. A flush that read would
/// swallow them.
#[tokio::test(start_paused = true)]
async fn no_upgrade_swallows_the_first_handshake_bytes() {
    let (server, client) = desk();
    for seed in 0..100 {
        let knobs = Knobs { seed: (seed > 0).then_some(seed), ..Knobs::default() };
        let (ours, theirs) = Transport::memory_with(knobs, "upgrade");
        let serving = async {
            let mut conn = Connection::new(Talk::default(), ours);
            assert_eq!(conn.next().await?.expect("a command"), "STARTTLS");
            conn.send(Bytes::from_static(b"go")).await?;
            conn.start_tls_server(&server).await?;
            assert!(conn.tls().is_some());
            let line = conn.next().await?.expect("a line under TLS");
            conn.send(line).await?;
            conn.close().await
        };
        let asking = async {
            let mut conn = Connection::new(Talk::default(), theirs);
            conn.send(Bytes::from_static(b"STARTTLS")).await?;
            assert_eq!(conn.next().await?.expect("an answer"), "go");
            conn.start_tls_client(&client, localhost()).await?;
            conn.send(Bytes::from_static(b"secret")).await?;
            assert_eq!(conn.next().await?.expect("an echo"), "secret");
            conn.close().await
        };
        let (served, asked) = tokio::join!(serving, asking);
        served.unwrap_or_else(|error: io::Error| panic!("seed {seed}: {error}"));
        asked.unwrap_or_else(|error: io::Error| panic!("seed {seed}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn plaintext_before_the_handshake_is_refused() {
    let (server, _) = desk();
    let (ours, mut theirs) = Transport::memory();
    theirs.write_all(b"STARTTLS\nMAIL FROM:<injected>\n").await.expect("it fits");
    let mut conn = Connection::new(Talk::default(), ours);
    conn.next().await.expect("a line").expect("not the end");
    conn.send(Bytes::from_static(b"go")).await.expect("queued");
    let error = conn.start_tls_server(&server).await.expect_err("something is buffered");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("21 bytes"), "{error}");
    conn.abort();
    let mut told = Vec::new();
    let _ = theirs.read_to_end(&mut told).await;
    assert_eq!(told, b"", "nothing was promised");
}

/// The flush before the handshake is a flush without reading, even when the transport is slow.
#[tokio::test(start_paused = true)]
async fn the_flush_before_a_handshake_reads_nothing() {
    let script = Script::reading(&[b"STARTTLS\n"]);
    let mut conn = Connection::new(Talk::default(), Transport::other(script.clone()));
    conn.next().await.expect("a line").expect("not the end");
    conn.send(Bytes::from_static(b"go")).await.expect("queued");
    script.steps().reads.push_back(b"\x16\x03\x01".to_vec());
    script.steps().blocked = 3;
    let before = script.steps().read_calls;
    let transport = conn.into_transport().await.expect("flushed");
    assert_eq!(script.steps().read_calls, before);
    assert_eq!(script.steps().writes, [b"go\n"]);
    assert_eq!(transport.unread_len(), 0);
}
