//! What stands around a service: caps, lists, throttles, traces; each only if it is asked for.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use ipnet::IpNet;
use ropewalk_core::endpoint::Registry;
use ropewalk_core::factory::{
    AcceptRate, AccessList, AtMost, Rate, Rules, Throttle, Traced, WireLog,
};
use ropewalk_core::{Address, BoxError, Connection, Factory, Peer, Protocol, Refusal};

use crate::run::{Plan, open_files};
use crate::{logging, operations, values};

/// Connections that may be open from one address, unless all are from this machine.
const PER_ADDRESS: usize = 1024;
/// Connections that may be open in all, where open files are not what limits them.
const TOTAL: u64 = 100_000;

/// Options of all that serves connections.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Worker threads, each with a socket of its own where that can be [default: one scheduler over
    /// all cores]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// For how many seconds busy connections may go on after SIGTERM
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds, default_value = "30")]
    pub grace: Duration,
    /// Connections open at once, 0 for any number [default: as open files allow, at most 100000]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Connections open at once from one address (IPv6: one /64), 0 for any number [default: 1024;
    /// any number if all --listen are on this machine only]
    #[arg(long, value_name = "N")]
    pub max_per_address: Option<usize>,
    /// New connections per minute from one address, 0 for any number [default: any number]
    #[arg(long, value_name = "N")]
    pub accept_rate: Option<u64>,
    /// Bytes per second of each connection in each direction, as in 500K or 2M [default: as fast as
    /// can be]
    #[arg(long, value_name = "BYTES", value_parser = values::bandwidth)]
    pub rate: Option<u64>,
    /// Bytes per second of all connections together in each direction [default: as fast as can be]
    #[arg(long, value_name = "BYTES", value_parser = values::bandwidth)]
    pub rate_all: Option<u64>,
    /// Serve these networks only, with commas between or repeated, as in 10.0.0.0/8,2001:db8::1
    #[arg(long, value_name = "NETWORK", value_parser = values::network, value_delimiter = ',')]
    pub allow: Vec<IpNet>,
    /// Refuse these networks; where --allow names some, too, the longest prefix decides
    #[arg(long, value_name = "NETWORK", value_parser = values::network, value_delimiter = ',')]
    pub deny: Vec<IpNet>,
    /// Who the process is, and what names it.
    #[command(flatten)]
    pub process: operations::Options,
}

impl Limits {
    /// How the service is run.
    #[must_use]
    pub fn plan(&self, registry: Registry) -> Plan {
        let process = self.process.settings();
        Plan { workers: self.workers, grace: self.grace, registry, process }
    }

    /// Puts around `factory` what was asked for. `listening` is where it will be reached.
    #[must_use]
    pub fn guard<F: Factory>(
        &self,
        name: &'static str,
        wire: bool,
        listening: &[Address],
        factory: F,
    ) -> Any<F::Protocol> {
        let mut factory = Any::new(factory);
        if wire {
            factory = Any::new(WireLog::new(factory));
        }
        if let Some(throttle) = self.throttle(&factory) {
            factory = Any::new(throttle);
        }
        if let Some(number) = self.accept_rate.filter(|number| *number > 0) {
            factory = Any::new(AcceptRate::per_address(Rate::per_minute(number), factory));
        }
        if let Some(number) = self.most_per_address(listening) {
            factory = Any::new(AtMost::per_address(number, factory));
        }
        if let Some(number) = self.most() {
            factory = Any::new(AtMost::total(number, factory));
        }
        if let Some(rules) = self.rules() {
            factory = Any::new(AccessList::new(rules, factory));
        }
        if logging::shows_connections() {
            factory = Any::new(Traced::new(name, factory));
        }
        factory
    }

    fn throttle<P: Protocol + Send + 'static>(&self, inner: &Any<P>) -> Option<Throttle<Any<P>>> {
        self.rate.or(self.rate_all)?;
        let mut throttle = Throttle::new(inner.clone());
        if let Some(rate) = self.rate.map(Rate::per_second) {
            throttle = throttle.send_each(rate).receive_each(rate);
        }
        if let Some(rate) = self.rate_all.map(Rate::per_second) {
            throttle = throttle.send_all(rate).receive_all(rate);
        }
        Some(throttle)
    }

    /// Half of what may be open, since a connection may have a file or another connection open.
    fn most(&self) -> Option<usize> {
        let standard = || {
            let files = open_files().map_or(TOTAL, |files| files.saturating_sub(32).max(2) / 2);
            files.min(TOTAL) as usize
        };
        Some(self.max_connections.unwrap_or_else(standard)).filter(|number| *number > 0)
    }

    fn most_per_address(&self, listening: &[Address]) -> Option<usize> {
        let local = listening.iter().all(|address| address.ip().is_none_or(|ip| ip.is_loopback()));
        let standard = if local { 0 } else { PER_ADDRESS };
        Some(self.max_per_address.unwrap_or(standard)).filter(|number| *number > 0)
    }

    fn rules(&self) -> Option<Rules> {
        let rules = match (self.allow.is_empty(), self.deny.is_empty()) {
            (true, true) => return None,
            (true, false) => Rules::open(),
            (false, _) => Rules::closed(),
        };
        Some(rules.allow(self.allow.iter().copied()).deny(self.deny.iter().copied()))
    }
}

/// Any factory for one protocol, behind a pointer: what is put around a service is decided when the
/// program runs. Costs one allocation for each connection, and the rest of its task is small for it.
pub struct Any<P>(Arc<dyn Object<P>>);

impl<P: Protocol + Send + 'static> Any<P> {
    /// `factory`, behind a pointer.
    #[must_use]
    pub fn new(factory: impl Factory<Protocol = P>) -> Self {
        Self(Arc::new(factory))
    }
}

impl<P> Clone for Any<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> fmt::Debug for Any<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Any").finish_non_exhaustive()
    }
}

type Serving<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// [`Factory`], as an object.
trait Object<P>: Send + Sync {
    fn build(&self, peer: &Peer) -> Result<P, Refusal>;
    fn serve(&self, connection: Connection<P>) -> Serving<'_>;
    fn refusal(&self, why: &Refusal) -> Bytes;
}

impl<F: Factory> Object<F::Protocol> for F {
    fn build(&self, peer: &Peer) -> Result<F::Protocol, Refusal> {
        Factory::build(self, peer)
    }

    fn serve(&self, connection: Connection<F::Protocol>) -> Serving<'_> {
        Box::pin(Factory::serve(self, connection))
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        Factory::refusal(self, why)
    }
}

impl<P: Protocol + Send + 'static> Factory for Any<P> {
    type Protocol = P;

    fn build(&self, peer: &Peer) -> Result<P, Refusal> {
        self.0.build(peer)
    }

    fn serve(
        &self,
        connection: Connection<P>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.serve(connection)
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        self.0.refusal(why)
    }
}
