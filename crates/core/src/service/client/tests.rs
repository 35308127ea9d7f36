use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::deferred::Abandoned;

const SECOND: Duration = Duration::from_secs(1);

/// What one connection of a test does.
#[derive(Debug, Clone, Copy)]
enum Try {
    /// The server refuses.
    Refused,
    /// The server never answers.
    Silent,
    /// A session of so many seconds that ends well, announced after half a second.
    Lasts(u64),
    /// A session that fails at once.
    Fails,
    /// A session that panics at once.
    Panics,
    /// A session that ends two seconds after it is told to stop.
    Polite,
    /// A session that hears nothing.
    Deaf,
}

type Story = Arc<Mutex<Vec<String>>>;

/// A client whose tries go by `script`, the last one again and again, and which notes what happens,
/// each with the time in seconds since `begin`.
fn client(
    backoff: &Backoff,
    script: &'static [Try],
    story: &Story,
) -> ClientService<u32, (u32, Try)> {
    let begin = Instant::now();
    let count = AtomicU32::new(0);
    let story = Arc::clone(story);
    let note = move |what: String| {
        let at = begin.elapsed().as_secs_f32();
        story.lock().expect("no panic under it").push(format!("{at:.0} {what}"));
    };
    let session_note = note.clone();
    let connect = move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let step = script[script.len().min(number as usize + 1) - 1];
        note(format!("try {number}"));
        async move {
            match step {
                Try::Refused => Err("refused"),
                Try::Silent => std::future::pending().await,
                step => Ok((number, step)),
            }
        }
    };
    let session = move |(number, step), mut online: Online<u32>| {
        let note = session_note.clone();
        async move {
            match step {
                Try::Lasts(seconds) => {
                    sleep(SECOND / 2).await;
                    online.announce(number);
                    sleep(SECOND * seconds as u32 - SECOND / 2).await;
                }
                Try::Fails => return Err("broken".into()),
                Try::Panics => panic!("on purpose"),
                Try::Polite => {
                    online.announce(number);
                    online.stopping().await;
                    sleep(SECOND * 2).await;
                    note(format!("goodbye {number}"));
                }
                _ => std::future::pending().await,
            }
            Ok(())
        }
    };
    ClientService::new("test", backoff, Rng::with_seed(7), connect, session)
}

/// Runs `script` until `stop_at` seconds, stops with five seconds of grace, and compares the story,
/// which ends with how long the stop took and what it said.
async fn check(backoff: Backoff, script: &'static [Try], stop_at: u32, expected: &[&str]) {
    let story = Story::default();
    let mut client = client(&backoff, script, &story).connect_within(SECOND * 20);
    client.start().await.expect("it does not run yet");
    sleep(SECOND * stop_at).await;
    let begin = Instant::now();
    let stopped = client.stop(begin + SECOND * 5).await;
    let mut story = std::mem::take(&mut *story.lock().expect("no panic under it"));
    let seconds = begin.elapsed().as_secs();
    let ending = stopped.err().map_or_else(|| "well".to_owned(), |error| error.to_string());
    story.push(format!("{seconds} {ending}"));
    assert_eq!(story, expected, "{script:?}");
    assert_eq!(client.when_connected().await, Err(Abandoned));
}

/// Waits of exactly nothing, so that times are those of the script.
fn at_once() -> Backoff {
    Backoff { initial: Duration::ZERO, ..Backoff::default() }
}

#[tokio::test(start_paused = true)]
async fn it_connects_again_whatever_happens() {
    use Try::{Deaf, Fails, Lasts, Panics, Polite, Refused, Silent};
    let limited = |tries| Backoff { tries: Some(tries), ..at_once() };
    let cut = "5 its session did not end in time and was cut";
    check(at_once(), &[Lasts(20), Polite], 30, &["0 try 0", "20 try 1", "32 goodbye 1", "2 well"])
        .await;
    check(at_once(), &[Refused, Deaf], 30, &["0 try 0", "0 try 1", cut]).await;
    check(at_once(), &[Silent, Fails, Deaf], 30, &["0 try 0", "20 try 1", "20 try 2", cut]).await;
    check(at_once(), &[Panics, Silent], 10, &["0 try 0", "0 try 1", "0 well"]).await;
    check(limited(2), &[Refused], 10, &["0 try 0", "0 try 1", "0 well"]).await;
    // A connection that lasted was a success, however it ended; a short one was not.
    check(
        limited(2),
        &[Refused, Lasts(10), Refused, Lasts(5), Polite],
        60,
        &["0 try 0", "0 try 1", "10 try 2", "10 try 3", "0 well"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn waits_are_the_policy_s_and_repeatable() {
    let mut runs = [const { Vec::new() }; 2];
    for run in &mut runs {
        let story = Story::default();
        let policy = Backoff { initial: SECOND, tries: Some(8), ..Backoff::default() };
        let mut client = client(&policy, &[Try::Refused], &story);
        client.start().await.expect("it does not run yet");
        assert_eq!(client.when_connected().await, Err(Abandoned), "it gives up");
        *run = std::mem::take(&mut *story.lock().expect("no panic under it"));
    }
    assert_eq!(runs[0].len(), 8);
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0][7], "0 try 7", "it has waited");
}

#[tokio::test(start_paused = true)]
async fn stop_interrupts_a_wait() {
    let hour = SECOND * 3600;
    let policy = Backoff { initial: hour, max: hour, ..Backoff::default() };
    check(policy, &[Try::Refused], 1, &["0 try 0", "0 well"]).await;
}

#[tokio::test(start_paused = true)]
async fn when_connected_gives_the_handle_of_the_time() {
    let story = Story::default();
    let mut client = client(&at_once(), &[Try::Refused, Try::Lasts(20), Try::Lasts(20)], &story);
    let link = client.link();
    let early = client.when_connected();
    drop(link.when_connected());
    client.start().await.expect("it does not run yet");
    assert_eq!((early.await, link.handle()), (Ok(1), Some(1)));
    sleep(SECOND * 20).await;
    assert_eq!(link.handle(), None, "the second connection is not announced yet");
    assert_eq!(link.when_connected().await, Ok(2));
    assert!(client.start().await.is_err(), "it runs already");
    drop(client);
    sleep(SECOND).await;
    assert_eq!(link.when_connected().await, Err(Abandoned));
}

#[tokio::test(start_paused = true)]
async fn it_can_be_started_again() {
    let story = Story::default();
    let mut client = client(&at_once(), &[Try::Polite], &story);
    for number in 0..2 {
        client.start().await.expect("it does not run");
        assert_eq!(client.when_connected().await, Ok(number));
        client.stop(Instant::now() + SECOND * 5).await.expect("polite");
    }
    client.stop(Instant::now()).await.expect("stopped already");
}
