//! A proxy for CONNECT: what browsers and `curl --proxy` use to reach https through somebody.
//! `cargo run -p ropewalk-http --example tunnel`, then
//! `curl --proxy http://127.0.0.1:8080 https://example.org/`.

use std::io;

use http::{Method, Request, Response, StatusCode};
use ropewalk_core::{BoxError, Connection, Endpoint, Factory, Raw, Reactor, Transport};
use ropewalk_http::{Body, Incoming, Server, Switch};

/// A tunnel to wherever `dial` leads, for who asks for port 443.
pub(crate) fn proxy<D, F>(dial: D) -> impl Factory
where
    D: Fn(String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<Transport>> + Send,
{
    Server::new(move |request: Request<Incoming>| {
        let dial = dial.clone();
        async move {
            let place = match (request.method(), request.uri().authority()) {
                (&Method::CONNECT, Some(place)) if place.port_u16() == Some(443) => place,
                (&Method::CONNECT, _) => return refusal(StatusCode::FORBIDDEN),
                _ => return refusal(StatusCode::METHOD_NOT_ALLOWED),
            };
            match dial(place.to_string()).await {
                Ok(there) => Switch::new(move |conn| relay(conn, there)).tunnel(),
                Err(_) => refusal(StatusCode::BAD_GATEWAY),
            }
        }
    })
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{status}\n")));
    *response.status_mut() = status;
    response
}

async fn relay(conn: Connection<Raw>, mut there: Transport) -> Result<(), BoxError> {
    let mut here = conn.into_transport().await?;
    tokio::io::copy_bidirectional(&mut here, &mut there).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let dial = async |place: String| match Endpoint::parse(&format!("tcp:{place}")) {
        Ok(endpoint) => endpoint.connect().await,
        Err(error) => Err(io::Error::other(error)),
    };
    let reactor = Reactor::new()?;
    reactor.listen("tcp:127.0.0.1:8080", proxy(dial)).await?;
    Ok(reactor.run().await?)
}
