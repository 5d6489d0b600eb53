//! A thread of a pool.

use std::sync::Arc;
use std::time::Duration;

use super::crew::{Crew, Done};
use super::job::{Held, Job};
use super::tenure::{Badge, Occupied};
use crate::service::context::Context;
use crate::service::deadline::Limit;
use crate::service::exit::Exit;
use crate::service::incarnation::Incarnation;
use crate::service::reply::Slot;
use crate::service::scope;
use crate::service::service::{Init, Next, Service};

/// So many tasks are run before it looks whether it was asked anything.
const AT_ONCE: usize = 32;

/// A thread of a pool: runs one task after the other. It keeps nothing: the next incarnation begins where this one ended.
pub(crate) struct Worker {
    crew: Arc<Crew>,
    number: usize,
    badge: Arc<Badge>,
}

/// There may be a task.
pub(crate) struct Look;

impl Worker {
    pub(crate) fn new(crew: Arc<Crew>, number: usize, badge: Arc<Badge>) -> Self {
        Self { crew, number, badge }
    }

    /// Where no successor takes the seat of one that is abandoned, it is free when it is given up.
    fn enter(&self, cx: &Context<Self>) -> Result<(), Occupied> {
        let (number, me) = (self.number, cx.handle());
        let core = Arc::downgrade(me.core());
        self.badge.enter(me.core(), move |crew| {
            if number >= crew.settings.fewest {
                crew.given_up(number, &core);
            }
        })
    }

    /// Whether there may be more.
    fn work(&self, cx: &Context<Self>) -> bool {
        let mut done = None;
        for _ in 0..AT_ONCE {
            if cx.is_stopping() {
                break;
            }
            let Some(job) = self.crew.next(self.number, done.as_ref()) else { return false };
            done = Some(self.run(job));
        }
        done.iter().for_each(|done| self.crew.put_down(done));
        true
    }

    fn run(&self, job: Held) -> Done {
        let has_run = job.head().claim();
        if has_run {
            within_its_deadline(&*job, || job.run(&self.crew.shared));
        } else {
            self.crew.was_husk();
        }
        Done { job, has_run }
    }
}

/// What a task calls inherits its deadline, as in a handler that of the caller.
fn within_its_deadline(job: &dyn Job, work: impl FnOnce()) {
    let deadline = job.head().deadline;
    if deadline.instant().is_none() {
        return work();
    }
    match scope::me() {
        Some(me) => as_a_call(&me, Limit::By(deadline), work),
        None => work(),
    }
}

fn as_a_call(me: &Arc<Incarnation>, limit: Limit, work: impl FnOnce()) {
    me.holds(Arc::clone(Slot::<()>::new(limit).ticket()));
    work(); // a panic is contained inside
    me.holds_no_more();
}

impl Service for Worker {
    type Msg = Look;
    type Error = Occupied;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Occupied> {
        self.enter(cx)?;
        self.crew.arrived(self.number, cx.handle());
        let (crew, number) = (Arc::clone(&self.crew), self.number);
        cx.on_stand_by(Box::new(move || crew.stands_by(number)));
        if self.crew.settings.fewest < self.crew.settings.most {
            cx.set_idle_timeout(Some(self.crew.settings.keep_alive));
        }
        cx.send_after(Duration::ZERO, Look);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Look: Look, cx: &mut Context<Self>) -> Result<Next, Occupied> {
        if self.work(cx) {
            cx.send_after(Duration::ZERO, Look);
        }
        Ok(Next::Continue)
    }

    fn idle(&mut self, _: &mut Context<Self>) -> Result<Next, Occupied> {
        let may_go = self.crew.desk_of_mine(|desk| desk.retire(self.number));
        Ok(if may_go == Some(true) { Next::Stop } else { Next::Continue })
    }

    fn terminate(&mut self, _: &Exit) {
        self.crew.left(self.number);
    }

    fn label(_: &Look) -> &'static str {
        "run"
    }
}
