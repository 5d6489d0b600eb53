//! The config service: the one thread that changes a configuration.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::config::Settings;
use super::debounce::Debounce;
use super::errors::UpdateError;
use super::proposal::Proposal;
use super::watch::{Stamps, Watch, Watcher};
use crate::error::panic_text;
use crate::service::context::Context;
use crate::service::core::Urgent;
use crate::service::deadline::Deadline;
use crate::service::exit::Exit;
use crate::service::reply::Reply;
use crate::service::service::{Init, Next, Service};
use crate::sync::{AtomicBool, Ordering, mutant};

/// How long files settle before they are read.
const QUIET: Duration = Duration::from_millis(200);
/// How long they may be written to before they are read all the same.
const LONGEST: Duration = Duration::from_secs(2);
/// How often is swept, while there is something that may have to be.
const SWEEP: Duration = Duration::from_secs(30);

/// The service that changes a configuration, as [`Config::child`](super::Config::child) describes it.
///
/// It keeps nothing of its own: what was published is in force whether it runs or not, and its next
/// incarnation goes on from there.
pub struct ConfigService<T> {
    board: Arc<Board<T>>,
    watch: Watch,
    watcher: Option<Watcher>,
    stamps: Stamps,
    debounce: Debounce,
    is_settling: bool,
    is_looking: bool,
    is_sweeping: bool,
}

/// What is said to a [`ConfigService`]. [`Config`](super::Config) says it.
pub struct Request(pub(crate) Order);

pub(crate) enum Order {
    /// Asked for in a call.
    Update(Proposal, Reply<Result<u64, UpdateError>>),
    /// Asked for without waiting. It is not made from that moment on.
    Later(Proposal, Deadline, Reply<Result<u64, UpdateError>>),
    Reload(Option<Reply<Result<Option<u64>, UpdateError>>>),
    /// A file was touched.
    Touched,
    /// Files may have settled.
    Settled,
    /// It is time to look at the files.
    Look,
    Sweep,
}

impl<T: Settings> ConfigService<T> {
    pub(crate) fn new(board: Arc<Board<T>>, watch: Watch) -> Self {
        Self {
            board,
            watch,
            watcher: None,
            stamps: Stamps::default(),
            debounce: Debounce::new(QUIET, LONGEST),
            is_settling: false,
            is_looking: false,
            is_sweeping: false,
        }
    }

    // ---- files ---------------------------------------------------------------------------

    /// Watches the files as they are named now: a link may lead elsewhere than before. What is read
    /// after this cannot change unseen.
    fn watch(&mut self, cx: &mut Context<Self>) {
        let files: Vec<_> = self.board.sources.files().cloned().collect();
        let next = Watcher::of(self.watcher.as_ref(), self.watch, &files, toucher(cx));
        self.watcher = next; // the one before goes after it has come
        self.stamps = Stamps::of(&files);
        self.look_later(cx);
    }

    fn look(&mut self, cx: &mut Context<Self>) {
        self.is_looking = false;
        let files: Vec<_> = self.board.sources.files().cloned().collect();
        let stamps = Stamps::of(&files);
        if stamps != self.stamps {
            self.stamps = stamps;
            self.touched(cx);
        }
        self.look_later(cx);
    }

    /// One timer at most.
    fn look_later(&mut self, cx: &mut Context<Self>) {
        let every = self.watcher.as_ref().and_then(Watcher::every);
        if let Some(every) = every.filter(|_| !self.is_looking) {
            self.is_looking = true;
            cx.send_after(every, Request(Order::Look));
        }
    }

    fn touched(&mut self, cx: &mut Context<Self>) {
        self.debounce.touch(cx.now());
        self.settle(cx);
    }

    /// One timer at most: it finds out itself that it comes too early.
    fn settle(&mut self, cx: &mut Context<Self>) {
        if let Some(due) = self.debounce.next_deadline().filter(|_| !self.is_settling) {
            self.is_settling = true;
            cx.send_at(due, Request(Order::Settled));
        }
    }

    fn settled(&mut self, cx: &mut Context<Self>) {
        self.is_settling = false;
        if !self.debounce.is_due(cx.now()) {
            return self.settle(cx);
        }
        self.watch(cx);
        // Nobody asked, so nobody is told of a crash; and a next life would read the same and crash again.
        let reload = || drop(self.board.reload(false, cx.clock()));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(reload)) {
            self.board.reload_panicked(&panic_text(panic), cx.now());
        }
    }

    // ---- now and then --------------------------------------------------------------------

    fn sweep(&mut self, cx: &mut Context<Self>) {
        self.is_sweeping = false;
        if self.board.sweep(cx.now()) {
            self.sweep_later(cx);
        }
    }

    /// An idle service is not woken for nothing: after a sweep that left nothing, none is due until
    /// something is asked for.
    fn sweep_later(&mut self, cx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.is_sweeping, true) {
            cx.send_after(SWEEP, Request(Order::Sweep));
        }
    }
}

/// What a watcher does: one message at most is under way, however many files are touched.
fn toucher<T: Settings>(cx: &Context<ConfigService<T>>) -> impl Fn() + Send + 'static {
    let handle = cx.handle();
    let is_under_way = Arc::new(AtomicBool::new(false));
    move || {
        if is_under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let arrived = Arc::clone(&is_under_way);
        let message = move || {
            arrived.store(false, Ordering::Release);
            Some(Request(Order::Touched))
        };
        handle.core().mailbox.push_urgent(Urgent::News(Box::new(message)));
    }
}

impl<T: Settings> Service for ConfigService<T> {
    type Msg = Request;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.board.catch_up();
        if self.watch != Watch::No {
            self.watch(cx);
            self.touched(cx); // since they were read last, nobody has watched
        }
        self.sweep_later(cx);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Request(order): Request, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match order {
            // Who waited for it has been told that it was not made in time.
            Order::Update(_, reply) if reply.is_abandoned() => {}
            Order::Update(proposal, reply) if mutant!(ReplyFirst) => {
                reply.send(Ok(self.board.present.load().version + 1));
                drop(self.board.carry_out(&proposal, cx.clock()));
            }
            Order::Update(proposal, reply) => reply.send(self.board.carry_out(&proposal, cx.clock())),
            Order::Later(_, expires, reply) if expires.has_passed(cx.now()) => {
                reply.send(Err(UpdateError::Expired));
            }
            Order::Later(proposal, _, reply) => reply.send(self.board.carry_out(&proposal, cx.clock())),
            Order::Reload(reply) => self.reload(reply, cx),
            Order::Touched => self.touched(cx),
            Order::Settled => self.settled(cx),
            Order::Look => self.look(cx),
            Order::Sweep => {
                self.sweep(cx);
                return Ok(Next::Continue);
            }
        }
        self.sweep_later(cx);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.watcher = None;
        // Their closures may hold the configuration, which holds them.
        self.board.forget_gone();
    }

    fn label(Request(order): &Request) -> &'static str {
        match order {
            Order::Update(..) => "update",
            Order::Later(..) => "update_async",
            Order::Reload(_) => "reload",
            Order::Touched => "touched",
            Order::Settled => "settled",
            Order::Look => "look",
            Order::Sweep => "sweep",
        }
    }
}

impl<T: Settings> ConfigService<T> {
    fn reload(&mut self, reply: Option<Reply<Result<Option<u64>, UpdateError>>>, cx: &mut Context<Self>) {
        if self.watch != Watch::No {
            self.watch(cx);
        }
        let is_degraded = self.board.degraded().is_some();
        let outcome = self.board.reload(is_degraded, cx.clock());
        if let Some(reply) = reply {
            reply.send(outcome);
        }
    }
}
