//! A protocol of one's own, from grammar to server: a cash register, for `nc -C localhost 4042`.
//! request = ("ADD" SP 1*DIGIT / "TOTAL") CRLF, reply = ("OK" SP 1*DIGIT / "NO") CRLF

use ropewalk_core::{BoxError, Connection, FrameError, Lines, Protocol, Reactor, Wire, factory};

#[derive(Debug)]
pub(crate) enum Request {
    Add(u32),
    Total,
}

fn parse(line: &[u8]) -> Option<Request> {
    match std::str::from_utf8(line).ok()?.split_once(' ') {
        None => (line == b"TOTAL").then_some(Request::Total),
        Some(("ADD", sum)) if !sum.starts_with('+') => sum.parse().ok().map(Request::Add),
        Some(_) => None,
    }
}

/// The session: it decides and does no I/O. What is no request it answers by itself.
pub(crate) struct Register(pub(crate) Lines);

impl Protocol for Register {
    type In = Request;
    type Out = u64;
    type Error = FrameError;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Request>, FrameError> {
        while let Some(line) = self.0.receive(wire)? {
            match parse(&line) {
                None => self.0.send("NO".into(), wire)?,
                request => return Ok(request),
            }
        }
        Ok(None)
    }

    fn send(&mut self, total: u64, wire: &mut Wire) -> Result<(), FrameError> {
        self.0.send(format!("OK {total}").into(), wire)
    }
}

pub(crate) async fn serve(mut conn: Connection<Register>) -> Result<(), BoxError> {
    let mut total = 0;
    while let Some(request) = conn.next().await? {
        total += if let Request::Add(sum) = request { u64::from(sum) } else { 0 };
        conn.send(total).await?;
    }
    Ok(conn.close().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let reactor = Reactor::new()?;
    let register = || Register(Lines::crlf());
    reactor.listen("tcp:127.0.0.1:4042", factory::serve_with(register, serve)).await?;
    Ok(reactor.run().await?)
}
