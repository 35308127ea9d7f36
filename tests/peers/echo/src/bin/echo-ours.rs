//! Echo by our `Connection`, on one thread: `echo-ours ADDRESS raw|lines`.

use std::error::Error;

use bytes::Bytes;
use ropewalk_core::{Connection, Lines, Protocol, Raw, Transport};
use tokio::net::TcpListener;

async fn echo<P>(mut connection: Connection<P>) -> Result<(), P::Error>
where
    P: Protocol<In = Bytes>,
    Bytes: Into<P::Out>,
{
    while let Some(item) = connection.next().await? {
        connection.send(item).await?;
    }
    Ok(connection.close().await?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: echo-ours ADDRESS raw|lines";
    let address = std::env::args().nth(1).ok_or(usage)?;
    let lines = match std::env::args().nth(2).as_deref() {
        Some("raw") => false,
        Some("lines") => true,
        _ => return Err(usage.into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let transport = Transport::tcp(stream);
            if lines {
                let connection = Connection::new(Lines::lf(), transport);
                tokio::spawn(async { drop(echo(connection).await) });
            } else {
                let connection = Connection::new(Raw, transport);
                tokio::spawn(async { drop(echo(connection).await) });
            }
        }
    })
}
