//! Files: 10 KiB for the cost of a request, 10 MiB for the cost of a byte.

use super::http::{CADDY_FILE, NGINX_FILE, Stage, WEB, first, scenario, started};
use super::measure::Scenario;
use super::wrk::Load;

pub const SMALL: &str = "File of 10 KiB, 64 connections";
pub const LARGE: &str = "File of 10 MiB, 4 connections";

pub fn measure(stage: &Stage<'_>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (title, path, connections) in [(SMALL, "10k.bin", 64), (LARGE, "10m.bin", 4)] {
        if !stage.plan.wants(title) {
            continue;
        }
        let (servers, absent) = started(vec![
            (WEB, stage.web(path)),
            (NGINX_FILE, first(stage.nginx(NGINX_FILE, path))),
            (CADDY_FILE, stage.caddy(CADDY_FILE, path)),
        ]);
        let load = Load::of(connections);
        let mut scenario = scenario(stage.plan, title, load, &servers, &absent);
        if title == LARGE {
            scenario.note += &gigabytes(&scenario);
        }
        scenarios.push(scenario);
    }
    scenarios
}

/// The same rates in bytes.
fn gigabytes(scenario: &Scenario) -> String {
    let rates = scenario.results.iter().map(|measured| {
        let bytes = measured.rate.median() * 10.0 * 1024.0 * 1024.0;
        format!("{} {:.2} GB/s", measured.name, bytes / 1e9)
    });
    format!(". In bytes: {}.", rates.collect::<Vec<_>>().join(", "))
}
