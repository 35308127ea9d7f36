//! `peer-client ours|hyper|curl URL CONNECTIONS SECONDS`: asks for the same thing again and again, one
//! request after the other on each connection, and prints how many requests were answered, in how many
//! seconds, at how many seconds of CPU time, with how many KiB of memory at most.
//!
//! curl has no limit in time for many requests in one process: it gets a number of requests that takes
//! about as long.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use ropewalk_http::Client;
use tokio::task::JoinSet;

/// What is asked for by how many at once, and for how long.
#[derive(Clone)]
struct Load {
    url: Uri,
    connections: u32,
    time: Duration,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, connections, seconds] = arguments.as_slice() else {
        bail!("ours|hyper|curl URL CONNECTIONS SECONDS");
    };
    let load = Load {
        url: url.parse()?,
        connections: connections.parse()?,
        time: Duration::from_secs_f64(seconds.parse()?),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let who = if mode == "curl" { UsageWho::RUSAGE_CHILDREN } else { UsageWho::RUSAGE_SELF };
    // A connection each, and whatever is done once.
    let short = Load { time: Duration::from_millis(100), ..load.clone() };
    let warm = match mode.as_str() {
        "ours" => {
            let client = Client::new();
            runtime.block_on(ours(&client, &short))?;
            let measured = measure(who, || runtime.block_on(ours(&client, &load)));
            return print(who, measured?);
        }
        "hyper" => {
            let client = HyperClient::builder(TokioExecutor::new()).build_http();
            runtime.block_on(hyper(&client, &short))?;
            let measured = measure(who, || runtime.block_on(hyper(&client, &load)));
            return print(who, measured?);
        }
        "curl" => curl(&load, 20 * load.connections)?,
        _ => bail!("no such client: {mode}"),
    };
    // What it did in a first, short run says how many will take the time.
    let each = warm.1.as_secs_f64() / f64::from(warm.0);
    let count = (load.time.as_secs_f64() / each).ceil().clamp(1.0, 1e6) as u32;
    print(who, measure(who, || Ok(curl(&load, count)?.0))?)
}

/// Requests, seconds, seconds of CPU time.
fn measure(who: UsageWho, run: impl FnOnce() -> Result<u32>) -> Result<(u32, f64, f64)> {
    let (before, begun) = (cpu(&getrusage(who)?), Instant::now());
    let count = run()?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok((count, seconds, cpu(&getrusage(who)?) - before))
}

fn cpu(usage: &Usage) -> f64 {
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn print(who: UsageWho, (count, seconds, cpu): (u32, f64, f64)) -> Result<()> {
    use std::io::Write as _;
    // What getrusage says of ourselves begins with what the program had that started us.
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let peak = match (who, own) {
        (UsageWho::RUSAGE_SELF, Some(own)) => own.parse()?,
        _ => getrusage(who)?.max_rss(),
    };
    writeln!(std::io::stdout(), "{count} {seconds} {cpu} {peak}")?;
    Ok(())
}

async fn ours(client: &Client, load: &Load) -> Result<u32> {
    let mut tasks = JoinSet::new();
    for _ in 0..load.connections {
        let (client, load) = (client.clone(), load.clone());
        tasks.spawn(async move {
            let (end, mut count) = (Instant::now() + load.time, 0);
            while Instant::now() < end {
                let response = client.get(&load.url).await?;
                ensure!(response.status() == 200, "{}", response.status());
                let mut content = response.into_body();
                while content.next().await?.is_some() {}
                count += 1;
            }
            Ok(count)
        });
    }
    sum(tasks).await
}

async fn hyper(
    client: &HyperClient<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>,
    load: &Load,
) -> Result<u32> {
    let mut tasks = JoinSet::new();
    for _ in 0..load.connections {
        let (client, load) = (client.clone(), load.clone());
        tasks.spawn(async move {
            let (end, mut count) = (Instant::now() + load.time, 0);
            while Instant::now() < end {
                let response = client.get(load.url.clone()).await?;
                ensure!(response.status() == 200, "{}", response.status());
                let mut content = response.into_body();
                while let Some(frame) = content.frame().await {
                    frame?;
                }
                count += 1;
            }
            Ok(count)
        });
    }
    sum(tasks).await
}

async fn sum(mut tasks: JoinSet<Result<u32>>) -> Result<u32> {
    let mut sum = 0;
    while let Some(count) = tasks.join_next().await {
        sum += count??;
    }
    Ok(sum)
}

/// So many requests by one curl.
fn curl(load: &Load, count: u32) -> Result<(u32, Duration)> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--disable", "--noproxy", "*"]);
    command.args(["--output", "/dev/null"]);
    if load.connections > 1 {
        command.args(["--no-progress-meter", "--parallel", "--parallel-max"]);
        command.arg(load.connections.to_string());
    }
    command.arg(format!("{}?[1-{count}]", load.url));
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).status().context("curl is not here")?;
    ensure!(status.success(), "curl: {status}");
    Ok((count, begun.elapsed()))
}
