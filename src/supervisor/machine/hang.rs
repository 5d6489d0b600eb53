//! What a supervisor does about a thread that does not come back.

use super::*;
use crate::service::zombies::Zombie;
use crate::supervisor::hang::Hung;
use crate::supervisor::last_words;
use crate::supervisor::report::Unstopped;

impl Supervision {
    /// Waits no longer for an incarnation: its child goes on without it.
    pub(super) fn abandon(&mut self, key: Key, epoch: Epoch, why: Hung) {
        self.call_off(key); // whoever comes back late keeps its state, and who never began leaves it
        let Some(zombie) = self.zombie(key) else { return };
        let Some(kid) = self.kids.get_mut(&key) else { return };
        self.site.zombies.add(zombie.clone(), || kid.child.abandon(&self.site));
        let Zombie { supervisor, incarnation, activity, .. } = zombie;
        incarnation.set_state(Lifecycle::Restarting);
        kid.live = false;
        self.watchdog.let_go(key);
        let old = kid.last_exit.replace(match why {
            Hung::Init => Exit::InitTimedOut(kid.child.rules().init),
            Hung::Grace => Exit::Killed,
        });
        let event = || SupervisionEvent::Abandoned {
            supervisor,
            child: Arc::clone(&incarnation.node.name),
            epoch: incarnation.epoch,
            why,
            label: activity.map(|activity| activity.label),
            busy: activity.map(|activity| activity.busy),
        };
        self.site.reporter.report(log::Level::Error, event);
        self.given_up.insert((key, epoch), GivenUp { incarnation, thread: kid.thread.take() });
        self.shred(old);
    }

    /// Says that a limit has passed, and goes on waiting.
    pub(super) fn overdue(&self, key: Key, why: Hung, after: Duration) {
        let Some(Zombie { supervisor, incarnation, activity, .. }) = self.zombie(key) else { return };
        self.site.reporter.report(log::Level::Warn, || SupervisionEvent::Overdue {
            supervisor,
            child: Arc::clone(&incarnation.node.name),
            epoch: incarnation.epoch,
            why,
            after,
            label: activity.map(|activity| activity.label),
        });
    }

    /// Ends the process. In a simulation it is only said.
    pub(super) fn abort(&self, key: Key, why: Hung) {
        if let Some(zombie) = self.zombie(key) {
            last_words::abort(&self.site, Unstopped::of(zombie, self.site.clock.now()), why);
        }
    }

    /// The child as one that hangs. `None` if there was no thread for it, which is about to be heard.
    fn zombie(&self, key: Key) -> Option<Zombie> {
        let kid = self.kids.get(&key).filter(|kid| kid.live)?;
        let incarnation = kid.child.incarnation();
        Some(Zombie {
            supervisor: Arc::clone(&self.path),
            state: incarnation.state(),
            activity: incarnation.activity(self.site.clock.now()),
            thread: kid.thread.as_ref().map(|thread| thread.thread().id()),
            incarnation,
        })
    }

    /// Why there is to be no further thread for this child, if there is not.
    pub(super) fn too_many_abandoned(&self, key: Key) -> Option<Exit> {
        let kid = self.kids.get(&key)?;
        let is_new = kid.epoch == 0 && key > self.plan.children.len() as u64;
        let most = self.site.zombies.too_many_for(&kid.child.incarnation().node, is_new)?;
        Some(Exit::TooManyAbandoned { most })
    }
}
