//! Connecting to a name: all its addresses race, as RFC 8305 says ("Happy Eyeballs").

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::BoxFuture;

/// How long one attempt runs alone before the next begins beside it (RFC 8305 §5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of one name are tried.
pub const MAX_ADDRESSES: usize = 32;

/// Turns names into addresses.
///
/// The default is the system's `getaddrinfo`, on a thread of tokio's; a [`Registry`](super::Registry)
/// carries another one to the endpoints parsed with it.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, best first (RFC 6724), each with `port`.
    ///
    /// The future must be safe to drop at any time.
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The system's `getaddrinfo`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// No address could be connected to.
#[derive(Debug)]
pub struct AllFailed {
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl AllFailed {
    /// Each address with what went wrong there, in the order in which they failed.
    #[must_use]
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }

    /// The kind of the first failure: the first address is the one that should have worked.
    fn into_io(self) -> io::Error {
        let kind = self.attempts.first().map_or(io::ErrorKind::HostUnreachable, |(_, e)| e.kind());
        io::Error::new(kind, self)
    }
}

impl std::error::Error for AllFailed {}

impl fmt::Display for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts.is_empty() {
            return f.write_str("the name has no address");
        }
        for (at, (address, error)) in self.attempts.iter().enumerate() {
            write!(f, "{}{address}: {error}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Connects to the first of `addresses` that answers.
///
/// The families alternate, beginning with that of the first address (RFC 8305 §4). An attempt begins
/// when the one before it has failed or has run for `delay` alone; the first success wins and the
/// others are dropped. Addresses beyond [`MAX_ADDRESSES`] are left out.
///
/// Cancel-safe: dropping the future drops all attempts.
///
/// # Errors
/// When all attempts failed, or there is no address: an [`AllFailed`] inside.
pub async fn race<T, F>(
    addresses: &[SocketAddr],
    delay: Duration,
    mut dial: impl FnMut(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleave(addresses);
    waiting.truncate(MAX_ADDRESSES);
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failed = AllFailed { attempts: Vec::new() };
    let mut timer = std::pin::pin!(tokio::time::sleep(delay));
    loop {
        if let Some(address) = waiting.pop_front() {
            running.push((address, Box::pin(dial(address))));
            timer.as_mut().reset(Instant::now() + delay);
        } else if running.is_empty() {
            return Err(failed.into_io());
        }
        let event = std::future::poll_fn(|cx| {
            for (at, (_, attempt)) in running.iter_mut().enumerate() {
                if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                    return Poll::Ready(Some((at, result)));
                }
            }
            // With nobody left to start, the timer has nothing to say.
            if waiting.is_empty() { Poll::Pending } else { timer.as_mut().poll(cx).map(|()| None) }
        });
        match event.await {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((at, Err(error))) => {
                let (address, _) = running.remove(at);
                tracing::debug!(%address, %error, "an address did not connect");
                failed.attempts.push((address, error));
            }
            None => {}
        }
    }
}

/// Alternates the families, keeping the order within each.
fn interleave(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let (same, other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut mixed = VecDeque::with_capacity(addresses.len());
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a fake address does: connects or refuses after so many milliseconds.
    #[derive(Clone, Copy)]
    enum Does {
        Connect(u64),
        Refuse(u64),
        Nothing,
    }
    use Does::{Connect, Nothing, Refuse};

    fn address(name: &str) -> SocketAddr {
        let (family, number) = name.split_at(1);
        match family {
            "a" => format!("192.0.2.{number}:80"),
            _ => format!("[2001:db8::{number}]:80"),
        }
        .parse()
        .expect("a test address")
    }

    /// Counts itself down when the race drops the attempt.
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// `plan`: address and behaviour; `starts`: expected address and start in ms; `end`: the winner
    /// and when, or `None` and when all had failed.
    async fn check(plan: &[(&str, Does)], starts: &[(&str, u64)], end: (Option<&str>, u64)) {
        let begin = Instant::now();
        let elapsed = || begin.elapsed().as_millis() as u64;
        let log = Mutex::new(Vec::new());
        let alive = Arc::new(AtomicUsize::new(0));
        let addresses: Vec<_> = plan.iter().map(|(name, _)| address(name)).collect();
        let dial = |to: SocketAddr| {
            log.lock().unwrap().push((to, elapsed()));
            let does = plan.iter().find(|(name, _)| address(name) == to).expect("a known one").1;
            alive.fetch_add(1, Ordering::SeqCst);
            let guard = Alive(alive.clone());
            async move {
                let _guard = guard;
                let after = |ms| tokio::time::sleep(Duration::from_millis(ms));
                match does {
                    Connect(ms) => after(ms).await,
                    Refuse(ms) => {
                        after(ms).await;
                        return Err(io::ErrorKind::ConnectionRefused.into());
                    }
                    Nothing => std::future::pending().await,
                }
                Ok(to)
            }
        };
        let result = race(&addresses, ATTEMPT_DELAY, dial).await;
        assert_eq!((result.as_ref().ok().copied(), elapsed()), (end.0.map(address), end.1));
        let starts: Vec<_> = starts.iter().map(|(name, at)| (address(name), *at)).collect();
        assert_eq!(*log.lock().unwrap(), starts);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "losers must be dropped");
        if let Err(error) = result {
            let refused = plan.iter().filter(|(_, does)| matches!(does, Refuse(_))).count();
            let inner = error.get_ref().and_then(|e| e.downcast_ref::<AllFailed>());
            assert_eq!(inner.expect("an AllFailed").attempts().len(), refused);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn races() {
        // One address.
        check(&[("a1", Connect(40))], &[("a1", 0)], (Some("a1"), 40)).await;
        check(&[("a1", Refuse(40))], &[("a1", 0)], (None, 40)).await;
        check(&[], &[], (None, 0)).await;
        // The first is quick: nobody else is asked.
        check(&[("b1", Connect(249)), ("a1", Connect(0))], &[("b1", 0)], (Some("b1"), 249)).await;
        // The first is silent: the second begins after 250 ms and wins.
        check(
            &[("b1", Nothing), ("a1", Connect(30))],
            &[("b1", 0), ("a1", 250)],
            (Some("a1"), 280),
        )
        .await;
        // The first is slow but still quicker than the second.
        check(
            &[("b1", Connect(300)), ("a1", Connect(100))],
            &[("b1", 0), ("a1", 250)],
            (Some("b1"), 300),
        )
        .await;
        // A refusal starts the next at once, and the delay counts from there.
        check(
            &[("b1", Refuse(10)), ("b2", Nothing), ("a1", Refuse(5)), ("a2", Connect(1))],
            &[("b1", 0), ("a1", 10), ("b2", 15), ("a2", 265)],
            (Some("a2"), 266),
        )
        .await;
        // Families alternate, beginning with the first one's.
        check(
            &[
                ("b1", Nothing),
                ("b2", Nothing),
                ("b3", Nothing),
                ("a1", Nothing),
                ("a2", Connect(1)),
            ],
            &[("b1", 0), ("a1", 250), ("b2", 500), ("a2", 750)],
            (Some("a2"), 751),
        )
        .await;
        check(
            &[("a1", Refuse(0)), ("a2", Refuse(0)), ("b1", Refuse(0))],
            &[("a1", 0), ("b1", 0), ("a2", 0)],
            (None, 0),
        )
        .await;
        // All fail, the last of them late.
        check(&[("a1", Refuse(900)), ("b1", Refuse(10))], &[("a1", 0), ("b1", 250)], (None, 900))
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_with_endless_addresses_is_cut() {
        let many: Vec<SocketAddr> = (0..200).map(|n| ([192, 0, 2, n], 80).into()).collect();
        let tried = AtomicUsize::new(0);
        let result: io::Result<()> = race(&many, ATTEMPT_DELAY, |_| {
            tried.fetch_add(1, Ordering::SeqCst);
            async { Err(io::ErrorKind::ConnectionRefused.into()) }
        })
        .await;
        assert_eq!(result.expect_err("all refuse").kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tried.into_inner(), MAX_ADDRESSES);
    }
}
