//! A response that is made of its request, in memory.
#![cfg(feature = "io")]

use http::{Request, Response};
use ropewalk_core::Raw;
use ropewalk_core::testing::Net;
use ropewalk_http::{Body, Incoming, Server};

async fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(Body::stream(request.into_body()))
}

#[tokio::test(start_paused = true)]
async fn an_echo_tells_a_waiting_client_to_go_on() {
    let net = Net::new();
    net.listen("web", Server::new(echo));
    let mut client = net.dial("web", Raw).expect("it listens");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\
                Connection: close\r\n\r\n";
    client.send(head).await.expect("it takes the head");
    let first = client.next().await.expect("an answer").expect("an answer");
    assert!(first.starts_with(b"HTTP/1.1 100 "), "{first:?}");
    client.send("hello").await.expect("it takes the content");
    let mut heard = Vec::new();
    while let Ok(Some(bytes)) = client.next().await {
        heard.extend_from_slice(&bytes);
    }
    assert!(heard.ends_with(b"hello"), "{}", String::from_utf8_lossy(&heard));
}
