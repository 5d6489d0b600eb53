//! The service of one check: the thread that runs it.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::Board;
use super::check::{Aspects, Check, GRACE, Look};
use super::record::{Judgement, Record, Terms};
use super::verdict::{Reason, Verdict};
use crate::error::panic_text;
use crate::service::context::Context;
use crate::service::exit::Lifecycle;
use crate::service::handle::Handle;
use crate::service::mailbox::Overflow;
use crate::service::reply::Reply;
use crate::service::service::{Init, Next, Service};
use crate::supervisor::hang::OnHang;
use crate::supervisor::spec::{ChildSpec, child};
use crate::sync::Mutex;

/// How many wait for the answer of one check at once. One more is refused.
const ASKERS: usize = 16;

/// What is known of a check.
pub(crate) struct Slot {
    name: Arc<str>,
    aspects: Aspects,
    is_critical: bool,
    terms: Terms,
    record: Mutex<Record>,
}

/// A check as others see it: what is known of it, and the way to its service.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
    pub(crate) handle: Handle<CheckRequest>,
}

/// The service of one check.
pub(crate) struct CheckService {
    slot: Arc<Slot>,
    look: Look,
    board: Arc<Board>,
    is_due: bool,
}

/// What is said to a [`CheckService`].
pub(crate) struct CheckRequest(pub(crate) Order);

pub(crate) enum Order {
    /// It is due.
    Run,
    /// Somebody wants to know now.
    Ask(Reply<Verdict>),
}

/// The child of a check, and what others see of it.
pub(crate) fn checker(check: Check, board: &Arc<Board>) -> (ChildSpec<CheckService>, Seat) {
    let (fault, slot) = (check.fault(), Arc::new(Slot::new(&check)));
    let factory = {
        let (slot, look, board) = (Arc::clone(&slot), check.look, Arc::clone(board));
        move || CheckService::new(Arc::clone(&slot), Arc::clone(&look), Arc::clone(&board))
    };
    let spec = child(check.name, factory).capacity(ASKERS).overflow(Overflow::Reject);
    let spec = spec.shutdown(GRACE).on_hang(OnHang::Abandon);
    let handle = spec.handle();
    (if let Some(fault) = fault { spec.faulty(fault) } else { spec }, Seat { slot, handle })
}

impl Slot {
    pub(crate) fn new(check: &Check) -> Self {
        Self {
            name: Arc::clone(&check.name),
            aspects: check.aspects.or_readiness(),
            is_critical: check.is_critical,
            terms: check.terms,
            record: Mutex::new(Record::default()),
        }
    }

    pub(crate) fn begin(&self, epoch: u64, now: Instant) {
        self.record.lock().begin(epoch, now);
    }

    pub(crate) fn end(&self, epoch: u64, now: Instant, verdict: Verdict) {
        self.record.lock().end(epoch, now, verdict);
    }

    fn judged(&self, now: Instant) -> Judgement {
        self.record.lock().judged(now, self.terms)
    }
}

impl Seat {
    pub(crate) fn name(&self) -> &str {
        &self.slot.name
    }

    pub(crate) fn aspects(&self) -> Aspects {
        self.slot.aspects
    }

    /// What it counts as now. What its child says of itself goes before what it said last: an answer of one that is
    /// gone is none.
    pub(crate) fn reason(&self, now: Instant) -> Reason {
        let life = self.handle.core().incarnation();
        let is_over = life.epoch > 0 && matches!(life.state(), Lifecycle::Stopped | Lifecycle::Failed);
        let gone = || Judgement { verdict: Verdict::unknown("has stopped"), since: now };
        let Judgement { verdict, since } = if is_over { gone() } else { self.slot.judged(now) };
        let counts = verdict.health().unless_critical(self.slot.is_critical);
        Reason { check: self.name().into(), verdict: counts, why: verdict.why().into(), since }
    }
}

impl CheckService {
    fn new(slot: Arc<Slot>, look: Look, board: Arc<Board>) -> Self {
        Self { slot, look, board, is_due: false }
    }

    /// Runs the check. Not under a lock: it may take as long as it likes.
    fn run(&self, cx: &Context<Self>) -> Verdict {
        self.slot.begin(cx.epoch(), cx.now());
        let verdict = catch_unwind(AssertUnwindSafe(|| (self.look)()))
            .unwrap_or_else(|panic| Verdict::unhealthy(format!("panicked: {}", panic_text(panic))));
        self.slot.end(cx.epoch(), cx.now(), verdict.clone());
        self.board.nudge();
        verdict
    }

    /// One timer at most.
    fn run_after(&mut self, pause: Duration, cx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.is_due, true) {
            cx.send_after(pause, CheckRequest(Order::Run));
        }
    }
}

impl Service for CheckService {
    type Msg = CheckRequest;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.run_after(Duration::ZERO, cx);
        Ok(Init::Ready)
    }

    fn handle(
        &mut self,
        CheckRequest(order): CheckRequest,
        cx: &mut Context<Self>,
    ) -> Result<Next, Infallible> {
        match order {
            Order::Run => {
                self.is_due = false;
                self.run(cx);
            }
            // Who asked has gone: it was held up by a run that took long.
            Order::Ask(reply) if reply.is_abandoned() => {}
            Order::Ask(reply) => reply.send(self.run(cx)),
        }
        self.run_after(self.slot.terms.every, cx);
        Ok(Next::Continue)
    }

    fn label(CheckRequest(order): &CheckRequest) -> &'static str {
        match order {
            Order::Run => "run",
            Order::Ask(_) => "ask",
        }
    }
}
