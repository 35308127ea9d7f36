//! An axum application on our server.
//! `cargo run -p ropewalk-http --features tower --example axum`, then open
//! http://127.0.0.1:8080/hello/you.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use ropewalk_core::{BoxError, Factory, Peer, Reactor};
use ropewalk_http::{Server, Tower};

type Count = Arc<AtomicU64>;

async fn hello(
    State(count): State<Count>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
) -> String {
    let count = count.fetch_add(1, Ordering::Relaxed) + 1;
    format!("Hello, {name} at {}! You are visitor {count}.\n", peer.address())
}

async fn shout(text: String) -> Result<String, StatusCode> {
    if text.is_empty() { Err(StatusCode::UNPROCESSABLE_ENTITY) } else { Ok(text.to_uppercase()) }
}

/// The application: any router that has its state.
pub(crate) fn app() -> Router {
    Router::new()
        .route("/", get(async || "Try /hello/you\n"))
        .route("/hello/{name}", get(hello))
        .route("/shout", post(shout))
        .with_state(Count::default())
}

/// On our server.
pub(crate) fn site() -> impl Factory {
    Server::new(Tower::new(app()))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let reactor = Reactor::new()?;
    reactor.listen("tcp:127.0.0.1:8080", site()).await?;
    Ok(reactor.run().await?)
}
