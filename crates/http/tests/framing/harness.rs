//! What the tests of both roles share: a session, a wire, and events as text.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use ropewalk_core::{Protocol, Wire};
use ropewalk_http::error::{Awaited, Error};
use ropewalk_http::session::{Client, Server};
use ropewalk_http::{BodyLength, Event, Limits, Outgoing, Timeouts};

/// Either role.
pub(crate) enum Session {
    Server(Server),
    Client(Client),
}

/// A session with its wire, and what it has said so far.
pub(crate) struct Stage {
    pub(crate) session: Session,
    pub(crate) wire: Wire,
    /// Events as lines, adjacent data joined, and how it ended.
    pub(crate) heard: Vec<String>,
    pub(crate) begun: Instant,
}

impl Stage {
    pub(crate) fn new(session: Session) -> Self {
        let begun = Instant::now();
        Self { session, wire: Wire::new(begun), heard: Vec::new(), begun }
    }

    pub(crate) fn server(limits: Limits) -> Self {
        Self::new(Session::Server(Server::new(limits, Timeouts::default())))
    }

    pub(crate) fn client(limits: Limits) -> Self {
        Self::new(Session::Client(Client::new(limits, Timeouts::default())))
    }

    /// The next event as a line; an error is a last line.
    pub(crate) fn pull(&mut self) -> Option<String> {
        match &mut self.session {
            Session::Server(server) => match server.receive(&mut self.wire) {
                Ok(event) => {
                    event.map(|event| event_text(event, request_text, |never| match *never {}))
                }
                Err(error) => Some(error_text(&error)),
            },
            Session::Client(client) => match client.receive(&mut self.wire) {
                Ok(event) => event.map(|event| event_text(event, response_text, response_text)),
                Err(error) => Some(error_text(&error)),
            },
        }
    }

    /// Takes in everything there is, answering each whole request with 200 if `answer`.
    pub(crate) fn listen(&mut self, answer: bool) {
        while let Some(line) = self.pull() {
            if let Session::Server(server) = &mut self.session
                && answer
                && line == "end"
            {
                let said = server
                    .send(Outgoing::Head(Response::new(BodyLength::Empty)), &mut self.wire)
                    .and_then(|()| server.send(Outgoing::End, &mut self.wire));
                said.unwrap();
            }
            let over = line.starts_with("error");
            self.hear(line);
            if over {
                assert!(self.is_over(), "an error ends a session");
                assert_eq!(self.pull(), None, "nothing follows an error");
                return;
            }
        }
    }

    /// Adds a line, joining data that was cut.
    fn hear(&mut self, line: String) {
        match (self.heard.last_mut(), line.strip_prefix("data ")) {
            (Some(last), Some(more)) if last.starts_with("data ") => last.push_str(more),
            _ => self.heard.push(line),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        match &self.session {
            Session::Server(server) => server.is_over(),
            Session::Client(client) => client.is_over(),
        }
    }

    pub(crate) fn is_switched(&self) -> bool {
        match &self.session {
            Session::Server(server) => server.is_switched(),
            Session::Client(client) => client.is_switched(),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        let deadline = match &self.session {
            Session::Server(server) => server.deadline(),
            Session::Client(client) => client.deadline(),
        };
        deadline.map(|deadline| deadline - self.begun)
    }

    pub(crate) fn said(&mut self) -> String {
        let said = self.wire.output.take().unwrap();
        escape(&said)
    }
}

fn event_text<H, I>(
    event: Event<H, I>,
    head: impl Fn(&H) -> String,
    interim: impl Fn(&I) -> String,
) -> String {
    match event {
        Event::Interim(response) => format!("interim {}", interim(&response)),
        Event::Head(message) => head(&message),
        Event::Data(data) => format!("data {}", escape(&data)),
        Event::Trailers(fields) => format!("trailers{}", fields_text(&fields)),
        Event::End => "end".to_owned(),
    }
}

fn request_text(request: &Request<()>) -> String {
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    format!("{method} {uri} {version:?}{}", fields_text(request.headers()))
}

fn response_text(response: &Response<()>) -> String {
    let (version, status) = (response.version(), response.status().as_u16());
    format!("{version:?} {status}{}", fields_text(response.headers()))
}

fn fields_text(fields: &HeaderMap) -> String {
    fields.iter().map(|(name, value)| format!(" | {name}: {}", escape(value.as_bytes()))).collect()
}

/// Who is told what, and what was wrong.
pub(crate) fn error_text(error: &Error) -> String {
    let status = error.status().map_or_else(|| "-".to_owned(), |status| status.as_str().to_owned());
    let what = match error {
        Error::Malformed { fault, .. } => format!("{fault:?}"),
        Error::Unsupported(what) => format!("{what:?}"),
        Error::Misbehaved(breach) => format!("{breach:?}"),
        Error::Limit { cap, .. } => format!("over {cap:?}"),
        Error::Timeout { awaited, .. } => format!("late {awaited:?}"),
        Error::Closed { awaited: Awaited::Body, missing: Some(missing) } => {
            format!("closed, {missing} missing")
        }
        Error::Closed { awaited, .. } => format!("closed in {awaited:?}"),
        Error::Misuse(misuse) => format!("misuse {misuse:?}"),
        other => format!("{other}"),
    };
    format!("error {status} {what}")
}

/// Bytes as text of one line.
pub(crate) fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// The reverse of [`escape`], and `\{N*text}` for text said N times.
pub(crate) fn unescape(text: &str) -> Bytes {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut taken = 1;
        match escaped.as_bytes()[0] {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'x' => {
                bytes.push(u8::from_str_radix(&escaped[1..3], 16).unwrap());
                taken = 3;
            }
            b'{' => {
                let (count, repeated) = escaped[1..].split_once('*').unwrap();
                let repeated = &repeated[..repeated.find('}').unwrap()];
                let count: usize = count.parse().unwrap();
                bytes.extend_from_slice(&unescape(repeated).repeat(count));
                taken = escaped.find('}').unwrap() + 1;
            }
            other => bytes.push(other),
        }
        rest = &escaped[taken..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes.into()
}
