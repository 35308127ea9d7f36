//! Which poll of which task we are in.
//!
//! Time passes for a connection while its task is not polled. Within one poll the clock need be looked
//! at once, not for each of many messages that came together: that would be the dearest thing about a
//! short one.

use std::cell::Cell;
use std::pin::pin;

thread_local! {
    /// The poll under way on this thread; 0 where nobody counts them.
    static TURN: Cell<u64> = const { Cell::new(0) };
}

/// The poll under way, a number that no other poll of this connection's task has; 0 in a task that is
/// not the reactor's, about which nothing is known.
#[inline]
pub(super) fn current() -> u64 {
    TURN.get()
}

/// Runs a connection's future with its polls counted. `id` is the connection's, lest one that is handed
/// to another's task take that one's polls for its own.
pub(crate) async fn counted<T>(id: u64, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut turn = id.wrapping_shl(32);
    std::future::poll_fn(|cx| {
        turn = turn.wrapping_add(1).max(1);
        let _restored = Restored(TURN.replace(turn));
        future.as_mut().poll(cx)
    })
    .await
}

/// What was before, also when a handler panics.
struct Restored(u64);

impl Drop for Restored {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_poll_is_one_of_its_own() {
        let seen = counted(7, async {
            let mut seen = vec![current(), current()];
            tokio::task::yield_now().await;
            seen.push(current());
            seen
        });
        assert_eq!(current(), 0);
        let seen = seen.await;
        assert_eq!(seen[0], seen[1]);
        assert_ne!(seen[0], seen[2]);
        assert!(seen.iter().all(|turn| turn >> 32 == 7), "{seen:?}");
        assert_eq!(current(), 0);
    }

    #[tokio::test]
    async fn a_panic_leaves_nothing_behind() {
        let task = tokio::spawn(counted(1, async { panic!("on purpose") }));
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(current(), 0);
    }
}
