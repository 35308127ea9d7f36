//! Files: slow readers, files that change while they are sent, and the stop.

use std::fs::{self, File};

use ropewalk_core::Reactor;
use ropewalk_http::Server;
use ropewalk_http::files::{Files, Settings};

use crate::machine::{Folder, MIB, alone, ask, descriptors, dial, hear, memory, soon, until};

/// Serves the folder on `endpoint`; what to connect to.
async fn serve(endpoint: &str, folder: &Folder) -> (Reactor, String) {
    let reactor = Reactor::new().unwrap();
    let files = Files::new(folder.path(""), Settings::default()).unwrap();
    let listening = reactor.listen(endpoint, Server::new(files)).await.unwrap();
    let address = match listening.local().port() {
        Some(port) => format!("tcp:127.0.0.1:{port}"),
        None => endpoint.to_owned(),
    };
    (reactor, address)
}

/// With `sendfile`, and without.
const ENDPOINTS: [&str; 2] = ["tcp:127.0.0.1:0", "memory:site"];

#[tokio::test]
async fn slow_readers_of_a_large_file_take_no_memory() {
    if !alone("downloads::slow_readers_of_a_large_file_take_no_memory") {
        return;
    }
    let folder = Folder::new();
    folder.file("big", b'x', 10 * MIB);
    for endpoint in ENDPOINTS {
        let (reactor, address) = serve(endpoint, &folder).await;
        let before = memory();
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut conn = dial(&reactor, &address).await;
            ask(&mut conn, "/big").await;
            assert!(soon("a head", conn.next()).await.unwrap().is_some());
            clients.push(conn);
        }
        // Two hundred megabytes are asked for, and nobody reads.
        let grown = memory().saturating_sub(before);
        assert!(grown < 16 * MIB, "{endpoint}: {grown} bytes for 20 slow readers");
        for mut conn in clients {
            let length = soon("the file", hear(&mut conn, |_| {})).await;
            assert_eq!(length, Ok(10 * MIB), "{endpoint}");
        }
        let grown = memory().saturating_sub(before);
        assert!(grown < 16 * MIB, "{endpoint}: {grown} bytes afterwards");
    }
}

/// What is sent is never a short success: the connection is reset.
#[tokio::test]
async fn a_file_cut_short_while_it_is_sent_resets_the_connection() {
    for endpoint in ENDPOINTS {
        // Larger than what the kernel holds of a connection.
        let (folder, length) = (Folder::new(), 64 * MIB as u64);
        let file = File::create(folder.path("big")).unwrap();
        file.set_len(length).unwrap();
        let (reactor, address) = serve(endpoint, &folder).await;
        let mut conn = dial(&reactor, &address).await;
        ask(&mut conn, "/big").await;
        assert!(soon("a head", conn.next()).await.unwrap().is_some());
        file.set_len(MIB as u64).unwrap();
        let error = soon("the end", hear(&mut conn, |_| {})).await.unwrap_err();
        assert!(error.to_lowercase().contains("reset"), "{endpoint}: {error}");
        until("the connection is gone", || reactor.connections().is_empty()).await;
    }
}

/// A file that is replaced as files should be, by renaming, is sent as it was.
#[tokio::test]
async fn a_file_replaced_while_it_is_sent_is_sent_as_it_was() {
    for endpoint in ENDPOINTS {
        let folder = Folder::new();
        folder.file("big", b'a', 16 * MIB);
        let (reactor, address) = serve(endpoint, &folder).await;
        let mut conn = dial(&reactor, &address).await;
        ask(&mut conn, "/big").await;
        assert!(soon("a head", conn.next()).await.unwrap().is_some());
        fs::rename(folder.file("new", b'b', MIB), folder.path("big")).unwrap();
        let old = hear(&mut conn, |data| assert!(data.iter().all(|byte| *byte == b'a')));
        assert_eq!(soon("the old file", old).await, Ok(16 * MIB), "{endpoint}");
        let mut fresh = dial(&reactor, &address).await;
        ask(&mut fresh, "/big").await;
        let new = hear(&mut fresh, |_| {});
        let length = soon("some file", new).await.unwrap();
        assert!([MIB, 16 * MIB].contains(&length), "{endpoint}: {length}");
    }
}

#[tokio::test]
async fn a_stop_amid_a_hundred_downloads_finishes_them_all() {
    if !alone("downloads::a_stop_amid_a_hundred_downloads_finishes_them_all") {
        return;
    }
    let folder = Folder::new();
    folder.file("big", b'x', 8 * MIB);
    for endpoint in ENDPOINTS {
        let before = descriptors();
        let (reactor, address) = serve(endpoint, &folder).await;
        let mut clients = Vec::new();
        for _ in 0..100 {
            let mut conn = dial(&reactor, &address).await;
            ask(&mut conn, "/big").await;
            assert!(soon("a head", conn.next()).await.unwrap().is_some());
            clients.push(conn);
        }
        let stopping = tokio::spawn({
            let reactor = reactor.clone();
            async move { reactor.stop().await }
        });
        until("it stops", || reactor.is_stopping()).await;
        let downloads: Vec<_> = clients
            .into_iter()
            .map(|mut conn| tokio::spawn(async move { hear(&mut conn, |_| {}).await }))
            .collect();
        for download in downloads {
            let length = soon("a download", download).await.unwrap();
            assert_eq!(length, Ok(8 * MIB), "{endpoint}");
        }
        soon("the stop", stopping).await.unwrap();
        assert!(reactor.connections().is_empty());
        reactor.connect(&address).await.expect_err("nothing is accepted any more");
        drop(reactor);
        until("all is closed", || descriptors() <= before).await;
    }
}
