//! Who starts threads where more are needed, and tasks when they are due.

use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::pool;
use super::tenure::{Badge, Occupied};
use crate::error::complain;
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::service::{Init, Next, Service};
use crate::service::timers::TimerRef;
use crate::supervisor::errors::StartChildError;
use crate::supervisor::reference::SupervisorRef;

/// A thread that retires keeps its name for a moment longer.
const UNTIL_IT_HAS_LEFT: Duration = Duration::from_millis(10);
/// Where the system has no more threads to give, others may end: so often it is asked again.
const UNTIL_THERE_IS_MORE: Duration = Duration::from_secs(1);

/// The pool's own service: the last to start and the first to stop, so that with it the pool begins and halts.
pub(crate) struct Keeper {
    crew: Arc<Crew>,
    workers: SupervisorRef,
    badge: Arc<Badge>,
    timer: Option<TimerRef>,
}

/// What it is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One more thread may be needed.
    Hire,
    /// A task is due, or another is the first to be.
    Look,
}

impl Keeper {
    pub(crate) fn new(crew: Arc<Crew>, workers: SupervisorRef, badge: Arc<Badge>) -> Self {
        Self { crew, workers, badge, timer: None }
    }

    fn hire(&self, cx: &mut Context<Self>) {
        while let Some(worker) = self.crew.desk(|desk| desk.hire()) {
            if let Err(error) =
                self.workers.start_child(pool::worker(&self.crew, worker, self.badge.supervisor))
            {
                self.crew.desk(|desk| desk.not_hired(worker, true));
                cx.send_after(self.patience(&error), Order::Hire);
                return;
            }
        }
    }

    /// How long until it is tried again.
    fn patience(&self, error: &StartChildError) -> Duration {
        if let StartChildError::AlreadyStarted { .. } = error {
            return UNTIL_IT_HAS_LEFT;
        }
        complain(format_args!("`{}` gets no more threads: {error}", self.crew.shared.name));
        UNTIL_THERE_IS_MORE
    }

    fn begin_due(&mut self, cx: &mut Context<Self>) {
        let now = cx.now();
        let (calls, next) = self.crew.desk(|desk| (desk.begin_due(now), desk.next_due()));
        calls.into_iter().for_each(|call| self.crew.call(call));
        if let Some(timer) = self.timer.take() {
            cx.cancel(timer);
        }
        self.timer = next.map(|due| cx.send_at(due, Order::Look));
    }
}

impl Service for Keeper {
    type Msg = Order;
    type Error = Occupied;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Occupied> {
        // The pool has ended when this child is gone for good.
        self.badge.enter(cx.handle().core(), |crew| crew.close())?;
        let before = self.crew.keeper.lock().replace(cx.handle());
        drop(before);
        self.crew.desk(|desk| desk.hire_anew());
        self.crew.resume();
        // Not here: the supervisor waits for this.
        cx.send_after(Duration::ZERO, Order::Hire);
        cx.send_after(Duration::ZERO, Order::Look);
        Ok(Init::Ready)
    }

    fn handle(&mut self, order: Order, cx: &mut Context<Self>) -> Result<Next, Occupied> {
        match order {
            Order::Hire => self.hire(cx),
            Order::Look => self.begin_due(cx),
        }
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.crew.halt();
    }

    fn label(order: &Order) -> &'static str {
        match order {
            Order::Hire => "hire",
            Order::Look => "look",
        }
    }
}
