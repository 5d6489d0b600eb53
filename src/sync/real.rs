//! The primitives of an ordinary build.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // this is the door
#![cfg_attr(underpin_loom, allow(unused))]

use std::io;
use std::sync::Arc;

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
#[cfg(not(feature = "testing"))]
pub(crate) use std::thread::current as current_thread;
pub(crate) use std::thread::{JoinHandle, Thread, ThreadId, park, park_timeout, yield_now};

pub(crate) use parking_lot::Mutex;
#[cfg(any(feature = "events", feature = "telemetry"))]
pub(crate) use parking_lot::MutexGuard;
pub(crate) use std::thread_local;

/// Ends the process at once, as a fault: without destructors, with a core where the system keeps one.
pub(crate) fn abort() -> ! {
    std::process::abort()
}

#[cfg(feature = "testing")]
std::thread_local! {
    static WAITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The thread that runs.
#[cfg(feature = "testing")]
pub(crate) fn current_thread() -> Thread {
    WAITS.set(WAITS.get() + 1);
    std::thread::current()
}

/// Changes whenever the thread begins to wait for something else: whoever waits says once, before
/// the first park, which thread is to be woken.
#[cfg(feature = "testing")]
pub(crate) fn waits_begun() -> u64 {
    WAITS.get()
}

/// Starts a thread with a name and, if given, a stack size in bytes.
pub(crate) fn spawn(
    name: String,
    stack: Option<usize>,
    main: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(bytes) = stack {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(main)
}

/// Where threads are started that may borrow: [`scoped`] does not return before they have ended.
#[cfg(feature = "tasks")]
pub(crate) type ThreadScope<'scope, 'env> = std::thread::Scope<'scope, 'env>;

/// Runs `body`, and waits for all threads that it has started in its scope.
#[cfg(feature = "tasks")]
pub(crate) fn scoped<'env, R>(body: impl for<'scope> FnOnce(&'scope ThreadScope<'scope, 'env>) -> R) -> R {
    std::thread::scope(body)
}

/// Starts a thread with a name in a scope.
#[cfg(feature = "tasks")]
pub(crate) fn spawn_scoped<'scope>(
    scope: &'scope ThreadScope<'scope, '_>,
    name: String,
    main: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn_scoped(scope, main).map(drop)
}

/// The lock, if it is free within this time; without one, whenever that is.
#[cfg(feature = "events")]
pub(crate) fn lock_within<T>(
    mutex: &Mutex<T>,
    within: Option<std::time::Duration>,
) -> Option<MutexGuard<'_, T>> {
    match within {
        None => Some(mutex.lock()),
        Some(within) => mutex.try_lock_for(within),
    }
}

/// How many threads the machine runs at once, as far as this process may use it. 1 if unknown.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether the thread has ended, so that a join returns at once.
pub(crate) fn is_finished(thread: &JoinHandle<()>) -> bool {
    thread.is_finished()
}

/// The sending end of a bounded channel.
#[derive(Debug)]
pub(crate) struct Sender<T>(crossbeam_channel::Sender<T>);

/// The receiving end of a bounded channel.
#[derive(Debug)]
pub(crate) struct Receiver<T>(crossbeam_channel::Receiver<T>);

/// A bounded channel that holds `capacity` messages.
pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    (Sender(sender), Receiver(receiver))
}

/// Why a message did not get into the channel. It is handed back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<T> {
    Full(T),
    Disconnected(T),
}

/// Why no message came out of the channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    Disconnected,
}

impl<T> Sender<T> {
    #[inline]
    pub(crate) fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        self.0.try_send(message).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(message) => Refused::Full(message),
            crossbeam_channel::TrySendError::Disconnected(message) => Refused::Disconnected(message),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity().unwrap_or(usize::MAX)
    }
}

impl<T> Receiver<T> {
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, Nothing> {
        self.0.try_recv().map_err(|error| match error {
            crossbeam_channel::TryRecvError::Empty => Nothing::Empty,
            crossbeam_channel::TryRecvError::Disconnected => Nothing::Disconnected,
        })
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A value that is replaced as a whole and read without a lock.
#[derive(Debug)]
pub(crate) struct Snapshot<T>(arc_swap::ArcSwap<T>);

impl<T> Snapshot<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }

    /// The present value, without a count of its own where that can be spared: for a short look.
    #[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
    #[inline]
    pub(crate) fn peek(&self) -> Peek<T> {
        Peek(self.0.load())
    }
}

/// A short look at the value of a [`Snapshot`].
#[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
pub(crate) struct Peek<T>(arc_swap::Guard<Arc<T>>);

#[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
impl<T> std::ops::Deref for Peek<T> {
    type Target = Arc<T>;

    #[inline]
    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

/// A reader of a [`Snapshot`] that keeps the value, and only looks whether it was replaced.
#[cfg(feature = "config")]
pub(crate) struct Cached<T>(arc_swap::cache::Cache<Source<T>, Arc<T>>);

#[cfg(feature = "config")]
struct Source<T>(Arc<Snapshot<T>>);

#[cfg(feature = "config")]
impl<T> std::ops::Deref for Source<T> {
    type Target = arc_swap::ArcSwap<T>;

    #[inline]
    fn deref(&self) -> &arc_swap::ArcSwap<T> {
        &self.0.0
    }
}

#[cfg(feature = "config")]
impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(feature = "config")]
impl<T> Cached<T> {
    pub(crate) fn new(snapshot: Arc<Snapshot<T>>) -> Self {
        Self(arc_swap::cache::Cache::new(Source(snapshot)))
    }

    /// The present value.
    #[inline]
    pub(crate) fn load(&mut self) -> &Arc<T> {
        self.0.load()
    }
}

#[cfg(feature = "config")]
impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Whether this build carries the named fault. Only models do.
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}
pub(crate) use mutant;
