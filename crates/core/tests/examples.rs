//! The examples, without ports; those of framing are in `framing_examples.rs`.
#![cfg(feature = "io")]

use bytes::Bytes;
use ropewalk_core::endpoint::Registry;
use ropewalk_core::testing::Net;
use ropewalk_core::{BoxError, LastLine, Lines, Raw, Reactor, factory, gather, tls};

#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/echo.rs"]
mod echo;
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/pipelined_client.rs"]
mod pipelined_client;
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/proxy_protocol.rs"]
mod proxy_protocol;
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/starttls.rs"]
mod starttls;

fn text(bytes: Option<Bytes>) -> String {
    String::from_utf8(bytes.expect("the peer is there").to_vec()).expect("text")
}

#[tokio::test(start_paused = true)]
async fn echo_says_what_it_hears() -> Result<(), BoxError> {
    for seed in 0..20 {
        let net = Net::seeded(seed);
        net.listen("echo", factory::serve_with(Raw::default, echo::echo));
        let mut client = net.dial("echo", Lines::crlf())?;
        for line in ["one", "", "three"] {
            client.send(line).await?;
        }
        for line in ["one", "", "three"] {
            assert_eq!(text(client.next().await?), line, "seed {seed}");
        }
        client.close().await?;
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn answers_come_to_those_who_asked() -> Result<(), BoxError> {
    for seed in 0..20 {
        let net = Net::seeded(seed);
        net.listen("echo", factory::serve_with(Raw::default, echo::echo));
        let (client, driver) = pipelined_client::Client::over(net.connect("echo")?);
        let mut answers = Vec::new();
        for number in 0..200 {
            answers.push(client.ask(format!("question {number}")).await);
        }
        drop(answers.remove(7)); // who goes away takes nobody else's answer along
        let answers = gather(answers).await?;
        drop(client);
        driver.await??;
        let numbers = (0..200).filter(|number| *number != 7);
        for (number, answer) in numbers.zip(answers) {
            assert_eq!(answer, format!("question {number}"), "seed {seed}");
        }
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_abandons_the_answers() -> Result<(), BoxError> {
    let net = Net::new();
    let hang_up = async |conn: ropewalk_core::Connection<Raw>| Ok(conn.close().await?);
    net.listen("gone", factory::serve_with(Raw::default, hang_up));
    let (client, driver) = pipelined_client::Client::over(net.connect("gone")?);
    let answer = client.ask("anybody?").await;
    assert!(answer.await.is_err());
    assert!(driver.await?.is_err());
    assert!(client.ask("still?").await.await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_conversation_becomes_tls() -> Result<(), BoxError> {
    let server = tls::Server::builder().self_signed(["localhost"]).build()?;
    let fingerprint = server.fingerprint().expect("a certificate of its own");
    let client = tls::Client::builder().pin(fingerprint).build()?;
    let net = Net::new();
    let serve = move |conn| starttls::serve(conn, server.clone());
    net.listen("mail", factory::serve_with(Lines::crlf, serve));
    let reply = starttls::ask(net.dial("mail", Lines::crlf())?, &client, "HELLO").await?;
    assert_eq!(reply, "250 over TLS 1.3");
    assert!(net.stop().await.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nothing_slips_in_before_tls() -> Result<(), BoxError> {
    let config = tls::Server::builder().self_signed(["localhost"]).build()?;
    let net = Net::new();
    let serve = move |conn| starttls::serve(conn, config.clone());
    net.listen("mail", factory::serve_with(Lines::crlf, serve));
    let mut attacker = net.dial("mail", Lines::crlf().last_line(LastLine::Deliver))?;
    attacker.send("STARTTLS").await?;
    attacker.send("HELLO").await?;
    attacker.flush().await?;
    while attacker.next().await?.is_some() {}
    let failed = net.stop().await;
    assert_eq!(failed.len(), 1, "the connection has to fail");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_client_is_the_one_the_balancer_names() -> Result<(), BoxError> {
    let registry = Registry::new();
    let reactor = Reactor::builder().registry(registry.clone()).build()?;
    let server = factory::serve_with(Lines::crlf, proxy_protocol::greet);
    reactor.listen("proxy:memory:greeter", server).await?;
    for (version, client) in [(1, "192.0.2.7:4000"), (2, "192.0.2.7:4000")] {
        let endpoint = format!("proxy:memory:greeter:version={version}");
        let words = proxy_protocol::visit(&endpoint, &registry, client.parse()?).await;
        let expected = format!("You are {client} and came to 198.51.100.1:80.");
        assert_eq!(words?, expected, "version {version}");
    }
    reactor.stop().await;
    Ok(())
}
