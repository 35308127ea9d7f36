//! Services that start in order and stop in reverse.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{BoxService, Service};
use crate::BoxError;

/// How long those that had started may take to stop when a later one fails to start, unless
/// [`Services::rollback`] says otherwise.
const ROLLBACK: Duration = Duration::from_secs(10);

/// A group of services: started in the order in which they were added, stopped in reverse. It is a
/// [`Service`] itself, so groups nest. Twisted's `MultiService`.
#[derive(Debug)]
pub struct Services {
    name: String,
    members: Vec<BoxService>,
    /// How many of the members are running: the first ones.
    running: usize,
    rollback: Duration,
}

/// A service did not start.
#[derive(Debug, thiserror::Error)]
#[error("service {name} did not start: {source}")]
pub struct StartError {
    /// Which.
    pub name: String,
    /// Why.
    pub source: BoxError,
    /// Those that had been started before it and did not stop well when it failed.
    pub laggards: Vec<Laggard>,
}

/// Some services did not stop well. All have ended none the less.
#[derive(Debug)]
pub struct StopError {
    /// Which, in the order in which they were stopped; at least one.
    pub laggards: Vec<Laggard>,
}

/// A service that did not stop well.
#[derive(Debug)]
pub struct Laggard {
    /// Which.
    pub name: String,
    /// What it failed with; `None`: it overstayed and was abandoned.
    pub error: Option<BoxError>,
}

impl Services {
    /// An empty group.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), members: Vec::new(), running: 0, rollback: ROLLBACK }
    }

    /// Adds a service, to be started after those that are there.
    #[must_use]
    pub fn with(mut self, service: impl Service) -> Self {
        self.members.push(service.boxed());
        self
    }

    /// How long those that had started may take to stop when a later one fails to start: 10 s unless
    /// said otherwise.
    #[must_use]
    pub fn rollback(mut self, within: Duration) -> Self {
        self.rollback = within;
        self
    }

    /// The names, in the order of starting.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(BoxService::name)
    }

    /// Starts those that are not running, one after the other. When one fails, those that run are
    /// stopped in reverse.
    ///
    /// Cancel-safe: a group whose start was dropped half-way has the first ones running, and may be
    /// started again or stopped.
    ///
    /// # Errors
    /// When a service failed to start: then none is running.
    pub async fn start(&mut self) -> Result<(), StartError> {
        while let Some(member) = self.members.get_mut(self.running) {
            if let Err(source) = member.start().await {
                let name = member.name().to_owned();
                tracing::error!(service = name, error = %source, "did not start");
                let stopped = self.stop(Instant::now() + self.rollback).await;
                let laggards = stopped.err().map_or_else(Vec::new, |error| error.laggards);
                return Err(StartError { name, source, laggards });
            }
            tracing::debug!(service = member.name(), "started");
            self.running += 1;
        }
        Ok(())
    }

    /// Stops those that are running, in reverse order, and returns by `deadline`.
    ///
    /// A service that overstays is abandoned and dropped, and the next one has its turn. So that a slow
    /// one cannot take the time of all others, a quarter of the time is kept back in equal slices, one
    /// for each service: each is told a deadline one slice before that which is enforced, and that of
    /// its successor is one slice later.
    ///
    /// Not cancel-safe: the service that is stopping when the future is dropped is not stopped again.
    ///
    /// # Errors
    /// When services overstayed or failed. They have ended none the less.
    pub async fn stop(&mut self, deadline: Instant) -> Result<(), StopError> {
        let total = deadline.saturating_duration_since(Instant::now());
        let slice = total / (4 * u32::try_from(self.running).unwrap_or(u32::MAX).max(1));
        let mut laggards = Vec::new();
        while self.running > 0 {
            self.running -= 1;
            // Those that come after this one, of which there are fewer than 2^32.
            let enforced = deadline - slice * self.running as u32;
            let member = &mut self.members[self.running];
            let error = match timeout_at(enforced, member.stop(enforced - slice)).await {
                Ok(Ok(())) => {
                    tracing::debug!(service = member.name(), "stopped");
                    continue;
                }
                Ok(Err(error)) => Some(error),
                Err(_elapsed) => None,
            };
            laggards.push(self.give_up(self.running, error));
        }
        if laggards.is_empty() { Ok(()) } else { Err(StopError { laggards }) }
    }

    /// Notes that a member did not stop well; one that overstayed is dropped.
    fn give_up(&mut self, index: usize, error: Option<BoxError>) -> Laggard {
        let name = self.members[index].name().to_owned();
        if error.is_none() {
            drop(self.members.remove(index));
        }
        let laggard = Laggard { name, error };
        tracing::warn!("{laggard}");
        laggard
    }
}

impl Service for Services {
    fn name(&self) -> &str {
        &self.name
    }

    async fn start(&mut self) -> Result<(), BoxError> {
        Ok(Self::start(self).await?)
    }

    async fn stop(&mut self, deadline: Instant) -> Result<(), BoxError> {
        Ok(Self::stop(self, deadline).await?)
    }
}

impl fmt::Display for Laggard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.error {
            Some(error) => write!(f, "service {name} did not stop well: {error}"),
            None => write!(f, "service {name} did not stop in time and was abandoned"),
        }
    }
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, laggard) in self.laggards.iter().enumerate() {
            write!(f, "{}{laggard}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for StopError {}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::{sleep, sleep_until};

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// What a service of the tests does when told to stop.
    #[derive(Clone, Copy)]
    enum Stop {
        /// Takes so many seconds.
        Takes(u64),
        /// Works until the deadline it was told, and ends then.
        Obeys,
        /// Fails at once.
        Fails,
    }

    struct Probe {
        name: &'static str,
        start: Result<u64, &'static str>,
        stop: Stop,
        log: Log,
    }

    impl Probe {
        fn note(&self, what: &str) {
            self.log.lock().expect("no panic under it").push(format!("{what} {}", self.name));
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            self.note("drop");
        }
    }

    impl Service for Probe {
        fn name(&self) -> &str {
            self.name
        }

        async fn start(&mut self) -> Result<(), BoxError> {
            sleep(Duration::from_secs(self.start?)).await;
            self.note("start");
            Ok(())
        }

        async fn stop(&mut self, deadline: Instant) -> Result<(), BoxError> {
            match self.stop {
                Stop::Takes(seconds) => sleep(Duration::from_secs(seconds)).await,
                Stop::Obeys => sleep_until(deadline).await,
                Stop::Fails => return Err("the disk is full".into()),
            }
            self.note("stop");
            Ok(())
        }
    }

    fn group(probes: &[(&'static str, Result<u64, &'static str>, Stop)], log: &Log) -> Services {
        probes.iter().fold(Services::new("all"), |services, &(name, start, stop)| {
            services.with(Probe { name, start, stop, log: Arc::clone(log) })
        })
    }

    fn said(log: &Log) -> String {
        std::mem::take(&mut *log.lock().expect("no panic under it")).join(", ")
    }

    /// Starts and, if that went well, stops within 16 s; what was said, with the times in seconds.
    async fn check(
        probes: &[(&'static str, Result<u64, &'static str>, Stop)],
        (started, stopped, story): (&str, &str, &str),
    ) {
        let log = Log::default();
        let mut services = group(probes, &log);
        let begin = Instant::now();
        let result = services.start().await.err().map(|error| error.to_string());
        let seconds = begin.elapsed().as_secs();
        assert_eq!(format!("{seconds}s {}", result.unwrap_or_default()), started);
        if services.running > 0 {
            let begin = Instant::now();
            let deadline = begin + Duration::from_secs(16);
            let result = services.stop(deadline).await.err().map(|error| error.to_string());
            let seconds = begin.elapsed().as_secs();
            assert_eq!(format!("{seconds}s {}", result.unwrap_or_default()), stopped);
        }
        assert_eq!(said(&log), story);
    }

    #[tokio::test(start_paused = true)]
    async fn start_is_ordered_and_stop_is_reversed() {
        use Stop::{Fails, Obeys, Takes};
        check(&[], ("0s ", "", "")).await;
        check(
            &[("a", Ok(1), Takes(1)), ("b", Ok(2), Takes(2))],
            ("3s ", "3s ", "start a, start b, stop b, stop a"),
        )
        .await;
        check(
            &[("a", Ok(1), Takes(1)), ("b", Ok(1), Takes(1)), ("c", Err("no port"), Takes(1))],
            ("4s service c did not start: no port", "", "start a, start b, stop b, stop a"),
        )
        .await;
        check(
            &[("a", Ok(0), Takes(1)), ("b", Ok(0), Fails)],
            ("0s ", "1s service b did not stop well: the disk is full", "start a, start b, stop a"),
        )
        .await;
        // Two slices of 2 s are kept back: b is abandoned after 14 of the 16 s.
        check(
            &[("a", Ok(0), Takes(1)), ("b", Ok(0), Takes(60))],
            (
                "0s ",
                "15s service b did not stop in time and was abandoned",
                "start a, start b, drop b, stop a",
            ),
        )
        .await;
        check(
            &[("a", Ok(0), Obeys), ("b", Ok(0), Obeys)],
            ("0s ", "14s ", "start a, start b, stop b, stop a"),
        )
        .await;
        check(
            &[("a", Ok(0), Takes(60)), ("b", Ok(0), Takes(60)), ("c", Ok(0), Takes(60))],
            (
                "0s ",
                "16s service c did not stop in time and was abandoned; \
                 service b did not stop in time and was abandoned; \
                 service a did not stop in time and was abandoned",
                "start a, start b, start c, drop c, drop b, drop a",
            ),
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_rollback_is_told_with_the_failure() {
        let log = Log::default();
        let probes = [("a", Ok(0), Stop::Takes(60)), ("b", Err("no port"), Stop::Takes(0))];
        let mut services = group(&probes, &log).rollback(Duration::from_secs(4));
        let begin = Instant::now();
        let error = services.start().await.expect_err("b fails");
        assert_eq!((error.name.as_str(), begin.elapsed().as_secs()), ("b", 4));
        assert_eq!(error.laggards[0].name, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_was_dropped_can_be_stopped_or_resumed() {
        let log = Log::default();
        let probes = [("a", Ok(1), Stop::Takes(0)), ("b", Ok(5), Stop::Takes(0))];
        let mut services = group(&probes, &log);
        let dropped = tokio::time::timeout(Duration::from_secs(2), services.start()).await;
        assert!(dropped.is_err());
        assert_eq!(said(&log), "start a");
        services.start().await.expect("b starts this time");
        assert_eq!(said(&log), "start b");
        services.stop(Instant::now() + Duration::from_secs(1)).await.expect("both stop");
        assert_eq!(said(&log), "stop b, stop a");
    }

    #[tokio::test(start_paused = true)]
    async fn groups_nest() {
        let log = Log::default();
        let inner =
            group(&[("a", Ok(0), Stop::Takes(0)), ("b", Err("no port"), Stop::Fails)], &log);
        let mut outer = Services::new("outer").with(inner);
        assert_eq!(outer.names().collect::<Vec<_>>(), ["all"]);
        assert_eq!(
            outer.start().await.expect_err("b fails").to_string(),
            "service all did not start: service b did not start: no port"
        );
        assert_eq!(said(&log), "start a, stop a");
    }
}
