//! Monitors: exactly one `Down` for each, when the child is gone for good.
//!
//! A monitor is set on a child, not on an incarnation: restarts are not told. It belongs to the
//! incarnation that set it: what is told to one that is gone is dropped.

use std::sync::Arc;

use super::exit::Exit;
use crate::sync::{Mutex, mutant};

/// The end of a monitored child.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Down {
    /// The name of the child.
    pub name: Arc<str>,
    /// Which of its incarnations was the last.
    pub epoch: u64,
    /// How that one ended.
    pub exit: Exit,
}

/// One monitor, to [remove](crate::Context::demonitor) it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorRef(pub(crate) u64);

/// What a monitor does when its child is down: pass it on, never user code.
pub(crate) type Tell = Box<dyn FnOnce(Down) + Send>;

/// Those who watch one child.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Watching>);

#[derive(Default)]
struct Watching {
    /// The newest incarnation; the end of an older one is stale news.
    epoch: u64,
    /// Boxed, as are all things that most children do without.
    down: Option<Box<Down>>,
    added: u64,
    tell: Vec<(u64, Tell)>,
}

impl Watchers {
    /// Adds one, to be removed by the number it gets. It is told at once if the child is down.
    pub(crate) fn add(&self, tell: Tell) -> u64 {
        let mut watching = self.0.lock();
        watching.added += 1;
        let number = watching.added;
        match watching.down.clone().filter(|_| !mutant!(AddBlindly)) {
            None => watching.tell.push((number, tell)),
            Some(down) => {
                drop(watching);
                tell(*down);
            }
        }
        number
    }

    /// Removes one that was not told.
    pub(crate) fn remove(&self, number: u64) {
        let mut watching = self.0.lock();
        let at = watching.tell.iter().position(|(other, _)| *other == number);
        let gone = at.map(|at| watching.tell.swap_remove(at));
        drop(watching);
        drop(gone); // after the lock: it may hold the last handle to something
    }

    /// The child is down: tells everyone, once.
    pub(crate) fn down(&self, down: Down) {
        let mut watching = self.0.lock();
        if down.epoch < watching.epoch {
            return;
        }
        let tell = std::mem::take(&mut watching.tell);
        watching.down = Some(Box::new(down.clone()));
        drop(watching);
        tell.into_iter().for_each(|(_, tell)| tell(down.clone()));
    }

    /// The child is started again: monitors set from now on wait for its next end.
    pub(crate) fn up(&self, epoch: u64) {
        let mut watching = self.0.lock();
        watching.epoch = epoch;
        watching.down = None;
    }
}
