//! What the control socket asks for.

use std::sync::Arc;

use tracing::info;

use super::Daemon;
use crate::control::{Answer, Handler, Request};

/// Does what is asked of a daemon.
pub(crate) struct Controls(pub(crate) Arc<Daemon>);

impl Handler for Controls {
    async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(Box::new(self.0.board().status())),
            Request::Stop => {
                info!("stopping: asked to by the control socket");
                let reactor = self.0.reactor().clone();
                tokio::spawn(async move { reactor.stop().await });
                Answer::Stopping
            }
            Request::Upgrade => {
                info!("asked to by the control socket: starting a new process");
                let daemon = self.0.clone();
                match tokio::spawn(async move { daemon.upgrade().await }).await {
                    Ok(Ok(pid)) => Answer::Upgraded { pid },
                    Ok(Err(failure)) => Answer::Failed(vec![failure.to_string()]),
                    Err(_) => Answer::Failed(vec!["the upgrade panicked".to_owned()]),
                }
            }
            Request::Reload => {
                let daemon = self.0.clone();
                // A task of its own: whoever asked may leave, and half a reload is none.
                match tokio::spawn(async move { daemon.reload().await }).await {
                    Ok(Ok(said)) => Answer::Reloaded { said },
                    Ok(Err(failures)) => {
                        Answer::Failed(failures.iter().map(ToString::to_string).collect())
                    }
                    Err(_) => Answer::Failed(vec!["the reload panicked".to_owned()]),
                }
            }
        }
    }
}
