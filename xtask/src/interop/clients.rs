//! wget, Chromium, Python and netcat.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ours::{contains, same};
use super::{Direction, Lab};
use crate::peers::{CHROMIUM, NC, PYTHON, WGET};
use crate::process::{Ran, Scratch, run, run_with_input};

const LIMIT: Duration = Duration::from_secs(60);

/// Everybody's cases against the server at `base`; `trust` is the certificate it shows.
pub fn run_all(lab: &mut Lab, base: &str, over: &str, trust: Option<&Path>) {
    let to_ours = Direction::ToOurs;
    lab.case(WGET, to_ours, &format!("-r mirrors a tree{over}"), |scratch| {
        mirror(scratch, base, trust)
    });
    lab.case(WGET, to_ours, &format!("-c resumes a download{over}"), |scratch| {
        resume(scratch, base, trust)
    });
    lab.case(WGET, to_ours, &format!("-N skips what has not changed{over}"), |scratch| {
        timestamps(scratch, base, trust)
    });
    lab.case(PYTHON, to_ours, &format!("http.client and urllib{over}"), |scratch| {
        python(scratch, base, trust)
    });
    let picture = lab.screenshot.clone().filter(|_| trust.is_none());
    lab.case(CHROMIUM, to_ours, &format!("shows the listing{over}"), |scratch| {
        chromium(scratch, base, picture.as_deref())
    });
    if trust.is_none() {
        lab.case(NC, to_ours, "three pipelined requests, answered in order", |_| pipelined(base));
        lab.case(NC, to_ours, "a request, then half a close", |_| half_closed(base));
        lab.case(NC, to_ours, "garbage is answered with 400", |_| garbage(base));
    }
}

fn wget(folder: &Path, trust: Option<&Path>, arguments: &[&str]) -> Result<Ran> {
    fs::create_dir_all(folder)?;
    let mut command = WGET.command()?;
    command.args(["--no-config", "--no-proxy", "--tries=1", "--timeout=10"]).current_dir(folder);
    if let Some(trust) = trust {
        command.arg("--ca-certificate").arg(trust);
    }
    run(command.args(arguments).env("LC_ALL", "C.UTF-8"), LIMIT)
}

/// A folder of its own for each run.
fn fresh(scratch: &Scratch, name: &str) -> Result<std::path::PathBuf> {
    let folder = scratch.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn mirror(scratch: &Scratch, base: &str, trust: Option<&Path>) -> Result<()> {
    let folder = fresh(scratch, "mirror")?;
    let url = format!("{base}/");
    wget(&folder, trust, &["-r", "-l", "4", "-nH", "-np", "--reject", "huge.bin", &url])?
        .ok("wget -r")?;
    for name in ["hello.txt", "ten.bin", "sub/a.txt", "sub/deep/b.txt", "with space ü.txt"] {
        let got = fs::read(folder.join(name)).with_context(|| format!("{name} is missing"))?;
        same(&got, &fs::read(scratch.join("site").join(name))?).context(name)?;
    }
    ensure!(!folder.join(".hidden").exists(), "a dot file was listed");
    Ok(())
}

fn resume(scratch: &Scratch, base: &str, trust: Option<&Path>) -> Result<()> {
    let folder = fresh(scratch, "resume")?;
    let whole = fs::read(scratch.join("site/big.bin"))?;
    fs::write(folder.join("big.bin"), &whole[..whole.len() / 3])?;
    let ran = wget(&folder, trust, &["-c", &format!("{base}/big.bin")])?.ok("wget -c")?;
    contains(&ran.err(), "206 Partial Content")?;
    same(&fs::read(folder.join("big.bin"))?, &whole)?;
    // The file is whole now: the server says so by 416, and wget leaves it.
    let ran = wget(&folder, trust, &["-c", &format!("{base}/big.bin")])?;
    contains(&ran.err(), "416")?;
    same(&fs::read(folder.join("big.bin"))?, &whole)
}

fn timestamps(scratch: &Scratch, base: &str, trust: Option<&Path>) -> Result<()> {
    let folder = fresh(scratch, "stamps")?;
    let url = format!("{base}/ten.bin");
    wget(&folder, trust, &["-N", &url])?.ok("wget -N")?;
    let ours = fs::metadata(scratch.join("site/ten.bin"))?.modified()?;
    let theirs = fs::metadata(folder.join("ten.bin"))?.modified()?;
    let apart = ours.duration_since(theirs).unwrap_or_else(|error| error.duration());
    ensure!(apart < Duration::from_secs(1), "Last-Modified is {apart:?} off");
    let ran = wget(&folder, trust, &["-N", &url])?.ok("wget -N, again")?;
    contains(&ran.err(), "304 Not Modified")
}

fn python(scratch: &Scratch, base: &str, trust: Option<&Path>) -> Result<()> {
    let mut command = PYTHON.command()?;
    command.arg(crate::root().join("tests/interop/client.py")).arg(base).arg(scratch.join("site"));
    if let Some(trust) = trust {
        command.arg(trust);
    }
    contains(&run(&command, LIMIT)?.ok("client.py")?.out(), "well")
}

/// Chromium, without a window, without a profile, and without a word to anybody but ours.
fn browser(scratch: &Scratch) -> Result<Command> {
    let mut command = CHROMIUM.command()?;
    let profile = scratch.join("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]);
    command.args(["--disable-dev-shm-usage", "--ignore-certificate-errors", "--no-proxy-server"]);
    command.arg(format!("--user-data-dir={}", profile.display())).env("HOME", scratch.path());
    Ok(command)
}

fn chromium(scratch: &Scratch, base: &str, picture: Option<&Path>) -> Result<()> {
    let url = format!("{base}/");
    let ran = run(browser(scratch)?.args(["--dump-dom", &url]), LIMIT)?.ok("chromium")?;
    for name in ["hello.txt", "sub/", "with space ü.txt"] {
        contains(&ran.out(), name)?;
    }
    ensure!(!ran.out().contains(".hidden"), "a dot file is listed");
    if let Some(picture) = picture {
        let picture = std::path::absolute(picture)?;
        let mut command = browser(scratch)?;
        command.args(["--window-size=1000,700", "--hide-scrollbars"]);
        command.arg(format!("--screenshot={}", picture.display())).arg(&url);
        run(&command, LIMIT)?.ok("chromium --screenshot")?;
        ensure!(picture.exists(), "no picture was made");
    }
    Ok(())
}

/// Sends `input` by netcat; with `-N` it then closes its half. Waits for ours to close.
fn netcat(base: &str, arguments: &[&str], input: &str) -> Result<String> {
    let port = base.rsplit(':').next().context("a base ends in its port")?;
    let mut command = NC.command()?;
    command.args(arguments).args(["127.0.0.1", port]);
    let ran = run_with_input(&command, input.as_bytes(), Duration::from_secs(20))?;
    Ok(ran.out())
}

fn pipelined(base: &str) -> Result<()> {
    let get = |path: &str, close| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
    let input = get("/sub/a.txt", "")
        + &get("/missing", "")
        + &get("/sub/deep/b.txt", "Connection: close\r\n");
    let out = netcat(base, &[], &input)?;
    let codes: Vec<_> = out.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    ensure!(codes.len() == 3, "{} answers: {codes:?}", codes.len());
    contains(codes[1], "404")?;
    let (a, b) = (out.find("\r\n\r\na\n"), out.find("\r\n\r\nb\n"));
    ensure!(a.is_some() && a < b, "the bodies are not in order");
    Ok(())
}

fn half_closed(base: &str) -> Result<()> {
    let out = netcat(base, &["-N"], "GET /sub/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    ensure!(out.starts_with("HTTP/1.1 200") && out.ends_with("a\n"), "got {out:?}");
    Ok(())
}

fn garbage(base: &str) -> Result<()> {
    for input in ["\u{16}\u{3}\u{1} not http\r\n\r\n", "GET / HTTP/1.1\nHost: localhost\n\n"] {
        let out = netcat(base, &["-N"], input)?;
        ensure!(out.starts_with("HTTP/1.1 400"), "{input:?} was answered {out:?}");
    }
    Ok(())
}
