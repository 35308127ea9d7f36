//! How long connections may be idle, and live.

use std::time::Duration;

use super::{BoxError, Factory, Refusal};
use crate::{Connection, Peer};

/// How long a handler may go on after the lifetime of its connection.
const GRACE: Duration = Duration::from_secs(5);

/// Bounds how long a connection may be idle and how long it may live, whatever the protocol itself
/// bounds.
///
/// A connection past its time ends its handler's next wait with an error of kind `TimedOut`. Five
/// seconds after the lifetime, a handler that has not noticed, because it waits for something else, is
/// dropped.
#[derive(Debug)]
pub struct Deadlines<F> {
    inner: F,
    idle: Option<Duration>,
    lifetime: Option<Duration>,
}

impl<F> Deadlines<F> {
    /// For `limit` nothing may come or go while the handler waits for the peer.
    #[must_use]
    pub fn idle(limit: Duration, inner: F) -> Self {
        Self { inner, idle: Some(limit), lifetime: None }
    }

    /// The connection may live for `limit`, counted from when its handler begins.
    #[must_use]
    pub fn lifetime(limit: Duration, inner: F) -> Self {
        Self { inner, idle: None, lifetime: Some(limit) }
    }

    /// And it may live for `limit`.
    #[must_use]
    pub fn and_lifetime(self, limit: Duration) -> Self {
        Self { lifetime: Some(limit), ..self }
    }
}

impl<F: Factory> Factory for Deadlines<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        self.inner.build(peer)
    }

    async fn serve(&self, mut connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        if let Some(limit) = self.idle {
            connection.set_idle(limit);
        }
        let Some(limit) = self.lifetime else { return self.inner.serve(connection).await };
        connection.set_lifetime(limit);
        let serving = self.inner.serve(connection);
        tokio::time::timeout(limit.saturating_add(GRACE), serving)
            .await
            .unwrap_or_else(|_elapsed| Err("the handler outlived its connection".into()))
    }

    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Instant, sleep};

    use super::super::testing::{Echo, Guest};
    use super::*;

    /// The guest says something at each of the given seconds; when and with what words the server ends.
    async fn check(factory: Deadlines<Echo>, words: &[(u64, &str)], (seconds, end): (u64, &str)) {
        let mut guest = Guest::of(&Arc::new(factory), "192.0.2.1:1").expect("welcome");
        let start = Instant::now();
        for &(at, word) in words {
            sleep(Duration::from_secs(at) - start.elapsed()).await;
            guest.say(word).await;
        }
        let ended = guest.end().await.expect_err("a limit");
        assert_eq!((start.elapsed().as_secs(), ended.to_string().as_str()), (seconds, end));
    }

    #[tokio::test(start_paused = true)]
    async fn limits_end_the_connection() {
        let seconds = Duration::from_secs;
        let (idle, old) =
            ("nothing came or went for too long", "the connection has lived as long as it may");
        check(Deadlines::idle(seconds(10), Echo), &[], (10, idle)).await;
        check(Deadlines::idle(seconds(10), Echo), &[(9, "a"), (18, "b")], (28, idle)).await;
        check(Deadlines::lifetime(seconds(10), Echo), &[(9, "a")], (10, old)).await;
        let both = Deadlines::idle(seconds(10), Echo).and_lifetime(seconds(15));
        check(both, &[(9, "a")], (15, old)).await;
        let both = Deadlines::idle(seconds(10), Echo).and_lifetime(seconds(15));
        check(both, &[], (10, idle)).await;
        let hanging = Deadlines::lifetime(seconds(10), Echo);
        check(hanging, &[(1, "hang")], (15, "the handler outlived its connection")).await;
    }
}
