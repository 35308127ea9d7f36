//! A request/response client in two parts: a handle that asks, a driver that owns the connection.
//! `cargo run -p ropewalk-core --example pipelined_client tcp:localhost:4040` asks the echo example.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::Bytes;
use ropewalk_core::{BoxError, Connection, Deferred, Endpoint, Lines, Resolver, Transport, gather};
use tokio::sync::mpsc;

type Question = (String, Resolver<Bytes>);
const MOST: usize = 64; // questions that wait to be sent, and as many that wait for answers

pub(crate) struct Client(mpsc::Sender<Question>);

impl Client {
    pub(crate) fn over(transport: Transport) -> (Self, Deferred<Result<(), BoxError>>) {
        let (questions, asked) = mpsc::channel(MOST);
        let driver = drive(Connection::new(Lines::crlf(), transport), asked);
        (Self(questions), Deferred::spawn(driver))
    }

    /// Begins to ask, and waits only for room. The answer is abandoned if the connection ends.
    pub(crate) async fn ask(&self, line: impl Into<String>) -> Deferred<Bytes> {
        let (resolver, answer) = Deferred::pair();
        drop(self.0.send((line.into(), resolver)).await);
        answer
    }
}

async fn drive(
    mut conn: Connection<Lines>,
    mut asked: mpsc::Receiver<Question>,
) -> Result<(), BoxError> {
    let mut waiting: VecDeque<Resolver<Bytes>> = VecDeque::new();
    loop {
        tokio::select! {
            Some((line, resolver)) = asked.recv(), if waiting.len() < MOST => {
                conn.send(line).await?;
                waiting.push_back(resolver);
            }
            answer = conn.next(), if !waiting.is_empty() => {
                let answer = answer?.ok_or("the server has gone")?;
                let resolver = waiting.pop_front().ok_or("nobody has asked")?;
                drop(resolver.resolve(answer)); // whoever has asked may be gone
            }
            else => return Ok(conn.close().await?), // the client is gone and has its answers
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let endpoint: Endpoint = std::env::args().nth(1).ok_or("which endpoint?")?.parse()?;
    let (client, driver) = Client::over(endpoint.connect().await?);
    let answers = [client.ask("one").await, client.ask("two").await]; // both are on their way
    writeln!(std::io::stdout(), "{:?}", gather(answers).await?)?;
    drop(client);
    driver.await?
}
