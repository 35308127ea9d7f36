//! wrk as the load of HTTP: on the second core, its figures read.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::machine::pinned;
use super::measure::{Done, Server};
use crate::peers::WRK;
use crate::process::run;

/// A load of requests.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub connections: u32,
    /// How many requests are sent at once; 1: the next after the answer.
    pub pipelined: u32,
    /// A connection for each request.
    pub close: bool,
    /// A field that each request has.
    pub field: Option<&'static str>,
    /// The load stays on the second core; otherwise it shares all of them with the server.
    pub pinned: bool,
}

impl Load {
    pub const fn of(connections: u32) -> Self {
        Self { connections, pipelined: 1, close: false, field: None, pinned: true }
    }

    /// As a reader would type it.
    pub fn words(&self, seconds: u32) -> String {
        let quoted = |word: String| if word.contains(' ') { format!("'{word}'") } else { word };
        let arguments = self.arguments(seconds, "tests/peers/pipeline.lua").into_iter().map(quoted);
        let arguments = arguments.collect::<Vec<_>>().join(" ");
        let depth =
            if self.pipelined > 1 { format!(" -- {}", self.pipelined) } else { String::new() };
        format!("wrk {arguments} URL{depth}")
    }

    fn arguments(&self, seconds: u32, script: &str) -> Vec<String> {
        let mut arguments =
            vec!["-t1".to_owned(), format!("-c{}", self.connections), format!("-d{seconds}s")];
        if self.close {
            arguments.extend(["-H".to_owned(), "Connection: close".to_owned()]);
        }
        if let Some(field) = self.field {
            arguments.extend(["-H".to_owned(), field.to_owned()]);
        }
        if self.pipelined > 1 {
            arguments.extend(["-s".to_owned(), script.to_owned()]);
        }
        arguments
    }

    /// The program with its arguments.
    pub fn command(&self, seconds: u32, url: &str) -> Result<Command> {
        let script = crate::root().join("tests/peers/pipeline.lua").display().to_string();
        let mut command = WRK.command()?;
        command.args(self.arguments(seconds, &script)).arg(url);
        if self.pipelined > 1 {
            command.arg("--").arg(self.pipelined.to_string());
        }
        Ok(if self.pinned { pinned(1, &command) } else { command })
    }

    /// Loads a server; an answer that is no success is an error.
    pub fn run(&self, server: &Server, seconds: u32) -> Result<Done> {
        let command = self.command(seconds, &server.target)?;
        let limit = Duration::from_secs(u64::from(seconds) + 20);
        let out = run(&command, limit)?.ok("wrk")?.out();
        if out.contains("Non-2xx") {
            bail!("errors among the answers: {}", out.trim());
        }
        figures(&out).with_context(|| format!("wrk said: {}", out.trim()))
    }
}

/// `  123456 requests in 2.00s, 17.66MB read`
pub fn figures(out: &str) -> Option<Done> {
    let line = out.lines().find(|line| line.contains(" requests in "))?;
    let (work, rest) = line.trim().split_once(" requests in ")?;
    let (seconds, _) = rest.split_once("s,")?;
    let (work, seconds) = (work.parse().ok()?, seconds.parse().ok()?);
    (work > 0.0).then_some(Done { work, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let done = figures("  2 threads\n  123456 requests in 2.10s, 17.66MB read\n").unwrap();
        assert_eq!((done.work, done.seconds), (123_456.0, 2.1));
        assert!(figures("  0 requests in 2.10s, 0.00B read").is_none());
        assert!(figures("unable to connect").is_none());
    }
}
