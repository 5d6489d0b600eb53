//! A running tree: the root supervisor's thread, and the two clerks beside it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Child, Launch, Site, SupervisorChild, send_urgent};
use super::clerk::Clerk;
use super::errors::StartError;
use super::plan::{Plan, Request};
use super::report::{Abandoned, Reporter, ShutdownReport, Unstopped};
use crate::registry::Registry;
use crate::service::deadline::Deadline;
use crate::service::exit::{Exit, Lifecycle};
use crate::service::machine::{Ending, Overseer};
use crate::service::thread::Host;
use crate::service::wait::Gate;
use crate::service::worker::Before;
use crate::service::zombies::Zombies;
use crate::sync::{JoinHandle, Mutex};

/// How much longer than its deadline the end of a tree is waited for: it abandons who is left and
/// says so.
const SLACK: Duration = Duration::from_secs(2);

/// The running tree of one root supervisor.
pub(crate) struct Tree {
    child: SupervisorChild,
    site: Site,
    watch: Arc<Watch>,
    thread: Mutex<Option<JoinHandle<()>>>,
    report: Mutex<Option<ShutdownReport>>,
}

/// What is heard of the root.
#[derive(Default)]
struct Watch {
    up: Gate,
    over: Gate,
    ready: Mutex<bool>,
    exit: Mutex<Option<Exit>>,
    ended: Mutex<Option<Ended>>,
}

/// What to do once the root has ended. Not code of the user's.
pub(crate) type Ended = Box<dyn FnOnce() + Send>;

impl Overseer for Watch {
    fn ready(&self, _child: u64, _epoch: u64) {
        *self.ready.lock() = true;
        self.up.open();
    }

    /// A supervisor is not looked after.
    fn busy(&self, _child: u64, _epoch: u64) {}

    fn over(&self, _child: u64, _epoch: u64, ending: Ending) {
        *self.exit.lock() = Some(ending.exit);
        self.up.open();
        self.over.open();
        let ended = self.ended.lock().take();
        ended.into_iter().for_each(|ended| ended());
    }
}

impl Tree {
    pub(crate) fn start(plan: Plan, host: Host, ended: Ended) -> Result<Self, StartError> {
        let tree = Self::launch(plan, host, ended)?;
        // No deadline of its own: each child has one for its start, and the supervisor keeps it.
        tree.watch.up.wait(&tree.site.clock, None);
        if *tree.watch.ready.lock() {
            return Ok(tree);
        }
        let supervisor = tree.plan().name();
        let report = tree.shutdown(Duration::ZERO);
        Err(match report.exit {
            Exit::ChildFailed { child, exit } => {
                StartError::FailedToStart { supervisor, child, source: *exit }
            }
            _ => StartError::Stopped { supervisor },
        })
    }

    /// Checks the plan and starts the root, without waiting for it.
    pub(crate) fn launch(plan: Plan, host: Host, ended: Ended) -> Result<Self, StartError> {
        let supervisor = plan.name();
        if let Some(reason) = plan.fault(true) {
            return Err(StartError::BadSpec { supervisor, reason });
        }
        aborts_on_panic(cfg!(panic = "abort"), plan.rooted().deny_abort, &supervisor)?;
        let _ = plan.root.set(());
        let site = site(&plan, host);
        let watch = Arc::new(Watch { ended: Mutex::new(Some(ended)), ..Watch::default() });
        let child = SupervisorChild { plan: Arc::new(plan) };
        let overseer = Arc::clone(&watch) as Arc<dyn Overseer>;
        let launch = Launch {
            child: 0,
            epoch: 1,
            overseer,
            predecessor: None,
            before: Before { crashed: false, is_last: false, watched: false },
        };
        let job = child.launch(&site, &Arc::from(""), launch);
        let job = job.map_err(|_| StartError::Stopped { supervisor: Arc::clone(&supervisor) })?;
        let thread = site.host.spawn(job).map_err(|source| {
            site.reporter.clerk().finish(&site.clock, Some(site.clock.now() + SLACK));
            StartError::NotSpawned { supervisor, source }
        })?;
        let report = Mutex::new(None);
        Ok(Self { child, site, watch, thread: Mutex::new(thread), report })
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.child.plan
    }

    pub(crate) fn registry(&self) -> Registry {
        self.site.registry.clone()
    }

    pub(crate) fn abandoned(&self) -> Abandoned {
        Abandoned { ever: self.site.zombies.ever(), alive: self.site.zombies.alive() }
    }

    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        Deadline::from(self.site.clock.now(), timeout).instant()
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Option<Exit> {
        self.watch.over.wait(&self.site.clock, self.deadline(timeout));
        self.watch.exit.lock().clone()
    }

    #[cfg(test)]
    pub(crate) fn zombies(&self) -> Zombies {
        self.site.zombies.clone()
    }

    /// Whether the root has ended.
    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn has_ended(&self) -> bool {
        self.watch.over.is_open()
    }

    /// Asks the root to stop, without waiting for it.
    pub(crate) fn ask_to_stop(&self, deadline: Option<Instant>) {
        send_urgent(&self.plan().core, self.child.incarnation().epoch, Request::Stop(deadline));
    }

    pub(crate) fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        let began = self.site.clock.now();
        let deadline = self.deadline(timeout);
        self.ask_to_stop(deadline);
        let latest = deadline.and_then(|at| at.checked_add(SLACK));
        let over = self.watch.over.wait(&self.site.clock, latest);
        if let Some(report) = self.report.lock().clone() {
            return report;
        }
        let thread = self.thread.lock().take();
        let id = thread.as_ref().map(|thread| thread.thread().id());
        if over && let Some(thread) = thread {
            drop(thread.join());
        }
        let mut stuck = Vec::new();
        if !over {
            stuck.push(Unstopped::of_the_tree(self.plan().name(), id, self.child.incarnation().state()));
        }
        for clerk in [&*self.site.janitor, self.site.reporter.clerk()] {
            let id = clerk.thread_id();
            if !clerk.finish(&self.site.clock, latest) {
                stuck.push(Unstopped::of_the_tree(clerk.name(), id, Lifecycle::Processing));
            }
        }
        let report = self.report_since(began, stuck);
        self.report.lock().get_or_insert(report).clone()
    }

    fn report_since(&self, began: Instant, stuck: Vec<Unstopped>) -> ShutdownReport {
        let now = self.site.clock.now();
        let zombies = self.site.zombies.list().into_iter().map(|zombie| Unstopped::of(zombie, now));
        ShutdownReport {
            exit: self.watch.exit.lock().clone().unwrap_or(Exit::Killed),
            took: now.saturating_duration_since(began),
            unstopped: zombies.chain(stuck).collect(),
            abandoned: self.site.zombies.ever(),
            events_dropped: self.site.reporter.clerk().refused(),
        }
    }
}

fn site(plan: &Plan, host: Host) -> Site {
    let inline = host.is_simulated();
    let name = plan.name();
    let rooted = plan.rooted().clone();
    let clock = rooted.clock.unwrap_or_default();
    Site {
        registry: rooted.registry.unwrap_or_default().timed_by(&clock),
        clock,
        reporter: Arc::new(Reporter::new(&name, rooted.hook, inline)),
        janitor: Arc::new(Clerk::new(format!("{name}:janitor"), usize::MAX, inline)),
        zombies: rooted.max_abandoned.map(Zombies::new).unwrap_or_default(),
        stuck_after: rooted.stuck_after,
        host,
    }
}

/// Where a panic aborts there is nothing to supervise: it is said, or refused.
fn aborts_on_panic(aborts: bool, denied: bool, supervisor: &Arc<str>) -> Result<(), StartError> {
    if aborts && denied {
        let reason = "the program was built with `panic = \"abort\"`, expected `panic = \"unwind\"`".into();
        return Err(StartError::BadSpec { supervisor: Arc::clone(supervisor), reason });
    }
    if aborts {
        log::error!(supervisor = &**supervisor; "built with `panic = \"abort\"`: no crash can be survived");
    }
    Ok(())
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tree").field(&self.plan().name()).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn panic_abort_is_refused_where_it_is_denied_and_else_only_said() {
        let name: Arc<str> = "app".into();
        let refused = aborts_on_panic(true, true, &name).expect_err("refused");
        assert!(refused.to_string().contains("panic = \"abort\""), "{refused}");
        assert!(aborts_on_panic(true, false, &name).is_ok());
        assert!(aborts_on_panic(false, true, &name).is_ok());
    }
}
