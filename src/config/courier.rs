//! Notices that reach a service as messages.

use std::sync::Arc;

use serde_json::Value;

use super::notices::{Notice, Notices, Taken};
use super::path::Path;
use super::subscribers::Outlet;
use crate::service::core::{Core, Urgent};
use crate::service::handle::Handle;
use crate::sync::{AtomicBool, Mutex, Ordering, mutant};

/// Brings notices to a service. Of each courier there is at most one message under way, which takes
/// all that has come together when the service takes it up: whatever its mailbox does with others,
/// this one waits in the urgent lane, blocks nobody and gets lost only with the service.
pub(crate) struct Courier<M, F> {
    core: Arc<Core<M>>,
    errand: Arc<Errand<F>>,
    /// Its place among those who watch the child.
    watch: u64,
}

/// What the message under way needs. It knows nothing of the child: the child's mailbox holds it, and
/// would hold itself.
struct Errand<F> {
    prefix: Path,
    message: F,
    load: Mutex<Load>,
    is_gone: Arc<AtomicBool>,
}

struct Load {
    notices: Notices,
    is_under_way: bool,
}

impl<M, F> Courier<M, F>
where
    M: Send + 'static,
    F: Fn(Notice) -> M + Send + Sync + 'static,
{
    /// A courier to the child of `handle`, until that is gone for good or `is_gone` is set.
    pub(crate) fn new(
        handle: &Handle<M>,
        prefix: Path,
        seen: Arc<Value>,
        message: F,
        is_gone: &Arc<AtomicBool>,
    ) -> Self {
        let (core, end) = (Arc::clone(handle.core()), Arc::clone(is_gone));
        let watch = core.watchers.add(Box::new(move |_| end.store(true, Ordering::Release)));
        let load = Mutex::new(Load { notices: Notices::new(1, seen), is_under_way: false });
        let errand = Arc::new(Errand { prefix, message, load, is_gone: Arc::clone(is_gone) });
        Self { core, errand, watch }
    }
}

impl<F> Errand<F> {
    /// Puts a notice in. `true` if nothing is under way that will take it.
    fn load(&self, version: u64, document: &Arc<Value>) -> bool {
        let mut load = self.load.lock();
        load.notices.add(version, Arc::clone(document));
        !std::mem::replace(&mut load.is_under_way, true)
    }

    fn unload(&self) -> Option<Taken> {
        let mut load = self.load.lock();
        let taken = load.notices.take_all();
        if mutant!(ForgetErrand) {
            drop(load);
            load = self.load.lock();
        }
        load.is_under_way = false;
        taken
    }

    /// What the service takes up. Nothing, if the courier was dismissed meanwhile.
    fn arrive<M>(&self) -> Option<M>
    where
        F: Fn(Notice) -> M,
    {
        let taken = self.unload().filter(|_| !self.is_gone.load(Ordering::Acquire))?;
        Some((self.message)(taken.notice(&self.prefix)))
    }
}

impl<M, F> Drop for Courier<M, F> {
    fn drop(&mut self) {
        self.core.watchers.remove(self.watch);
    }
}

impl<M, F> Outlet for Courier<M, F>
where
    M: Send + 'static,
    F: Fn(Notice) -> M + Send + Sync + 'static,
{
    fn tell(&self, version: u64, document: &Arc<Value>) {
        if self.errand.load(version, document) {
            let errand = Arc::clone(&self.errand);
            self.core.mailbox.push_urgent(Urgent::News(Box::new(move || errand.arrive())));
        }
    }

    fn is_gone(&self) -> bool {
        self.errand.is_gone.load(Ordering::Acquire)
    }

    fn close(&self) {}
}
