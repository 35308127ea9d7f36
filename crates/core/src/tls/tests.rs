//! Handshakes in memory, and configurations out of files.

mod desk;
mod files;
mod handshakes;

use std::io;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{client, server};

use super::{Client, Facts, Server, accept, connect, provider};
use crate::transport::memory::{Knobs, MemoryStream, pipe};
use desk::{Authority, Desk};

type AtServer = (server::TlsStream<MemoryStream>, Facts);
type AtClient = (client::TlsStream<MemoryStream>, Facts);

/// Lets a server and a client shake hands.
async fn meet(
    server: &Server,
    client: &Client,
    name: &str,
) -> (io::Result<AtServer>, io::Result<AtClient>) {
    meet_over(Knobs::default(), server, client, name).await
}

/// As [`meet`], over a pipe of any kind. It must have room for the tickets, which the server sends
/// when the client is done already.
async fn meet_over(
    knobs: Knobs,
    server: &Server,
    client: &Client,
    name: &str,
) -> (io::Result<AtServer>, io::Result<AtClient>) {
    let (ours, theirs) = pipe(knobs);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio::join!(accept(server, ours), connect(client, &name, theirs))
}

/// As [`meet`], both succeeding.
async fn greet(server: &Server, client: &Client, name: &str) -> (AtServer, AtClient) {
    let (at_server, at_client) = meet(server, client, name).await;
    (at_server.unwrap(), at_client.unwrap())
}

/// A word each way; what the server sends after the handshake (tickets) has then arrived too.
async fn talk(server: &mut AtServer, client: &mut AtClient) {
    let mut heard = [0; 4];
    let (server, client) = (&mut server.0, &mut client.0);
    for word in [b"ping", b"pong"] {
        client.write_all(word).await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, word);
        server.write_all(word).await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, word);
    }
}

/// A server for `localhost` whose certificate the authority issued.
fn server_of(authority: &Authority, desk: &Desk) -> Server {
    let (certificate, key) = desk.pair("server", &authority.issue(&["localhost"]));
    Server::builder().pem_files(certificate, key).build().unwrap()
}

/// A client that trusts the authority.
fn client_of(authority: &Authority) -> Client {
    Client::builder().roots(authority.roots()).build().unwrap()
}

/// The same, with TLS 1.2 only.
fn old_client_of(authority: &Authority) -> Client {
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.roots().load().unwrap())
        .with_no_client_auth();
    Client::from_config(config)
}

fn assert_says(error: &dyn std::error::Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}
