//! The examples, without ports.
#![cfg(feature = "io")]

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use ropewalk_core::BoxError;
use ropewalk_core::testing::Net;
use ropewalk_http::files::{Files, Settings};
use ropewalk_http::{Body, Client, Incoming, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/client.rs"]
mod client;
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/server.rs"]
mod server;

#[cfg(feature = "tower")]
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/axum.rs"]
mod on_axum;

#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/tunnel.rs"]
mod tunnel;

/// A client of what listens on `net`.
fn on(net: &Net) -> Client {
    let net = net.clone();
    let connect = move |origin: ropewalk_http::client::Origin| {
        let transport = net.connect(origin.host());
        async { transport }
    };
    Client::builder().transports(connect).build()
}

/// The status of the answer to `GET path`, and its content.
async fn get(client: &Client, path: &str) -> Result<(u16, String), BoxError> {
    let response = client.get(format!("http://site{path}")).await?;
    Ok((response.status().as_u16(), response.into_body().text().await?))
}

#[tokio::test(start_paused = true)]
async fn a_handler_and_a_folder() -> Result<(), BoxError> {
    for seed in 0..5 {
        let net = Net::seeded(seed);
        let files = Files::new(env!("CARGO_MANIFEST_DIR"), Settings::default())?;
        net.listen("site", server::site(files));
        let client = on(&net);
        let (status, content) = get(&client, "/hello").await?;
        assert_eq!((status, content.starts_with("Hello, ")), (200, true), "seed {seed}");
        let manifest = include_str!("../Cargo.toml").to_owned();
        assert_eq!(get(&client, "/Cargo.toml").await?, (200, manifest), "seed {seed}");
        assert_eq!(get(&client, "/absent").await?.0, 404, "seed {seed}");
        client.close_idle().await;
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}

/// A site that is reached through a proxy, and what is not.
#[tokio::test(start_paused = true)]
async fn a_tunnel() -> Result<(), BoxError> {
    for seed in 0..5 {
        let net = Net::seeded(seed);
        let files = Files::new(env!("CARGO_MANIFEST_DIR"), Settings::default())?;
        net.listen("site.test:443", server::site(files));
        let dials = net.clone();
        net.listen("proxy", tunnel::proxy(move |place| std::future::ready(dials.connect(&place))));
        for (method, target, status) in [
            ("CONNECT", "site.test:443", 200),
            ("CONNECT", "absent.test:443", 502),
            ("CONNECT", "site.test:25", 403),
            ("GET", "/", 405),
        ] {
            let mut transport = net.connect("proxy")?;
            let head = format!("{method} {target} HTTP/1.1\r\nHost: site.test\r\n\r\n");
            transport.write_all(head.as_bytes()).await?;
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                heard.push(transport.read_u8().await?);
            }
            let heard = String::from_utf8(heard)?;
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "seed {seed}: {heard}");
            if status == 200 {
                let request = b"GET /hello HTTP/1.0\r\nHost: site.test\r\n\r\n";
                transport.write_all(request).await?;
                let mut answer = String::new();
                transport.read_to_string(&mut answer).await?;
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "seed {seed}: {answer}");
                assert!(answer.contains("\r\n\r\nHello, "), "seed {seed}: {answer}");
            } else {
                transport.shutdown().await?;
                transport.read_to_end(&mut Vec::new()).await?;
            }
        }
        let failed = net.stop().await;
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
    }
    Ok(())
}

#[cfg(feature = "tower")]
#[tokio::test(start_paused = true)]
async fn an_axum_application() -> Result<(), BoxError> {
    for seed in 0..5 {
        let net = Net::seeded(seed);
        net.listen("site", on_axum::site());
        let client = on(&net);
        assert_eq!(get(&client, "/").await?, (200, "Try /hello/you\n".into()), "seed {seed}");
        for visitor in 1..=2 {
            let (status, text) = get(&client, "/hello/you").await?;
            assert_eq!(status, 200, "seed {seed}");
            assert!(text.starts_with("Hello, you at "), "seed {seed}: {text}");
            assert!(text.ends_with(&format!("visitor {visitor}.\n")), "seed {seed}: {text}");
        }
        assert_eq!(get(&client, "/absent").await?.0, 404, "seed {seed}");
        assert_eq!(get(&client, "/shout").await?.0, 405, "seed {seed}");
        for (content, status, heard) in [("loud", 200, "LOUD"), ("", 422, "")] {
            let response = client.post("http://site/shout").body(content).send().await?;
            assert_eq!(response.status(), status, "seed {seed}");
            assert_eq!(response.into_body().text().await?, heard, "seed {seed}");
        }
        client.close_idle().await;
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_page_and_a_note() -> Result<(), BoxError> {
    async fn notes(request: Request<Incoming>) -> Response<Body> {
        match *request.method() {
            Method::POST => {
                let note = request.into_body().collect().await.map(|all| all.to_bytes().len());
                Response::new(format!("{} bytes noted", note.unwrap_or_default()).into())
            }
            _ => Response::new("a page".into()),
        }
    }
    let net = Net::seeded(1);
    net.listen("site", Server::new(notes));
    let client = on(&net);
    assert_eq!(client::measure(&client, "http://site/").await?, (200, 6));
    let said = client::note(&client, "http://site/", "nine byte".to_owned()).await?;
    assert_eq!((&*said, client.idle()), ("9 bytes noted", 1));
    Ok(())
}
