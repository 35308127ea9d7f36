//! The machine that measures, in words, and what it is told before.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use crate::process::{find, run};

/// Lifts our own limit of open files, which the children inherit, to the hard one; returns it.
pub fn raise_file_limit() -> usize {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if rustix::process::setrlimit(Resource::Nofile, wanted).is_ok() {
        limit = wanted;
    }
    limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(1024)
}

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A command line that runs on one core, where that can be told.
pub fn pinned(core: usize, command: &Command) -> Command {
    match find("taskset").filter(|_| cores() > core) {
        Some(taskset) => {
            let mut pinned = Command::new(taskset);
            pinned.arg("-c").arg(core.to_string()).arg(command.get_program());
            pinned.args(command.get_args());
            for (key, value) in command.get_envs() {
                if let Some(value) = value {
                    pinned.env(key, value);
                }
            }
            pinned
        }
        None => {
            let mut plain = Command::new(command.get_program());
            plain.args(command.get_args());
            plain
        }
    }
}

/// The facts that a reader needs beside figures, one a line.
pub fn facts() -> Vec<String> {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GiB", (kib + 512 * 1024) / (1024 * 1024)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        format!("CPU: {cpu}, {} cores{memory}", cores()),
        format!("kernel: Linux {}", kernel.trim()),
        format!("compiler: {}", said(Command::new("rustc").arg("--version"))),
        format!("date: {}", said(Command::new("date").args(["-u", "+%Y-%m-%d"]))),
    ]
}

fn field(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(command: &Command) -> String {
    run(command, Duration::from_secs(10)).map(|ran| ran.out().trim().to_owned()).unwrap_or_default()
}
