//! `ropewalk forward`: connections relayed from one endpoint to another.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ropewalk_core::endpoint::{Endpoint, Leaf, Registry};
use ropewalk_core::{BoxError, Connection, Factory, Peer, Reactor, Refusal};
use tracing::{info, warn};

use crate::cli::Global;
use crate::exit::{Code, Failure};
use crate::guard::Limits;
use crate::logfile::LogFile;
use crate::logging::NOTICE;
use crate::operations::Process;
use crate::relay::{Pipe, relay};
use crate::run::{Once, made_for_this_run};
use crate::values;

/// The arguments of `ropewalk forward`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        ropewalk forward --listen tls:443:cert=site.pem:key=site.key --to 127.0.0.1:8080\n  \
        ropewalk forward --listen 5432 --to unix:/run/postgresql/.s.PGSQL.5432\n  \
        ropewalk forward --listen 8025 --to proxy:tcp:10.0.0.5:25\n  \
        ropewalk forward --listen stdio: --to socks5:127.0.0.1:9050:tcp:example.org:22")]
pub struct Args {
    /// Where to listen; may be repeated
    #[arg(short, long, value_name = "ENDPOINT", required = true)]
    pub listen: Vec<String>,
    /// Where to connect to for each connection; proxy: around it tells who the client is
    #[arg(short, long, value_name = "ENDPOINT")]
    pub to: String,
    /// End a connection on which nothing came or went for so many seconds, 0 for never
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = values::seconds,
        default_value = "3600",
        help_heading = "Limits"
    )]
    pub idle: Duration,
    /// How it is run and what it takes at most.
    #[command(flatten)]
    pub limits: Limits,
}

/// From where to where: what the arguments mean.
#[derive(Debug)]
pub struct Forward {
    listen: Vec<Endpoint>,
    to: Endpoint,
    registry: Registry,
    idle: Option<Duration>,
    limits: Limits,
    wire: bool,
    log_file: Option<LogFile>,
}

impl Forward {
    /// What the arguments mean. Nothing is opened.
    ///
    /// # Errors
    /// When an endpoint cannot be understood, or both ends are the same standard streams.
    pub fn new(args: Args, global: &Global) -> Result<Self, Failure> {
        let registry = Registry::default();
        let parse = |option: &str, text: &str| {
            Endpoint::parse_with(text, &registry).map_err(|error| Failure::endpoint(option, &error))
        };
        let listen = args.listen.iter().map(|text| parse("--listen", text));
        let listen = listen.collect::<Result<Vec<_>, _>>()?;
        let to = parse("--to", &args.to)?;
        let ends = listen.iter().chain([&to]);
        if ends.filter(|endpoint| matches!(endpoint.leaf(), Leaf::Stdio)).count() > 1 {
            let what = "stdio: is one connection; name it once among --listen and --to";
            return Err(Failure::new(Code::Usage, what));
        }
        let idle = Some(args.idle).filter(|idle| !idle.is_zero());
        let (limits, wire, log_file) = (args.limits, global.wire, global.log_file.clone());
        Ok(Self { listen, to, registry, idle, limits, wire, log_file })
    }

    /// Relays until SIGTERM or SIGINT, or, listening on `stdio:`, until that has ended.
    ///
    /// # Errors
    /// When an endpoint cannot be listened on, or the only connection of `stdio:` fails.
    pub fn run(self) -> Result<(), Failure> {
        let mut plan = self.limits.plan(self.registry.clone());
        plan.process.logs = self.log_file.clone().map(|log| ("log", log)).into_iter().collect();
        let failure = plan.run(async |reactor, process| self.start(reactor, process).await)?;
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }

    /// Begins to relay in `reactor`, and says where. Returns where the failure of an only connection
    /// will be.
    async fn start(
        &self,
        reactor: &Reactor,
        process: &Process,
    ) -> Result<Arc<Mutex<Option<Failure>>>, Failure> {
        let failure = Arc::<Mutex<Option<Failure>>>::default();
        let bound = self.listen.iter().map(Endpoint::bind).collect::<io::Result<Vec<_>>>();
        let mut bound = bound.map_err(|error| Failure::bind(&error))?;
        process.bound(&mut bound)?;
        let places: Vec<_> = bound.iter().flat_map(|bound| bound.local().to_vec()).collect();
        let only = self.listen.iter().all(|endpoint| matches!(endpoint.leaf(), Leaf::Stdio));
        let relays =
            Relays { to: self.to.clone(), idle: self.idle, failure: only.then(|| failure.clone()) };
        let relays = self.limits.guard("forward", self.wire, &places, relays);
        for (endpoint, bound) in self.listen.iter().zip(bound) {
            let made = made_for_this_run(endpoint, &bound);
            let relays = process.watch("forward", &endpoint.redacted(), relays.clone());
            let listening = if matches!(endpoint.leaf(), Leaf::Stdio) {
                reactor.serve(bound, Once::new(relays, reactor.clone())).await?
            } else {
                reactor.serve(bound, relays).await?
            };
            for address in listening.locals() {
                info!(target: NOTICE, "forwarding {address} to {}", self.to.redacted());
            }
            if let Some(fingerprint) = made {
                info!(target: NOTICE, "{fingerprint}");
            }
        }
        Ok(failure)
    }
}

/// Relays each connection to a new one.
struct Relays {
    to: Endpoint,
    idle: Option<Duration>,
    /// Where the failure goes if there is one connection only.
    failure: Option<Arc<Mutex<Option<Failure>>>>,
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
        if let (Some(place), Err(error)) = (&self.failure, &forwarded) {
            let failure = Failure::new(Code::of(error), error.to_string());
            place.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
        Ok(forwarded?)
    }
}
