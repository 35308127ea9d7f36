//! A server behind a balancer: by the PROXY protocol it knows who the client really is.
//! `cargo run -p ropewalk-core --example proxy_protocol`, then
//! `printf 'PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n' | nc -N localhost 4044`.

use std::net::SocketAddr;

use ropewalk_core::endpoint::Registry;
use ropewalk_core::{Address, BoxError, Connection, Endpoint, Lines, Reactor, factory};

/// Headers are believed from this machine only: who is not trusted is not served.
const HERE: &str = "proxy:tcp:127.0.0.1:4044:trust=127.0.0.0/8";

pub(crate) async fn greet(mut conn: Connection<Lines>) -> Result<(), BoxError> {
    let words = format!("You are {} and came to {}.", conn.peer().address(), conn.peer().local());
    conn.send(words).await?;
    Ok(conn.close().await?)
}

/// What a balancer does: it connects to `endpoint`, and says on whose behalf.
pub(crate) async fn visit(
    endpoint: &str,
    registry: &Registry,
    client: SocketAddr,
) -> Result<String, BoxError> {
    let endpoint = Endpoint::parse_with(endpoint, registry)?;
    let came_to = SocketAddr::from(([198, 51, 100, 1], 80));
    let transport = endpoint.connect_as(&Address::from(client), &Address::from(came_to)).await?;
    let mut conn = Connection::new(Lines::crlf(), transport);
    let words = conn.next().await?.ok_or("the server said nothing")?;
    conn.close().await?;
    Ok(String::from_utf8_lossy(&words).into_owned())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let reactor = Reactor::new()?;
    reactor.listen(HERE, factory::serve_with(Lines::crlf, greet)).await?;
    Ok(reactor.run().await?)
}
