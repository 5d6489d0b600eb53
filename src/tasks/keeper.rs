//! Who starts threads where more are needed, and tasks when they are due.

use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::desk::Desk;
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
        while let Some(worker) = self.crew.desk_of_mine(Desk::hire).flatten() {
            let spec = pool::worker(&self.crew, worker, self.badge.supervisor);
            if let Err(error) = self.workers.start_child(spec) {
                if self.crew.desk_of_mine(|desk| desk.not_hired(worker, true)).is_some() {
                    cx.send_after(self.patience(&error), Order::Hire);
                }
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
        self.crew.has_keeper(cx.handle());
        self.crew.desk_of_mine(Desk::hire_anew);
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

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::service::incarnation::{Incarnation, Node};
    use crate::service::scope;
    use crate::supervisor::spec::child;
    use crate::sync::Clock;
    use crate::tasks::TaskPool;
    use crate::tasks::worker::Worker;

    #[test]
    fn what_was_abandoned_neither_hires_nor_halts_nor_takes_or_leaves_a_seat() {
        let tasks = TaskPool::builder("work").elastic(1..=2).build().expect("it makes sense");
        let (crew, badge) = (&tasks.0, || Badge::new(&tasks.0, 1));
        let mut keeper = Keeper::new(Arc::clone(crew), tasks.supervisor().reference(), badge());
        let mut worker = Worker::new(Arc::clone(crew), 0, badge());
        let (made, workers) = (Arc::clone(crew), tasks.supervisor().reference());
        let spare =
            child("keeper", move || Keeper::new(Arc::clone(&made), workers.clone(), Badge::new(&made, 1)));
        crew.desk(|desk| desk.arrived(0));
        let life = Incarnation::new(Node::new("one".into()), 1, Clock::system().now());
        scope::enter(&life, || {
            assert_eq!(crew.desk_of_mine(|_| 7), Some(7));
            life.abandon();
            assert_eq!(crew.desk_of_mine(|_| 7), None);
            keeper.terminate(&Exit::Shutdown);
            worker.terminate(&Exit::Shutdown);
            assert!(crew.next(0, None).is_none(), "it does not sit down on its successor's seat");
            crew.arrived(1, pool::worker(crew, 1, 1).handle());
            crew.has_keeper(spare.handle());
            assert!(crew.desk(|desk| desk.idle()) == 0 && crew.keeper.lock().is_none());
        });
        let state = || (crew.shared.is_halting(), crew.desk(|desk| desk.crew()));
        assert_eq!(state(), (false, 1));
        keeper.terminate(&Exit::Shutdown);
        worker.terminate(&Exit::Shutdown);
        assert_eq!(state(), (true, 0));
    }
}
