//! Transcripts of a client and a server that says what is written, each on several networks.
//!
//! ```text
//! > GET /x | name: value         the client asks, the one before having ended; http://site.test before it
//! > POST /x text HELLO           with content: text, chunked (a stream of unknown length), or file
//! = 200 HELLO | name: value      and gets: status, content, fields;
//! = error WORDS                  or an error that has these words in it
//! pause 5s                       the client waits
//! idle 1                         so many connections wait then
//! connection                     the server's next connection begins; all up to here was the one before's
//! C: a line that the server hears, CR LF is added            C> bytes as they are
//! S: a line that it says                                     S> bytes as they are
//! close    reset    wait 3s      what else the server does
//! set redirects 1 | downgrade | expect 10 | head 5s | total 5s | connect 5s | body 10 | collect 10 | proceed 2s
//! ```

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Response};
use ropewalk_core::testing::Net;
use ropewalk_core::transport::memory::Knobs;
use ropewalk_core::{BoxError, Connection, FileRegion, Raw, factory};
use ropewalk_http::client::{Ask, Builder, Client, Error, Patience, Received, Redirects};
use ropewalk_http::{Body, Limits, Pace};

use crate::on;

/// What the server does.
#[derive(Debug, Clone)]
enum Step {
    Hear(Vec<u8>),
    Say(Vec<u8>),
    Wait(Duration),
    Close,
    Reset,
}

/// What the client does.
#[derive(Debug, Clone)]
enum Act {
    Ask(String),
    Get(String),
    Idle(usize),
    Pause(Duration),
}

#[derive(Debug, Clone, Default)]
struct Script {
    connections: VecDeque<Vec<Step>>,
    acts: Vec<Act>,
    settings: Vec<String>,
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.trim_end_matches('s').parse().unwrap())
}

impl Script {
    fn parse(text: &str) -> Self {
        let mut script = Self::default();
        script.connections.push_back(Vec::new());
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let with_end = || [rest.as_bytes(), b"\r\n"].concat();
            let step = match word {
                ">" => {
                    script.acts.push(Act::Ask(rest.to_owned()));
                    continue;
                }
                "=" => {
                    script.acts.push(Act::Get(rest.to_owned()));
                    continue;
                }
                "idle" => {
                    script.acts.push(Act::Idle(rest.parse().unwrap()));
                    continue;
                }
                "pause" => {
                    script.acts.push(Act::Pause(seconds(rest)));
                    continue;
                }
                "set" => {
                    script.settings.push(rest.to_owned());
                    continue;
                }
                "connection" => {
                    script.connections.push_back(Vec::new());
                    continue;
                }
                "C:" => Step::Hear(with_end()),
                "C>" => Step::Hear(rest.as_bytes().to_vec()),
                "S:" => Step::Say(with_end()),
                "S>" => Step::Say(rest.as_bytes().to_vec()),
                "wait" => Step::Wait(seconds(rest)),
                "close" => Step::Close,
                "reset" => Step::Reset,
                _ => panic!("no such line: {line}"),
            };
            let steps = script.connections.back_mut().unwrap();
            match (steps.last_mut(), step) {
                (Some(Step::Hear(before)), Step::Hear(more)) => before.extend(more),
                (Some(Step::Say(before)), Step::Say(more)) => before.extend(more),
                (_, step) => steps.push(step),
            }
        }
        script
    }

    fn client(&self, net: &Net) -> Client {
        let mut builder = on(net).without(&http::header::USER_AGENT).without(&http::header::ACCEPT);
        let mut patience = Patience::default();
        let mut redirects = Redirects::default();
        for setting in &self.settings {
            let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
            match name {
                "redirects" => redirects.most = value.parse().unwrap(),
                "downgrade" => redirects.downgrade = true,
                "expect" => builder = builder.expect_above(Some(value.parse().unwrap())),
                "head" => patience.head = Some(seconds(value)),
                "total" => patience.total = Some(seconds(value)),
                "pace" => {
                    patience.body = Some(Pace { bytes_per_second: 0, grace: seconds(value) });
                }
                "proceed" => patience.proceed = seconds(value),
                "body" => builder = limited(builder, value),
                "collect" => builder = builder.collect_at_most(value.parse().unwrap()),
                _ => panic!("no such setting: {setting}"),
            }
        }
        builder.patience(patience).redirects(redirects).build()
    }
}

fn limited(builder: Builder, value: &str) -> Builder {
    builder.limits(Limits { body: Some(value.parse().unwrap()), ..Limits::default() })
}

/// `METHOD /path[ KIND CONTENT][ | name: value]*`
fn ask(client: &Client, text: &str) -> Ask {
    let mut parts = text.split(" | ");
    let mut words = parts.next().unwrap().splitn(4, ' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    let path = words.next().unwrap();
    let url = if path.starts_with('/') { format!("http://site.test{path}") } else { path.into() };
    let mut ask = client.request(method, url);
    if let Some(kind) = words.next() {
        let content = words.next().unwrap_or_default().to_owned();
        ask = ask.body(match kind {
            "text" => Body::from(content),
            "chunked" => Body::stream(Unsized(Some(content.into()))),
            "file" => Body::file(file(content.as_bytes())),
            _ => panic!("no such kind: {kind}"),
        });
    }
    for field in parts {
        let (name, value) = field.split_once(": ").unwrap();
        ask = ask.header(name, value);
    }
    ask
}

/// A stream of one frame, whose length is not known beforehand.
struct Unsized(Option<Bytes>);

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(self.get_mut().0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

/// A file without a name.
pub(crate) fn file(content: &[u8]) -> FileRegion {
    let name = format!("ropewalk-client-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(content).unwrap();
    FileRegion { file: Arc::new(file), offset: 0, len: content.len() as u64 }
}

/// Status, content and the fields that are asked for; or the error.
async fn got(response: Result<Response<Received>, Error>, expected: &str) -> String {
    let response = match response {
        Ok(response) => response,
        Err(error) => return format!("error {error}"),
    };
    let (parts, mut body) = response.into_parts();
    let text = if body.missing() == Some(0) {
        String::new()
    } else {
        let mut bytes = BytesMut::new();
        loop {
            match body.next().await {
                Ok(Some(data)) => bytes.extend_from_slice(&data),
                Ok(None) => break,
                Err(error) => return format!("error {error}"),
            }
        }
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let mut line = format!("{} {text}", parts.status.as_u16()).trim_end().to_owned();
    for field in expected.split(" | ").skip(1) {
        let name = field.split(':').next().unwrap();
        let all = [Some(&parts.headers), body.trailers()];
        let value = all.into_iter().flatten().find_map(|fields| fields.get(name));
        line += &match (name, value) {
            ("url", _) => format!(" | url: {}", body.url()),
            (_, Some(value)) => format!(" | {name}: {}", value.to_str().unwrap()),
            (_, None) => String::new(),
        };
    }
    line
}

/// What went wrong on the server's side, and which scripts are left.
type Played = Arc<Mutex<(VecDeque<Vec<Step>>, Vec<String>)>>;

async fn play(mut conn: Connection<Raw>, steps: Vec<Step>) -> Result<(), String> {
    let mut heard = BytesMut::new();
    let mut reset = false;
    for step in steps {
        match step {
            Step::Hear(expected) => {
                while heard.len() < expected.len() {
                    match conn.next().await {
                        Ok(Some(bytes)) => heard.extend_from_slice(&bytes),
                        _ => break,
                    }
                }
                let heard = heard.split_to(expected.len().min(heard.len()));
                let (heard, expected) =
                    (String::from_utf8_lossy(&heard), String::from_utf8_lossy(&expected));
                if heard != expected {
                    return Err(format!("heard {heard:?} in place of {expected:?}"));
                }
            }
            Step::Say(bytes) => {
                // Whether it was heard is for the client to show.
                let said = conn.send(Bytes::from(bytes)).await;
                let _ = said.and(conn.flush().await);
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Close => break,
            Step::Reset => {
                reset = true;
                break;
            }
        }
    }
    if reset {
        conn.abort();
    } else {
        let _ = conn.close().await;
    }
    match heard.is_empty() {
        true => Ok(()),
        false => Err(format!("also heard {:?}", String::from_utf8_lossy(&heard))),
    }
}

async fn run(name: &str, text: &str, net: Net) {
    let script = Script::parse(text);
    let played = Played::new(Mutex::new((script.connections.clone(), Vec::new())));
    let theirs = played.clone();
    let site = move || {
        let played = theirs.clone();
        factory::serve_with(Raw::default, move |conn| {
            let played = played.clone();
            async move {
                let steps = played.lock().unwrap().0.pop_front();
                let result = match steps {
                    Some(steps) => play(conn, steps).await,
                    None => Err("a connection more than expected".to_owned()),
                };
                if let Err(error) = result {
                    played.lock().unwrap().1.push(error);
                }
                Ok::<_, BoxError>(())
            }
        })
    };
    net.listen("site.test", site());
    net.listen("other.test", site());
    let client = script.client(&net);
    let mut asked = None;
    for act in &script.acts {
        match act {
            Act::Ask(text) => asked = Some(ask(&client, text)),
            Act::Get(expected) => {
                let found = got(asked.take().unwrap().await, expected).await;
                let fits = match expected.strip_prefix("error ") {
                    Some(words) => found.starts_with("error ") && found.contains(words),
                    None => found == *expected,
                };
                let wrong = &played.lock().unwrap().1;
                assert!(fits, "{name}: {found:?} in place of {expected:?}; server: {wrong:?}");
            }
            Act::Pause(time) => tokio::time::sleep(*time).await,
            Act::Idle(count) => assert_eq!(client.idle(), *count, "{name}"),
        }
    }
    drop(client);
    net.stop().await;
    let (left, wrong) = &*played.lock().unwrap();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
    assert!(left.is_empty(), "{name}: not asked for: {left:?}");
}

/// One test for each script.
macro_rules! scripts {
    ($($name:ident)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let text = include_str!(concat!("scripts/", stringify!($name), ".txt"));
            let byte = Knobs { chunk: 1, ..Knobs::default() };
            run(concat!(stringify!($name), ", good"), text, Net::new()).await;
            run(concat!(stringify!($name), ", bytes"), text, Net::with(byte)).await;
            for seed in 0..8 {
                let name = format!("{}, seed {seed}", stringify!($name));
                run(&name, text, Net::seeded(seed)).await;
            }
        }
    )*

        #[test]
        fn every_script_is_run() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/scripts");
            let names = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(names.contains(&name), "{name} is not run");
            }
        }
    };
}

scripts! {
    answers
    cut_short
    closes_in_the_pool
    closes_unrepeatable
    says_408
    speaks_unasked
    early_413
    early_answer_goes_on
    expect_proceeds
    expect_silence
    expect_refused
    expect_unknown
    redirects
    redirect_content
    redirect_stream
    redirect_origin
    redirect_loop
    redirect_slow_content
    too_slow_head
    too_slow_total
    too_slow_content
    too_much
    interim
    malformed
}
