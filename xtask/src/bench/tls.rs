//! HTTP over TLS 1.3: handshakes, whole and resumed, and bulk, beside nginx.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::http::{self, NGINX_FILE, Stage, WEB, note, scenario, started};
use super::machine::pinned;
use super::measure::{Done, Scenario, Server, alternate};
use super::report::{Bound, Goal};
use super::wrk::Load;
use super::{Plan, Suited};
use crate::peers::OPENSSL;
use crate::process::Running;

pub const TITLE: &str = "HTTP over TLS 1.3: beside nginx";
pub const ABOUT: &str = "\
One server thread (or worker) on the first core, the load on the second, over loopback; the same \
certificate with a P-256 key on both, TLS 1.3 only by what the load offers. A handshake is counted \
with the one small file that is asked for after it, since a client learns of its ticket only with \
the answer; both loads do that, so that they can be compared. *Resumed* handshakes are by ticket, with \
a new key exchange, as OpenSSL's client does it.";

const FULL: &str = "Whole handshakes, each with a small file";
const RESUMED: &str = "Resumed handshakes, each with a small file";
const BULK: &str = "File of 10 MiB over TLS, 4 connections";

/// Clients that do handshakes, each one after the other.
const CLIENTS: usize = 4;

pub fn measure(plan: &Plan, files: usize) -> Suited {
    let stage = Stage::new(plan, files)?;
    let mut scenarios = Vec::new();
    for (title, mode, mark) in [(FULL, "-new", b'*'), (RESUMED, "-reuse", b'r')] {
        if plan.wants(title) {
            scenarios.push(handshakes(&stage, title, mode, mark));
        }
    }
    if plan.wants(BULK) {
        let (servers, absent) = servers(&stage, |port| format!("https://127.0.0.1:{port}/10m.bin"));
        let mut scenario = scenario(plan, BULK, Load::of(4), &servers, &absent);
        scenario.note += &super::files::gigabytes(&scenario, 10 * 1024 * 1024);
        scenarios.push(scenario);
    }
    let goals = [FULL, RESUMED, BULK].map(|title| cheaper(&scenarios, title));
    Ok((scenarios, goals.into()))
}

/// Ours and nginx, each with the load's target made of its port.
fn servers(stage: &Stage<'_>, target: impl Fn(&str) -> String) -> (Vec<Server>, Vec<String>) {
    let ours = stage.web_over_tls();
    let theirs = stage.nginx(NGINX_FILE, "").map(|(mut server, port)| {
        server.target = port.to_string();
        server
    });
    let (mut servers, absent) = started(vec![(WEB, ours), (NGINX_FILE, theirs)]);
    for server in &mut servers {
        server.target = target(&server.target);
    }
    (servers, absent)
}

fn handshakes(stage: &Stage<'_>, title: &str, mode: &str, mark: u8) -> Scenario {
    println!("{title}");
    let (servers, absent) = servers(stage, str::to_owned);
    let (results, failed) = alternate(stage.plan, &servers, |server, seconds| {
        load(stage.plan, server, mode, mark, seconds)
    });
    let seconds = stage.plan.seconds;
    let words =
        format!("openssl s_time -tls1_3 {mode} -www /hello.txt -time {seconds} -connect ADDRESS");
    let note = format!("{CLIENTS} at once of {}", note(&words, &absent, failed));
    Scenario { title: title.to_owned(), unit: "handshake", note, results }
}

/// Several clients at once; what they did together.
fn load(plan: &Plan, server: &Server, mode: &str, mark: u8, seconds: u32) -> Result<Done> {
    let mut command = OPENSSL.command()?;
    command.args(["s_time", "-tls1_3", mode, "-www", "/hello.txt"]);
    command.args(["-time", &seconds.to_string()]);
    command.args(["-connect", &format!("127.0.0.1:{}", server.target)]);
    let command = pinned(1, &command);
    let begin = Instant::now();
    let client = |number| {
        let log = plan.scratch.join(format!("s_time-{number}.log"));
        Running::start("openssl s_time", &command, log)
    };
    let clients = (0..CLIENTS).map(client).collect::<Result<Vec<_>>>()?;
    let mut work = 0.0;
    for mut client in clients {
        let status = client.wait(Duration::from_secs(u64::from(seconds) + 20))?;
        let said = client.log();
        ensure!(status.success(), "openssl s_time: {status}: {said}");
        work += connections(&said, mark)?;
    }
    Ok(Done { work, seconds: begin.elapsed().as_secs_f64() })
}

/// How many connections there were, all of the kind that `mark` stands for: `*` whole, `r` resumed.
fn connections(said: &str, mark: u8) -> Result<f64> {
    let line = said.lines().find(|line| line.contains(" real seconds")).context(said.to_owned())?;
    let number = line.split(' ').next().unwrap_or_default();
    let marks = |line: &&str| line.bytes().all(|byte| b"*rt".contains(&byte));
    let marks = said.lines().filter(|line| !line.is_empty()).filter(marks).flat_map(str::bytes);
    let other = marks.filter(|other| *other != mark).count();
    // The first of a client that resumes has nothing to resume.
    if other > 1 {
        bail!("{other} handshakes were of another kind than {}", char::from(mark));
    }
    number.parse().with_context(|| line.to_owned())
}

fn cheaper(scenarios: &[Scenario], title: &str) -> Goal {
    let scenario = scenarios.iter().find(|scenario| scenario.title == title);
    let of = |name: &str| scenario?.of(name);
    let got = || Some(of(WEB)?.cost.ratio(&of(http::NGINX_FILE)?.cost));
    let what = format!("{title}: CPU of {WEB} ÷ {NGINX_FILE}");
    Goal { what, bound: Bound::AtMost(1.0), got: got() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_kind() {
        let said = |marks: &str| {
            format!(
                "Collecting connection statistics for 2 seconds\n{marks}\n\n760 connections in \
                 0.66s; 1151.52 connections/user sec, bytes read 0\n760 connections in 3 real \
                 seconds, 0 bytes read per connection\n"
            )
        };
        assert_eq!(connections(&said("*****"), b'*').unwrap(), 760.0);
        assert_eq!(connections(&said("*rrrr"), b'r').unwrap(), 760.0);
        connections(&said("**rrr"), b'r').unwrap_err();
        connections("nothing", b'*').unwrap_err();
    }
}
