//! A chat with one room: what one says, all others hear.
//! `cargo run -p ropewalk-core --example line_chat`, then `nc localhost 4041` in two windows.

use ropewalk_core::{BoxError, Connection, Factory, Lines, Reactor, factory};
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

type Said = (u64, String); // the number of the connection, and its words

pub(crate) fn server() -> impl Factory {
    let room: Sender<Said> = Sender::new(256); // so many lines may a slow reader be behind
    factory::serve_with(Lines::either, move |conn| member(conn, room.clone()))
}

async fn member(mut conn: Connection<Lines>, room: Sender<Said>) -> Result<(), BoxError> {
    conn.send("What is your name?").await?;
    let Some(name) = conn.next().await? else { return Ok(conn.close().await?) };
    let (me, name) = (conn.peer().id(), printable(&name));
    let mut others = room.subscribe();
    let say = |words: String| drop(room.send((me, words)));
    say(format!("* {name} has come"));
    let talked = talk(&mut conn, &mut others, |line| say(format!("{name}: {line}"))).await;
    say(format!("* {name} has gone"));
    talked?;
    Ok(conn.close().await?)
}

async fn talk(
    conn: &mut Connection<Lines>,
    others: &mut Receiver<Said>,
    say: impl Fn(String),
) -> Result<(), BoxError> {
    let me = conn.peer().id();
    loop {
        tokio::select! {
            line = conn.next() => match line? {
                Some(line) => say(printable(&line)),
                None => return Ok(()),
            },
            said = others.recv() => match said {
                Ok((speaker, words)) if speaker != me => conn.send(words).await?,
                Ok(_) | Err(RecvError::Closed) => {}
                Err(RecvError::Lagged(lines)) => conn.send(format!("* {lines} lost")).await?,
            },
        }
    }
}

/// Without control characters: terminals obey some, and a line with a CR in it cannot be sent.
fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let reactor = Reactor::new()?;
    reactor.listen("tcp:127.0.0.1:4041", server()).await?;
    Ok(reactor.run().await?)
}
