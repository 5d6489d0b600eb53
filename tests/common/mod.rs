//! What the tests share: a service that does as it is told, and ways to wait without sleeping.
#![allow(dead_code)] // each test crate uses a part of it

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use underpin::testing;
use underpin::{
    ChildSpec, Context, CrashReport, Down, ErrorKind, Exit, Handle, Init, Lifecycle, Next, Reply, Service,
    SupervisionEvent, Supervisor, child,
};

/// Longer than anything that works takes, even on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(15);
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NS: Duration = Duration::from_nanos(1);

// ---- waiting -----------------------------------------------------------------------------

/// What was noted, in order. Whoever waits for an entry is woken by it.
pub(crate) struct Log<T>(Arc<(Mutex<Vec<T>>, Condvar)>);

pub(crate) type Journal = Log<String>;

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone + fmt::Debug> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(Vec::new()), Condvar::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, entry: T) {
        self.lock().push(entry);
        self.0.1.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        self.lock().iter().filter(|entry| is(entry)).count()
    }

    /// Waits until `is` holds for `count` entries, and returns the last of those.
    #[track_caller]
    pub(crate) fn wait_count(&self, count: usize, is: impl Fn(&T) -> bool) -> T {
        let until = Instant::now() + LONG;
        let mut entries = self.lock();
        loop {
            if let Some(entry) = entries.iter().filter(|entry| is(entry)).nth(count - 1) {
                return entry.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for entry {count}; there are {entries:?}");
            entries = self.0.1.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether an entry comes within a time. For what must not come: it costs the whole time.
    pub(crate) fn comes_within(&self, time: Duration, is: impl Fn(&T) -> bool) -> bool {
        let came = |entries: &mut Vec<T>| !entries.iter().any(&is);
        let waited = self.0.1.wait_timeout_while(self.lock(), time, came);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    #[track_caller]
    pub(crate) fn wait(&self, is: impl Fn(&T) -> bool) -> T {
        self.wait_count(1, is)
    }
}

impl Journal {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.push(line.into());
    }

    #[track_caller]
    pub(crate) fn wait_line(&self, line: &str) {
        self.wait(|noted| noted == line);
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.count(|noted| noted == line) > 0
    }

    /// Where in the order a line stands.
    #[track_caller]
    pub(crate) fn at(&self, line: &str) -> usize {
        let lines = self.all();
        lines.iter().position(|noted| noted == line).unwrap_or_else(|| panic!("no `{line}` in {lines:?}"))
    }
}

/// What a tree tells of itself. What does not come in time fails the test.
#[derive(Clone)]
pub(crate) struct Events(testing::Events);

impl std::ops::Deref for Events {
    type Target = testing::Events;

    fn deref(&self) -> &testing::Events {
        &self.0
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        Self(testing::Events::new())
    }

    #[track_caller]
    pub(crate) fn wait(&self, is: impl Fn(&SupervisionEvent) -> bool) -> SupervisionEvent {
        self.wait_count(1, is)
    }

    /// Waits until `is` holds for `count` events, and returns the last of those.
    #[track_caller]
    pub(crate) fn wait_count(
        &self,
        count: usize,
        is: impl Fn(&SupervisionEvent) -> bool,
    ) -> SupervisionEvent {
        self.wait_for_nth(count, is, LONG).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for the `count`th crash of `child`.
    #[track_caller]
    pub(crate) fn crash_of(&self, name: &str, count: usize) -> CrashReport {
        let is_it = |event: &_| matches!(event, SupervisionEvent::Crashed(crash) if &*crash.child == name);
        match self.wait_count(count, is_it) {
            SupervisionEvent::Crashed(crash) => crash,
            _ => unreachable!("only crashes were asked for"),
        }
    }

    /// Waits for the `count`th announcement of a restart of `child`, and returns its delay.
    #[track_caller]
    pub(crate) fn restart_of(&self, name: &str, count: usize) -> Duration {
        let is_it =
            |event: &_| matches!(event, SupervisionEvent::Restarting { child, .. } if &**child == name);
        match self.wait_count(count, is_it) {
            SupervisionEvent::Restarting { delay, .. } => delay,
            _ => unreachable!("only restarts were asked for"),
        }
    }

    #[track_caller]
    pub(crate) fn entered(&self, name: &str, state: Lifecycle, epoch: u64) {
        self.wait(|event| match event {
            SupervisionEvent::Entered { child, state: entered, epoch: life, .. } => {
                &**child == name && *entered == state && *life == epoch
            }
            _ => false,
        });
    }
}

/// Closed until it is opened. If nobody does, that fails the test.
#[derive(Clone)]
pub(crate) struct Latch(testing::Latch);

impl Latch {
    pub(crate) fn new() -> Self {
        Self(testing::Latch::new())
    }

    pub(crate) fn open(&self) {
        self.0.open();
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        self.0.wait(LONG).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// For what nobody tells of: asks again and again until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "never came true: {what}");
        std::thread::yield_now();
    }
}

/// Runs `work` on a thread of its own; joins it with [`Job::done`].
pub(crate) fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(work());
    });
    Aside { receiver, thread }
}

/// Work under way on another thread.
pub(crate) struct Aside<T> {
    receiver: std::sync::mpsc::Receiver<T>,
    thread: std::thread::JoinHandle<()>,
}

impl<T> Aside<T> {
    /// What it came to.
    #[track_caller]
    pub(crate) fn done(self) -> T {
        let result = self.receiver.recv_timeout(LONG).expect("the work aside ends");
        self.thread.join().expect("the thread aside does not panic");
        result
    }

    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }
}

// ---- the service -------------------------------------------------------------------------

/// An error of a chosen kind.
#[derive(Debug)]
pub(crate) struct Oops(pub(crate) ErrorKind, pub(crate) &'static str);

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

impl std::error::Error for Oops {}

pub(crate) type Done = Result<Next, Oops>;
pub(crate) type Act = Box<dyn FnOnce(&mut Bot, &mut Context<Bot>) -> Done + Send>;
pub(crate) type Ask = Box<dyn FnOnce(&mut Bot, &mut Context<Bot>, Reply<u64>) -> Done + Send>;
type OnInit = Arc<dyn Fn(&mut Bot, &mut Context<Bot>) -> Result<Init, Oops> + Send + Sync>;
type OnTerminate = Arc<dyn Fn(&mut Bot, &Exit) + Send + Sync>;
type OnDrop = Arc<dyn Fn(&str) + Send + Sync>;

/// A service that does what its messages say, and notes its life in a journal: `<name> init
/// <epoch>`, `<name> terminate: <exit>`, `<name> drop`, `<name> add <n>`, `<name> idle`.
pub(crate) struct Bot {
    pub(crate) name: String,
    pub(crate) journal: Journal,
    pub(crate) total: u64,
    pub(crate) kept: Vec<Reply<u64>>,
    on_init: Option<OnInit>,
    on_terminate: Option<OnTerminate>,
    on_drop: Option<OnDrop>,
}

pub(crate) enum Msg {
    Add(u64),
    Total(Reply<u64>),
    Epoch(Reply<u64>),
    Do(Act),
    Ask(Ask, Reply<u64>),
    Gone(Down),
}

impl Bot {
    pub(crate) fn new(name: &str, journal: &Journal) -> Self {
        Self {
            name: name.into(),
            journal: journal.clone(),
            total: 0,
            kept: Vec::new(),
            on_init: None,
            on_terminate: None,
            on_drop: None,
        }
    }

    pub(crate) fn on_init(
        mut self,
        hook: impl Fn(&mut Bot, &mut Context<Bot>) -> Result<Init, Oops> + Send + Sync + 'static,
    ) -> Self {
        self.on_init = Some(Arc::new(hook));
        self
    }

    pub(crate) fn on_terminate(mut self, hook: impl Fn(&mut Bot, &Exit) + Send + Sync + 'static) -> Self {
        self.on_terminate = Some(Arc::new(hook));
        self
    }

    pub(crate) fn on_drop(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_drop = Some(Arc::new(hook));
        self
    }

    pub(crate) fn note(&self, what: impl fmt::Display) {
        self.journal.note(format!("{} {what}", self.name));
    }
}

impl Service for Bot {
    type Msg = Msg;
    type Error = Oops;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Oops> {
        self.note(format_args!("init {}", cx.epoch()));
        match self.on_init.clone() {
            Some(hook) => hook(self, cx),
            None => Ok(Init::Ready),
        }
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Done {
        match msg {
            Msg::Add(n) => {
                self.total += n;
                self.note(format_args!("add {n}"));
            }
            Msg::Total(reply) => reply.send(self.total),
            Msg::Epoch(reply) => reply.send(cx.epoch()),
            Msg::Do(act) => return act(self, cx),
            Msg::Ask(ask, reply) => return ask(self, cx, reply),
            Msg::Gone(down) => {
                self.note(format_args!("sees {} {} after {}", down.name, down.exit, down.epoch))
            }
        }
        Ok(Next::Continue)
    }

    fn idle(&mut self, _cx: &mut Context<Self>) -> Done {
        self.note("idle");
        Ok(Next::Continue)
    }

    fn terminate(&mut self, exit: &Exit) {
        self.note(format_args!("terminate: {exit}"));
        if let Some(hook) = self.on_terminate.clone() {
            hook(self, exit);
        }
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Add(_) => "Add",
            Msg::Total(_) => "Total",
            Msg::Epoch(_) => "Epoch",
            Msg::Do(_) => "Do",
            Msg::Ask(..) => "Ask",
            Msg::Gone(_) => "Gone",
        }
    }

    fn kind(error: &Oops) -> ErrorKind {
        error.0
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.note("drop");
        if let Some(hook) = self.on_drop.clone() {
            hook(&self.name);
        }
    }
}

/// A child that runs a [`Bot`].
pub(crate) fn bot(name: &str, journal: &Journal) -> ChildSpec<Bot> {
    bot_with(name, journal, |bot| bot)
}

/// A child that runs a [`Bot`] with hooks.
pub(crate) fn bot_with(
    name: &str,
    journal: &Journal,
    dress: impl Fn(Bot) -> Bot + Send + Sync + 'static,
) -> ChildSpec<Bot> {
    let (own_name, journal) = (name.to_owned(), journal.clone());
    child(name, move || dress(Bot::new(&own_name, &journal)))
}

/// A supervisor that restarts as often as a test may need.
pub(crate) fn patient(name: &str) -> Supervisor {
    Supervisor::new(name).intensity(1_000_000, SECOND)
}

pub(crate) fn act(work: impl FnOnce(&mut Bot, &mut Context<Bot>) -> Done + Send + 'static) -> Msg {
    Msg::Do(Box::new(work))
}

pub(crate) fn ask(
    work: impl FnOnce(&mut Bot, &mut Context<Bot>, Reply<u64>) -> Done + Send + 'static,
) -> impl FnOnce(Reply<u64>) -> Msg {
    |reply| Msg::Ask(Box::new(work), reply)
}

/// A panic that prints nothing.
pub(crate) fn panic_quietly(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

/// A message at which the service panics.
pub(crate) fn boom() -> Msg {
    act(|_, _| panic_quietly("boom"))
}

/// A message at which the service fails.
pub(crate) fn fail(kind: ErrorKind) -> Msg {
    act(move |_, _| Err(Oops(kind, "failed as told")))
}

/// A message at which the service ends normally.
pub(crate) fn quit() -> Msg {
    act(|_, _| Ok(Next::Stop))
}

/// Has the service wait in its handler, and returns when it does. It goes on when the latch opens.
#[track_caller]
pub(crate) fn occupy(handle: &Handle<Msg>) -> Latch {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let sent = handle.cast(act(move |_, _| {
        tell.open();
        held.wait();
        Ok(Next::Continue)
    }));
    sent.expect("the mailbox takes it");
    inside.wait();
    release
}

/// Has the service wait in its handler until it is asked to stop, and tells so; then it waits for
/// the second latch all the same.
#[track_caller]
pub(crate) fn hang(handle: &Handle<Msg>) -> (Latch, Latch) {
    hang_then(handle, |_, _| Ok(Next::Continue))
}

/// As [`hang`], and what it does in the end.
#[track_caller]
pub(crate) fn hang_then(
    handle: &Handle<Msg>,
    finally: impl FnOnce(&mut Bot, &mut Context<Bot>) -> Done + Send + 'static,
) -> (Latch, Latch) {
    let (inside, asked, release) = (Latch::new(), Latch::new(), Latch::new());
    let (tell, asked_too, held) = (inside.clone(), asked.clone(), release.clone());
    let sent = handle.cast(act(move |bot, cx| {
        tell.open();
        eventually("asked to stop", || cx.is_stopping());
        asked_too.open();
        held.wait();
        finally(bot, cx)
    }));
    sent.expect("the mailbox takes it");
    inside.wait();
    (asked, release)
}
