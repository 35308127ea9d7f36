//! Several deferreds as one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use atomic_waker::AtomicWaker;

use super::{Abandoned, Deferred};

/// All results, in the order of `deferreds`, whatever the order in which they come.
///
/// The iterator is walked at once, so an iterator that begins operations has begun them all when this
/// returns. Each wake-up looks only at the deferreds that were woken; the cost is about 100 bytes for
/// each. Dropping the future cancels whatever has not ended.
///
/// Awaits to `Err(Abandoned)` as soon as one is abandoned; the rest are then cancelled.
pub fn gather<T>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Gather<T> {
    let crowd = Crowd::new(deferreds);
    Gather { results: crowd.slots(), crowd }
}

/// As [`gather`], for operations that can fail: the first failure is the result, and the rest are
/// cancelled.
pub fn try_gather<T, E>(
    deferreds: impl IntoIterator<Item = Deferred<Result<T, E>>>,
) -> TryGather<T, E> {
    let crowd = Crowd::new(deferreds);
    TryGather { results: crowd.slots(), crowd }
}

/// The result that comes first; the others are cancelled. Of several that are there already, the first
/// in the order of `deferreds`.
///
/// An abandoned one is out of the race; the future awaits to `Err(Abandoned)` when all are, or when there
/// were none.
pub fn first<T>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> First<T> {
    First { crowd: Crowd::new(deferreds) }
}

/// The future of [`gather`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited, and dropping this one cancels its operations"]
pub struct Gather<T> {
    crowd: Crowd<T>,
    results: Vec<Option<T>>,
}

/// The future of [`try_gather`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited, and dropping this one cancels its operations"]
pub struct TryGather<T, E> {
    crowd: Crowd<Result<T, E>>,
    results: Vec<Option<T>>,
}

/// The future of [`first`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited, and dropping this one cancels its operations"]
pub struct First<T> {
    crowd: Crowd<T>,
}

// Nothing in these is ever pinned: the deferreds are `Unpin`, and results are only moved.
impl<T> Unpin for Gather<T> {}
impl<T, E> Unpin for TryGather<T, E> {}
impl<T> Unpin for First<T> {}

impl<T> Future for Gather<T> {
    type Output = Result<Vec<T>, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((index, result)) = ready!(self.crowd.poll_next(cx)) {
            match result {
                Ok(value) => self.results[index] = Some(value),
                Err(abandoned) => {
                    self.crowd.disperse();
                    return Poll::Ready(Err(abandoned));
                }
            }
        }
        Poll::Ready(Ok(self.results.drain(..).flatten().collect()))
    }
}

impl<T, E: From<Abandoned>> Future for TryGather<T, E> {
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((index, result)) = ready!(self.crowd.poll_next(cx)) {
            match result.map_err(E::from).flatten() {
                Ok(value) => self.results[index] = Some(value),
                Err(error) => {
                    self.crowd.disperse();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(self.results.drain(..).flatten().collect()))
    }
}

impl<T> Future for First<T> {
    type Output = Result<T, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((_, result)) = ready!(self.crowd.poll_next(cx)) {
            if let Ok(value) = result {
                self.crowd.disperse();
                return Poll::Ready(Ok(value));
            }
        }
        Poll::Ready(Err(Abandoned))
    }
}

/// Deferreds of which each is polled only when it was itself woken: polling all of them for each one
/// that ends would make ten thousand cost fifty million polls.
#[derive(Debug)]
struct Crowd<T> {
    members: Vec<Member<T>>,
    /// How many have not ended.
    left: usize,
    board: Arc<Board>,
}

#[derive(Debug)]
struct Member<T> {
    deferred: Option<Deferred<T>>,
    bell: Arc<Bell>,
    /// `bell` as a waker, made once.
    waker: Waker,
}

/// Where members that were woken are written down.
#[derive(Debug)]
struct Board {
    woken: Mutex<VecDeque<usize>>,
    /// The task that awaits the crowd.
    task: AtomicWaker,
}

/// Wakes one member.
#[derive(Debug)]
struct Bell {
    index: usize,
    /// Already on the board.
    rung: AtomicBool,
    board: Arc<Board>,
}

impl Board {
    fn woken(&self) -> MutexGuard<'_, VecDeque<usize>> {
        // No code that can panic runs under the lock.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.board.woken().push_back(self.index);
            self.board.task.wake();
        }
    }
}

impl<T> Crowd<T> {
    fn new(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Self {
        let board = Arc::new(Board { woken: Mutex::default(), task: AtomicWaker::new() });
        let members: Vec<_> = deferreds
            .into_iter()
            .enumerate()
            .map(|(index, deferred)| Member::new(index, deferred, &board))
            .collect();
        board.woken().extend(0..members.len());
        Self { left: members.len(), members, board }
    }

    /// An empty place for each result.
    fn slots<R>(&self) -> Vec<Option<R>> {
        self.members.iter().map(|_| None).collect()
    }

    /// The next one to end, with its place; `None` when all have.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Result<T, Abandoned>)>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.board.task.register(cx.waker());
        // Only those on the board now: a member that is out of tokio's budget rings at once, and would
        // otherwise keep us here.
        let woken = self.board.woken().len();
        for _ in 0..woken {
            let Some(index) = self.board.woken().pop_front() else { break };
            if let Poll::Ready(result) = self.members[index].poll() {
                self.left -= 1;
                return Poll::Ready(Some((index, result)));
            }
        }
        Poll::Pending
    }

    /// Cancels those that have not ended.
    fn disperse(&mut self) {
        self.members.clear();
        self.left = 0;
    }
}

impl<T> Member<T> {
    fn new(index: usize, deferred: Deferred<T>, board: &Arc<Board>) -> Self {
        let rung = AtomicBool::new(true);
        let bell = Arc::new(Bell { index, rung, board: Arc::clone(board) });
        Self { deferred: Some(deferred), waker: Arc::clone(&bell).into(), bell }
    }

    fn poll(&mut self) -> Poll<Result<T, Abandoned>> {
        // Before the poll, so that a wake-up during it is not lost.
        self.bell.rung.store(false, Ordering::Release);
        // A late ring of one that has ended says nothing.
        let Some(deferred) = &mut self.deferred else { return Poll::Pending };
        let result = ready!(Pin::new(deferred).poll(&mut Context::from_waker(&self.waker)));
        self.deferred = None;
        Poll::Ready(result)
    }
}
