//! A conversation that becomes TLS in its middle, as SMTP's does (RFC 3207).
//! `cargo run -p ropewalk-core --example starttls`, then
//! `openssl s_client -starttls smtp -crlf -connect localhost:4043`.

use ropewalk_core::{BoxError, Connection, Lines, Reactor, factory, tls};

pub(crate) async fn serve(
    mut conn: Connection<Lines>,
    config: tls::Server,
) -> Result<(), BoxError> {
    conn.send("220 ready").await?;
    while let Some(line) = conn.next().await? {
        match (&line[..], conn.tls()) {
            (b"STARTTLS", None) => {
                conn.send("220 go ahead").await?;
                // Refuses if the client said anything behind STARTTLS: it could be an attacker's.
                conn.start_tls_server(&config).await?;
            }
            (b"QUIT", _) => break,
            (line, None) if line.starts_with(b"EHLO ") => conn.send("250 STARTTLS").await?,
            (_, None) => conn.send("530 say STARTTLS first").await?,
            (_, Some(facts)) => {
                let words = format!("250 over {}", facts.version());
                conn.send(words).await?;
            }
        }
    }
    Ok(conn.close().await?)
}

/// The other side: what the server answers to `line` once nobody else can hear it.
pub(crate) async fn ask(
    mut conn: Connection<Lines>,
    config: &tls::Client,
    line: &'static str,
) -> Result<String, BoxError> {
    conn.next().await?; // the greeting
    conn.send("STARTTLS").await?;
    let reply = conn.next().await?.ok_or("the server has gone")?;
    if !reply.starts_with(b"220 ") {
        return Err("the server does not speak TLS".into());
    }
    conn.start_tls_client(config, "localhost".try_into()?).await?;
    conn.send(line).await?;
    let reply = conn.next().await?.ok_or("the server has gone")?;
    conn.close().await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let config = tls::Server::builder().self_signed(["localhost"]).build()?;
    let reactor = Reactor::new()?;
    let server = factory::serve_with(Lines::crlf, move |conn| serve(conn, config.clone()));
    reactor.listen("tcp:127.0.0.1:4043", server).await?;
    Ok(reactor.run().await?)
}
