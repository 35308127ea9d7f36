//! `ropewalk forward`: connections relayed from one endpoint to another.

use std::io;
use std::time::{Duration, Instant};

use ropewalk_core::endpoint::{Endpoint, Leaf};
use ropewalk_core::{Address, BoxError, Connection, Factory, Peer, Refusal};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::exit::{Code, Failure};
use crate::guard::Limits;
use crate::kind::Kind;
use crate::relay::{Pipe, relay};
use crate::stage::{Ending, Socket, Stage};
use crate::values;

/// Relay connections from one endpoint to another
///
/// Endpoints of any kinds: for each connection that comes, one is made. Either side may end its
/// direction while the other goes on.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(after_help = "Examples:\n  \
        ropewalk forward --listen tls:443:cert=site.pem:key=site.key --to 127.0.0.1:8080\n  \
        ropewalk forward --listen 5432 --to unix:/run/postgresql/.s.PGSQL.5432\n  \
        ropewalk forward --listen 8025 --to proxy:tcp:10.0.0.5:25\n  \
        ropewalk forward --listen stdio: --to socks5:127.0.0.1:9050:tcp:example.org:22")]
pub struct Forward {
    /// Where to listen; may be repeated
    #[arg(short, long, value_name = "ENDPOINT")]
    pub listen: Vec<String>,
    /// Where to connect to for each connection; proxy: around it tells who the client is
    #[arg(short, long, value_name = "ENDPOINT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// End a connection on which nothing came or went for so many seconds, 0 for never
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = values::seconds,
        default_value = "3600",
        help_heading = "Limits"
    )]
    #[serde(with = "values::in_seconds")]
    pub idle: Duration,
    /// What it takes at most.
    #[command(flatten)]
    pub limits: Limits,
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            to: None,
            idle: Duration::from_secs(3600),
            limits: Limits::default(),
        }
    }
}

impl Kind for Forward {
    const NAME: &'static str = "forward";

    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        let to = match &self.to {
            None => {
                stage.problem("to", Code::Usage, "say where to connect to: an endpoint");
                None
            }
            Some(text) => stage.endpoint("to", text),
        };
        let sockets = stage.sockets("listen", &self.listen, Ok);
        let Some(to) = to else { return Ok(()) };
        if let Err(error) = to.check_connect() {
            stage.problem("to", Code::of(&error), error.to_string());
            return Ok(());
        }
        let ends = sockets.iter().map(Socket::endpoint).chain([&to]);
        if ends.filter(|endpoint| matches!(endpoint.leaf(), Leaf::Stdio)).count() > 1 {
            let what = "stdio: is one connection; name it once among --listen and --to";
            return Err(Failure::new(Code::Usage, what));
        }
        let only = sockets.iter().all(|socket| matches!(socket.endpoint().leaf(), Leaf::Stdio));
        let relays = Relays {
            to: to.clone(),
            idle: Some(self.idle).filter(|idle| !idle.is_zero()),
            ending: only.then(|| stage.ending().clone()),
        };
        let relays = stage.guard("forward", &self.limits, &sockets, relays);
        for socket in sockets {
            let to = to.redacted();
            let says = move |address: &Address| format!("forwarding {address} to {to}");
            stage.serve(socket, relays.clone(), says);
        }
        Ok(())
    }
}

/// Relays each connection to a new one.
struct Relays {
    to: Endpoint,
    idle: Option<Duration>,
    /// Where the failure goes if there is one connection only.
    ending: Option<Ending>,
}

impl Relays {
    /// Connects and relays, and logs one line.
    async fn forward(&self, mut client: Connection<Pipe>) -> io::Result<()> {
        let (peer, begin) = (client.peer().clone(), Instant::now());
        let (id, from) = (peer.id(), peer.address());
        let transport = match self.to.connect_as(from, peer.local()).await {
            Ok(transport) => transport,
            Err(error) => {
                warn!(id, peer = %from, "{error}");
                client.abort();
                return Err(error);
            }
        };
        let mut server = Connection::new(Pipe, transport);
        for connection in [&mut client, &mut server] {
            // A side that takes nothing for a while is only slow.
            connection.set_stall(self.idle.unwrap_or(Duration::MAX));
            if let Some(idle) = self.idle {
                connection.set_idle(idle);
            }
        }
        let relayed = relay(client, server).await;
        let (received, sent) = (peer.received(), peer.sent());
        let seconds = begin.elapsed().as_secs_f64();
        match &relayed {
            Ok(()) => info!(id, peer = %from, received, sent, seconds, "forwarded"),
            Err(error) => {
                warn!(id, peer = %from, received, sent, seconds, %error, "forwarding failed");
            }
        }
        relayed
    }
}

impl Factory for Relays {
    type Protocol = Pipe;

    fn build(&self, _peer: &Peer) -> Result<Pipe, Refusal> {
        Ok(Pipe)
    }

    async fn serve(&self, client: Connection<Pipe>) -> Result<(), BoxError> {
        let forwarded = self.forward(client).await;
        if let (Some(ending), Err(error)) = (&self.ending, &forwarded) {
            ending.fail(Failure::new(Code::of(error), error.to_string()));
        }
        Ok(forwarded?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        crate::kind::verify::<Forward>();
    }
}
