//! What `cargo xtask bench http` measures: every request is answered with the same 13 bytes.
//!
//! `peer-ours ADDRESS [THREADS]`, where THREADS is
//! * `1` (the default): one thread, on which everything runs;
//! * `N`: so many workers, each with a runtime and, by `SO_REUSEPORT`, a socket of its own;
//! * `shared:N` or `N shared`: so many threads of one tokio scheduler.

use std::error::Error;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use ropewalk_core::{Reactor, Workers};
use ropewalk_http::{Body, Incoming, Server};
use tokio::runtime;

async fn hello(_request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(Body::from("Hello, world!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: peer-ours ADDRESS [N | shared:N]")?;
    let threads = arguments.next().unwrap_or_else(|| "1".to_owned());
    let shared = threads.strip_prefix("shared:");
    let count: usize = shared.unwrap_or(&threads).parse()?;
    let shared = shared.is_some() || arguments.next().as_deref() == Some("shared");

    let mut builder = if shared {
        runtime::Builder::new_multi_thread()
    } else {
        runtime::Builder::new_current_thread()
    };
    let workers = if shared || count == 1 { Workers::Shared } else { Workers::PerCore(count) };
    let runtime = builder.worker_threads(count.max(1)).enable_all().build()?;
    runtime.block_on(async {
        let reactor = Reactor::builder().workers(workers).build()?;
        reactor.listen(&format!("tcp:{address}"), Server::new(hello)).await?;
        Ok(reactor.run().await?)
    })
}
