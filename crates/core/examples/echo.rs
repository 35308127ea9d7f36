//! Echo: whatever comes goes back. The smallest server there is.
//! `cargo run -p ropewalk-core --example echo [ENDPOINT]`, then `nc localhost 4040`.

use ropewalk_core::{BoxError, Connection, Raw, Reactor, factory};

pub(crate) async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
    while let Some(bytes) = conn.next().await? {
        conn.send(bytes).await?;
    }
    Ok(conn.close().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "tcp:127.0.0.1:4040".to_owned());
    let reactor = Reactor::new()?;
    reactor.listen(&endpoint, factory::serve_with(Raw::default, echo)).await?;
    Ok(reactor.run().await?)
}
