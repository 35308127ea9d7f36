//! Transcripts: what they say, and how they are run.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use ropewalk_core::{FileRegion, Protocol};
use ropewalk_http::session::{Client, Server};
use ropewalk_http::{BodyLength, Error, Limits, Outgoing, Timeouts};

use super::harness::{Session, Stage, escape, unescape};

/// How input is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    /// Each part in two, the first so long (if it is longer).
    At(usize),
}

/// A transcript.
pub(crate) struct Script {
    name: String,
    server: bool,
    limits: Limits,
    timeouts: Timeouts,
    steps: Vec<Step>,
}

/// A step, neighbours of one kind joined, with its line number.
struct Step(usize, What);

enum What {
    Input(Vec<u8>),
    Output(Vec<u8>),
    Events(Vec<String>),
    Eof,
    Wait(Duration),
    Deadline(Option<Duration>),
    Do(String),
    Refused(String, String),
    Is(String, bool),
    Date(String),
}

impl Script {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let server = text.lines().any(|line| line == "role server");
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let mut script =
            Self { name: name.to_owned(), server, limits, timeouts, steps: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            script.line(number + 1, line);
        }
        script
    }

    fn line(&mut self, number: usize, line: &str) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        let what = match mark {
            "" | "//" | "role" => return,
            "C:" | "S:" => self.bytes(mark, &[&unescape(rest)[..], b"\r\n"].concat()),
            "C>" | "S>" => self.bytes(mark, &unescape(rest)),
            "E:" => What::Events(vec![rest.to_owned()]),
            "eof" => What::Eof,
            "wait" => What::Wait(seconds(rest)),
            "deadline" => What::Deadline((rest != "none").then(|| seconds(rest))),
            ">" => What::Do(rest.to_owned()),
            "refused" => {
                let (why, what) = rest.split_once(" > ").unwrap();
                What::Refused(why.to_owned(), what.to_owned())
            }
            "is" => What::Is(rest.to_owned(), true),
            "not" => What::Is(rest.to_owned(), false),
            "date" => What::Date(rest.to_owned()),
            "limit" => return self.limit(rest),
            "timeout" => {
                self.timeouts = Timeouts::NONE;
                return;
            }
            _ => panic!("{}:{number}: what is {line:?}?", self.name),
        };
        match (self.steps.last_mut().map(|Step(_, last)| last), what) {
            (Some(What::Input(bytes)), What::Input(more)) => bytes.extend(more),
            (Some(What::Output(bytes)), What::Output(more)) => bytes.extend(more),
            (Some(What::Events(events)), What::Events(more)) => events.extend(more),
            (_, what) => self.steps.push(Step(number, what)),
        }
    }

    fn bytes(&self, mark: &str, bytes: &[u8]) -> What {
        if mark.starts_with('C') == self.server {
            What::Input(bytes.to_vec())
        } else {
            What::Output(bytes.to_vec())
        }
    }

    fn limit(&mut self, rest: &str) {
        let (name, value) = rest.split_once(' ').unwrap();
        let value: usize = value.parse().unwrap();
        match name {
            "body" => self.limits.body = Some(value as u64),
            "drain" => self.limits.drain = value as u64,
            "pipeline" => self.limits.pipeline = value,
            _ => panic!("no limit {name}"),
        }
    }

    pub(crate) fn longest_input(&self) -> usize {
        let lengths = self.steps.iter().map(|Step(_, what)| match what {
            What::Input(bytes) => bytes.len(),
            _ => 0,
        });
        lengths.max().unwrap_or(0)
    }

    pub(crate) fn run(&self, cut: Cut) {
        let mut stage = Stage::new(if self.server {
            Session::Server(Server::new(self.limits, self.timeouts))
        } else {
            Session::Client(Client::new(self.limits, self.timeouts))
        });
        stage.listen(false);
        for Step(number, what) in &self.steps {
            let place = format!("{}:{number} ({cut:?})", self.name);
            step(&mut stage, what, cut, &place);
        }
        assert_eq!(stage.said(), "", "{}: unexpected output at the end ({cut:?})", self.name);
        let heard = std::mem::take(&mut stage.heard);
        assert!(heard.is_empty(), "{}: unexpected {heard:?} at the end ({cut:?})", self.name);
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_millis(match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse().unwrap(),
        None => text.strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1000,
    })
}

fn step(stage: &mut Stage, what: &What, cut: Cut, place: &str) {
    match what {
        What::Input(bytes) => feed(stage, bytes, cut),
        What::Output(bytes) => assert_eq!(stage.said(), escape(bytes), "{place}"),
        What::Events(expected) => {
            let short = |line: &String| line.split(" | ").next().unwrap_or_default().to_owned();
            let heard: Vec<String> = std::mem::take(&mut stage.heard).iter().map(short).collect();
            assert_eq!(&heard, expected, "{place}");
        }
        What::Eof => {
            stage.wire.eof = true;
            stage.listen(false);
        }
        What::Wait(duration) => {
            stage.wire.now += *duration;
            stage.listen(false);
        }
        What::Deadline(expected) => {
            let now = stage.wire.now - stage.begun;
            let left = stage.deadline().map(|deadline| deadline.saturating_sub(now));
            assert_eq!(left, *expected, "{place}");
        }
        What::Do(action) => {
            act(stage, action, place).unwrap_or_else(|error| panic!("{place}: {error}"));
            stage.listen(false);
        }
        What::Refused(why, action) => {
            let before = stage.wire.output.len();
            let error = act(stage, action, place).expect_err(place);
            assert!(
                matches!(&error, Error::Misuse(misuse) if format!("{misuse:?}") == *why),
                "{place}: {error}"
            );
            assert_eq!(stage.wire.output.len(), before, "{place}: a refused item left something");
        }
        What::Is(name, expected) => assert_eq!(is(stage, name), *expected, "{place}: {name}"),
        What::Date(text) => match &mut stage.session {
            Session::Server(server) => server.set_date(Some(text.as_bytes().try_into().unwrap())),
            Session::Client(_) => panic!("{place}: a client has no date"),
        },
    }
}

fn feed(stage: &mut Stage, bytes: &[u8], cut: Cut) {
    let (one, two) = match cut {
        Cut::Whole => (bytes, &[][..]),
        Cut::Bytes => {
            for byte in bytes {
                stage.wire.input.extend_from_slice(&[*byte]);
                stage.listen(false);
            }
            return;
        }
        Cut::At(at) => bytes.split_at(at.min(bytes.len())),
    };
    for piece in [one, two] {
        stage.wire.input.extend_from_slice(piece);
        stage.listen(false);
    }
}

fn is(stage: &Stage, name: &str) -> bool {
    match (name, &stage.session) {
        ("over", _) => stage.is_over(),
        ("kept", _) => !stage.is_over(),
        ("switched", _) => stage.is_switched(),
        ("expecting", Session::Server(server)) => server.expects_continue(),
        ("owing", Session::Server(server)) => server.owes_response(),
        ("sending", Session::Server(server)) => server.is_sending(),
        ("silent", Session::Server(server)) => server.is_sending() && !server.takes_content(),
        ("whole", Session::Server(server)) => server.request_is_whole(),
        ("sending", Session::Client(client)) => client.is_sending(),
        ("idle", Session::Client(client)) => client.is_idle(),
        _ => panic!("no property {name}"),
    }
}

/// Does what `> action` says.
fn act(stage: &mut Stage, action: &str, place: &str) -> Result<(), Error> {
    let (action, fields) = action.split_once(" |").unwrap_or((action, ""));
    let fields = header_map(fields);
    let words: Vec<&str> = action.split(' ').collect();
    let wire = &mut stage.wire;
    match (&mut stage.session, &words[..]) {
        (session, ["farewell", expected]) => {
            let done = match session {
                Session::Server(server) => server.farewell(wire),
                Session::Client(client) => client.farewell(wire),
            };
            assert_eq!(if done { "done" } else { "busy" }, *expected, "{place}");
            Ok(())
        }
        (Session::Server(server), ["say", status, length @ ..]) => {
            let mut response = Response::new(body_length(length));
            *response.status_mut() = status.parse().unwrap();
            *response.headers_mut() = fields;
            server.send(response.into(), wire)
        }
        (Session::Server(server), ["whole", status, length, number, text @ ..]) => {
            let mut response = Response::new(body_length(&[length, number]));
            *response.status_mut() = status.parse().unwrap();
            *response.headers_mut() = fields;
            server.send(Outgoing::Whole(response, unescape(&text.join(" "))), wire)
        }
        (Session::Client(client), ["whole", method, target, length, number, text @ ..]) => {
            let mut request = Request::new(body_length(&[length, number]));
            *request.method_mut() = method.parse::<Method>().unwrap();
            *request.uri_mut() = target.parse().unwrap();
            *request.headers_mut() = fields;
            client.send(Outgoing::Whole(request, unescape(&text.join(" "))), wire)
        }
        (Session::Server(server), ["interim", status]) => {
            let mut response = Response::new(());
            *response.status_mut() = status.parse::<StatusCode>().unwrap();
            *response.headers_mut() = fields;
            server.send(Outgoing::Interim(response), wire)
        }
        (Session::Server(server), ["proceed"]) => server.send(Outgoing::proceed(), wire),
        (Session::Client(client), ["ask", method, target, length @ ..]) => {
            let version = if length.contains(&"1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
            let mut request = Request::new(body_length(length));
            *request.method_mut() = method.parse::<Method>().unwrap();
            *request.uri_mut() = target.parse().unwrap();
            *request.version_mut() = version;
            *request.headers_mut() = fields;
            client.send(request.into(), wire)
        }
        (Session::Server(server), words) => server.send(content(words, fields), wire),
        (Session::Client(client), words) => client.send(content(words, fields), wire),
    }
}

/// The items that both roles have.
fn content<H, I>(words: &[&str], fields: HeaderMap) -> Outgoing<H, I> {
    match words {
        ["data", text @ ..] => Outgoing::Data(unescape(&text.join(" "))),
        ["file", text @ ..] => Outgoing::File(region(&unescape(&text.join(" ")))),
        ["trailers"] => Outgoing::Trailers(fields),
        ["end"] => Outgoing::End,
        _ => panic!("no action {words:?}"),
    }
}

fn body_length(words: &[&str]) -> BodyLength {
    match words {
        ["known", length, ..] => BodyLength::Known(length.parse().unwrap()),
        ["chunked", ..] => BodyLength::Unknown,
        [] | ["empty", ..] => BodyLength::Empty,
        _ => panic!("no length {words:?}"),
    }
}

fn header_map(text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for field in text.split(" |").map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        fields.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    fields
}

/// A file that no longer has a name, with `text` behind two other bytes.
fn region(text: &Bytes) -> FileRegion {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ropewalk-http-{}-{number}", std::process::id()));
    let mut file =
        std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(&[b"..", &text[..]].concat()).unwrap();
    FileRegion { file: Arc::new(file), offset: 2, len: text.len() as u64 }
}
