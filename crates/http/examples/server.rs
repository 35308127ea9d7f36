//! Hello, and a folder of files: two handlers on one server.
//! `cargo run -p ropewalk-http --example server [FOLDER]`, then open http://127.0.0.1:8080/hello.

use http::{Request, Response};
use ropewalk_core::{BoxError, Factory, Reactor};
use ropewalk_http::files::{Files, Settings};
use ropewalk_http::{Body, Incoming, Server};

async fn hello(request: Request<Incoming>) -> Response<Body> {
    let peer = request.body().peer().address();
    Response::new(Body::from(format!("Hello, {peer}!\n")))
}

/// `/hello` is a function's, everything else a folder's.
pub(crate) fn site(files: Files) -> impl Factory {
    Server::new(move |request: Request<Incoming>| {
        let files = files.clone();
        async move {
            match request.uri().path() {
                "/hello" => hello(request).await,
                _ => files.serve(request).await,
            }
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let files = Files::new(folder, Settings::default())?;
    let reactor = Reactor::new()?;
    reactor.listen("tcp:127.0.0.1:8080", site(files)).await?;
    Ok(reactor.run().await?)
}
