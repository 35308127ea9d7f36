//! What there is to be seen of a daemon, by those who only look: replaced by each reload.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ropewalk_core::{Reactor, Totals};
use tokio::time::Instant;

use super::running::{Retired, View};
use crate::metrics::Seen;
use crate::status::Status;

/// What `ropewalk status` and figures are made of.
pub(crate) struct Board {
    file: Option<String>,
    reactor: Reactor,
    begun: Instant,
    shown: Mutex<Shown>,
    reloads: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Shown {
    services: Vec<View>,
    retired: Vec<Arc<Retired>>,
    /// What listeners have seen that are no more.
    past: Listeners,
}

/// What listeners have seen, by service and endpoint.
type Listeners = BTreeMap<(String, String), Totals>;

fn add(listeners: &mut Listeners, service: &str, of: impl Iterator<Item = (String, Totals)>) {
    for (endpoint, totals) in of {
        let sum = listeners.entry((service.to_owned(), endpoint)).or_default();
        *sum = *sum + totals;
    }
}

impl Shown {
    /// Forgets what has ended, but for what it has seen.
    fn sweep(&mut self) {
        let past = &mut self.past;
        self.retired.retain(|retired| {
            let ended = retired.has_ended();
            if ended {
                add(past, retired.name(), retired.totals());
            }
            !ended
        });
    }
}

impl Board {
    pub(super) fn new(file: Option<String>, reactor: Reactor) -> Self {
        Self {
            file,
            reactor,
            begun: Instant::now(),
            shown: Mutex::default(),
            reloads: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs now.
    pub(super) fn show(&self, services: Vec<View>) {
        self.shown().services = services;
    }

    /// What has no successor.
    pub(super) fn retire(&self, retired: Arc<Retired>) {
        let mut shown = self.shown();
        shown.sweep();
        shown.retired.push(retired);
    }

    /// Settings were read again, or could not be.
    pub(super) fn reloaded(&self, done: bool) {
        let count = if done { &self.reloads } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes all sockets, when nobody will accept any more.
    pub(super) fn close(&self) {
        self.shown().services.iter().for_each(View::close);
    }

    /// What runs. Waits for nothing.
    pub(crate) fn status(&self) -> Status {
        let mut shown = self.shown();
        shown.sweep();
        let uptime = self.begun.elapsed().as_secs();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            file: self.file.clone(),
            since: now.saturating_sub(uptime),
            uptime,
            stopping: self.reactor.is_stopping(),
            reloads: self.reloads.load(Ordering::Relaxed),
            failed_reloads: self.failed.load(Ordering::Relaxed),
            services: shown.services.iter().map(View::status).collect(),
            draining: shown.retired.iter().flat_map(|retired| retired.status()).collect(),
        }
    }

    /// The same and what was, for figures: they never go down.
    pub(super) fn seen(&self) -> Seen {
        let mut shown = self.shown();
        shown.sweep();
        let mut listeners = shown.past.clone();
        for retired in &shown.retired {
            add(&mut listeners, retired.name(), retired.totals());
        }
        for view in &shown.services {
            add(&mut listeners, view.name(), view.totals());
        }
        Seen {
            listeners,
            restarts: shown.services.iter().map(View::restarts).collect(),
            reloads: self.reloads.load(Ordering::Relaxed),
            failed_reloads: self.failed.load(Ordering::Relaxed),
        }
    }
}
