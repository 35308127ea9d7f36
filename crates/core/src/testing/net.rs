//! Whole servers and clients in one test, without ports.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use super::random::Random;
use crate::transport::memory::Knobs;
use crate::{Address, BoxError, Connection, Factory, Peer, Protocol, Transport};

/// For how long [`Net::stop`] waits for the connections, in the time of the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network of its own, in memory: servers listen on names, clients connect to them.
///
/// Run it under tokio's paused clock (`#[tokio::test(start_paused = true)]`): waiting then costs no
/// time, and with one thread the same seed gives the same run again. (An unbiased `tokio::select!`
/// draws its own lots, though.)
///
/// ```
/// use ropewalk_core::{Lines, Raw};
/// use ropewalk_core::testing::Net;
/// use ropewalk_core::{BoxError, Connection, factory};
///
/// async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
///     while let Some(bytes) = conn.next().await? {
///         conn.send(bytes).await?;
///     }
///     Ok(conn.close().await?)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let net = Net::seeded(42); // connections with latency, in small pieces, by chance
/// net.listen("echo", factory::serve_with(Raw::default, echo));
///
/// let mut client = net.dial("echo", Lines::crlf())?;
/// client.send("hello").await?;
/// assert_eq!(client.next().await?.as_deref(), Some(&b"hello"[..]));
/// client.close().await?;
/// assert!(net.stop().await.is_empty(), "no connection has failed");
/// # Ok::<(), BoxError>(())
/// # })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    timing: Timing,
    state: Mutex<State>,
}

/// How bytes travel.
enum Timing {
    /// On each connection so.
    Even(Knobs),
    /// On each connection differently, as this seed has it.
    Seeded(u64),
}

#[derive(Default)]
struct State {
    servers: HashMap<String, Server>,
    connections: u64,
    running: Vec<Running>,
}

/// Serves one connection.
type Server = Arc<dyn Fn(Transport, Peer) -> Serving + Send + Sync>;
type Serving = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A connection being served.
struct Running {
    peer: Peer,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Net {
    /// A network where everything arrives at once and in one piece.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Knobs::default())
    }

    /// A network where every connection is so.
    #[must_use]
    pub fn with(knobs: Knobs) -> Self {
        Self::timed(Timing::Even(knobs))
    }

    /// A bad network: each connection has a latency, a size of pieces and a capacity of its own, and
    /// timing by chance. The seed gives the same network again; a test that found something names it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::timed(Timing::Seeded(seed))
    }

    fn timed(timing: Timing) -> Self {
        Self(Arc::new(Inner { timing, state: Mutex::default() }))
    }

    /// Serves connections to `name` by `factory`.
    ///
    /// # Panics
    /// When something listens there already.
    pub fn listen(&self, name: &str, factory: impl Factory) {
        let factory = Arc::new(factory);
        let server: Server =
            Arc::new(move |transport, peer| Box::pin(serve(factory.clone(), transport, peer)));
        let taken = self.state().servers.insert(name.to_owned(), server);
        assert!(taken.is_none(), "{name:?} is listened on already");
    }

    /// Stops listening on `name`; connections that are open go on.
    pub fn unlisten(&self, name: &str) {
        self.state().servers.remove(name);
    }

    /// Connects to what listens on `name`.
    ///
    /// # Errors
    /// `ConnectionRefused` when nothing does.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(&self, name: &str) -> io::Result<Transport> {
        self.connect_from(Address::Memory("client".into()), name)
    }

    /// Connects to what listens on `name`, which sees the connection come from this address.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect_from(&self, from: Address, name: &str) -> io::Result<Transport> {
        let mut state = self.state();
        let Some(server) = state.servers.get(name).cloned() else {
            let message = format!("nothing listens on {name:?}");
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, message));
        };
        state.connections += 1;
        let knobs = self.0.timing.knobs(state.connections);
        let (mut near, mut far) = Transport::memory_with(knobs, name);
        near.set_local(from.clone());
        far.set_peer(from);
        let peer = Peer::new(state.connections, far.peer().clone(), far.local().clone());
        let task = tokio::spawn(server(far, peer.clone()));
        state.running.push(Running { peer, task });
        Ok(near)
    }

    /// Connects to what listens on `name` and speaks `protocol`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn dial<P: Protocol>(&self, name: &str, protocol: P) -> io::Result<Connection<P>> {
        Ok(Connection::new(protocol, self.connect(name)?))
    }

    /// How many connections are being served.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state().running.iter().filter(|running| !running.task.is_finished()).count()
    }

    /// Stops as a reactor does: nothing listens any more, every connection is told so, and those
    /// that have not ended after a minute are aborted. Returns what went wrong on the connections
    /// since the network was made, each with its number, from 1 on, in the order of connecting; a
    /// refusal is among it.
    ///
    /// Not cancel-safe: dropping the future forgets what went wrong.
    ///
    /// # Panics
    /// When a handler has panicked, with its panic.
    pub async fn stop(&self) -> Vec<(u64, BoxError)> {
        let running = {
            let mut state = self.state();
            state.servers.clear();
            std::mem::take(&mut state.running)
        };
        for Running { peer, .. } in &running {
            peer.stop();
        }
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut failures = Vec::new();
        for Running { peer, mut task } in running {
            match tokio::time::timeout_at(end, &mut task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => failures.push((peer.id(), error)),
                Ok(Err(join)) => match join.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(join) => failures.push((peer.id(), join.into())),
                },
                Err(_) => {
                    task.abort();
                    failures.push((peer.id(), "it did not end when told to stop".into()));
                }
            }
        }
        failures
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timing {
    /// How bytes travel on the connection of this number.
    fn knobs(&self, connection: u64) -> Knobs {
        let seed = match self {
            Self::Even(knobs) => return *knobs,
            Self::Seeded(seed) => *seed,
        };
        // Far apart, so that neighbouring seeds do not share connections.
        let mut random = Random::seeded(seed.rotate_left(32) ^ connection);
        Knobs {
            latency: Duration::from_millis(random.upto(50) as u64 - 1),
            chunk: random.upto(64),
            // Some with next to no room at all: that is where writers and readers wait for each other.
            capacity: if random.upto(4) == 1 { random.upto(16) } else { random.upto(64 * 1024) },
            seed: Some(random.next()),
        }
    }
}

/// Gives back what is kept for the connection, whatever ends it.
struct LetGo(Peer);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// From accepting to the end.
async fn serve<F: Factory>(
    factory: Arc<F>,
    mut transport: Transport,
    peer: Peer,
) -> Result<(), BoxError> {
    let _let_go = LetGo(peer.clone());
    match factory.build(&peer) {
        Ok(protocol) => factory.serve(Connection::with_peer(protocol, transport, peer)).await,
        Err(why) => {
            transport.write_all(&factory.refusal(&why)).await?;
            transport.shutdown().await?;
            Err(why.into())
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Net")
            .field("servers", &state.servers.keys())
            .field("connections", &state.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::serve_with;
    use crate::framing::{LineOut, Lines};
    use crate::{Refusal, Wire};
    use bytes::Bytes;

    /// Echoes lines; `fail` fails, `panic` panics, `stay` stays whatever happens.
    async fn echo(mut conn: Connection<Lines>) -> Result<(), BoxError> {
        while let Some(line) = conn.next().await? {
            match &line[..] {
                b"fail" => return Err("told to fail".into()),
                b"panic" => panic!("told to panic"),
                b"stay" => std::future::pending().await,
                _ => conn.send(line).await?,
            }
        }
        Ok(conn.close().await?)
    }

    fn echoing(net: Net) -> Net {
        net.listen("echo", serve_with(Lines::crlf, echo));
        net
    }

    /// Sends lines to an echo and says how long, in virtual milliseconds, each took to come back.
    async fn times(net: &Net, lines: usize) -> Vec<u128> {
        let begun = tokio::time::Instant::now();
        let mut client = net.dial("echo", Lines::crlf()).expect("it listens");
        let mut times = Vec::new();
        for n in 0..lines {
            let line = "x".repeat(n * 7);
            client.send(line.clone()).await.expect("it takes lines");
            assert_eq!(client.next().await.expect("an echo").expect("an echo"), line);
            times.push(begun.elapsed().as_millis());
        }
        client.close().await.expect("all is sent");
        times
    }

    #[tokio::test(start_paused = true)]
    async fn clients_talk_to_servers_whatever_the_seed_and_again_the_same() {
        for seed in 0..20 {
            let mut runs = Vec::new();
            for _ in 0..2 {
                let net = echoing(Net::seeded(seed));
                let (one, two) = tokio::join!(times(&net, 30), times(&net, 10));
                assert!(net.stop().await.is_empty(), "seed {seed}");
                assert_eq!(net.open(), 0);
                runs.push((one, two));
            }
            assert_eq!(runs[0], runs[1], "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_wrong_is_told_at_the_stop() {
        let net = echoing(Net::new());
        let refused = net.connect("nowhere").expect_err("nothing listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let mut clients = Vec::new();
        for line in ["fine", "fail", "stay"] {
            let mut client = net.dial("echo", Lines::crlf()).expect("it listens");
            client.send(line).await.expect("it takes lines");
            client.flush().await.expect("it takes lines");
            clients.push(client);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(net.open(), 2);
        let failures: Vec<String> =
            net.stop().await.iter().map(|(id, error)| format!("{id}: {error}")).collect();
        assert_eq!(failures, ["2: told to fail", "3: it did not end when told to stop"]);
        assert!(net.connect("echo").is_err(), "nothing listens after the stop");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "told to panic")]
    async fn a_panic_in_a_handler_is_the_tests() {
        let net = echoing(Net::new());
        let mut client = net.dial("echo", Lines::crlf()).expect("it listens");
        client.send("panic").await.expect("it takes lines");
        client.flush().await.expect("it takes lines");
        net.stop().await;
    }

    /// Speaks lines to one address only, in words.
    struct Choosy;

    impl Factory for Choosy {
        type Protocol = Polite;

        fn build(&self, peer: &Peer) -> Result<Polite, Refusal> {
            match peer.address() {
                Address::Memory(name) if &**name == "friend" => Ok(Polite(Lines::crlf())),
                _ => Err(Refusal::Denied),
            }
        }

        async fn serve(&self, mut conn: Connection<Polite>) -> Result<(), BoxError> {
            while let Some(line) = conn.next().await? {
                conn.send(line).await?;
            }
            Ok(conn.close().await?)
        }

        fn refusal(&self, why: &Refusal) -> Bytes {
            format!("no: {why}\r\n").into()
        }
    }

    /// Lines, with a goodbye.
    struct Polite(Lines);

    impl Protocol for Polite {
        type In = Bytes;
        type Out = LineOut;
        type Error = crate::framing::FrameError;

        fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, Self::Error> {
            self.0.receive(wire)
        }

        fn send(&mut self, item: LineOut, wire: &mut Wire) -> Result<(), Self::Error> {
            self.0.send(item, wire)
        }

        fn farewell(&mut self, wire: &mut Wire) -> bool {
            wire.output.put(b"goodbye\r\n");
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_and_farewells_are_in_the_protocols_words() {
        let net = Net::seeded(1);
        net.listen("choosy", Choosy);
        let connect = |name: &str| {
            let transport = net.connect_from(Address::Memory(name.into()), "choosy");
            Connection::new(Lines::crlf(), transport.expect("it listens"))
        };
        let mut stranger = connect("stranger");
        let words = stranger.next().await.expect("words").expect("words");
        assert_eq!(words, "no: address denied");
        assert_eq!(stranger.next().await.expect("an end"), None);

        let mut friend = connect("friend");
        friend.send("hello").await.expect("it takes lines");
        assert_eq!(friend.next().await.expect("an echo").expect("an echo"), "hello");
        let (failures, ()) = tokio::join!(net.stop(), async {
            assert_eq!(friend.next().await.expect("words").expect("words"), "goodbye");
            friend.close().await.expect("all is sent");
        });
        let failures: Vec<String> =
            failures.iter().map(|(id, error)| format!("{id}: {error}")).collect();
        assert_eq!(failures, ["1: address denied"]);
    }
}
