//! Figures for Prometheus: connections, bytes, requests, latencies, queues, the process.
//!
//! ```text
//!  what the daemon knows of listeners ─┐
//!  Commands of each service          ──┼─▶ Metrics ─▶ /metrics, when somebody asks
//!  queues, logs, /proc               ──┘
//! ```
//!
//! What is counted while connections are served are atomic numbers; the text is made when it is asked
//! for. Connections are counted by the reactor, whether somebody asks or not: `ropewalk status` shows
//! the same numbers. Names and labels do not change from one version to the next;
//! `docs/operations.md` lists them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{Method, Request, Response, StatusCode, header};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry as Prometheus;
use ropewalk_core::endpoint::Leaf;
use ropewalk_core::factory::AtMost;
use ropewalk_core::{Factory, Totals};
use ropewalk_http::{Body, Entry, Incoming, Server};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::exit::Code;
use crate::logfile::Logs;
use crate::stage::Stage;

mod figures;
mod process;

/// Connections that may ask at once.
const ASKERS: usize = 16;

/// What is said to be sent: text that Prometheus and others read.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of latencies, in seconds; what takes longer is in none of them.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Where figures can be asked for; without an endpoint nothing is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// An endpoint, of this machine only as a rule: whoever reaches it may ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

impl Settings {
    /// Puts the endpoint on the stage, if there is one. A place that others reach is warned of.
    pub(crate) fn start(&self, stage: &mut Stage, metrics: &Metrics) {
        const KEY: &str = "metrics.listen";
        let Some(text) = &self.listen else { return };
        let Some(endpoint) = stage.endpoint(KEY, text) else { return };
        match endpoint.leaf() {
            Leaf::Stdio => {
                return stage.problem(KEY, Code::Usage, "stdio: is one connection; name another");
            }
            Leaf::Tcp(tcp) if !is_local(&tcp.host.to_string()) => {
                let place = endpoint.redacted();
                warn!("metrics: others reach {place}, too; 127.0.0.1:PORT is this machine only");
            }
            _ => {}
        }
        let Some(socket) = stage.bind(KEY, endpoint) else { return };
        stage.serve(socket, metrics.server(), |address| {
            format!("figures at {address}, path /metrics")
        });
    }
}

fn is_local(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || ip.is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// All figures of one process. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    started: SystemTime,
    seen: Box<dyn Fn() -> Seen + Send + Sync>,
    logs: Logs,
    commands: Mutex<Vec<Commands>>,
    queues: Mutex<Vec<Queue>>,
}

/// What was seen of services since the process began.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What listeners have seen, by service and endpoint: those that a reload has removed, too.
    pub listeners: BTreeMap<(String, String), Totals>,
    /// How often something of a service was begun again.
    pub restarts: Vec<(String, u64)>,
    /// How often settings were read again with success.
    pub reloads: u64,
    /// How often they could not be.
    pub failed_reloads: u64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("logs", &self.logs).finish_non_exhaustive()
    }
}

/// Something that is waited in.
struct Queue {
    service: String,
    queue: String,
    depth: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.queue)
    }
}

impl Metrics {
    /// Of what `seen` says when somebody asks, and these logs. The process is said to have begun now.
    #[must_use]
    pub fn new(seen: impl Fn() -> Seen + Send + Sync + 'static, logs: Logs) -> Self {
        Self(Arc::new(Inner {
            started: SystemTime::now(),
            seen: Box::new(seen),
            logs,
            commands: Mutex::default(),
            queues: Mutex::default(),
        }))
    }

    /// Counts the requests or commands of a service, by kind and outcome. Anything else than these is
    /// counted with the last of each, which is to be called `other`: a peer must not make labels.
    #[must_use]
    pub fn commands(
        &self,
        service: &str,
        kinds: &'static [&'static str],
        outcomes: &'static [&'static str],
    ) -> Commands {
        let mut all = lock(&self.0.commands);
        if let Some(commands) = all.iter().find(|commands| commands.0.service == service) {
            return commands.clone();
        }
        let numbers = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let commands = Commands(Arc::new(Counted {
            service: service.to_owned(),
            kinds,
            outcomes,
            counts: numbers(kinds.len().max(1) * outcomes.len().max(1)),
            latencies: numbers(BOUNDS.len() + 1),
            nanos: AtomicU64::new(0),
        }));
        all.push(commands.clone());
        commands
    }

    /// Counts the requests of an HTTP service, by method and class of status.
    #[must_use]
    pub fn requests(&self, service: &str) -> Requests {
        const METHODS: &[&str] =
            &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "other"];
        const CLASSES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
        Requests(self.commands(service, METHODS, CLASSES))
    }

    /// Shows how many wait in a queue, as `depth` says when somebody asks.
    pub fn queue(
        &self,
        service: &str,
        queue: &str,
        depth: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let (service, queue) = (service.to_owned(), queue.to_owned());
        let mut queues = lock(&self.0.queues);
        queues.retain(|other| other.service != service || other.queue != queue);
        queues.push(Queue { service, queue, depth: Box::new(depth) });
    }

    /// All figures as they are now, in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Prometheus::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Writing to a string does not fail, and neither do our figures.
        let _ = text::encode(&mut text, &registry);
        text
    }

    /// Answers `GET /metrics`, up to 16 askers at once.
    pub fn server(&self) -> impl Factory + use<> {
        let metrics = self.clone();
        let answer = move |request: Request<Incoming>| {
            let response = metrics.answer(request.method(), request.uri().path());
            async { response }
        };
        AtMost::total(ASKERS, Server::new(answer))
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        let (status, kind, text) = match (path, method) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                (StatusCode::OK, CONTENT_TYPE, self.text())
            }
            ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET it\n".into()),
            _ => (StatusCode::NOT_FOUND, "text/plain", "see /metrics\n".into()),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = header::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done where it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests or commands of a service. Clones count into the same.
#[derive(Debug, Clone)]
pub struct Commands(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    service: String,
    kinds: &'static [&'static str],
    outcomes: &'static [&'static str],
    /// By kind, then by outcome.
    counts: Vec<AtomicU64>,
    /// By [`BOUNDS`], and beyond.
    latencies: Vec<AtomicU64>,
    nanos: AtomicU64,
}

impl Commands {
    /// One was answered so, after so long.
    pub fn count(&self, kind: &str, outcome: &str, took: Duration) {
        let place = |names: &[&str], name: &str| {
            let last = names.len().saturating_sub(1);
            names.iter().position(|known| *known == name).unwrap_or(last)
        };
        let counted = &*self.0;
        let (kind, outcome) = (place(counted.kinds, kind), place(counted.outcomes, outcome));
        let one = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        one(&counted.counts[kind * counted.outcomes.len() + outcome]);
        let seconds = took.as_secs_f64();
        one(&counted.latencies[BOUNDS.partition_point(|bound| *bound < seconds)]);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counted.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Requests of an HTTP service.
#[derive(Debug, Clone)]
pub struct Requests(Commands);

impl Requests {
    /// One that was answered: to be called from its access log.
    pub fn count(&self, entry: &Entry) {
        let outcome = match entry.status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        // One that could not be understood has none.
        let method = entry.method.as_ref().map_or("other", Method::as_str);
        self.0.count(method, outcome, entry.took);
    }
}

#[cfg(test)]
mod tests;
