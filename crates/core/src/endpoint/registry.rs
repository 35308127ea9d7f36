//! What endpoint strings may mean beyond what is built in: kinds of others, names in memory, and who
//! resolves host names. Nothing of it is global.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::handover::Handed;
use super::memory::Names;
use super::parse::{Arguments, Error, Form, Shape};
use super::race::{Resolve, SystemResolver};
use super::unix::Unlink;
use super::{BoxFuture, layers};
use crate::{Address, Transport};

/// A kind of endpoint that somebody else provides: what `name:` at the front means.
pub trait Kind: Send + Sync + 'static {
    /// How it is written, for errors: `vsock:CID:PORT`.
    fn usage(&self) -> &str;

    /// The options it takes.
    fn options(&self) -> &[&str] {
        &[]
    }

    /// Understands the arguments.
    ///
    /// # Errors
    /// When they make no sense; [`Argument::error`](super::Argument::error) points at the one.
    fn parse(&self, arguments: &Arguments) -> Result<Arc<dyn Custom>, Error>;
}

/// An endpoint of a kind of somebody else's.
pub trait Custom: fmt::Debug + Send + Sync + 'static {
    /// Connects. The future must be safe to drop at any time.
    fn connect(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async { Err(unsupported("connecting")) })
    }

    /// Opens what is listened on, outside of a runtime, while the process still has its privileges.
    ///
    /// # Errors
    /// The system's.
    fn bind(&self) -> io::Result<Arc<dyn Source>> {
        Err(unsupported("listening"))
    }
}

fn unsupported(what: &str) -> io::Error {
    let what = format!("this kind of endpoint is not for {what}");
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// Where connections come from, for a kind of somebody else's.
pub trait Source: Send + Sync + 'static {
    /// Where it listens.
    fn local(&self) -> Address;

    /// The next connection. Must be safe to drop at any time; called by several workers at once, in
    /// the runtime of each.
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>>;
}

/// What endpoint strings may mean. Cheap to clone: clones share the names in memory, and what was
/// inherited.
#[derive(Clone)]
pub struct Registry {
    kinds: Arc<BTreeMap<String, Arc<dyn Kind>>>,
    pub(super) memory: Names,
    /// Listening sockets of the process before this one, by what they listen for.
    inherited: Arc<Mutex<Vec<Handed>>>,
    /// Paths of theirs that are not ours yet.
    borrowed: Arc<Mutex<Vec<Weak<Unlink>>>>,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            kinds: Arc::default(),
            memory: Names::default(),
            inherited: Arc::default(),
            borrowed: Arc::default(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

impl Registry {
    /// The built-in kinds, no names in memory, and the system's resolver.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more kind.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when `name` is not made of `a` to `z`, digits and
    /// hyphens beginning with a letter; [`AlreadyExists`](io::ErrorKind::AlreadyExists) when a kind,
    /// built in or not, is called so.
    pub fn with_kind(mut self, name: &str, kind: impl Kind) -> io::Result<Self> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !begins || !name.bytes().all(letter) || name == "localhost" {
            let what = format!("`{name}` is no name for a kind of endpoint: a to z, 0 to 9, -");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let built_in = layers::SHAPES.iter().any(|shape| shape.name == name);
        if built_in || self.kinds.contains_key(name) {
            let what = format!("there is a kind of endpoint called `{name}` already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        Arc::make_mut(&mut self.kinds).insert(name.to_owned(), Arc::new(kind));
        Ok(self)
    }

    /// With another way to resolve the names connected to. Names listened on are the system's to
    /// resolve.
    #[must_use]
    pub fn with_resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Keeps the listening socket of another process for the endpoint that it listened for: that will
    /// use it, in the place of one of its own. Clones share it, so this may come after parsing.
    pub fn inherit(&self, handed: Handed) {
        self.inherited().push(handed);
    }

    /// The inherited sockets that no endpoint has used, and will not any more. To be called when
    /// nothing can go wrong any more: from now on the paths of inherited Unix sockets are removed with
    /// their last listener; until then they stay, since the other process may go on with them.
    #[must_use]
    pub fn unclaimed(&self) -> Vec<Handed> {
        let borrowed = std::mem::take(&mut *self.borrowed());
        borrowed.iter().filter_map(Weak::upgrade).for_each(|path| path.take());
        std::mem::take(&mut self.inherited())
    }

    pub(super) fn take_when_settled(&self, path: Option<&Arc<Unlink>>) {
        self.borrowed().extend(path.map(Arc::downgrade));
    }

    fn borrowed(&self) -> MutexGuard<'_, Vec<Weak<Unlink>>> {
        self.borrowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the inherited sockets of that name, of the first group that has it.
    pub(super) fn claim(&self, name: &str) -> Vec<OwnedFd> {
        let mut inherited = self.inherited();
        let first = inherited.iter().find(|handed| handed.name == name);
        let Some(group) = first.map(|handed| handed.group) else { return Vec::new() };
        let is_it = |handed: &mut Handed| handed.name == name && handed.group == group;
        let claimed = inherited.extract_if(.., is_it).collect();
        let claimed: Vec<Handed> = claimed;
        claimed.into_iter().map(|handed| handed.socket).collect()
    }

    fn inherited(&self) -> MutexGuard<'_, Vec<Handed>> {
        self.inherited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kind(&self, name: &str) -> Option<&dyn Kind> {
        self.kinds.get(name).map(|kind| &**kind)
    }

    /// Calls `f` with the shapes of all kinds.
    pub(super) fn with_shapes<T>(&self, f: impl FnOnce(&[Shape<'_>]) -> T) -> T {
        let options: Vec<&[&str]> = self.kinds.values().map(|kind| kind.options()).collect();
        let mut shapes = layers::SHAPES.to_vec();
        for ((name, kind), keys) in self.kinds.iter().zip(options) {
            shapes.push(Shape { name, usage: kind.usage(), keys, form: Form::Leaf });
        }
        f(&shapes)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("kinds", &self.kinds.keys()).finish_non_exhaustive()
    }
}
