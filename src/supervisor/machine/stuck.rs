//! Looking after children that are busy, for those who wish to hear of it.

use super::*;
use crate::supervisor::watchdog::{Verdict, Watched};

impl Supervision {
    /// How long this child may be at one message before that is reported.
    pub(super) fn stuck_after(&self, child: &Arc<dyn Child>) -> Option<Duration> {
        child.stuck_after().or(self.site.stuck_after)
    }

    pub(super) fn became_busy(&mut self, now: Instant, key: Key, epoch: Epoch) {
        let kid = self.kids.get(&key).filter(|kid| kid.live && kid.epoch == epoch);
        if let Some(limit) = kid.and_then(|kid| self.stuck_after(&kid.child)) {
            self.watchdog.watch(key, epoch, limit, now);
        }
    }

    pub(super) fn look_after(&mut self, now: Instant) {
        while let Some((key, watched)) = self.watchdog.pop_due(now) {
            self.look_at(key, watched, now);
        }
    }

    fn look_at(&mut self, key: Key, watched: Watched, now: Instant) {
        let kid = self.kids.get(&key).filter(|kid| kid.live && kid.epoch == watched.epoch);
        let Some(incarnation) = kid.map(|kid| kid.child.incarnation()) else { return };
        match incarnation.activity(now) {
            None if incarnation.trace.watch.look_away() => {}
            None => self.watchdog.watch(key, watched.epoch, watched.limit, now),
            Some(Activity { label, busy, exact }) => {
                let since = now.checked_sub(busy).unwrap_or(now);
                let certain = exact || !incarnation.ask_to_look();
                if self.watchdog.saw(key, watched, since, certain, now) == Verdict::Stuck {
                    self.report_stuck(&incarnation, label, busy);
                }
            }
        }
    }

    fn report_stuck(&self, incarnation: &Incarnation, label: &'static str, busy: Duration) {
        let (supervisor, child) = (Arc::clone(&self.path), Arc::clone(&incarnation.node.name));
        let epoch = incarnation.epoch;
        let event = || SupervisionEvent::Stuck { supervisor, child, epoch, label, busy };
        self.site.reporter.report(log::Level::Warn, event);
    }
}
