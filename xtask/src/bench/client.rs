//! Clients of HTTP: ours beside hyper-util's with its pool, and curl, against one nginx.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::http::{self, Stage, locked_version};
use super::machine::pinned;
use super::measure::{Measured, Scenario, Series, Server};
use super::report::{Bound, Goal};
use super::{Plan, Suited};
use crate::cargo;
use crate::peers::CURL;
use crate::process::run;

pub const TITLE: &str = "HTTP clients: beside hyper-util and curl";
pub const ABOUT: &str = "\
Here *server* reads *client*: one nginx on the first core answers, and what is measured are clients on \
the second, each a thread that asks for the same thing again and again, one request after the other on \
each connection ([tests/peers/client](../../tests/peers/client)). *ropewalk* is `Client`, with all its \
defaults: a deadline for the answer, redirections, the fields `User-Agent` and `Accept`; *hyper-util* is \
its pooled client, which has no deadlines and sends `Host` alone; curl is one process for all requests of \
a round, whose start is in its figures. CPU is that of the client, by getrusage. Requests in a second of \
small answers on many connections are bounded by nginx, and by how many requests it finds at once.";

const OURS: &str = "ropewalk";
const HYPER: &str = "hyper-util";
const CURL_NAME: &str = "curl";

const SMALL_ONE: &str = "Small answer, 1 connection";
const SMALL_MANY: &str = "Small answer, 64 connections";
const LARGE_ONE: &str = "Answer of 10 MiB, 1 connection";
const LARGE_MANY: &str = "Answer of 10 MiB, 64 connections";

pub fn measure(plan: &Plan, files: usize) -> Suited {
    let stage = Stage::new(plan, files)?;
    let peer = cargo::build(true, &["--package", "peer-client"])?.join("peer-client");
    let mut scenarios = Vec::new();
    for (title, path, connections) in [
        (SMALL_ONE, "hello.txt", 1),
        (SMALL_MANY, "hello.txt", 64),
        (LARGE_ONE, "10m.bin", 1),
        (LARGE_MANY, "10m.bin", 64),
    ] {
        if plan.wants(title) {
            println!("{title}");
            let (server, _) = stage.nginx(http::NGINX_FILE, path)?;
            scenarios.push(scenario(plan, title, &peer, &server, connections));
        }
    }
    let goals =
        [SMALL_ONE, SMALL_MANY, LARGE_ONE, LARGE_MANY].map(|title| cheaper(&scenarios, title));
    Ok((scenarios, goals.into()))
}

/// CPU for a request, beside hyper-util.
fn cheaper(scenarios: &[Scenario], title: &str) -> Goal {
    let scenario = scenarios.iter().find(|scenario| scenario.title == title);
    let got = scenario.and_then(|scenario| paired(scenario.of(OURS)?, scenario.of(HYPER)?));
    let what = format!("{title}: CPU of {OURS} ÷ {HYPER}, median of the rounds' ratios");
    Goal { what, bound: Bound::AtMost(1.0), got }
}

/// The median of the ratios of rounds, in each of which the two were measured one after the other.
fn paired(ours: &Measured, theirs: &Measured) -> Option<f64> {
    let pairs = ours.cost.0.iter().zip(&theirs.cost.0);
    let ratios = Series(pairs.map(|(ours, theirs)| ours / theirs).collect());
    Some(ratios.median()).filter(|median| median.is_finite())
}

/// One load by each client, alternately.
fn scenario(
    plan: &Plan,
    title: &str,
    peer: &PathBuf,
    server: &Server,
    connections: u32,
) -> Scenario {
    let clients = [
        (OURS, "ours", String::new()),
        (HYPER, "hyper", locked_version("hyper-util").unwrap_or_default()),
        (CURL_NAME, "curl", CURL.version()),
    ];
    let mut results: Vec<Measured> = clients
        .iter()
        .map(|(name, _, version)| Measured {
            name: (*name).to_owned(),
            version: version.clone(),
            rate: Series::default(),
            cost: Series::default(),
            peak: 0,
        })
        .collect();
    let mut failed: Vec<(usize, String)> = Vec::new();
    // The first round warms the server up, and is not kept.
    for round in 0..=plan.rounds {
        for step in 0..clients.len() {
            let index = (round + step) % clients.len();
            if failed.iter().any(|(other, _)| *other == index) {
                continue;
            }
            let seconds = if round == 0 { 1 } else { plan.seconds };
            match once(peer, clients[index].1, server, connections, seconds) {
                Ok(_) if round == 0 => {}
                Ok(done) => {
                    let result = &mut results[index];
                    result.rate.0.push(done.requests / done.seconds);
                    result.cost.0.push(done.cpu * 1e6 / done.requests);
                    result.peak = result.peak.max(done.peak);
                }
                Err(error) => failed.push((index, format!("{error:#}"))),
            }
        }
    }
    let lines: Vec<_> = failed.iter().map(|(i, why)| format!("{}: {why}", clients[*i].0)).collect();
    let kept = results.into_iter().enumerate();
    let kept = kept.filter(|(index, _)| !failed.iter().any(|(other, _)| other == index));
    let load = format!("peer-client CLIENT URL {connections} {}", plan.seconds);
    Scenario {
        title: title.to_owned(),
        unit: "request",
        note: http::note(&load, &[], lines),
        results: kept.map(|(_, measured)| measured).collect(),
    }
}

/// What one run said.
struct Done {
    requests: f64,
    seconds: f64,
    cpu: f64,
    /// In KiB.
    peak: u64,
}

fn once(
    peer: &PathBuf,
    mode: &str,
    server: &Server,
    connections: u32,
    seconds: u32,
) -> Result<Done> {
    let mut command = Command::new(peer);
    command.args([mode, &server.target, &connections.to_string(), &seconds.to_string()]);
    let limit = Duration::from_secs(u64::from(seconds) * 4 + 30);
    let out = run(&pinned(1, &command), limit)?.ok("peer-client")?.out();
    let figure = |at: usize| -> Result<f64> {
        let word = out.split_whitespace().nth(at);
        word.and_then(|word| word.parse().ok()).with_context(|| format!("it said {out:?}"))
    };
    Ok(Done { requests: figure(0)?, seconds: figure(1)?, cpu: figure(2)?, peak: figure(3)? as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_rounds() {
        let measured = |cost: &[f64]| Measured {
            name: String::new(),
            version: String::new(),
            rate: Series::default(),
            cost: Series(cost.to_vec()),
            peak: 0,
        };
        let ratio = paired(&measured(&[1.0, 20.0, 3.0]), &measured(&[2.0, 10.0, 4.0]));
        assert_eq!(ratio, Some(0.75));
        assert_eq!(paired(&measured(&[]), &measured(&[])), None);
    }
}
