//! A thousand clients that send a byte now and then.

use std::time::Duration;

use http::{Request, Response};
use ropewalk_core::Transport;
use ropewalk_core::testing::Net;
use ropewalk_http::session::Client;
use ropewalk_http::{Body, Incoming, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use crate::machine::{alone, dial, limit_descriptors, serve, soon, visit};

const MANY: usize = 1000;
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: slow.test\r\nX-Long: ";
const SECOND: Duration = Duration::from_secs(1);

/// Everyone says the next byte of a head that has no end.
async fn trickle(slow: &mut [Transport], turn: usize) {
    let byte = HEAD.get(turn).copied().unwrap_or(b'x');
    for transport in slow {
        transport.write_all(&[byte]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_client_does_not_wait_for_a_thousand_slow_ones() {
    let net = Net::new();
    net.listen("site", Server::new(async |_: Request<Incoming>| Response::new(Body::from("fine"))));
    let mut slow: Vec<Transport> = (0..MANY).map(|_| net.connect("site").unwrap()).collect();
    let mut good = net.dial("site", Client::default()).unwrap();
    let begun = Instant::now();
    for turn in 0..9 {
        trickle(&mut slow, turn).await;
        visit(&mut good).await;
        assert_eq!(net.open(), MANY + 1, "all are open while the good one is answered");
        assert_eq!(begun.elapsed(), SECOND * turn as u32, "no time has passed");
        sleep(SECOND).await;
    }
    // A head has ten seconds to get whole, however busily it comes.
    sleep(SECOND).await;
    for transport in &mut slow {
        let mut words = String::new();
        transport.read_to_string(&mut words).await.unwrap();
        assert!(words.starts_with("HTTP/1.1 408 "), "{words}");
    }
    assert_eq!(begun.elapsed(), 10 * SECOND);
    drop(slow);
    sleep(SECOND).await;
    assert_eq!(net.open(), 1);
    visit(&mut good).await;
}

#[tokio::test]
async fn nor_on_sockets() {
    if !alone("slow::nor_on_sockets") {
        return;
    }
    limit_descriptors(None); // twice a thousand are needed
    let (reactor, address) = serve().await;
    let mut slow = Vec::new();
    for _ in 0..MANY {
        slow.push(soon("connecting", reactor.connect(&address)).await.unwrap());
    }
    let mut kept = dial(&reactor, &address).await;
    for turn in 0..5 {
        soon("a byte each", trickle(&mut slow, turn)).await;
        visit(&mut kept).await;
        visit(&mut dial(&reactor, &address).await).await;
        assert!(reactor.connections().len() > MANY, "all are open");
    }
    drop((slow, kept));
    soon("the stop", reactor.stop()).await;
    assert!(reactor.connections().is_empty());
}
