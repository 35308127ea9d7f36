//! Echo of lines by tokio-util's `Framed`, on one thread: `echo-framed ADDRESS`.
//!
//! Written as well as `Framed` lets it: answers are flushed only when no further line has been read,
//! so that a read full of lines is answered by one write.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

async fn echo(stream: TcpStream) -> Result<(), LinesCodecError> {
    let mut framed = Framed::new(stream, LinesCodec::new_with_max_length(8192));
    while let Some(line) = framed.next().await {
        framed.feed(line?).await?;
        if !framed.read_buffer().contains(&b'\n') {
            SinkExt::<String>::flush(&mut framed).await?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: echo-framed ADDRESS")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async { drop(echo(stream).await) });
        }
    })
}
