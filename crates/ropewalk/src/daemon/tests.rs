//! What runs, in memory.

use std::sync::atomic::{AtomicU64, Ordering};

use ropewalk_core::{BoxError, Connection, Lines, factory};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::*;
use crate::guard::Limits;
use crate::kind::Kind;

/// Works, fails, keeps.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Probe {
    #[arg(long)]
    listen: Vec<String>,
    #[arg(long, default_value = "")]
    word: String,
    /// How often its work panics.
    #[arg(long, default_value = "0")]
    panics: u64,
    /// It does not start.
    #[arg(long)]
    broken: bool,
    #[command(flatten)]
    more: More,
    #[command(flatten)]
    limits: Limits,
}

/// A group of options, which is a table of its own.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct More {
    #[arg(long)]
    extra_word: Option<String>,
}

impl Kind for Probe {
    const NAME: &'static str = "probe";

    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::new(Code::Unavailable, "told to"));
        }
        let word = self.word.clone();
        let serve = move |mut conn: Connection<Lines>| {
            let word = word.clone();
            async move {
                while let Some(line) = conn.next().await? {
                    assert_ne!(&line[..], b"panic", "told to");
                    conn.send(word.clone()).await?;
                }
                Ok::<_, BoxError>(conn.close().await?)
            }
        };
        stage.listen(&self.listen, &self.limits, factory::serve_with(Lines::lf, serve));
        let (panics, done) = (self.panics, AtomicU64::new(0));
        stage.work("ticks", move |mut stopping| {
            let turn = done.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_secs(1)).await;
                assert!(turn >= panics, "told to");
                stopping.requested().await;
                Ok(())
            }
        });
        Ok(())
    }
}

/// Answers datagrams.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Datagrams {
    #[arg(long)]
    listen: Vec<String>,
    #[arg(long, default_value = "")]
    word: String,
}

impl Kind for Datagrams {
    const NAME: &'static str = "datagrams";

    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        for socket in stage.sockets("listen", &self.listen, Ok) {
            let word = self.word.clone();
            let name = socket.local().first().map(ToString::to_string).unwrap_or_default();
            stage.work_on(socket, name, move |bound, mut stopping| {
                let word = word.clone();
                async move {
                    let socket = bound.datagrams()?.pop().ok_or("it is udp:")?;
                    let socket = tokio::net::UdpSocket::from_std(socket)?;
                    loop {
                        let mut bytes = [0; 64];
                        let (_, from) = tokio::select! {
                            received = socket.recv_from(&mut bytes) => received?,
                            _ = stopping.requested() => return Ok(()),
                        };
                        socket.send_to(word.as_bytes(), from).await?;
                    }
                }
            });
        }
        Ok(())
    }
}

#[tokio::test]
async fn datagrams_keep_their_socket() {
    let text =
        |word: &str| format!("[[datagrams]]\nlisten = [\"udp:127.0.0.1:0\"]\nword = \"{word}\"\n");
    let case = Case::start("datagrams", &text("old")).await;
    let server = case.daemon.board().status().services[0].work[0].clone();
    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    client.connect(&server).await.expect("an address");
    for (word, last) in [("old", false), ("new", true)] {
        client.send(b"?").await.expect("it is open");
        let mut bytes = [0; 64];
        let count = client.recv(&mut bytes).await.expect("an answer");
        assert_eq!(&bytes[..count], word.as_bytes());
        if !last {
            case.reload(&text("new")).await.expect("all is well");
        }
    }
    assert_eq!(case.daemon.board().status().services[0].work, [server]);
    case.daemon.reactor().stop().await;
    case.daemon.end().await.expect("nothing has failed");
}

/// A daemon over a file that the test writes.
struct Case {
    daemon: Daemon,
    path: PathBuf,
}

impl Case {
    async fn start(name: &str, text: &str) -> Self {
        let path = format!("ropewalk-daemon-{name}-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(path);
        std::fs::write(&path, text).expect("a file");
        let kinds = vec![Entry::of::<Probe>(), Entry::of::<Datagrams>()];
        let registry = Registry::default();
        let reactor = Reactor::builder().registry(registry.clone()).build().expect("a runtime");
        let source = Source::File(path.clone(), Box::default());
        let config = source.read(&kinds).expect("a file");
        let (logs, process) = ((Global::default(), None), Arc::default());
        let daemon = Daemon::new(source, kinds, registry, logs, reactor, process);
        let opened = daemon.open(config).await.expect("free names");
        daemon.begin(opened).await.expect("free names");
        Self { daemon, path }
    }

    async fn reload(&self, text: &str) -> Result<Vec<String>, Vec<Failure>> {
        std::fs::write(&self.path, text).expect("a file");
        self.daemon.reload().await
    }

    async fn connect(&self, name: &str) -> ropewalk_core::Transport {
        self.daemon.reactor().connect(name).await.expect("it listens")
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn ask(transport: &mut ropewalk_core::Transport, line: &str) -> String {
    transport.write_all(format!("{line}\n").as_bytes()).await.expect("it fits");
    let mut answer = vec![0; 64];
    let count = transport.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..count]).trim_end().to_owned()
}

#[test]
fn the_definition_is_sound() {
    crate::kind::verify::<Probe>();
    let table_of = Entry::of::<Probe>().table_of;
    for (option, table) in
        [("word", Some("")), ("extra-word", Some("more")), ("rate", Some("limits")), ("x", None)]
    {
        assert_eq!(table_of(option).as_deref(), table, "{option}");
    }
}

#[tokio::test]
async fn work_that_panics_is_begun_again_and_counted() {
    let text = "[[probe]]\nlisten = [\"memory:a\"]\nword = \"a\"\npanics = 2\n";
    let case = Case::start("work", text).await;
    tokio::time::pause();
    sleep(Duration::from_secs(60)).await;
    let service = &case.daemon.board().status().services[0];
    assert_eq!((service.restarts, service.work.as_slice()), (2, &["ticks".to_owned()][..]));
    tokio::time::resume();
    let (mut one, mut other) = (case.connect("memory:a").await, case.connect("memory:a").await);
    assert_eq!(ask(&mut one, "?").await, "a");
    assert_eq!(ask(&mut other, "panic").await, "", "a panic ends its connection");
    assert_eq!(ask(&mut one, "?").await, "a", "and no other");
    let service = &case.daemon.board().status().services[0];
    assert_eq!((service.restarts, service.listeners[0].panicked), (2, 1));
    drop(one);
    case.daemon.reactor().stop().await;
    case.daemon.end().await.expect("nothing has failed");
}

#[tokio::test]
async fn all_or_nothing() {
    let one = |name: &str, word: &str, more: &str| {
        format!("[[probe]]\nlisten = [\"memory:{name}\"]\nword = \"{word}\"\n{more}\n")
    };
    let case = Case::start("all", &one("a", "old", "")).await;
    let mut kept = case.connect("memory:a").await;
    assert_eq!(ask(&mut kept, "?").await, "old");
    let bad = one("a", "new", "") + &one("b", "b", "") + &one("c", "c", "broken = true");
    let problems = case.reload(&bad).await.expect_err("c does not start");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().ends_with(":9: probe: told to"), "{problems:?}");
    case.daemon.reactor().connect("memory:b").await.expect_err("it was not begun");
    assert_eq!(ask(&mut case.connect("memory:a").await, "?").await, "old");

    let said = case.reload(&(one("b", "b", "") + &one("a", "new", ""))).await.expect("all is well");
    assert_eq!(said, ["reloaded", "probe at memory:b"]);
    assert_eq!(ask(&mut kept, "?").await, "old");
    assert_eq!(ask(&mut case.connect("memory:a").await, "?").await, "new");
    let said = case.reload(&one("b", "b", "")).await.expect("all is well");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("no longer at memory:a"), "{said:?}");
    assert_eq!(kept.read(&mut [0; 8]).await.expect("a clean end"), 0, "it was idle");
    case.daemon.reactor().connect("memory:a").await.expect_err("it has drained");
    let status = case.daemon.board().status();
    assert_eq!((status.reloads, status.failed_reloads), (2, 1));
    case.daemon.reactor().stop().await;
    case.daemon.end().await.expect("nothing has failed");
}

#[tokio::test]
async fn connections_of_before_count_against_the_caps_of_now() {
    let text = |limits: &str| {
        format!("[[probe]]\nlisten = [\"memory:a\"]\nword = \"a\"\n[probe.limits]\n{limits}\n")
    };
    let case = Case::start("caps", &text("max-connections = 5")).await;
    let mut kept = case.connect("memory:a").await;
    assert_eq!(ask(&mut kept, "?").await, "a");
    case.reload(&text("max-connections = 2")).await.expect("all is well");
    let mut second = case.connect("memory:a").await;
    assert_eq!(ask(&mut second, "?").await, "a");
    assert_eq!(ask(&mut case.connect("memory:a").await, "?").await, "", "one too many");
    drop((kept, second));
    case.daemon.reactor().stop().await;
}
