//! Rounds, medians, and what /proc says of a server.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Plan;
use super::machine::pinned;
use crate::process::Running;

/// A server under measurement.
pub struct Server {
    pub name: String,
    pub version: String,
    /// What the load is aimed at: a URL, an address.
    pub target: String,
    pub running: Running,
}

impl Server {
    /// Starts it on the first core and waits for its ports.
    pub fn start(
        (name, version): (&str, &str),
        target: String,
        command: &Command,
        ports: &[u16],
        folder: &Path,
    ) -> Result<Self> {
        Self::start_on(Some(0), (name, version), target, command, ports, folder)
    }

    /// Starts it on that core, or on any.
    pub fn start_on(
        core: Option<usize>,
        (name, version): (&str, &str),
        target: String,
        command: &Command,
        ports: &[u16],
        folder: &Path,
    ) -> Result<Self> {
        let first = ports.first().copied().unwrap_or_default();
        let log = folder.join(format!("server-{first}.log"));
        let pinned = core.map(|core| pinned(core, command));
        let command = pinned.as_ref().unwrap_or(command);
        let running = Running::start(name, command, log)?.ready(ports)?;
        Ok(Self { name: name.to_owned(), version: version.to_owned(), target, running })
    }
}

/// What one load did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Requests, messages, connections.
    pub work: f64,
    pub seconds: f64,
}

/// Values of one quantity, one for each round.
#[derive(Debug, Clone, Default)]
pub struct Series(pub Vec<f64>);

impl Series {
    /// The value in the middle; of an even number, the mean of the two; of none, not a number.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// This by `other`, round by round: what was slow in one round was slow for both.
    pub fn ratio(&self, other: &Self) -> f64 {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect()).median()
    }

    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// One server in one scenario.
#[derive(Debug, Clone)]
pub struct Measured {
    pub name: String,
    pub version: String,
    /// Units of work in a second.
    pub rate: Series,
    /// CPU time of the server for a unit of work, in microseconds.
    pub cost: Series,
    /// The most memory it ever had, in KiB.
    pub peak: u64,
}

/// A table of the page.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub title: String,
    /// What is counted, in the singular.
    pub unit: &'static str,
    /// The load's command line, and what else must be known.
    pub note: String,
    /// Ours is the first.
    pub results: Vec<Measured>,
}

impl Scenario {
    /// The server of that name, if it was measured.
    pub fn of(&self, name: &str) -> Option<&Measured> {
        self.results.iter().find(|measured| measured.name == name)
    }
}

/// Loads each server once a round, for so many seconds, the first one another each time, and measures
/// each load. A server that fails is left out of the rest, and that is said.
pub fn alternate(
    plan: &Plan,
    servers: &[Server],
    mut load: impl FnMut(&Server, u32) -> Result<Done>,
) -> (Vec<Measured>, Vec<String>) {
    alternate_times(plan.rounds, servers, |server, warming| {
        load(server, if warming { 1 } else { plan.seconds })
    })
}

/// [`alternate`], with so many rounds. The load is told whether it only warms up: the first round does,
/// and is not kept.
pub fn alternate_times(
    rounds: usize,
    servers: &[Server],
    mut load: impl FnMut(&Server, bool) -> Result<Done>,
) -> (Vec<Measured>, Vec<String>) {
    let mut failed: Vec<String> = Vec::new();
    let mut results: Vec<Measured> = servers
        .iter()
        .map(|server| Measured {
            name: server.name.clone(),
            version: server.version.clone(),
            rate: Series::default(),
            cost: Series::default(),
            peak: 0,
        })
        .collect();
    for round in 0..=rounds {
        for step in 0..servers.len() {
            let index = (round + step) % servers.len();
            let (server, result) = (&servers[index], &mut results[index]);
            if failed.iter().any(|line| line.starts_with(&server.name)) {
                continue;
            }
            match once(server, |server| load(server, round == 0)) {
                Ok(_) if round == 0 => {}
                Ok((done, cpu)) => {
                    result.rate.0.push(done.work / done.seconds);
                    result.cost.0.push(cpu * 1e6 / done.work);
                    result.peak = memory(server.running.pid(), "VmHWM");
                }
                Err(error) => failed.push(format!("{}: {error:#}", server.name)),
            }
        }
    }
    results.retain(|result| !failed.iter().any(|line| line.starts_with(&result.name)));
    (results, failed)
}

/// One load, and the CPU time it cost the server, in seconds.
fn once(server: &Server, load: impl FnOnce(&Server) -> Result<Done>) -> Result<(Done, f64)> {
    let before = cpu(server.running.pid())?;
    let done = load(server)?;
    Ok((done, cpu(server.running.pid())? - before))
}

/// A process and those it started, and they.
fn family(pid: u32) -> Vec<u32> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(fields) = stat(child) {
            parents.insert(child, fields[1].parse::<u32>().unwrap_or_default());
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// The fields of /proc/PID/stat after the program's name: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets, and may hold spaces and brackets itself.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').map(str::to_owned).collect();
    (fields.len() > 12).then_some(fields)
}

/// CPU time that a process and its children have used, user and system, in seconds: of all threads
/// that are still there, to the nanosecond, or by the clock ticks of /proc/PID/stat where the kernel
/// counts no better.
pub fn cpu(pid: u32) -> Result<f64> {
    stat(pid).with_context(|| format!("process {pid} has ended"))?;
    Ok(family(pid).into_iter().filter_map(|pid| scheduled(pid).or_else(|| ticks(pid))).sum())
}

/// The sum of /proc/PID/task/*/schedstat.
fn scheduled(pid: u32) -> Option<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    (nanoseconds > 0).then_some(nanoseconds as f64 / 1e9)
}

fn ticks(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The sum of a line of /proc/PID/status (`VmRSS`, `VmHWM`) over a process and its children, in KiB.
pub fn memory(pid: u32, key: &str) -> u64 {
    let one = |pid: u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    family(pid).into_iter().filter_map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |values: &[f64]| Series(values.to_vec()).median();
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        let series = |values: &[f64]| Series(values.to_vec());
        assert_eq!(series(&[1.0, 4.0, 9.0]).ratio(&series(&[2.0, 2.0, 3.0])), 2.0);
    }

    #[test]
    fn we_have_used_time_and_memory() {
        let pid = std::process::id();
        assert!(family(pid).contains(&pid));
        assert!(cpu(pid).unwrap() >= 0.0);
        assert!(ticks(pid).unwrap() >= 0.0);
        assert!(memory(pid, "VmHWM") > 100);
        assert!(cpu(u32::MAX).is_err());
    }
}
