//! What is spoken on the control socket.

use ropewalk_core::testing::{Net, cuts};

use super::*;

type Ours = JsonLines<Request, Answer>;

#[test]
fn requests_under_every_cut() {
    let long = format!("{{\"do\":\"{}\"}}\n", "x".repeat(ASKED));
    for (input, events, wrong) in [
        ("{\"do\":\"reload\"}\n{\"do\":\"status\"}\n", "Reload Status", None),
        ("{\"do\": \"stop\", \"more\": 1}\n", "Stop", None),
        ("{\"do\":\"status\"}\n{\"do\":\"sta", "Status", Some("into it")),
        ("{\"do\":\"dance\"}\n", "", Some("unknown variant `dance`")),
        ("status\n", "", Some("expected value")),
        ("\n", "", Some("EOF")),
        (&long, "", Some("4096")),
    ] {
        let heard = cuts(|| Ours::new(ASKED), input.as_bytes());
        assert_eq!(heard.events.join(" "), events, "{input:.40}");
        match (wrong, &heard.error) {
            (None, None) => {}
            (Some(part), Some(error)) if error.contains(part) => {}
            (_, error) => panic!("{input:.40}: {error:?}"),
        }
    }
}

/// Says what it is asked.
struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Stop => Answer::Stopping,
            other => Answer::Failed(vec![format!("{other:?}\nin two lines")]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_come_back_and_the_connection_is_kept_until_the_end() {
    for seed in 0..10 {
        let net = Net::seeded(seed);
        net.listen("control", Server(Echo));
        let mut client = net.dial("control", JsonLines::<Answer, Request>::new(LINE)).expect("it");
        for request in [Request::Reload, Request::Status] {
            client.send(request).await.expect("it listens");
            let answer = client.next().await.expect("an answer");
            let words = format!("{request:?}\nin two lines");
            assert_eq!(answer, Some(Answer::Failed(vec![words])), "seed {seed}");
        }
        client.send(Request::Stop).await.expect("it listens");
        assert_eq!(client.next().await.expect("an answer"), Some(Answer::Stopping));
        let waiting = tokio::time::timeout(10 * SILENCE, client.next()).await;
        assert!(waiting.is_err(), "seed {seed}: whoever asked for the end waits for it");
        client.close().await.expect("a clean end");
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_let_go() {
    let net = Net::seeded(1);
    net.listen("control", Server(Echo));
    let mut client = net.dial("control", JsonLines::<Answer, Request>::new(LINE)).expect("it");
    let begin = tokio::time::Instant::now();
    let _ = client.next().await;
    assert!(begin.elapsed() >= SILENCE && begin.elapsed() < 2 * SILENCE);
}
