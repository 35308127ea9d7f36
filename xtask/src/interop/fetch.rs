//! `ropewalk get` from foreign servers: nginx, Caddy, Python's, haproxy; plain and over TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ours::{contains, noise, same};
use super::{Direction, Lab};
use crate::peers::{self, CADDY, Certificate, HAPROXY, NGINX, OPENSSL, PYTHON, Peer, certificate};
use crate::process::{Ran, Running, Scratch, free_port, run_with_input};

const LIMIT: Duration = Duration::from_secs(30);

/// The sizes of `ten.bin` and `big.bin`, in bytes.
const TEN: usize = 10 * 1024;
const BIG: usize = 3 * 1024 * 1024;

/// Ours, and where it fetches from.
struct Get {
    binary: PathBuf,
    base: String,
    /// The root that signed the server's certificate, if it is over TLS.
    trust: Option<PathBuf>,
    /// Where files are saved.
    folder: PathBuf,
}

impl Get {
    /// `ropewalk get` with these arguments, the last of which is a path.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        let mut command = Command::new(&self.binary);
        command.arg("get").current_dir(&self.folder);
        if let Some(trust) = &self.trust {
            command.arg("--ca-file").arg(trust);
        }
        let (path, options) = arguments.split_last().context("a path is the last argument")?;
        command.args(options).arg(format!("{}{path}", self.base));
        run_with_input(&command, input, LIMIT)
    }

    fn ok(&self, arguments: &[&str]) -> Result<Ran> {
        self.run(arguments, &[])?.ok("ropewalk get")
    }

    /// Fails with this exit code and these words.
    fn fails(&self, arguments: &[&str], code: i32, words: &str) -> Result<()> {
        let ran = self.run(arguments, &[])?;
        ensure!(ran.status.code() == Some(code), "{}: {}", ran.status, ran.all());
        contains(&ran.err(), words)
    }

    fn saved(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.folder.join(name)).with_context(|| format!("{name} is missing"))
    }
}

/// A case: its name, and what is done.
type Case = (&'static str, fn(&Get) -> Result<()>);

/// What every server of files can do.
const FILES: &[Case] = &[
    ("get", |get| same(&get.ok(&["/hello.txt"])?.stdout, b"Hello, world!")),
    ("get, saved under its name", |get| {
        get.ok(&["-O", "/big.bin"])?;
        same(&get.saved("big.bin")?, &noise(BIG))?;
        ensure!(!get.folder.join("big.bin.part").exists(), "a part is left");
        Ok(())
    }),
    ("get of nothing", |get| same(&get.ok(&["/empty.txt"])?.stdout, b"")),
    ("head", |get| {
        let out = get.ok(&["-I", "/ten.bin"])?.out().to_ascii_lowercase();
        contains(&out, "200 ok\r\n")?;
        contains(&out, "content-length: 10240\r\n")
    }),
    ("missing", |get| get.fails(&["/missing"], 66, "the server answered 404")),
    ("an encoded name", |get| same(&get.ok(&["/with space ü.txt"])?.stdout, b"name\n")),
    ("a folder without a slash: redirected", |get| {
        get.fails(&["--max-redirects", "0", "/page"], 76, "/page/")?;
        contains(&get.ok(&["/page"])?.out(), "the page")
    }),
    ("HTTP/1.0", |get| same(&get.ok(&["--http1-0", "/ten.bin"])?.stdout, &noise(TEN))),
];

/// What a server with ranges can do.
const RANGES: &[Case] = &[
    ("resumed", |get| {
        fs::write(get.folder.join("big.bin"), &noise(BIG)[..BIG / 3])?;
        let ran = get.ok(&["-O", "-C", "-", "/big.bin"])?;
        ensure!(ran.err().is_empty(), "it said {}", ran.err());
        same(&get.saved("big.bin")?, &noise(BIG))
    }),
    ("resumed when it is whole", |get| {
        fs::write(get.folder.join("ten.bin"), noise(TEN))?;
        get.ok(&["-O", "-C", "-", "/ten.bin"])?;
        same(&get.saved("ten.bin")?, &noise(TEN))
    }),
    ("from a byte on", |get| {
        same(&get.ok(&["-C", "10000", "/ten.bin"])?.stdout, &noise(TEN)[10_000..])
    }),
];

/// What a server that echoes or discards uploads can do.
const UPLOADS: &[Case] = &[
    ("a large upload, echoed", |get| {
        fs::write(get.folder.join("up.bin"), noise(BIG))?;
        let ran = get.ok(&["-T", "up.bin", "-X", "POST", "/echo"])?;
        same(&ran.stdout, &noise(BIG))
    }),
    ("an upload in chunks from standard input, echoed", |get| {
        let ran = get.run(&["-T", "-", "-X", "POST", "/echo"], &noise(BIG))?.ok("ropewalk get")?;
        same(&ran.stdout, &noise(BIG))
    }),
    ("a response in chunks", |get| same(&get.ok(&["/chunked"])?.stdout, &noise(TEN))),
    ("a refusal before the content", |get| {
        fs::write(get.folder.join("up.bin"), noise(BIG))?;
        get.fails(&["-T", "up.bin", "/refuse"], 76, "413")
    }),
];

fn folder(scratch: &Scratch) -> Result<PathBuf> {
    let folder = scratch.join("fetched");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Runs cases against a server that is up, or notes why it is not.
fn cases(
    lab: &mut Lab,
    (peer, over): (Peer, &str),
    up: &Result<(String, Option<PathBuf>), String>,
    list: &[Case],
) {
    let binary = lab.binary.clone();
    for (name, case) in list {
        let name = format!("ropewalk get: {name}{over}");
        lab.case(peer, Direction::ToTheirs, &name, |scratch| {
            let (base, trust) = up.clone().map_err(anyhow::Error::msg)?;
            case(&Get { binary: binary.clone(), base, trust, folder: folder(scratch)? })
        });
    }
}

pub fn run_all(lab: &mut Lab, site: &Path) -> Result<()> {
    println!("ours as a client of http");
    if OPENSSL.path().is_none() {
        lab.skip(OPENSSL, Direction::ToTheirs, "ropewalk get", &OPENSSL.absence());
        return Ok(());
    }
    let files = certificate(&lab.scratch, "localhost")?;
    nginx(lab, site);
    caddy(lab, site, &files);
    python(lab, site);
    haproxy(lab, &files);
    Ok(())
}

fn plain(port: u16) -> (String, Option<PathBuf>) {
    (format!("http://127.0.0.1:{port}"), None)
}

fn secure(port: u16, files: &Certificate) -> (String, Option<PathBuf>) {
    (format!("https://localhost:{port}"), Some(files.certificate.clone()))
}

fn nginx(lab: &mut Lab, site: &Path) {
    let server = super::core::nginx(lab, site, 1);
    let failed = |error: &anyhow::Error| format!("{error:#}");
    let up = server.as_ref().map(|server| plain(server.plain)).map_err(failed);
    cases(lab, (NGINX, ""), &up, FILES);
    cases(lab, (NGINX, ""), &up, RANGES);
    let up = server.as_ref().map(|server| secure(server.tls, server.files())).map_err(failed);
    cases(lab, (NGINX, ", TLS"), &up, FILES);
    cases(lab, (NGINX, ", TLS"), &up, RANGES);
}

fn caddy(lab: &mut Lab, site: &Path, files: &Certificate) {
    let started = start_caddy(lab, site, files);
    let failed = |error: &anyhow::Error| format!("{error:#}");
    let up = started.as_ref().map(|(_, port, _)| plain(*port)).map_err(failed);
    cases(lab, (CADDY, ""), &up, FILES);
    cases(lab, (CADDY, ""), &up, RANGES);
    let up = started.as_ref().map(|(_, _, tls)| secure(*tls, files)).map_err(failed);
    cases(lab, (CADDY, ", TLS"), &up, FILES);
    cases(lab, (CADDY, ", TLS"), &up, RANGES);
}

fn start_caddy(lab: &Lab, site: &Path, files: &Certificate) -> Result<(Running, u16, u16)> {
    let [port, tls] = [free_port()?, free_port()?];
    let values = [
        ("PORT", port.to_string()),
        ("TLS", tls.to_string()),
        ("CERT", files.certificate.display().to_string()),
        ("KEY", files.key.display().to_string()),
        ("ROOT", site.display().to_string()),
    ];
    let file = peers::configure(&lab.scratch, "interop/Caddyfile", &values)?;
    let mut command = CADDY.command()?;
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("HOME", lab.scratch.path());
    Ok((lab.start("caddy", &command)?.ready(&[port, tls])?, port, tls))
}

/// Python's server of files, which knows no ranges, and one in a few lines that echoes.
fn python(lab: &mut Lab, site: &Path) {
    let files = start_python(lab, "python-files", |command, port| {
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
        command.arg(site).arg(port);
    });
    let up = files.as_ref().map(|(_, port)| plain(*port)).map_err(|error| format!("{error:#}"));
    cases(lab, (PYTHON, ""), &up, FILES);
    cases(
        lab,
        (PYTHON, ""),
        &up,
        &[("resumed from a server without ranges: from the beginning", |get| {
            fs::write(get.folder.join("big.bin"), b"something else")?;
            let ran = get.ok(&["-O", "-C", "-", "/big.bin"])?;
            contains(&ran.err(), "from the beginning")?;
            same(&get.saved("big.bin")?, &noise(BIG))
        })],
    );
    let echo = start_python(lab, "python-echo", |command, port| {
        command.arg(crate::root().join("tests/interop/echo.py")).arg(port);
    });
    let up = echo.as_ref().map(|(_, port)| plain(*port)).map_err(|error| format!("{error:#}"));
    cases(lab, (PYTHON, ""), &up, UPLOADS);
}

fn start_python(
    lab: &Lab,
    name: &str,
    arguments: impl FnOnce(&mut Command, &str),
) -> Result<(Running, u16)> {
    let port = free_port()?;
    let mut command = PYTHON.command()?;
    arguments(&mut command, &port.to_string());
    Ok((lab.start(name, &command)?.ready(&[port])?, port))
}

/// haproxy before that server which echoes: over TLS, as most servers are met.
fn haproxy(lab: &mut Lab, files: &Certificate) {
    let started = start_haproxy(lab, files);
    let up = started.as_ref().map(|(_, _, port)| secure(*port, files));
    let up = up.map_err(|error| format!("{error:#}"));
    cases(lab, (HAPROXY, ", TLS"), &up, UPLOADS);
    let binary = lab.binary.clone();
    lab.case(HAPROXY, Direction::ToTheirs, "ropewalk get: a root that is not trusted", |scratch| {
        let (base, _) = up.map_err(anyhow::Error::msg)?;
        let get = Get { binary, base, trust: None, folder: folder(scratch)? };
        get.fails(&["/chunked"], 76, "TLS handshake with localhost failed")
    });
}

fn start_haproxy(lab: &Lab, files: &Certificate) -> Result<(Running, Running, u16)> {
    let (echo, back) = start_python(lab, "python-behind", |command, port| {
        command.arg(crate::root().join("tests/interop/echo.py")).arg(port);
    })?;
    let pem = [fs::read(&files.certificate)?, fs::read(&files.key)?].concat();
    let pem = lab.scratch.write("both.pem", pem)?;
    let port = free_port()?;
    let values =
        [("TLS", port.to_string()), ("PEM", pem.display().to_string()), ("BACK", back.to_string())];
    let config = peers::configure(&lab.scratch, "interop/haproxy-tls.cfg", &values)?;
    let mut command = HAPROXY.command()?;
    command.args(["-db", "-f"]).arg(config);
    Ok((lab.start("haproxy-tls", &command)?.ready(&[port])?, echo, port))
}

/// What the site has must be what the cases expect.
#[cfg(test)]
mod tests {
    use super::super::ours;
    use super::*;

    #[test]
    fn the_site_has_what_is_fetched() {
        let scratch = Scratch::new("fetch").unwrap();
        let site = ours::site(&scratch).unwrap();
        assert_eq!(fs::read(site.join("ten.bin")).unwrap(), noise(TEN));
        assert_eq!(fs::read(site.join("big.bin")).unwrap(), noise(BIG));
    }
}
