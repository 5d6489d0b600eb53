//! What a service is asked by its system lane.

use std::any::{Any, type_name};

use super::*;
use crate::service::reply::Reply;
use crate::service::system::{Order, Task, Work};

impl<S: Service> Worker<S> {
    /// What was given up before it began is not done.
    #[cold]
    pub(super) fn carry_out(&mut self, order: Order) -> Step {
        if order.call.is_over() {
            order.refuse(Failure::NoReply);
            return Step::Again;
        }
        self.report_handled();
        let Order { call, task } = order;
        match task {
            Task::Suspend(reply) => {
                self.incarnation.holds(call);
                self.suspended = true;
                self.enter(Lifecycle::Suspended);
                self.confirm(reply)
            }
            Task::Resume(reply) => {
                self.incarnation.holds(call);
                if std::mem::take(&mut self.suspended) {
                    self.enter(Lifecycle::Running);
                }
                self.confirm(reply)
            }
            Task::Work(work) => self.run_work(call, work),
        }
    }

    /// It was done, unless that was by one that was abandoned before: then the asker is told so.
    fn confirm(&self, reply: Reply<()>) -> Step {
        reply.send(());
        self.incarnation.holds_no_more();
        Step::Again
    }

    /// A panic that leaves it is as one of the service's own: the state may be torn.
    fn run_work(&mut self, call: Arc<Ticket>, work: Work) -> Step {
        self.begin("system");
        self.label = Some("system");
        self.incarnation.set_state(Lifecycle::Processing);
        scope::handler_begins();
        self.incarnation.holds(call);
        let service = self.service.as_mut();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Some(service) = service {
                work(service as &mut dyn Any, type_name::<S>());
            }
            Ok(Next::Continue)
        }));
        self.incarnation.holds_no_more();
        self.look();
        self.conclude(outcome)
    }

    /// Suspended from the start.
    #[cfg(all(test, underpin_loom))]
    pub(crate) fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// Suspended: waits for orders alone.
    pub(super) fn stand_by(&mut self, now: Instant) -> Step {
        self.incarnation.set_state(Lifecycle::Suspended);
        self.cx.stand_by.iter().for_each(|stand_by| stand_by());
        self.report_handled();
        if !self.has_thread() {
            self.pulse.rest(now);
        }
        Step::Idle(None)
    }
}
