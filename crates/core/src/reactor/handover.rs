//! Another process takes over: what is listened on is handed to it, and what is open ends.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Inner, Phase, Reactor};
use crate::endpoint::{Handed, Listener};

impl Reactor {
    /// Copies of all sockets that are listened on, for another process. It shares their queues with
    /// this one: as long as either accepts, no connection is lost.
    ///
    /// # Errors
    /// When descriptors have run out, or [`Unsupported`](io::ErrorKind::Unsupported) when something is
    /// listened on that is no listening socket: `stdio:`, `memory:`, a kind of somebody else's.
    pub fn sockets(&self) -> io::Result<Vec<Handed>> {
        let mut seen = HashSet::new();
        let mut sockets = Vec::new();
        let mut names: Vec<Arc<str>> = Vec::new();
        for listener in self.inner.listening() {
            // All listeners of one endpoint share its name, copies of it with other layers, too.
            let known = names.iter().position(|name| Arc::ptr_eq(name, listener.name()));
            let group = known.unwrap_or_else(|| {
                names.push(listener.name().clone());
                names.len() - 1
            });
            for handed in listener.handed(group)? {
                // Workers share a socket where each cannot have one of its own.
                let stat = rustix::fs::fstat(&handed.socket)?;
                if seen.insert((stat.st_dev, stat.st_ino)) {
                    sockets.push(handed);
                }
            }
        }
        Ok(sockets)
    }

    /// Stops, after another process has taken over what was listened on: accepts nothing more and
    /// leaves the paths of Unix sockets in place; for `window`, idle connections may still ask, and
    /// what is answered says that it was the last, in protocols that have words for it
    /// ([`Connection::is_stopping`](crate::Connection::is_stopping)); then as [`stop`](Self::stop).
    ///
    /// A client that sends a request just as an idle connection ends under it has lost the request;
    /// with the window, only one that was silent for so long can.
    pub async fn retire(&self, window: Duration) {
        for listener in self.inner.listening() {
            listener.leave_paths();
        }
        let leaves = |phase: &mut Phase| {
            let leaves = *phase == Phase::Running;
            if leaves {
                *phase = Phase::Leaving;
            }
            leaves
        };
        if self.inner.phase.send_if_modified(leaves) {
            for peer in self.inner.peers().values() {
                peer.leave();
            }
            let mut phase = self.inner.phase.subscribe();
            let mut busy = self.inner.busy.subscribe();
            tokio::select! {
                () = tokio::time::sleep(window) => {}
                _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
                _ = busy.wait_for(|busy| *busy == 0) => {}
            }
        }
        self.stop().await;
    }

    /// Waits until the reactor has begun to stop or to [retire](Self::retire). Cancel-safe.
    pub async fn stopping(&self) {
        let mut phase = self.inner.phase.subscribe();
        // An error means that there is no reactor any more.
        let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
    }

    /// Waits until a task of ours has had its turn in each of the runtimes: a sign of life, for
    /// watchdogs. Cancel-safe.
    pub async fn turn(&self) {
        let workers = self.inner.workers.iter().map(|worker| &worker.handle);
        let turns: Vec<_> =
            workers.chain([&self.inner.home]).map(|handle| handle.spawn(async {})).collect();
        for turn in turns {
            // An error means that its runtime has ended: nobody turns there any more.
            let _ = turn.await;
        }
    }
}

impl Inner {
    /// Notes what is accepted on, for as long as it is.
    pub(super) fn listens(&self, listener: Listener) -> Arc<Listener> {
        let listener = Arc::new(listener);
        let mut listeners = self.listeners();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        listener
    }

    fn listening(&self) -> Vec<Arc<Listener>> {
        self.listeners().iter().filter_map(Weak::upgrade).collect()
    }
}
