//! `https`, in memory.

use http::{Request, Response};
use ropewalk_core::{Address, Connection, Factory as _, Peer, Transport, tls};
use ropewalk_http::client::{Client, ErrorKind};
use ropewalk_http::{Body, Incoming, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Whether the server is one, or cuts its only answer short by ending TCP and not TLS.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    Cut,
}

async fn serve(transport: Transport, config: tls::Server, kind: Kind) {
    let Ok(mut transport) = transport.tls_server(&config).await else { return };
    if kind == Kind::Cut {
        let mut request = [0; 1024];
        let _ = transport.read(&mut request).await.unwrap();
        transport.write_all(b"HTTP/1.1 200 OK\r\n\r\nnot all of it").await.unwrap();
        transport.flush().await.unwrap();
        return;
    }
    let server = Server::new(async |request: Request<Incoming>| {
        let name = request.body().tls().and_then(|facts| facts.server_name().map(str::to_owned));
        Response::new(Body::from(name.unwrap_or_default()))
    });
    let protocol = server.build(&Peer::new(1, Address::Unknown, Address::Unknown)).unwrap();
    server.serve(Connection::new(protocol, transport)).await.unwrap();
}

fn client(config: &tls::Server, trust: tls::Client, kind: Kind) -> Client {
    let config = config.clone();
    let connect = move |_| {
        let (near, far) = Transport::memory();
        tokio::spawn(serve(far, config.clone(), kind));
        async { Ok(near) }
    };
    Client::builder().tls(trust).transports(connect).build()
}

fn certificate() -> (tls::Server, tls::Client) {
    let names = ["site.test", "127.0.0.1"];
    let config = tls::Server::builder().self_signed(names).alpn(["http/1.1"]).build().unwrap();
    let roots = tls::Roots::certificates(config.certificate());
    (config, tls::Client::builder().roots(roots).alpn(["http/1.1"]).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_prove_its_name() {
    let (config, trust) = certificate();
    let client = client(&config, trust, Kind::Whole);
    for _ in 0..2 {
        let response = client.get("https://site.test/").await.unwrap();
        let facts = response.body().tls().unwrap();
        assert_eq!((facts.alpn(), facts.resumed()), (Some(&b"http/1.1"[..]), false));
        assert_eq!(response.into_body().text().await.unwrap(), "site.test");
        assert_eq!(client.idle(), 1);
    }
    assert_eq!(client.get("https://127.0.0.1/").await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot() {
    let (config, trust) = certificate();
    let error = client(&config, trust, Kind::Whole).get("https://other.test/").await;
    let error = error.expect_err("not its name");
    assert!(matches!(error.kind(), ErrorKind::Connect(_)), "{error:?}");
    assert!(error.to_string().starts_with("https://other.test/: "), "{error}");
    let (_, stranger) = certificate();
    let error = client(&config, stranger, Kind::Whole).get("https://site.test/").await;
    assert!(matches!(error.expect_err("unknown").kind(), ErrorKind::Connect(_)));
}

/// Content up to the connection's end could be cut by anybody on the way: TLS says whether it was.
#[tokio::test(start_paused = true)]
async fn an_end_that_tls_did_not_announce_is_none() {
    let (config, trust) = certificate();
    let response = client(&config, trust, Kind::Cut).get("https://site.test/").await.unwrap();
    let error = response.into_body().bytes().await.expect_err("cut");
    assert!(error.is_cut(), "{error:?}");
}
