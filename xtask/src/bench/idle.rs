//! Idle connections: what each costs in resident memory.

use std::fmt::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::http::{HANDLER, HYPER, NGINX_FILE, Stage, WEB, named};
use super::measure::{Scenario, Server, memory};
use super::report::{Bound, Goal, thousands};
use crate::process::{Running, tail};

/// Files that a server and the load have open beside the connections.
const SPARE: usize = 300;

/// After the last answer, before the memory is read: buffers are given back by then.
const SETTLE: Duration = Duration::from_secs(2);

const TITLE: &str = "Idle connections";

/// A server whose idle connections are counted.
struct Case {
    over: &'static str,
    name: &'static str,
    server: Result<(Server, u16)>,
}

/// The table of resident memory, and the figure aimed at.
pub fn measure(stage: &Stage<'_>) -> Option<(Scenario, Vec<Goal>)> {
    if !stage.plan.wants(TITLE) {
        return None;
    }
    println!("{TITLE}");
    let count = stage.plan.idle.min(stage.files.saturating_sub(SPARE));
    let mut note = String::from(
        "| server | over | before, MiB | after, MiB | KiB added for each | KiB in all for each |\n",
    );
    note += "|---|---|--:|--:|--:|--:|\n";
    let mut goals = Vec::new();
    let mut absent = String::new();
    for case in cases(stage) {
        let measured = case.server.and_then(|(server, port)| {
            let certificate = (case.over == "TLS").then(|| stage.certificate.certificate.clone());
            let (before, after) = hold(stage, &server, port, count, certificate)?;
            Ok((named(&server), before, after))
        });
        match measured {
            Ok((name, before, after)) => {
                let each = (after as f64 - before as f64) / count as f64;
                let all = after as f64 / count as f64;
                let (before, after) = (before as f64 / 1024.0, after as f64 / 1024.0);
                let row = format!(
                    "| {name} | {} | {before:.1} | {after:.1} | {each:.2} | {all:.2} |",
                    case.over
                );
                println!("  {row}");
                writeln!(note, "{row}").expect("into a string");
                goals.extend(goal(case.name, case.over, each));
            }
            Err(error) => {
                let error = format!("{error:#}");
                let line = error.lines().last().unwrap_or_default();
                write!(absent, " Left out: {} over {}: {line}.", case.name, case.over)
                    .expect("into a string");
            }
        }
    }
    note += &format!(
        "\n{} connections, each after one request and its answer, {} s later. Resident memory of the \
         server's processes (VmRSS); what the kernel keeps for a socket is not in it. nginx sets its \
         table of connections aside when it starts: it is in *before*, and only *in all* shows it.{absent}",
        thousands(count as u64),
        SETTLE.as_secs(),
    );
    let scenario = Scenario { title: TITLE.to_owned(), unit: "", note, results: Vec::new() };
    Some((scenario, goals))
}

fn cases(stage: &Stage<'_>) -> Vec<Case> {
    let case = |over, name, server| Case { over, name, server };
    let port = |server: Server| -> Result<(Server, u16)> {
        let rest = server.target.rsplit(':').next().unwrap_or_default();
        let port = rest.split('/').next().unwrap_or_default().parse().context("no port")?;
        Ok((server, port))
    };
    let nginx = |tls: bool| {
        let (server, tls_port) = stage.nginx(NGINX_FILE, "hello.txt")?;
        if tls { Ok((server, tls_port)) } else { port(server) }
    };
    vec![
        case("TCP", WEB, stage.web("hello.txt").and_then(port)),
        case("TCP", HANDLER, stage.handler(1, &[], Some(0)).and_then(port)),
        case("TCP", HYPER, stage.hyper().and_then(port)),
        case("TCP", NGINX_FILE, nginx(false)),
        case("TLS", WEB, stage.web_over_tls().and_then(port)),
        case("TLS", NGINX_FILE, nginx(true)),
    ]
}

fn goal(name: &str, over: &str, each: f64) -> Option<Goal> {
    (name == WEB && over == "TCP").then(|| Goal {
        what: format!("{TITLE} over {over}: KiB for each of {name}"),
        bound: Bound::AtMost(4.0),
        got: Some(each),
    })
}

/// Resident memory in KiB before the connections and while they are held.
fn hold(
    stage: &Stage<'_>,
    server: &Server,
    port: u16,
    count: usize,
    certificate: Option<std::path::PathBuf>,
) -> Result<(u64, u64)> {
    // A first few, so that what is made once is not counted as theirs.
    let warm = start(stage, port, 10, certificate.as_ref())?;
    drop(warm);
    let pid = server.running.pid();
    let before = memory(pid, "VmRSS");
    let load = start(stage, port, count, certificate.as_ref())?;
    thread::sleep(SETTLE);
    let after = memory(pid, "VmRSS");
    drop(load);
    Ok((before, after))
}

/// Opens the connections; they live as long as what is returned.
fn start(
    stage: &Stage<'_>,
    port: u16,
    count: usize,
    certificate: Option<&std::path::PathBuf>,
) -> Result<Running> {
    let mut command = Command::new(stage.plan.release.join("load-idle"));
    command.args([port.to_string(), count.to_string()]).args(certificate);
    let log = stage.plan.scratch.join("load-idle.log");
    let mut load = Running::start("load-idle", &command, log)?;
    let end = Instant::now() + Duration::from_secs(60);
    while !load.log().contains("ready") {
        ensure!(load.is_running() && Instant::now() < end, "load-idle: {}", tail(&load.log(), 300));
        thread::sleep(Duration::from_millis(20));
    }
    Ok(load)
}
