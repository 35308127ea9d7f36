//! Echo by our `Connection`, on one thread: `echo-ours ADDRESS raw|lines`.

use std::error::Error;

use bytes::Bytes;
use ropewalk_core::{BoxError, Connection, Factory, Lines, Peer, Protocol, Raw, Reactor, Refusal};

/// Echoes what a protocol, made by a function, yields.
struct Echo<P>(fn() -> P);

impl<P> Factory for Echo<P>
where
    P: Protocol<In = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    Bytes: Into<P::Out>,
{
    type Protocol = P;

    fn build(&self, _peer: &Peer) -> Result<P, Refusal> {
        Ok(self.0())
    }

    async fn serve(&self, mut connection: Connection<P>) -> Result<(), BoxError> {
        while let Some(item) = connection.next().await.map_err(Into::into)? {
            connection.send(item).await.map_err(Into::into)?;
        }
        Ok(connection.close().await?)
    }
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
        let reactor = Reactor::new()?;
        let endpoint = format!("tcp:{address}");
        if lines {
            reactor.listen(&endpoint, Echo(Lines::lf)).await?;
        } else {
            reactor.listen(&endpoint, Echo(|| Raw)).await?;
        }
        Ok(reactor.run().await?)
    })
}
