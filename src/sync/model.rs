//! Stand-ins for the primitives, which [loom] explores: every order of events that the threads of
//! a model can come to, and every stale value that the memory model lets them read.
//!
//! Under `--cfg underpin_loom` this crate is built on them. A model then drives the real services,
//! mailboxes and supervisors, and a program can check its own services in the same way:
//!
//! ```toml
//! [target.'cfg(underpin_loom)'.dev-dependencies]
//! underpin = { version = "0.1", features = ["loom", "testing"] }
//! ```
//!
//! ```text
//! RUSTFLAGS="--cfg underpin_loom" cargo test --release
//! ```
//!
//! # What a stand-in promises
//!
//! The same as the real thing where one thread uses it, and never more where several do:
//!
//! | stand-in | real | difference |
//! |---|---|---|
//! | [`Mutex`] | parking_lot | none |
//! | atomics, [`fence`] | std | `SeqCst` accesses count as `AcqRel`; only the fence orders |
//! | [`bounded`] | crossbeam | *full* and *empty* may be stale news: who waits for a change has to announce itself, fence, and look again |
//! | [`Snapshot`] | arc-swap | a load may be stale, a look at it (`Peek`) as well; old values live as long as the snapshot |
//! | its reader (`Cached`) | arc-swap's cache | the same; it looks by a relaxed load whether there is another, as the real one |
//! | [`park`] | std | wakes once for no reason; [`park_timeout`] never times out |
//! | [`spawn`] | std | a panic that leaves a thread fails the model, so a join never returns `Err` |
//!
//! The channel is no lock around a queue: that would order the memory of everyone who touches it,
//! and hide a missing fence. Sends and receives are read-modify-writes of one atomic, as those of
//! crossbeam are of two, and what only looks is a plain load. Two things are stronger than in
//! crossbeam: a send sees what happened before the last receive (there it does so only when it
//! reuses the same slot), and no thread sees a message that is half written (there the other side
//! waits for it).
//!
//! # Limits
//!
//! - Five threads in one execution, the model's own among them.
//! - No time passes: a deadline is an event that the model itself posts, or one that has passed
//!   from the start.
//! - A crash is raised with [`resume_unwind`](std::panic::resume_unwind). Nobody holds a guard
//!   while another thread unwinds, and what is dropped in unwinding touches no stand-in.
//! - Whatever the threads share has to be a stand-in, or be shared through one. [`Arc`] is std's.
//!
//! [loom]: https://docs.rs/loom
#![cfg_attr(not(underpin_loom), allow(unused))]
#![allow(unreachable_pub)] // named here, re-exported from the root

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::time::Duration;

use loom::sync::Notify;
use loom::sync::atomic::AtomicUsize;

pub use loom::hint::spin_loop;
pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
pub use loom::thread::yield_now;

// ---- models ------------------------------------------------------------------------------

/// How often one execution may take a turn before it counts as endless.
const MAX_BRANCHES: usize = 20_000;
/// How often a thread is interrupted in one execution where it could go on.
const MAX_PREEMPTIONS: usize = 2;

/// Runs `body` in every order its threads can come to, with at most two preemptions in each, or
/// `LOOM_MAX_PREEMPTIONS`. Returns the number of executions.
///
/// It runs to the end: time-outs and limits on the number of executions are not obeyed.
///
/// # Panics
///
/// When an execution panics or deadlocks, and when there was only one: then the threads of the body
/// shared no stand-in, as is the case for this crate's own types without `--cfg underpin_loom`,
/// and nothing was checked.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use underpin::model::{AtomicU64, Ordering, model, spawn};
///
/// let executions = model(|| {
///     let total = Arc::new(AtomicU64::new(0));
///     let other = spawn("other".into(), None, {
///         let total = Arc::clone(&total);
///         move || total.fetch_add(1, Ordering::Relaxed)
///     });
///     total.fetch_add(1, Ordering::Relaxed);
///     other.and_then(|other| other.join().map_err(|_| unreachable!())).expect("no panic");
///     assert_eq!(total.load(Ordering::Relaxed), 2);
/// });
/// assert!(executions > 1);
/// ```
pub fn model(body: impl Fn() + Send + Sync + 'static) -> usize {
    model_with(MAX_PREEMPTIONS, body)
}

/// As [`model`], with another number of preemptions. `LOOM_MAX_PREEMPTIONS` goes before it.
///
/// # Panics
///
/// As [`model`].
pub fn model_with(preemptions: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = explore(preemptions, body);
    assert!(executions > 1, "one execution only: the model has no choices, so it proves nothing");
    executions
}

fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(Count::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = builder.max_branches.max(MAX_BRANCHES);
    builder.check({
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            body();
        }
    });
    executions.load(Ordering::Relaxed)
}

// ---- mutants -----------------------------------------------------------------------------

/// The known-wrong variants of the crate's protocols. A model is worth something when it finds
/// the mutant of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    AddBlindly,
    AdmitBlindly,
    AnnounceAfterLook,
    AnnounceLate,
    AnnounceWithoutFence,
    AnswerTwice,
    AnyGeneration,
    CallBeforeRoom,
    CallRetired,
    ChangeBlindly,
    ClaimTwice,
    ClearKept,
    CloseEarly,
    CloseTwice,
    CloseUnpublished,
    CloseWithoutCall,
    CloseWithoutFence,
    CountAnswered,
    CountByStaleWord,
    DrainReopened,
    DropNewest,
    EnlistBlindly,
    EvictNewest,
    FollowFirst,
    ForgetAnswer,
    ForgetErrand,
    ForgetLayers,
    ForgetParcel,
    ForgetRefused,
    ForgetSkipped,
    GiveToNobody,
    GiveUpCalled,
    HeedLate,
    HoldBlindly,
    IgnoreStop,
    JoinWithoutFence,
    KeepAsking,
    KeepUnderNewest,
    LeaveAsleep,
    LeaveForAll,
    LeaveGrant,
    LeaveInTwoSteps,
    LeaveUnlooked,
    LeaveUnpassed,
    LookAwayBlindly,
    LookFirst,
    OrderWithoutRecheck,
    OvertakeBlindly,
    ParkBlindly,
    ProbeBlindly,
    PublishBlindly,
    PublishSilently,
    PublishUnlocked,
    PutBackLate,
    QueueLate,
    QueueUnasked,
    QueueWithoutRecheck,
    ReplayTogether,
    ReplyFirst,
    RetireBlindly,
    RetireById,
    RingFirst,
    RiseFromAnySeat,
    SalvageSilently,
    SendUnfenced,
    SendUnlocked,
    SendWithoutFence,
    SendWithoutRecheck,
    SettleFirst,
    SettleUnwritten,
    ShowApart,
    ShowByStaleWord,
    SilenceAfterLook,
    SitBlindly,
    SkipAhead,
    StampBlindly,
    StartAfresh,
    StartUncommitted,
    StartUnshown,
    StopTicking,
    StoreHereClosed,
    StoreHereFirst,
    SwallowCall,
    SweepHeld,
    TagForAnyLife,
    TakeBlindly,
    TakeInTwoSteps,
    TellFirst,
    TellForAnyLife,
    TellSilently,
    TellTakenOut,
    TellUnsynced,
    UnregisterFirst,
    WaitBlindly,
    WakeFirst,
}

std::thread_local! {
    // One execution stays on its OS thread, whichever of its threads runs.
    static MUTANT: Cell<Option<Mutant>> = const { Cell::new(None) };
}

pub(crate) fn is_mutant(mutant: Mutant) -> bool {
    MUTANT.get() == Some(mutant)
}

/// Fails unless loom finds that `body` goes wrong with the mutant.
#[cfg(test)]
#[track_caller]
pub(crate) fn finds_mutant(
    mutant: Mutant,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) -> usize {
    let executions = Arc::new(Count::new(0));
    let counted = {
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            body();
        }
    };
    MUTANT.set(Some(mutant));
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(preemptions, counted)));
    MUTANT.set(None);
    let executions = executions.load(Ordering::Relaxed);
    assert!(found.is_err(), "{mutant:?} was not found in {executions} executions");
    executions
}

/// Whether this build carries the named fault: the one that the test selected.
macro_rules! mutant {
    ($name:ident) => {
        $crate::sync::model::is_mutant($crate::sync::model::Mutant::$name)
    };
}
pub(crate) use mutant;

// ---- threads -----------------------------------------------------------------------------

/// A handle to a thread, to wake it by.
#[derive(Clone, Debug)]
pub struct Thread {
    name: Option<Arc<str>>,
    token: Arc<Notify>,
}

/// Tells threads of one model apart.
pub type ThreadId = usize;

/// Ends the model, as it would the process.
///
/// # Panics
///
/// Always.
pub fn abort() -> ! {
    panic!("the process is aborted")
}

/// `std::thread_local!`, with and without `const { .. }`: each of a model's threads has its own.
macro_rules! locals {
    () => {};
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = const { $value:expr }; $($rest:tt)*) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $value; }
        $crate::sync::model::locals! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $value; }
        $crate::sync::model::locals! { $($rest)* }
    };
}
pub(crate) use locals;
pub(crate) use locals as thread_local;

loom::thread_local! {
    static ME: RefCell<Thread> = RefCell::new(Thread::new(None));
}

impl Thread {
    /// Tells threads of one model apart.
    pub fn id(&self) -> ThreadId {
        Arc::as_ptr(&self.token).addr()
    }

    fn new(name: Option<Arc<str>>) -> Self {
        Self { name, token: Arc::new(Notify::new()) }
    }

    /// The name it was started with.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Lets the thread's present [`park`] return, or its next.
    // loom's own unpark also wakes a thread that waits for a lock, and then fails.
    pub fn unpark(&self) {
        self.token.notify();
    }
}

/// The thread that runs.
pub fn current_thread() -> Thread {
    ME.with(|me| me.borrow().clone())
}

/// As that of the real primitives. Nobody simulates in a model.
#[cfg(feature = "testing")]
pub(crate) fn waits_begun() -> u64 {
    0
}

/// Blocks the thread until it is [unparked](Thread::unpark), or for no reason at all.
pub fn park() {
    current_thread().token.wait();
}

/// As [`park`]: in a model no time passes.
pub fn park_timeout(_: Duration) {
    park();
}

/// A thread that can be waited for.
#[derive(Debug)]
pub struct JoinHandle<T> {
    inner: loom::thread::JoinHandle<T>,
    thread: Thread,
    finished: Arc<AtomicBool>,
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end.
    ///
    /// # Errors
    ///
    /// Never: a panic that leaves a thread fails the model.
    pub fn join(self) -> std::thread::Result<T> {
        self.inner.join()
    }

    /// The thread itself.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }
}

/// Starts a thread. The stack is the model's.
///
/// # Errors
///
/// Never.
pub fn spawn<T: Send + 'static>(
    name: String,
    _stack: Option<usize>,
    main: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = Thread::new(Some(name.as_str().into()));
    let finished = Arc::new(AtomicBool::new(false));
    let inner = loom::thread::Builder::new().name(name).stack_size(STACK).spawn({
        let (thread, finished) = (thread.clone(), Arc::clone(&finished));
        move || {
            ME.with(|me| *me.borrow_mut() = thread);
            let result = main();
            finished.store(true, Ordering::Release);
            result
        }
    })?;
    Ok(JoinHandle { inner, thread, finished })
}

/// The stack of a model's thread, in words.
const STACK: usize = 0x4000;

/// Whether the thread has ended, so that a join returns at once.
pub fn is_finished<T>(thread: &JoinHandle<T>) -> bool {
    thread.finished.load(Ordering::Acquire)
}

/// Where threads could be started that may borrow. loom has none of these: a scope does without.
#[cfg(feature = "tasks")]
pub(crate) struct ThreadScope<'scope, 'env>(std::marker::PhantomData<(&'scope (), &'env ())>);

/// Runs `body`.
#[cfg(feature = "tasks")]
pub(crate) fn scoped<'env, R>(body: impl for<'scope> FnOnce(&'scope ThreadScope<'scope, 'env>) -> R) -> R {
    body(&ThreadScope(std::marker::PhantomData))
}

/// Never starts a thread.
#[cfg(feature = "tasks")]
pub(crate) fn spawn_scoped<'scope>(
    _: &'scope ThreadScope<'scope, '_>,
    _name: String,
    _main: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

// ---- a lock ------------------------------------------------------------------------------

/// A lock that no panic poisons.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// The right to use what is in a [`Mutex`].
pub type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// An open lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// The lock, waited for: no time passes in a model.
#[cfg(feature = "events")]
pub(crate) fn lock_within<T>(mutex: &Mutex<T>, _: Option<std::time::Duration>) -> Option<MutexGuard<'_, T>> {
    Some(mutex.lock())
}

// ---- a value that is replaced as a whole -------------------------------------------------

/// A value that is replaced as a whole and read without a lock.
#[derive(Debug)]
pub struct Snapshot<T> {
    latest: AtomicUsize,
    values: std::sync::Mutex<Vec<Arc<T>>>,
}

impl<T> Snapshot<T> {
    /// A snapshot of `value`.
    pub fn new(value: Arc<T>) -> Self {
        Self { latest: AtomicUsize::new(0), values: std::sync::Mutex::new(vec![value]) }
    }

    /// A value that the calling thread has not seen replaced.
    pub fn load(&self) -> Arc<T> {
        let latest = self.latest.load(Ordering::Acquire);
        Arc::clone(&plain(&self.values)[latest])
    }

    /// Replaces the value.
    pub fn store(&self, value: Arc<T>) {
        // The number is taken and the value put in without a turn for others in between.
        let number = self.latest.fetch_add(1, Ordering::AcqRel) + 1;
        let mut values = plain(&self.values);
        debug_assert_eq!(values.len(), number);
        values.push(value);
    }

    /// As [`load`](Self::load).
    #[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
    pub(crate) fn peek(&self) -> Peek<T> {
        Peek(self.load())
    }
}

/// A short look at the value of a [`Snapshot`].
#[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
pub(crate) struct Peek<T>(Arc<T>);

#[cfg(any(feature = "config", feature = "resilience", feature = "telemetry"))]
impl<T> std::ops::Deref for Peek<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

/// A reader of a [`Snapshot`] that keeps the value, and only looks whether it was replaced.
#[cfg(feature = "config")]
pub(crate) struct Cached<T> {
    snapshot: Arc<Snapshot<T>>,
    number: usize,
    value: Arc<T>,
}

#[cfg(feature = "config")]
impl<T> Cached<T> {
    pub(crate) fn new(snapshot: Arc<Snapshot<T>>) -> Self {
        let number = snapshot.latest.load(Ordering::Acquire);
        let value = Arc::clone(&plain(&snapshot.values)[number]);
        Self { snapshot, number, value }
    }

    /// The present value. As in arc-swap, the look whether there is another is a relaxed one.
    pub(crate) fn load(&mut self) -> &Arc<T> {
        if self.snapshot.latest.load(Ordering::Relaxed) != self.number {
            *self = Self::new(Arc::clone(&self.snapshot));
        }
        &self.value
    }
}

#[cfg(feature = "config")]
impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { snapshot: Arc::clone(&self.snapshot), number: self.number, value: Arc::clone(&self.value) }
    }
}

/// What loom does not see: held between two turns only, so never waited for.
fn plain<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

// ---- a bounded channel -------------------------------------------------------------------

/// The sending end of a bounded channel.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// The receiving end of a bounded channel.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// Why a message did not get into the channel. It is handed back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// There are as many messages in it as it holds.
    Full(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// Why no message came out of the channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Nothing {
    /// There is none now.
    Empty,
    /// There is none, and all senders are gone.
    Disconnected,
}

// It goes with the last end of either kind, and the messages in it with it, oldest first: the same
// as crossbeam's bounded channel.
#[derive(Debug)]
struct Channel<T> {
    capacity: usize,
    /// The number of messages, as threads see it. Sends and receives happen at its changes.
    len: AtomicUsize,
    queue: std::sync::Mutex<VecDeque<T>>,
    senders: Count,
    receivers: Count,
}

/// A bounded channel that holds `capacity` messages.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        capacity,
        len: AtomicUsize::new(0),
        queue: std::sync::Mutex::new(VecDeque::new()),
        senders: Count::new(1),
        receivers: Count::new(1),
    });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Channel<T> {
    /// Changes the number from what it really is, at the next turn. `false` if others were first.
    fn change(&self, from: usize, to: usize) -> bool {
        self.len.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn queued(&self) -> usize {
        plain(&self.queue).len()
    }

    /// Whether the number is `len`, or was it when the thread last saw it.
    fn is_at(&self, len: usize) -> bool {
        let seen = self.len.load(Ordering::Acquire);
        if seen == len && self.queued() != len {
            // The news was stale. It is so once, not for ever: here the thread sees the present.
            let _ = self.len.compare_exchange(usize::MAX, 0, Ordering::Acquire, Ordering::Acquire);
            return true;
        }
        self.queued() == len
    }

    fn is_full(&self) -> bool {
        self.is_at(self.capacity)
    }

    fn is_empty(&self) -> bool {
        self.is_at(0)
    }
}

impl<T> Sender<T> {
    /// Puts a message in, if there is space.
    ///
    /// # Errors
    ///
    /// The message is handed back when there is none, or nobody to receive it.
    pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        let channel = &*self.0;
        loop {
            let is_full = channel.is_full();
            if channel.receivers.load(Ordering::Relaxed) == 0 {
                return Err(Refused::Disconnected(message));
            }
            if is_full {
                return Err(Refused::Full(message));
            }
            let len = channel.queued();
            if channel.change(len, len + 1) {
                plain(&channel.queue).push_back(message);
                return Ok(());
            }
        }
    }

    /// How many messages are in it.
    #[allow(clippy::len_without_is_empty)] // as of the real one: nobody asks
    pub fn len(&self) -> usize {
        self.0.len.load(Ordering::Acquire)
    }

    /// How many messages it holds at most.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest message out, if there is one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn try_recv(&self) -> Result<T, Nothing> {
        let channel = &*self.0;
        loop {
            if channel.is_empty() {
                let is_over = channel.senders.load(Ordering::Relaxed) == 0 && channel.queued() == 0;
                return Err(if is_over { Nothing::Disconnected } else { Nothing::Empty });
            }
            let len = channel.queued();
            if channel.change(len, len - 1)
                && let Some(message) = plain(&channel.queue).pop_front()
            {
                // In crossbeam the receive is a SeqCst read-modify-write, which no later SeqCst
                // load overtakes.
                fence(Ordering::SeqCst);
                return Ok(message);
            }
        }
    }

    /// Whether no message is in it.
    pub fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::Acquire) == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.receivers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}
