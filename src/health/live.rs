//! Whether those who are to work are there: what a tree of services looks like to one who counts.

use super::verdict::{Health, Verdict};
use crate::service::exit::Lifecycle;
use crate::supervisor::child::ChildKind;
use crate::supervisor::inspect::NodeInfo;
use crate::supervisor::strategy::Restart;

/// So many faults are said one by one; the rest is a number.
const MAX_FAULTS: usize = 8;

/// What a tree says of itself.
///
/// - A supervisor none of whose services is up is unhealthy: a dead pool is never green. Where they are all in
///   their very first start, nobody can say.
/// - One of whose services some are not up is degraded, and so is one with threads that were given up.
/// - A supervisor that is down is unhealthy, whoever is to be below it.
///
/// A service that ended as intended, and is not permanent, is done: it is not expected. Nor is one that does not want
/// to run.
pub(crate) fn verdict(tree: &NodeInfo) -> Verdict {
    let mut faults: Vec<_> = tree.walk().filter_map(fault).collect();
    faults.sort_by_key(|(health, _)| std::cmp::Reverse(*health)); // stable: each health in the order of the tree
    let Some((worst, _)) = faults.first() else { return Verdict::healthy() };
    let (worst, more) = (*worst, faults.len().saturating_sub(MAX_FAULTS));
    let mut said: Vec<_> = faults.into_iter().take(MAX_FAULTS).map(|(_, why)| why).collect();
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    said_as(worst, said.join("; "))
}

/// What a supervisor says of itself of which so many services are expected to be up, whoever they are: also one whose
/// children are temporary, and forgotten when they end.
pub(crate) fn at_least(least: usize, pool: &NodeInfo) -> Verdict {
    let up = Workers::of(pool).up;
    let why = || format!("{}: {up} workers are up, at least {least} are expected", pool.path);
    match up {
        _ if up >= least => Verdict::healthy(),
        0 => Verdict::unhealthy(why()),
        _ => Verdict::degraded(why()),
    }
}

fn said_as(health: Health, why: String) -> Verdict {
    match health {
        Health::Healthy => Verdict::healthy(),
        Health::Degraded => Verdict::degraded(why),
        Health::Unknown => Verdict::unknown(why),
        Health::Unhealthy => Verdict::unhealthy(why),
    }
}

/// What is wrong with one supervisor, and how bad that is.
fn fault(node: &NodeInfo) -> Option<(Health, String)> {
    if node.kind != ChildKind::Supervisor {
        return None;
    }
    let Some(own) = &node.supervisor else {
        return is_expected(node).then(|| (Health::Unhealthy, format!("{} is {}", node.path, node.state)));
    };
    let (workers, zombies) = (Workers::of(node), own.abandoned);
    let threads =
        (zombies > 0).then(|| (Health::Degraded, format!("{}: {zombies} abandoned threads", node.path)));
    match (workers.fault(), threads) {
        (Some((health, why)), Some((_, more))) => Some((health, format!("{}: {why}; {more}", node.path))),
        (Some((health, why)), None) => Some((health, format!("{}: {why}", node.path))),
        (None, threads) => threads,
    }
}

/// The services of one supervisor, counted.
#[derive(Default)]
struct Workers {
    expected: usize,
    up: usize,
    restarting: usize,
    /// In their first start.
    new: usize,
}

impl Workers {
    fn of(node: &NodeInfo) -> Self {
        let mut workers = Self::default();
        let expected =
            node.children.iter().filter(|child| child.kind == ChildKind::Worker && is_expected(child));
        expected.for_each(|child| workers.count(child));
        workers
    }

    fn count(&mut self, child: &NodeInfo) {
        self.expected += 1;
        match child.state {
            Lifecycle::Running | Lifecycle::Processing | Lifecycle::Suspended => self.up += 1,
            Lifecycle::Starting | Lifecycle::Initializing if child.epoch <= 1 => self.new += 1,
            Lifecycle::Starting | Lifecycle::Initializing | Lifecycle::Restarting => self.restarting += 1,
            Lifecycle::Terminating | Lifecycle::Cleanup | Lifecycle::Stopped | Lifecycle::Failed => {}
        }
    }

    fn fault(&self) -> Option<(Health, String)> {
        if self.up == self.expected {
            return None;
        }
        let (up, expected) = (self.up, self.expected);
        let down = expected - up - self.restarting - self.new;
        let parts = [(self.restarting, "restarting"), (self.new, "starting"), (down, "down")];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let health = match up {
            0 if self.new == expected => Health::Unknown,
            0 => Health::Unhealthy,
            _ => Health::Degraded,
        };
        Some((health, format!("{up} of {expected} workers are up ({})", parts.join(", "))))
    }
}

fn is_expected(node: &NodeInfo) -> bool {
    let ended = node.state == Lifecycle::Stopped;
    let declined = matches!(node.last_exit, Some(crate::service::exit::Exit::Ignored));
    !(ended && (node.restart != Restart::Permanent || declined))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::service::drops::Drops;
    use crate::service::exit::Exit;
    use crate::service::inspect::MailboxInfo;
    use crate::supervisor::inspect::SupervisorInfo;
    use crate::supervisor::strategy::Strategy as Concern;
    use proptest::prelude::*;
    use std::time::Duration;

    fn worker(state: Lifecycle) -> NodeInfo {
        NodeInfo {
            path: "app/pool/w".into(),
            name: "w".into(),
            kind: ChildKind::Worker,
            restart: Restart::Permanent,
            state,
            epoch: 2,
            uptime: Duration::ZERO,
            restarts: 0,
            last_exit: None,
            mailbox: MailboxInfo { queued: 0, capacity: 1, high_water: 0 },
            handled: 0,
            drops: Drops::default(),
            busy: Duration::ZERO,
            current: None,
            waits_for: None,
            supervisor: None,
            children: Vec::new(),
        }
    }

    fn supervisor(path: &str, children: Vec<NodeInfo>) -> NodeInfo {
        let (strategy, period) = (Concern::OneForOne, Duration::from_secs(5));
        let own = SupervisorInfo { strategy, intensity: 1, period, recent: 0, abandoned: 0 };
        NodeInfo {
            path: path.into(),
            kind: ChildKind::Supervisor,
            supervisor: Some(own),
            children,
            ..worker(Lifecycle::Running)
        }
    }

    fn pool(states: &[Lifecycle]) -> NodeInfo {
        let pool = supervisor("app/pool", states.iter().map(|state| worker(*state)).collect());
        supervisor("app", vec![pool])
    }

    fn told(tree: &NodeInfo) -> (Health, String) {
        let verdict = verdict(tree);
        (verdict.health(), verdict.why().to_owned())
    }

    use Lifecycle::*;

    #[test]
    fn all_who_are_up_are_healthy_and_so_is_a_tree_without_services() {
        assert_eq!(told(&pool(&[Running, Processing, Suspended])), (Health::Healthy, String::new()));
        assert_eq!(told(&pool(&[])).0, Health::Healthy);
    }

    #[test]
    fn a_dead_pool_is_never_green() {
        let dead = told(&pool(&[Failed, Restarting, Stopped]));
        assert_eq!(
            dead,
            (Health::Unhealthy, "app/pool: 0 of 3 workers are up (1 restarting, 2 down)".into())
        );
    }

    #[test]
    fn some_who_are_not_up_are_degraded() {
        let some = told(&pool(&[Running, Restarting, Initializing, Failed]));
        assert_eq!(some, (Health::Degraded, "app/pool: 1 of 4 workers are up (2 restarting, 1 down)".into()));
    }

    #[test]
    fn of_a_pool_in_its_first_start_nobody_can_say() {
        let new = |state| NodeInfo { epoch: 1, ..worker(state) };
        let pool = supervisor("app", vec![new(Starting), new(Initializing)]);
        assert_eq!(told(&pool), (Health::Unknown, "app: 0 of 2 workers are up (2 starting)".into()));
        let pool = supervisor("app", vec![new(Starting), worker(Failed)]);
        assert_eq!(told(&pool).0, Health::Unhealthy);
    }

    #[test]
    fn who_is_done_is_not_expected() {
        let done = |restart, last_exit| NodeInfo { restart, last_exit: Some(last_exit), ..worker(Stopped) };
        for (restart, exit, health) in [
            (Restart::Transient, Exit::Normal, Health::Healthy),
            (Restart::Temporary, Exit::Normal, Health::Healthy),
            (Restart::Permanent, Exit::Ignored, Health::Healthy),
            (Restart::Permanent, Exit::Shutdown, Health::Unhealthy),
        ] {
            assert_eq!(told(&supervisor("app", vec![done(restart, exit)])).0, health, "{restart:?}");
        }
        let failed = NodeInfo { restart: Restart::Temporary, ..worker(Failed) };
        assert_eq!(told(&supervisor("app", vec![failed])).0, Health::Unhealthy);
    }

    #[test]
    fn a_supervisor_that_is_down_is_unhealthy() {
        let down = NodeInfo { supervisor: None, state: Restarting, ..supervisor("app/net", Vec::new()) };
        let tree = supervisor("app", vec![worker(Running), down]);
        assert_eq!(told(&tree), (Health::Unhealthy, "app/net is restarting".into()));
    }

    #[test]
    fn threads_that_were_given_up_are_degraded() {
        let mut tree = pool(&[Running, Failed]);
        tree.children[0].supervisor.as_mut().expect("it is one").abandoned = 2;
        let why = "app/pool: 1 of 2 workers are up (1 down); app/pool: 2 abandoned threads";
        assert_eq!(told(&tree), (Health::Degraded, why.into()));
        let mut tree = pool(&[Running]);
        tree.supervisor.as_mut().expect("it is one").abandoned = 1;
        assert_eq!(told(&tree), (Health::Degraded, "app: 1 abandoned threads".into()));
    }

    #[test]
    fn the_worst_comes_first_and_not_all_are_said() {
        let degraded = |n: usize| supervisor(&format!("app/{n}"), vec![worker(Running), worker(Failed)]);
        let dead = supervisor("app/dead", vec![worker(Failed)]);
        let tree = supervisor("app", (0..10).map(degraded).chain([dead]).collect());
        let (health, why) = told(&tree);
        assert_eq!(health, Health::Unhealthy);
        assert!(why.starts_with("app/dead: 0 of 1") && why.ends_with("; and 3 more"), "{why}");
    }

    #[test]
    fn so_many_are_expected_whoever_they_are() {
        let up = |count: usize| supervisor("pool", vec![worker(Running); count]);
        let of = |least, count| at_least(least, &up(count)).health();
        assert_eq!([of(0, 0), of(2, 2), of(2, 3)], [Health::Healthy; 3]);
        assert_eq!((of(1, 0), of(3, 0), of(3, 2)), (Health::Unhealthy, Health::Unhealthy, Health::Degraded));
        let mixed = supervisor("pool", vec![worker(Running), worker(Failed)]);
        assert_eq!(at_least(2, &mixed).why(), "pool: 1 workers are up, at least 2 are expected");
    }

    proptest! {
        /// Held against who looks at the numbers alone.
        #[test]
        fn green_is_where_all_are_up(states in prop::collection::vec(prop::sample::select(Lifecycle::ALL.to_vec()), 1..6)) {
            let up = states.iter().filter(|state| matches!(state, Running | Processing | Suspended)).count();
            let expected = match up {
                0 => Health::Unhealthy,
                up if up == states.len() => Health::Healthy,
                _ => Health::Degraded,
            };
            prop_assert_eq!(told(&pool(&states)).0, expected);
        }
    }
}
