//! Work that is begun again when it fails.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Backoff, Delays, Service};
use crate::BoxError;
use crate::guarded::guarded;

/// A [`Service`] whose work lasts until it is stopped: when it panics or fails it is begun again, after
/// the waits of a [`Backoff`]. Work that ends well has ended.
///
/// ```
/// use std::time::Duration;
/// use ropewalk_core::{Backoff, Lasting, Service, Stopping};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), ropewalk_core::BoxError> {
/// let mut queue = Lasting::new("queue", |mut stopping: Stopping| async move {
///     // … deliver, until …
///     stopping.requested().await;
///     Ok(())
/// });
/// queue.start().await?;
/// let soon = tokio::time::Instant::now() + Duration::from_secs(5);
/// queue.stop(soon).await?;
/// # Ok(())
/// # }
/// ```
pub struct Lasting<F> {
    name: String,
    begin: Arc<F>,
    backoff: Backoff,
    restarts: Restarts,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

/// How often a [`Lasting`] service was begun again. Clones are one count.
#[derive(Debug, Clone, Default)]
pub struct Restarts(Arc<AtomicU64>);

impl Restarts {
    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells work that it is to stop.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<Option<Instant>>);

impl Stopping {
    /// Waits until the work is to stop; until when, at the latest. Cancel-safe.
    pub async fn requested(&mut self) -> Instant {
        match self.0.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.unwrap_or_else(Instant::now),
            // The service was dropped without having been stopped.
            Err(_) => Instant::now(),
        }
    }
}

impl<F, W> Lasting<F>
where
    F: Fn(Stopping) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    /// What `begin` begins, as a service of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, begin: F) -> Self {
        Self {
            name: name.into(),
            begin: Arc::new(begin),
            backoff: Backoff::default(),
            restarts: Restarts::default(),
            running: None,
        }
    }

    /// How long to wait before it is begun again: as a [`Backoff`] is by default, unless said
    /// otherwise.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Counts in `restarts`, beside others.
    #[must_use]
    pub fn counting_in(self, restarts: &Restarts) -> Self {
        Self { restarts: restarts.clone(), ..self }
    }

    /// How often it was begun again.
    #[must_use]
    pub fn restarts(&self) -> &Restarts {
        &self.restarts
    }

    /// Begins, and begins again.
    fn keep_up(&self, stopping: Stopping) -> impl Future<Output = ()> + Send + 'static {
        let (name, begin) = (self.name.clone(), self.begin.clone());
        let (backoff, restarts) = (self.backoff.clone(), self.restarts.clone());
        async move {
            let mut delays = backoff.delays(Rng::new());
            loop {
                let begun = Instant::now();
                let why = match guarded(|| begin(stopping.clone())).await {
                    Ok(Ok(())) => return,
                    Ok(Err(why)) => why,
                    Err(panicked) => panicked.into(),
                };
                if begun.elapsed() >= backoff.steady {
                    delays.reset();
                }
                if !wait(&name, &why, &mut delays, stopping.clone()).await {
                    return;
                }
                restarts.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits before the next try; whether there is to be one.
async fn wait(name: &str, why: &BoxError, delays: &mut Delays, mut stopping: Stopping) -> bool {
    let Some(delay) = delays.next() else {
        tracing::error!(service = name, error = %why, "failed too often: it is not begun again");
        return false;
    };
    tracing::error!(service = name, error = %why, ?delay, "failed: it is begun again");
    tokio::select! {
        () = sleep(delay) => true,
        _ = stopping.requested() => false,
    }
}

impl<F, W> Service for Lasting<F>
where
    F: Fn(Stopping) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    async fn start(&mut self) -> Result<(), BoxError> {
        let (stop, stopping) = watch::channel(None);
        let task = tokio::spawn(self.keep_up(Stopping(stopping)));
        self.running = Some(Running { stop, task });
        Ok(())
    }

    async fn stop(&mut self, deadline: Instant) -> Result<(), BoxError> {
        let Some(Running { stop, mut task }) = self.running.take() else { return Ok(()) };
        stop.send_replace(Some(deadline));
        if timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
            return Err("it did not end in time".into());
        }
        Ok(())
    }
}

impl<F> fmt::Debug for Lasting<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting")
            .field("name", &self.name)
            .field("restarts", &self.restarts.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What the work does the first, second, … time, and how often it was begun again after an hour.
    async fn check(story: &'static [&'static str], tries: Option<u32>, restarts: u64) {
        let turn = Arc::new(AtomicU64::new(0));
        let backoff = Backoff { tries, ..Backoff::default() };
        let mut service = Lasting::new("probe", move |mut stopping: Stopping| {
            let turn = turn.fetch_add(1, Ordering::Relaxed) as usize;
            async move {
                match story.get(turn).copied() {
                    Some("panic") => panic!("told to"),
                    Some("fail") => Err("told to".into()),
                    Some("end") => Ok(()),
                    _ => {
                        stopping.requested().await;
                        Ok(())
                    }
                }
            }
        })
        .backoff(backoff);
        service.start().await.expect("it always does");
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(service.restarts().get(), restarts, "{story:?}");
        let begin = Instant::now();
        service.stop(begin + Duration::from_secs(5)).await.expect("it obeys");
        assert_eq!(begin.elapsed(), Duration::ZERO, "{story:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_begun_again_until_it_ends_well() {
        check(&[], None, 0).await;
        check(&["end"], None, 0).await;
        check(&["panic", "fail", "panic"], None, 3).await;
        check(&["fail", "end"], None, 1).await;
        check(&["fail", "fail", "fail", "fail"], Some(3), 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_listen_is_aborted() {
        let mut service = Lasting::new("deaf", |_| std::future::pending());
        service.start().await.expect("it always does");
        let begin = Instant::now();
        service.stop(begin + Duration::from_secs(5)).await.expect_err("it does not obey");
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        let mut waiting = Lasting::new("waiting", |_| async { Err("always".into()) });
        waiting.start().await.expect("it always does");
        sleep(Duration::from_secs(60)).await;
        waiting.stop(Instant::now() + Duration::from_secs(5)).await.expect("it only waits");
    }
}
