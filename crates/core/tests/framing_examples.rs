//! The examples `line_chat` and `own_protocol`, without ports.
#![cfg(feature = "io")]

use ropewalk_core::testing::{Net, Role, Script};
use ropewalk_core::{BoxError, Connection, LastLine, LineOut, Lines, factory};

#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/line_chat.rs"]
mod line_chat;
#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/own_protocol.rs"]
mod own_protocol;

fn register() -> own_protocol::Register {
    own_protocol::Register(Lines::crlf())
}

#[test]
fn the_register_follows_its_transcripts() {
    Script::with_state(Role::Server, || (register(), 0))
        .answering(|stage, request| {
            if let own_protocol::Request::Add(sum) = request {
                *stage.state += u64::from(sum);
            }
            stage.say(*stage.state)
        })
        .check_folder("tests/transcripts/register");
}

#[tokio::test(start_paused = true)]
async fn the_register_serves() -> Result<(), BoxError> {
    let net = Net::seeded(3);
    net.listen("register", factory::serve_with(register, own_protocol::serve));
    let mut client = net.dial("register", Lines::crlf())?;
    for line in ["ADD 5", "what", "TOTAL"] {
        client.send(line).await?;
    }
    for reply in ["OK 5", "NO", "OK 5"] {
        assert_eq!(client.next().await?.expect("a reply"), reply);
    }
    client.close().await?;
    assert!(net.stop().await.is_empty());
    Ok(())
}

/// A member of the chat who has said a name and heard everything up to their own coming.
async fn member(net: &Net, name: &str) -> Result<Connection<Lines>, BoxError> {
    let mut conn = net.dial("chat", Lines::either().last_line(LastLine::Deliver))?;
    hears(&mut conn, "What is your name?").await?;
    conn.send(name.to_owned()).await?;
    conn.flush().await?;
    Ok(conn)
}

async fn hears(conn: &mut Connection<Lines>, line: &str) -> Result<(), BoxError> {
    assert_eq!(conn.next().await?.expect("a line"), line);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_one_says_all_others_hear() -> Result<(), BoxError> {
    for seed in 0..10 {
        let net = Net::seeded(seed);
        net.listen("chat", line_chat::server());
        let mut ann = member(&net, "Ann").await?;
        // Whoever says their name first is in the room first, but names travel too.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let mut bob = member(&net, "Bob").await?;
        hears(&mut ann, "* Bob has come").await?;
        bob.send("hello").await?;
        bob.send("\u{7}bell and\ttab").await?;
        bob.flush().await?;
        hears(&mut ann, "Bob: hello").await?;
        hears(&mut ann, "Bob: bell andtab").await?;
        ann.send(LineOut::Raw("a\rb\n".into())).await?;
        ann.flush().await?;
        hears(&mut bob, "Ann: ab").await?;
        ann.close().await?;
        hears(&mut bob, "* Ann has gone").await?;
        bob.close().await?;
        assert!(net.stop().await.is_empty(), "seed {seed}");
    }
    Ok(())
}
