//! What a supervisor says: of crashes and restarts to the reporter, of its children to who asks.

use super::*;
use crate::supervisor::inspect::{self, KidAnswer, SupervisorInfo};

impl Supervision {
    pub(super) fn restarting(&mut self, key: Key, delay: Duration) {
        let Some(kid) = self.kids.get_mut(&key) else { return };
        kid.restarts += 1;
        let (supervisor, child) = (Arc::clone(&self.path), kid.child.name());
        let event = || SupervisionEvent::Restarting { supervisor, child, delay };
        self.site.reporter.report(log::Level::Warn, event);
    }

    pub(super) fn gave_up(&mut self, key: Key) {
        let (supervisor, child) = (Arc::clone(&self.path), self.name_of(key));
        let rules = self.plan.rules();
        let (restarts, period) = (rules.max_restarts, rules.period);
        let event = || SupervisionEvent::GaveUp { supervisor, child, restarts, period };
        self.site.reporter.report(log::Level::Error, event);
    }

    pub(super) fn report_crash(&self, incarnation: &Incarnation, ending: Ending) {
        if ending.exit.is_calm() && ending.aftermath.is_none() {
            return;
        }
        let Ending { exit, context, label, aftermath } = ending;
        self.site.reporter.report(log::Level::Error, || {
            SupervisionEvent::Crashed(CrashReport {
                supervisor: Arc::clone(&self.path),
                child: Arc::clone(&incarnation.node.name),
                epoch: incarnation.epoch,
                context,
                exit,
                label,
                aftermath,
            })
        });
    }

    pub(super) fn which(&self) -> Vec<ChildInfo> {
        self.kids.values().map(|kid| info(kid)).collect()
    }

    /// By the clock of now: that of the step may be of before the question.
    pub(super) fn inspect(&self) -> inspect::Answer {
        let now = self.site.clock.now();
        let rules = self.policy.rules();
        inspect::Answer {
            own: SupervisorInfo {
                strategy: rules.strategy,
                intensity: rules.max_restarts,
                period: rules.period,
                recent: self.policy.recent_restarts(now),
                abandoned: self.given_up.len(),
            },
            parent: Arc::clone(&self.parent),
            restart: self.plan.as_child.lock().restart,
            now,
            kids: self.kids.values().map(|kid| kid_answer(kid)).collect(),
        }
    }

    pub(super) fn count(&self) -> ChildCounts {
        let counts = self.policy.counts();
        let supervisors = self.kids.values().filter(|kid| kid.child.kind() == ChildKind::Supervisor).count();
        ChildCounts {
            specs: counts.specs,
            active: counts.active,
            restarting: counts.restarting,
            stopped: counts.stopped,
            supervisors,
            workers: counts.specs - supervisors,
        }
    }
}

fn kid_answer(kid: &Kid) -> KidAnswer {
    KidAnswer { child: Arc::clone(&kid.child), restarts: kid.restarts, last_exit: kid.last_exit.clone() }
}

fn info(kid: &Kid) -> ChildInfo {
    let incarnation = kid.child.incarnation();
    ChildInfo {
        name: kid.child.name(),
        kind: kid.child.kind(),
        restart: kid.child.rules().restart,
        state: incarnation.state(),
        epoch: incarnation.epoch,
        restarts: kid.restarts,
        last_exit: kid.last_exit.clone(),
    }
}
