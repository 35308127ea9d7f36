use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// One step of a member of a group: how many seconds it takes, and what it gives (`None`: abandoned).
type Plan = (u64, Option<Result<u32, &'static str>>);

/// A name, the plans, and what is expected: outcome, seconds, how many were cancelled.
type Row<'a, T> = (&'a str, &'a [Plan], (T, u64, usize));

/// Begins one operation for each plan, and counts in the second result those that were cancelled.
fn begin(plans: &[Plan]) -> (Vec<Deferred<Result<u32, String>>>, Arc<AtomicUsize>) {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let deferreds = plans
        .iter()
        .map(|&(seconds, outcome)| {
            let (mut resolver, deferred) = Deferred::pair();
            let cancelled = Arc::clone(&cancelled);
            tokio::spawn(async move {
                tokio::select! {
                    () = resolver.cancelled() => { cancelled.fetch_add(1, Ordering::Relaxed); }
                    () = sleep(SECOND * seconds as u32) => if let Some(outcome) = outcome {
                        resolver.resolve(outcome.map_err(str::to_owned)).expect("still wanted");
                    },
                }
            });
            deferred
        })
        .collect();
    (deferreds, cancelled)
}

/// What came, after how many seconds, and how many were cancelled.
async fn check<T: PartialEq + std::fmt::Debug>(
    name: &str,
    plans: &[Plan],
    run: impl AsyncFnOnce(Vec<Deferred<Result<u32, String>>>) -> T,
    (outcome, seconds, losers): (T, u64, usize),
) {
    let start = Instant::now();
    let (deferreds, cancelled) = begin(plans);
    assert_eq!(run(deferreds).await, outcome, "{name}: outcome");
    assert_eq!(start.elapsed().as_secs(), seconds, "{name}: time");
    // One more tick for the tasks to see that they are not wanted.
    sleep(Duration::from_millis(1)).await;
    assert_eq!(cancelled.load(Ordering::Relaxed), losers, "{name}: cancelled");
}

#[derive(Debug, PartialEq)]
struct Failure(String);

impl From<Abandoned> for Failure {
    fn from(abandoned: Abandoned) -> Self {
        Self(abandoned.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[tokio::test(start_paused = true)]
async fn gather_waits_for_all_and_keeps_the_order() {
    type Outcome = Result<Vec<Result<u32, String>>, Abandoned>;
    let table: &[Row<'_, Outcome>] = &[
        ("none", &[], (Ok(vec![]), 0, 0)),
        (
            "in reverse",
            &[(3, Some(Ok(1))), (2, Some(Ok(2))), (1, Some(Ok(3)))],
            (Ok(vec![Ok(1), Ok(2), Ok(3)]), 3, 0),
        ),
        (
            "a failure is a result",
            &[(3, Some(Ok(1))), (1, Some(Err("x")))],
            (Ok(vec![Ok(1), Err("x".into())]), 3, 0),
        ),
        (
            "one abandoned",
            &[(5, Some(Ok(1))), (2, None), (1, Some(Ok(3))), (9, None)],
            (Err(Abandoned), 2, 2),
        ),
    ];
    for (name, plans, expected) in table {
        check(name, plans, async |all| gather(all).await, expected.clone()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn try_gather_stops_at_the_first_failure() {
    let table: &[Row<'_, Result<Vec<u32>, &str>>] = &[
        ("none", &[], (Ok(vec![]), 0, 0)),
        ("all", &[(2, Some(Ok(1))), (1, Some(Ok(2)))], (Ok(vec![1, 2]), 2, 0)),
        ("first in time", &[(4, Some(Err("late"))), (2, Some(Err("soon")))], (Err("soon"), 2, 1)),
        (
            "abandoned",
            &[(4, Some(Ok(1))), (1, None)],
            (Err("the operation was abandoned before it had a result"), 1, 1),
        ),
    ];
    for (name, plans, (outcome, seconds, losers)) in table {
        let outcome = outcome.clone().map_err(|text| Failure(text.into()));
        let run = async |all: Vec<Deferred<Result<u32, String>>>| {
            let all = all
                .into_iter()
                .map(|one| Deferred::spawn(async move { one.await?.map_err(Failure::from) }));
            try_gather(all).await
        };
        check(name, plans, run, (outcome, *seconds, *losers)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn first_cancels_the_losers() {
    type Outcome = Result<Result<u32, String>, Abandoned>;
    let table: &[Row<'_, Outcome>] = &[
        ("none", &[], (Err(Abandoned), 0, 0)),
        ("the quickest", &[(3, Some(Ok(1))), (1, Some(Ok(2))), (2, None)], (Ok(Ok(2)), 1, 2)),
        ("not the abandoned", &[(1, None), (2, Some(Ok(2)))], (Ok(Ok(2)), 2, 0)),
        ("all abandoned", &[(1, None), (2, None)], (Err(Abandoned), 2, 0)),
    ];
    for (name, plans, expected) in table {
        check(name, plans, async |all| first(all).await, expected.clone()).await;
    }
}

#[tokio::test]
async fn of_results_that_are_there_the_first_wins() {
    assert_eq!(first([Deferred::ready(1), Deferred::ready(2)]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_large_crowd_outlives_the_budget_of_a_task() {
    // More than tokio lets one task make progress with at once (128).
    let (resolvers, deferreds): (Vec<_>, Vec<_>) = (0..5000).map(|_| Deferred::pair()).unzip();
    let all = tokio::spawn(gather(deferreds));
    tokio::task::yield_now().await;
    for (value, resolver) in resolvers.into_iter().enumerate().rev() {
        resolver.resolve(value).expect("gathered");
    }
    let all = all.await.expect("does not panic").expect("none is abandoned");
    assert!(all.into_iter().eq(0..5000));
}

#[tokio::test]
async fn dropping_cancels_and_gives_the_value_back() {
    let (mut resolver, deferred) = Deferred::pair();
    assert!(!resolver.is_cancelled());
    drop(deferred);
    assert!(resolver.is_cancelled());
    resolver.cancelled().await;
    assert_eq!(resolver.resolve(7), Err(7));
}

#[tokio::test]
async fn a_deferred_awaited_by_reference_keeps_its_result() {
    let (resolver, mut deferred) = Deferred::pair();
    tokio::select! {
        biased;
        _ = &mut deferred => panic!("nothing has come"),
        () = std::future::ready(()) => {}
    }
    resolver.resolve(7).expect("wanted");
    assert_eq!(deferred.await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn timeout_counts_from_the_call_and_cancels() {
    let table: [(Option<u64>, Result<u64, TimeoutError>, u64); 4] = [
        (Some(1), Ok(1), 1),
        (Some(9), Err(TimeoutError::Elapsed(SECOND * 2)), 2),
        (Some(0), Ok(0), 0),
        (None, Err(Abandoned.into()), 0),
    ];
    for (seconds, outcome, elapsed) in table {
        let start = Instant::now();
        let (mut resolver, deferred) = Deferred::pair();
        let driver = tokio::spawn(async move {
            let Some(seconds) = seconds else { return false };
            tokio::select! {
                () = resolver.cancelled() => true,
                () = sleep(SECOND * seconds as u32) => resolver.resolve(seconds).is_err(),
            }
        });
        assert_eq!(deferred.timeout(SECOND * 2).await, outcome);
        assert_eq!(start.elapsed().as_secs(), elapsed);
        let cancelled = matches!(outcome, Err(TimeoutError::Elapsed(_)));
        assert_eq!(driver.await.expect("does not panic"), cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spawned_operation_runs_unawaited_and_ends_when_dropped() {
    struct OnDrop(Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let guard = OnDrop(Arc::clone(&drops));
    let endless = Deferred::spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let start = Instant::now();
    let slow = Deferred::spawn(sleep(SECOND));
    sleep(SECOND).await;
    assert_eq!(slow.await, Ok(()));
    assert_eq!(start.elapsed(), SECOND, "it had run meanwhile");
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(endless);
    sleep(SECOND).await;
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_panic_is_an_abandoned_operation() {
    let deferred: Deferred<()> = Deferred::spawn(async { panic!("on purpose") });
    assert_eq!(deferred.await, Err(Abandoned));
}

#[test]
fn a_deferred_is_one_word() {
    assert_eq!(size_of::<Deferred<[u64; 32]>>(), size_of::<usize>());
    assert_eq!(size_of::<Resolver<[u64; 32]>>(), size_of::<usize>());
}

#[test]
fn errors_have_their_kind_of_io_error() {
    assert_eq!(io::Error::from(Abandoned).kind(), io::ErrorKind::ConnectionAborted);
    let elapsed = TimeoutError::Elapsed(SECOND);
    assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
}
