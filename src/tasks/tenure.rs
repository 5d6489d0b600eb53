//! Which of the supervisors of a pool runs it.

use std::sync::Arc;

use super::crew::Crew;
use crate::service::core::Core;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Which of the supervisors of a pool runs it: one at a time, for their threads would have the same seats.
///
/// A pool belongs to the first of whose children one comes, until all of them are gone for good: so neither a restart nor a thread
/// that was abandoned lets another in.
#[derive(Default)]
pub(crate) struct Tenure(Mutex<Tenant>);

#[derive(Default)]
struct Tenant {
    /// How many supervisors were described.
    described: u64,
    supervisor: u64,
    children: usize,
}

/// Another supervisor of the pool runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool `{pool}` is run by another of its supervisors already, expected one at a time")]
pub(crate) struct Occupied {
    pool: Arc<str>,
}

impl Tenure {
    /// One more supervisor is described: its number.
    pub(super) fn describe(&self) -> u64 {
        let mut tenant = self.0.lock();
        tenant.described += 1;
        tenant.described
    }

    /// A child of this supervisor comes. `false` if another's are there.
    fn enter(&self, supervisor: u64) -> bool {
        let mut tenant = self.0.lock();
        if tenant.children > 0 && tenant.supervisor != supervisor {
            return false;
        }
        tenant.supervisor = supervisor;
        tenant.children += 1;
        true
    }

    /// A child that came is gone for good.
    fn leave(&self) {
        self.0.lock().children -= 1;
    }
}

/// What lets a child in, in whichever incarnation.
pub(crate) struct Badge {
    crew: Arc<Crew>,
    pub(super) supervisor: u64,
    is_inside: AtomicBool,
}

impl Badge {
    pub(super) fn new(crew: &Arc<Crew>, supervisor: u64) -> Arc<Self> {
        Arc::new(Self { crew: Arc::clone(crew), supervisor, is_inside: AtomicBool::new(false) })
    }

    /// The child begins. What is to be done when it is gone for good, is done once, however often it begins.
    ///
    /// # Errors
    ///
    /// If another supervisor runs the pool.
    pub(super) fn enter<M: Send + 'static>(
        self: &Arc<Self>,
        child: &Core<M>,
        gone: impl FnOnce(&Arc<Crew>) + Send + 'static,
    ) -> Result<(), Occupied> {
        if self.is_inside.load(Ordering::Acquire) {
            return Ok(());
        }
        if !self.crew.tenure.enter(self.supervisor) {
            return Err(Occupied { pool: Arc::clone(&self.crew.shared.name) });
        }
        self.is_inside.store(true, Ordering::Release);
        let badge = Arc::clone(self);
        child.watchers.add(Box::new(move |_| {
            badge.is_inside.store(false, Ordering::Release);
            gone(&badge.crew);
            badge.crew.tenure.leave();
        }));
        Ok(())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use crate::supervisor::supervisor::Supervisor;
    use crate::tasks::TaskPool;

    #[test]
    fn a_pool_that_was_terminated_is_free_and_its_supervisor_may_come_back_when_it_is_free_again() {
        let tasks = TaskPool::builder("work").elastic(1..=2).build().expect("it makes sense");
        let start = || Supervisor::new("app").supervisor(tasks.supervisor()).start();
        let app = start().expect("it starts");
        app.terminate_child("work").expect("it is there");
        assert_eq!(tasks.0.tenure.0.lock().children, 0);
        let other = start().expect("nobody is there");
        assert!(app.restart_child("work").is_err(), "another runs");
        assert_eq!(tasks.snapshot().threads, 1);
        assert_eq!(tasks.spawn("one", || 7).join(), Ok(7));
        drop(other);
        app.restart_child("work").expect("nobody is there");
        assert_eq!(tasks.spawn("one", || 7).join(), Ok(7));
        app.terminate_child("work").expect("it is there");
        app.delete_child("work").expect("it is there");
        let other = start().expect("nobody is there");
        assert_eq!(tasks.spawn("one", || 7).join(), Ok(7));
        drop(other);
    }

    #[test]
    fn a_child_is_there_once_however_often_it_begins_until_it_is_gone() {
        let tasks = TaskPool::builder("work").threads(2).build().expect("it makes sense");
        let children = || tasks.0.tenure.0.lock().children;
        for _ in 0..2 {
            let pool = tasks.supervisor();
            let reference = pool.reference();
            let app = Supervisor::new("app").supervisor(pool).start().expect("it starts");
            for _ in 0..3 {
                assert_eq!(children(), 3, "two threads and the keeper");
                reference.recycle_child("keeper").expect("it begins anew");
            }
            drop(app);
            assert_eq!(children(), 0);
        }
    }
}
