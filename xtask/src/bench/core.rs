//! What a `Connection` costs: the same echo by a bare loop, by `Framed`, and by ours.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::machine::pinned;
use super::measure::{Done, Scenario, Server, alternate_times};
use super::report::{Bound, Goal};
use super::{Plan, Suited};
use crate::cargo;
use crate::process::{free_port, run};

pub const TITLE: &str = "Core: what a connection costs";
pub const ABOUT: &str = "\
An echo server on one thread on the first core, one TCP connection over loopback, its client \
(`load-echo`) on the second core; a message is a line of 64 bytes. The servers are in \
[tests/peers/echo](../../tests/peers/echo): they differ in nothing but what lies between the socket \
and the echo.";

const BYTES: (&str, &str) = ("ropewalk Raw", "bare tokio loop");
const LINES: (&str, &str) = ("ropewalk Lines", "tokio-util Framed");

/// Of one load.
const SECONDS: f64 = 0.2;

/// How many loads each server gets: many short ones, because what is to be told apart is a few percent,
/// and the machine is slow or fast for longer than one of them.
pub fn loads(plan: &Plan) -> usize {
    plan.rounds * 8
}

pub fn measure(plan: &Plan) -> Suited {
    cargo::build(true, &["--package", "peer-echo"])?;
    let mut scenarios = Vec::new();
    for in_flight in [1, 32] {
        for (kind, (ours, theirs), program) in
            [("bytes", BYTES, "echo-bare"), ("lines", LINES, "echo-framed")]
        {
            let title = format!("Echo of {kind}, {in_flight} in flight");
            if !plan.wants(&title) {
                continue;
            }
            println!("{title}");
            let mode = if kind == "bytes" { "raw" } else { "lines" };
            let servers =
                [start(plan, ours, "echo-ours", &[mode])?, start(plan, theirs, program, &[])?];
            let (results, failed) =
                alternate_times(loads(plan), &servers, |server, _| load(plan, server, in_flight));
            let command = format!("`load-echo ADDRESS {in_flight} {SECONDS}`");
            let note = [command].into_iter().chain(failed).collect::<Vec<_>>().join("; ");
            scenarios.push(Scenario { title, unit: "message", note, results });
        }
    }
    let goals = goals(&scenarios);
    Ok((scenarios, goals))
}

fn start(plan: &Plan, name: &str, program: &str, more: &[&str]) -> Result<Server> {
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(plan.release.join(program));
    command.arg(&address).args(more);
    Server::start((name, ""), address, &command, &[port], plan.scratch.path())
}

fn load(plan: &Plan, server: &Server, in_flight: u32) -> Result<Done> {
    let mut command = Command::new(plan.release.join("load-echo"));
    command.args([&server.target, &in_flight.to_string(), &SECONDS.to_string()]);
    let limit = Duration::from_secs(20);
    let out = run(&pinned(1, &command), limit)?.ok("load-echo")?.out();
    let (work, seconds) = out.trim().split_once(' ').context("load-echo printed no figures")?;
    Ok(Done { work: work.parse()?, seconds: seconds.parse()? })
}

fn goals(scenarios: &[Scenario]) -> Vec<Goal> {
    let rate = |title: &str, (ours, theirs): (&str, &str)| {
        let scenario = scenarios.iter().find(|scenario| scenario.title == title)?;
        Some(scenario.of(ours)?.rate.ratio(&scenario.of(theirs)?.rate))
    };
    let goal = |title: &str, pair, what: &str, least| Goal {
        what: format!("{title}: messages/s ÷ {what}"),
        bound: Bound::AtLeast(least),
        got: rate(title, pair),
    };
    vec![
        goal("Echo of bytes, 1 in flight", BYTES, "bare tokio", 0.97),
        goal("Echo of bytes, 32 in flight", BYTES, "bare tokio", 0.97),
        goal("Echo of lines, 1 in flight", LINES, "Framed", 1.0),
        goal("Echo of lines, 32 in flight", LINES, "Framed", 1.0),
    ]
}
