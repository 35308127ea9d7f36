//! The examples, without ports.
#![cfg(feature = "io")]

use http::Request;
use ropewalk_core::testing::Net;
use ropewalk_core::{BoxError, Connection};
use ropewalk_http::files::{Files, Settings};
use ropewalk_http::session::Client;
use ropewalk_http::{BodyLength, Event, Outgoing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// The status of the answer to `GET path`, and its content.
async fn get(conn: &mut Connection<Client>, path: &str) -> Result<(u16, String), BoxError> {
    let request = Request::get(path).header("host", "site.test").body(BodyLength::Empty)?;
    conn.send(request).await?;
    conn.send(Outgoing::End).await?;
    hear(conn).await
}

/// The status of the next answer, and its content.
async fn hear(conn: &mut Connection<Client>) -> Result<(u16, String), BoxError> {
    let (mut status, mut content) = (0, Vec::new());
    while let Some(event) = conn.next().await? {
        match event {
            Event::Head(response) => status = response.status().as_u16(),
            Event::Data(data) => content.extend_from_slice(&data),
            Event::End => break,
            Event::Interim(_) | Event::Trailers(_) => {}
        }
    }
    Ok((status, String::from_utf8(content)?))
}

#[tokio::test(start_paused = true)]
async fn a_handler_and_a_folder() -> Result<(), BoxError> {
    for seed in 0..5 {
        let net = Net::seeded(seed);
        let files = Files::new(env!("CARGO_MANIFEST_DIR"), Settings::default())?;
        net.listen("site", server::site(files));
        let mut conn = net.dial("site", Client::default())?;
        let (status, content) = get(&mut conn, "/hello").await?;
        assert_eq!((status, content.starts_with("Hello, ")), (200, true), "seed {seed}");
        let manifest = include_str!("../Cargo.toml").to_owned();
        assert_eq!(get(&mut conn, "/Cargo.toml").await?, (200, manifest), "seed {seed}");
        assert_eq!(get(&mut conn, "/absent").await?.0, 404, "seed {seed}");
        conn.close().await?;
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
                let mut conn = Connection::new(Client::default(), transport);
                assert_eq!(get(&mut conn, "/hello").await?.0, 200, "seed {seed}");
                assert_eq!(get(&mut conn, "/absent").await?.0, 404, "seed {seed}");
                conn.close().await?;
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
        let mut conn = net.dial("site", Client::default())?;
        assert_eq!(get(&mut conn, "/").await?, (200, "Try /hello/you\n".into()), "seed {seed}");
        for visitor in 1..=2 {
            let (status, text) = get(&mut conn, "/hello/you").await?;
            assert_eq!(status, 200, "seed {seed}");
            assert!(text.starts_with("Hello, you at "), "seed {seed}: {text}");
            assert!(text.ends_with(&format!("visitor {visitor}.\n")), "seed {seed}: {text}");
        }
        assert_eq!(get(&mut conn, "/absent").await?.0, 404, "seed {seed}");
        assert_eq!(get(&mut conn, "/shout").await?.0, 405, "seed {seed}");
        for (content, status, heard) in [("loud", 200, "LOUD"), ("", 422, "")] {
            let request = Request::post("/shout").header("host", "site.test");
            conn.send(request.body(BodyLength::Unknown)?).await?;
            conn.send(Outgoing::Data(content.into())).await?;
            conn.send(Outgoing::End).await?;
            assert_eq!(hear(&mut conn).await?, (status, heard.to_owned()), "seed {seed}");
        }
        conn.close().await?;
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}
