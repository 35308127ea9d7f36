//! Files: 10 KiB for the cost of a request, 10 MiB for the cost of a byte, and parts of the latter.

use super::http::{CADDY_FILE, NGINX_FILE, Stage, WEB, first, scenario, started};
use super::measure::Scenario;
use super::wrk::Load;

pub const SMALL: &str = "File of 10 KiB, 64 connections";
pub const LARGE: &str = "File of 10 MiB, 4 connections";
pub const RANGE: &str = "Range of 1 MiB of the file of 10 MiB, 4 connections";
pub const RANGES: &str = "Two ranges of 64 KiB of the file of 10 MiB, 4 connections";

const MIB: usize = 1024 * 1024;

/// A load: its title, the file, the ranges asked for, how many connections, how many bytes an answer
/// has where they are what counts.
type Case = (&'static str, &'static str, Option<&'static str>, u32, Option<usize>);

const CASES: [Case; 4] = [
    (SMALL, "10k.bin", None, 64, None),
    (LARGE, "10m.bin", None, 4, Some(10 * MIB)),
    (RANGE, "10m.bin", Some("Range: bytes=5242880-6291455"), 4, Some(MIB)),
    (RANGES, "10m.bin", Some("Range: bytes=1048576-1114111,8388608-8454143"), 4, Some(MIB / 8)),
];

pub fn measure(stage: &Stage<'_>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (title, path, field, connections, bytes) in CASES {
        if !stage.plan.wants(title) {
            continue;
        }
        let (servers, absent) = started(vec![
            (WEB, stage.web(path)),
            (NGINX_FILE, first(stage.nginx(NGINX_FILE, path))),
            (CADDY_FILE, stage.caddy(CADDY_FILE, path)),
        ]);
        let load = Load { field, ..Load::of(connections) };
        let mut scenario = scenario(stage.plan, title, load, &servers, &absent);
        if let Some(bytes) = bytes {
            scenario.note += &gigabytes(&scenario, bytes);
        }
        scenarios.push(scenario);
    }
    scenarios
}

/// The same rates in bytes, `each` to an answer.
pub fn gigabytes(scenario: &Scenario, each: usize) -> String {
    let rates = scenario.results.iter().map(|measured| {
        let bytes = measured.rate.median() * each as f64;
        format!("{} {:.2} GB/s", measured.name, bytes / 1e9)
    });
    format!(". In bytes: {}.", rates.collect::<Vec<_>>().join(", "))
}
