//! How a daemon makes room for another process.

use std::time::Duration;

use ropewalk_core::Reactor;
use ropewalk_core::endpoint::{Bound, Handed};
use tokio::time::Instant;
use tracing::error;

use super::running::Running;
use super::{Daemon, State, WORK};
use crate::exit::{Code, Failure};

/// For how long after a handover idle connections may ask once more.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

impl Daemon {
    /// Starts a new process, hands it all that is open, and retires when it is ready: its id. Until it
    /// is ready, and if it never is, this one goes on. What comes of it has been logged.
    ///
    /// # Errors
    /// When it does not become ready; the message says why.
    pub(crate) async fn upgrade(&self) -> Result<u32, Failure> {
        let upgraded = self.upgrade_in(self.state.try_lock().ok()).await;
        if let Err(failure) = &upgraded {
            error!("no upgrade, it goes on as before: {failure}");
        }
        upgraded
    }

    async fn upgrade_in(
        &self,
        state: Option<tokio::sync::MutexGuard<'_, State>>,
    ) -> Result<u32, Failure> {
        let unavailable = |what: &str| Failure::new(Code::Unavailable, what);
        let mut state = state.ok_or_else(|| unavailable("a reload or an upgrade is under way"))?;
        if self.reactor.is_stopping() {
            return Err(unavailable("it is stopping"));
        }
        let (settings, sockets) = (state.globals.upgrade.clone(), self.sockets(&state)?);
        let pid = self.process.upgrade(&settings, sockets, &self.reactor).await?;
        for running in &mut state.running {
            running.stop_work(Instant::now() + WORK).await;
        }
        if let Some(control) = self.control.get().cloned() {
            tokio::spawn(async move { control.retire(Duration::ZERO).await });
        }
        let reactor = self.reactor.clone();
        // Not awaited: it takes as long as connections do.
        tokio::spawn(async move { reactor.retire(LAST_REQUESTS).await });
        Ok(pid)
    }

    /// All that is open. What belongs together has the same group.
    fn sockets(&self, state: &State) -> Result<Vec<Handed>, Failure> {
        let mut all = self.reactor.sockets()?;
        let control = self.control.get().map(Reactor::sockets).transpose()?;
        let others = state.running.iter().flat_map(Running::others);
        let others = others.map(Bound::handed).collect::<Result<Vec<_>, _>>()?;
        for more in control.into_iter().chain(others) {
            let group = all.iter().map(|handed| handed.group + 1).max().unwrap_or(0);
            all.extend(
                more.into_iter().map(|handed| Handed { group: group + handed.group, ..handed }),
            );
        }
        Ok(all)
    }
}
