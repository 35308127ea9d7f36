//! Framing, good and bad: the tables `framing/server.txt` and `framing/client.txt`, each case whole,
//! byte by byte and under every cut in two; and the law that what was emitted is parsed as it was.
//!
//! A case is a `# name`, input lines, expected lines:
//!
//! ```text
//! < a line, CR LF is added          << bytes as they are          <eof
//! = METHOD target HTTP/1.1 | name: value | ...                     (fields may be left out)
//! = data ...      = trailers | ...      = end
//! = error STATUS what      = waits      = over      = switched, what is unread
//! ```
//!
//! `@ setting value` lowers a limit for the case; `@ asked GET HEAD ...` says what a client asked.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[allow(dead_code, reason = "each file of tests uses its part")]
#[path = "framing/harness.rs"]
mod harness;
#[path = "framing/law.rs"]
mod law;

use harness::{Session, Stage, escape, unescape};
use http::{Method, Request};
use ropewalk_core::Protocol;
use ropewalk_http::{BodyLength, Limits, Outgoing};

/// One case of a table.
#[derive(Default)]
struct Case {
    name: String,
    settings: Vec<(String, String)>,
    input: Vec<u8>,
    eof: bool,
    expected: Vec<String>,
}

fn cases(table: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("# ") {
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a table begins with a name");
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "<" => case.input.extend([&unescape(rest)[..], b"\r\n"].concat()),
            "<<" => case.input.extend(unescape(rest)),
            "<eof" => case.eof = true,
            "=" => case.expected.push(rest.to_owned()),
            "@" => {
                let (name, value) = rest.split_once(' ').expect("a setting has a value");
                case.settings.push((name.to_owned(), value.to_owned()));
            }
            _ => panic!("{}: what is {line:?}?", case.name),
        }
    }
    cases
}

impl Case {
    fn stage(&self, role: &str) -> Stage {
        let mut limits = Limits::default();
        for (name, value) in &self.settings {
            let number = value.parse().unwrap_or_default();
            match name.as_str() {
                "start_line" => limits.start_line = number,
                "head" => limits.head = number,
                "fields" => limits.fields = number,
                "chunk_line" => limits.chunk_line = number,
                "trailer" => limits.trailer = number,
                "body" => limits.body = Some(number as u64),
                "asked" => {}
                other => panic!("{}: no setting {other}", self.name),
            }
        }
        if role == "server" {
            return Stage::server(limits);
        }
        let mut stage = Stage::client(limits);
        let asked = self.settings.iter().find(|(name, _)| name == "asked");
        for method in asked.map_or("GET", |(_, methods)| methods.as_str()).split(' ') {
            ask(&mut stage, method);
        }
        stage
    }

    /// Feeds the input in the given pieces.
    fn run<'a>(&self, role: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let mut stage = self.stage(role);
        for piece in pieces {
            stage.wire.input.extend_from_slice(piece);
            stage.listen(true);
        }
        stage.wire.eof = self.eof;
        if !stage.is_over() {
            stage.listen(true);
        }
        let failed = stage.heard.last().is_some_and(|line| line.starts_with("error"));
        if !failed {
            stage.heard.push(match (stage.is_switched(), stage.is_over()) {
                (true, _) => format!("switched, {}", escape(&stage.wire.input)),
                (_, true) => "over".to_owned(),
                _ => "waits".to_owned(),
            });
        }
        self.check_reply(role, &mut stage);
        stage.heard
    }

    /// A server answers an error with its status, and says that it closes.
    fn check_reply(&self, role: &str, stage: &mut Stage) {
        let said = stage.said();
        let last = stage.heard.last().cloned().unwrap_or_default();
        let Some((status, _)) = last.strip_prefix("error ").and_then(|rest| rest.split_once(' '))
        else {
            return;
        };
        if role == "server" && status != "-" {
            let reply = said.rfind(&format!("HTTP/1.1 {status} ")).map(|at| &said[at..]);
            let reply = reply.unwrap_or_else(|| panic!("{}: no {status} in {said}", self.name));
            assert!(reply.contains("connection: close"), "{}: {reply}", self.name);
        }
    }

    fn check(&self, role: &str) {
        let bytes = &self.input[..];
        let whole = self.run(role, std::iter::once(bytes));
        let with_fields = self.expected.iter().any(|line| line.contains(" | "));
        let short = |line: &String| match line.split_once(" | ") {
            Some((head, _)) if !with_fields => head.to_owned(),
            _ => line.clone(),
        };
        let got: Vec<String> = whole.iter().map(short).collect();
        assert_eq!(got, self.expected, "{role}: {} (whole)", self.name);
        let bytewise = self.run(role, bytes.chunks(1));
        assert_eq!(bytewise, whole, "{role}: {} (byte by byte)", self.name);
        // Every cut of a small input; of a large one those near its ends, and some between.
        let stride = (bytes.len() / 2000).max(1);
        let near =
            |cut: &usize| *cut < 40 || cut + 40 > bytes.len() || cut.is_multiple_of(stride * 7);
        for cut in (0..=bytes.len()).filter(|cut| stride == 1 || near(cut)) {
            let (one, two) = bytes.split_at(cut);
            let got = self.run(role, [one, two].into_iter());
            assert_eq!(got, whole, "{role}: {} (cut at {cut})", self.name);
        }
    }
}

/// A client's request that is sent whole.
fn ask(stage: &mut Stage, method: &str) {
    let Session::Client(client) = &mut stage.session else { panic!("a client asks") };
    let mut request = Request::new(BodyLength::Empty);
    let (method, upgrade) = method.split_once('+').map_or((method, false), |(m, _)| (m, true));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    let target = if method == "CONNECT" { "example.com:443" } else { "/" };
    *request.uri_mut() = target.parse().unwrap();
    request.headers_mut().insert("host", "example.com".parse().unwrap());
    if upgrade {
        request.headers_mut().insert("connection", "upgrade".parse().unwrap());
        request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    }
    client.send(Outgoing::Head(request), &mut stage.wire).unwrap();
    client.send(Outgoing::End, &mut stage.wire).unwrap();
}

#[test]
fn requests_are_framed_as_the_table_says() {
    let cases = cases(include_str!("framing/server.txt"));
    assert!(cases.len() >= 100, "{} cases", cases.len());
    cases.iter().for_each(|case| case.check("server"));
}

#[test]
fn responses_are_framed_as_the_table_says() {
    let cases = cases(include_str!("framing/client.txt"));
    assert!(cases.len() >= 50, "{} cases", cases.len());
    cases.iter().for_each(|case| case.check("client"));
}
