//! curl: the table of single requests, and the cases that need two.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ours::{SECRET, contains, noise, same};
use super::{Direction, Lab};
use crate::peers::CURL;
use crate::process::{Scratch, run};

const LIMIT: Duration = Duration::from_secs(20);

/// What an answer must be.
pub enum Want {
    /// The status code is one of these.
    Status(&'static [u16]),
    /// This field has this value (its name in lower case).
    Field(&'static str, &'static str),
    /// There is no field of this name.
    NoField(&'static str),
    /// The body is this.
    Body(&'static [u8]),
    /// The body holds this.
    Holds(&'static str),
    /// The body does not hold this.
    Lacks(&'static str),
    /// The body is these bytes of `ten.bin`.
    Ten(std::ops::Range<usize>),
    /// The status line names this version.
    Version(&'static str),
}
use Want::{Body, Field, Holds, Lacks, NoField, Status, Ten, Version};

/// A single request: the case's name, curl's arguments, the path, what is wanted.
pub type Case = (&'static str, &'static [&'static str], &'static str, &'static [Want]);

const TEN: usize = 10 * 1024;
const REFUSED: Want = Status(&[400, 403, 404]);

#[rustfmt::skip]
const TABLE: &[Case] = &[
    ("GET", &[], "/hello.txt", &[Status(&[200]), Field("content-length", "13"), Field("content-type", "text/plain"), Body(b"Hello, world!"), Version("HTTP/1.1")]),
    ("GET of a larger file", &[], "/ten.bin", &[Status(&[200]), Ten(0..TEN)]),
    ("GET of an empty file", &[], "/empty.txt", &[Status(&[200]), Field("content-length", "0"), Body(b"")]),
    ("HEAD", &["--head"], "/ten.bin", &[Status(&[200]), Field("content-length", "10240"), Field("accept-ranges", "bytes"), Field("etag", "\""), Field("last-modified", "GMT")]),
    ("Date, and no body type guessed", &[], "/ten.bin", &[Field("date", "GMT"), Field("content-type", "application/octet-stream")]),
    ("range from the start", &["-r", "0-99"], "/ten.bin", &[Status(&[206]), Field("content-range", "bytes 0-99/10240"), Ten(0..100)]),
    ("range to the end", &["-r", "10000-"], "/ten.bin", &[Status(&[206]), Field("content-range", "bytes 10000-10239/10240"), Ten(10_000..TEN)]),
    ("last bytes", &["-r", "-10"], "/ten.bin", &[Status(&[206]), Ten(TEN - 10..TEN)]),
    ("range past the end", &["-r", "20000-"], "/ten.bin", &[Status(&[416]), Field("content-range", "bytes */10240")]),
    ("two ranges that overlap: as one, or whole", &["-r", "0-9,5-19"], "/ten.bin", &[Status(&[200, 206])]),
    ("range of another unit is ignored", &["-H", "Range: lines=1-2"], "/ten.bin", &[Status(&[200]), Ten(0..TEN)]),
    ("If-Range that does not match", &["-r", "0-9", "-H", "If-Range: \"other\""], "/ten.bin", &[Status(&[200]), Ten(0..TEN)]),
    ("If-Match that does not match", &["-H", "If-Match: \"other\""], "/ten.bin", &[Status(&[412])]),
    ("If-Unmodified-Since the past", &["-H", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"], "/ten.bin", &[Status(&[412])]),
    ("If-None-Match: *", &["-H", "If-None-Match: *"], "/ten.bin", &[Status(&[304]), Body(b"")]),
    ("no coding is asked for", &["-H", "Accept-Encoding: identity"], "/hello.txt", &[NoField("content-encoding"), Body(b"Hello, world!")]),
    ("HTTP/1.0", &["--http1.0"], "/hello.txt", &[Status(&[200]), NoField("transfer-encoding"), Body(b"Hello, world!")]),
    ("HTTP/1.0 keep-alive", &["--http1.0", "-H", "Connection: keep-alive"], "/hello.txt", &[Status(&[200]), Field("connection", "keep-alive")]),
    ("Connection: close", &["-H", "Connection: close"], "/hello.txt", &[Status(&[200]), Field("connection", "close")]),
    ("missing", &[], "/missing", &[Status(&[404]), Field("content-length", "")]),
    ("POST to a file", &["-d", "field=value"], "/hello.txt", &[Status(&[405]), Field("allow", "GET")]),
    ("DELETE", &["-X", "DELETE"], "/hello.txt", &[Status(&[405])]),
    ("an unknown method", &["-X", "BREW"], "/hello.txt", &[Status(&[405, 501])]),
    ("Expect: 100-continue with a body", &["-H", "Expect: 100-continue", "--data-binary", "@site/big.bin"], "/hello.txt", &[Status(&[405, 413])]),
    ("body in chunks", &["-H", "Transfer-Encoding: chunked", "--data-binary", "@site/ten.bin"], "/hello.txt", &[Status(&[405])]),
    ("folder without a slash", &[], "/sub", &[Status(&[301, 302, 307, 308]), Field("location", "sub/")]),
    ("redirect followed", &["-L"], "/sub", &[Status(&[200]), Holds("a.txt")]),
    ("listing", &[], "/", &[Status(&[200]), Field("content-type", "text/html"), Holds("hello.txt"), Holds("sub/"), Lacks(".hidden")]),
    ("index page", &[], "/page/", &[Status(&[200]), Field("content-type", "text/html"), Holds("the page")]),
    ("encoded name", &[], "/with%20space%20%C3%BC.txt", &[Status(&[200]), Body(b"name\n")]),
    ("query is not part of the name", &[], "/hello.txt?a=b", &[Status(&[200]), Body(b"Hello, world!")]),
    ("dot file", &[], "/.hidden", &[REFUSED, Lacks("hidden\n")]),
    ("traversal: ..", &["--path-as-is"], "/../outside/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: .. in the middle", &["--path-as-is"], "/sub/../../outside/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: encoded dots", &["--path-as-is"], "/%2e%2e/outside/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: encoded slash", &["--path-as-is"], "/..%2foutside/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: everything encoded", &["--path-as-is"], "/%2e%2e%2f%6futside%2fsecret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: encoded twice", &["--path-as-is"], "/%252e%252e/outside/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: backslash", &["--path-as-is"], "/..%5coutside%5csecret.txt", &[REFUSED, Lacks(SECRET)]),
    ("traversal: NUL", &["--path-as-is"], "/hello.txt%00.html", &[REFUSED]),
    ("traversal: symbolic link", &[], "/link/secret.txt", &[REFUSED, Lacks(SECRET)]),
    ("a long field", &["-H", "X-Long: @long"], "/hello.txt", &[Status(&[431])]),
];

/// An answer as curl saw it.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field (its name in lower case) of the last head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().rev().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Runs curl with `arguments` in the scratch folder and reads head and body of the answer.
pub fn fetch(scratch: &Scratch, arguments: &[&str]) -> Result<Answer> {
    let (head, body) = (scratch.join("curl.head"), scratch.join("curl.body"));
    for file in [&head, &body] {
        let _ = fs::remove_file(file);
    }
    let mut command = curl(scratch)?;
    command.arg("-D").arg(&head).arg("-o").arg(&body);
    command.args(["-w", "%{http_code}"]).args(arguments);
    let ran = run(&command, LIMIT)?.ok("curl")?;
    Ok(Answer {
        status: ran.out().trim().parse().context("no status code")?,
        head: fs::read_to_string(head).unwrap_or_default(),
        body: fs::read(body).unwrap_or_default(),
    })
}

fn curl(scratch: &Scratch) -> Result<Command> {
    let mut command = CURL.command()?;
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "15"]);
    command.current_dir(scratch.path());
    Ok(command)
}

/// All of curl's cases against the server at `base`; `trust` is the certificate it shows.
pub fn run_all(lab: &mut Lab, base: &str, over: &str, trust: Option<&Path>) {
    let ca = trust.map(|path| path.display().to_string());
    let common: Vec<&str> = ca.iter().flat_map(|ca| ["--cacert", ca.as_str()]).collect();
    each(lab, TABLE, base, over, &common);
    type Many = fn(&Scratch, &[&str], &str) -> Result<()>;
    let many: &[(&str, Many)] = &[
        ("two files on one connection", keeps_the_connection),
        ("If-None-Match of the ETag given", not_modified_by_etag),
        ("-z of the file fetched", not_modified_by_date),
        ("If-Range of the ETag given", range_if_unchanged),
        ("two ranges hold both parts", two_ranges),
        ("eight downloads at once", in_parallel),
    ];
    for (name, body) in many {
        let case = format!("{name}{over}");
        lab.case(CURL, Direction::ToOurs, &case, |scratch| body(scratch, &common, base));
    }
}

/// Each case of a table against the server at `base`, with curl's arguments for all of them.
pub fn each(lab: &mut Lab, table: &[Case], base: &str, over: &str, common: &[&str]) {
    for (name, arguments, path, wants) in table {
        let case = format!("{name}{over}");
        lab.case(CURL, Direction::ToOurs, &case, |scratch| {
            single(scratch, common, arguments, &format!("{base}{path}"), wants)
        });
    }
}

fn single(
    scratch: &Scratch,
    common: &[&str],
    arguments: &[&str],
    url: &str,
    wants: &[Want],
) -> Result<()> {
    let long = format!("X-Long: {}", "x".repeat(100_000));
    let arguments = arguments.iter().map(|a| if *a == "X-Long: @long" { &long } else { *a });
    let all: Vec<&str> = common.iter().copied().chain(arguments).chain([url]).collect();
    let answer = fetch(scratch, &all)?;
    wants.iter().try_for_each(|want| meets(&answer, want))
}

fn meets(answer: &Answer, want: &Want) -> Result<()> {
    let body = String::from_utf8_lossy(&answer.body);
    match want {
        Status(codes) => {
            ensure!(codes.contains(&answer.status), "status {}, not {codes:?}", answer.status);
        }
        Field(name, value) => {
            let got = answer.field(name).with_context(|| format!("no field {name}"))?;
            ensure!(got.contains(value), "{name}: {got}, not {value}");
        }
        NoField(name) => ensure!(answer.field(name).is_none(), "there is a field {name}"),
        Body(want) => same(&answer.body, want)?,
        Holds(text) => contains(&body, text)?,
        Lacks(text) => ensure!(!body.contains(text), "{text:?} is in the body"),
        Ten(range) => same(&answer.body, &noise(TEN)[range.clone()])?,
        Version(version) => contains(answer.head.lines().next().unwrap_or_default(), version)?,
    }
    Ok(())
}

fn with<'a>(common: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    common.iter().chain(more).copied().collect()
}

fn keeps_the_connection(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let (one, two) = (format!("{base}/hello.txt"), format!("{base}/missing"));
    let mut command = curl(scratch)?;
    command.args(common).args(["-w", "%{num_connects}\\n", "-o", "1", "-o", "2", "-o", "3"]);
    let ran = run(command.args([&one, &two, &one]), LIMIT)?.ok("curl")?;
    ensure!(ran.out() == "1\n0\n0\n", "connections made: {:?}", ran.out());
    Ok(())
}

fn not_modified_by_etag(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let url = format!("{base}/ten.bin");
    let first = fetch(scratch, &with(common, &[&url]))?;
    let etag = first.field("etag").context("no ETag")?;
    let condition = format!("If-None-Match: \"other\", {etag}");
    let second = fetch(scratch, &with(common, &["-H", &condition, &url]))?;
    ensure!(second.status == 304 && second.body.is_empty(), "status {}", second.status);
    ensure!(second.field("etag") == Some(etag), "304 without the ETag");
    Ok(())
}

fn not_modified_by_date(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let url = format!("{base}/ten.bin");
    let mut command = curl(scratch)?;
    run(command.args(common).args(["-R", "-o", "copy", &url]), LIMIT)?.ok("curl -R")?;
    let second = fetch(scratch, &with(common, &["-z", "copy", &url]))?;
    ensure!(second.status == 304 && second.body.is_empty(), "status {}", second.status);
    Ok(())
}

fn range_if_unchanged(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let url = format!("{base}/ten.bin");
    let first = fetch(scratch, &with(common, &["-I", &url]))?;
    let condition = format!("If-Range: {}", first.field("etag").context("no ETag")?);
    let part = fetch(scratch, &with(common, &["-r", "5-9", "-H", &condition, &url]))?;
    ensure!(part.status == 206, "status {}", part.status);
    same(&part.body, &noise(TEN)[5..10])
}

fn two_ranges(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let url = format!("{base}/ten.bin");
    let answer = fetch(scratch, &with(common, &["-r", "0-9,9000-9009", &url]))?;
    let ten = noise(TEN);
    if answer.status == 200 {
        return same(&answer.body, &ten);
    }
    let kind = answer.field("content-type").unwrap_or_default();
    contains(kind, "multipart/byteranges")?;
    for part in [&ten[0..10], &ten[9000..9010]] {
        ensure!(answer.body.windows(10).any(|window| window == part), "a part is missing");
    }
    Ok(())
}

fn in_parallel(scratch: &Scratch, common: &[&str], base: &str) -> Result<()> {
    let mut command = curl(scratch)?;
    command.args(common).args(["--parallel", "--parallel-max", "8"]);
    for number in 0..8 {
        command.args(["-o", &format!("parallel{number}"), &format!("{base}/big.bin?{number}")]);
    }
    run(&command, LIMIT)?.ok("curl --parallel")?;
    let want = fs::read(scratch.join("site/big.bin"))?;
    (0..8).try_for_each(|n| same(&fs::read(scratch.join(format!("parallel{n}")))?, &want))
}
