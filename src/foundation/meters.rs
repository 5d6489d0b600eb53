//! What the rooms of a foundation have measured.

#[cfg(feature = "config")]
use crate::config::{ConfigEvent, Metric, Sink};
#[cfg(feature = "events")]
use crate::events::EventStore;
#[cfg(feature = "health")]
use crate::health::{Health, HealthMonitor, Mode};
#[cfg(feature = "resilience")]
use crate::resilience::{BreakerState, Policy};
use crate::supervisor::reference::SupervisorRef;
use crate::sync::{Clock, Mutex};
#[cfg(feature = "tasks")]
use crate::tasks::TaskPool;
#[cfg(any(
    feature = "config",
    feature = "events",
    feature = "health",
    feature = "resilience",
    feature = "tasks"
))]
use crate::telemetry::Descriptor;
#[cfg(any(feature = "events", feature = "resilience", feature = "tasks"))]
use crate::telemetry::Sheet;
#[cfg(any(feature = "config", feature = "events"))]
use crate::telemetry::Unit;
use crate::telemetry::{KernelCollector, ProcessCollector, Telemetry};

/// The collector of what the operating system knows.
pub(super) const PROCESS: &str = "process";

pub(super) fn tree_name(root: &str) -> String {
    format!("tree {root}")
}

#[cfg(feature = "events")]
pub(super) fn store_name(store: &str) -> String {
    format!("events {store}")
}

#[cfg(feature = "health")]
pub(super) fn health_name(health: &str) -> String {
    format!("health {health}")
}

#[cfg(feature = "resilience")]
pub(super) fn policy_name(policy: &str) -> String {
    format!("policy {policy}")
}

#[cfg(feature = "tasks")]
pub(super) fn pool_name(pool: &str) -> String {
    format!("tasks {pool}")
}

/// What the operating system and the kernel know.
pub(super) fn watch_tree(telemetry: &Telemetry, root: SupervisorRef, clock: &Clock) {
    let process = Kept(Mutex::new(Some(ProcessCollector::new(clock.clone()))));
    telemetry.add_collector(PROCESS, move |sheet| process.with(|process| process.collect(sheet)));
    let name = tree_name(root.name());
    let kernel = Kept(Mutex::new(Some(KernelCollector::new(root))));
    telemetry.add_collector(&name, move |sheet| kernel.with(|kernel| kernel.collect(sheet)));
}

/// One that is asked by one thread at a time, and taken out meanwhile: a lock is not held while somebody waits.
struct Kept<T>(Mutex<Option<T>>);

/// Puts it back, whatever happens.
struct Taken<'a, T>(&'a Kept<T>, Option<T>);

impl<T> Kept<T> {
    fn with(&self, work: impl FnOnce(&mut T)) {
        let mut taken = Taken(self, self.0.lock().take());
        if let Some(one) = &mut taken.1 {
            work(one);
        }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        *self.0.0.lock() = self.1.take();
    }
}

#[cfg(feature = "config")]
pub(super) struct ConfigMeters {
    duration: crate::telemetry::Histogram,
    refused: crate::telemetry::Counter,
    subscribers: crate::telemetry::Gauge,
}

#[cfg(feature = "config")]
impl ConfigMeters {
    pub(super) fn new(telemetry: &Telemetry, config: &str) -> Self {
        const DURATION: Descriptor =
            Descriptor::histogram("config.update.duration", "From the turn of an update to its publication.")
                .unit(Unit::Seconds);
        const REFUSED: Descriptor =
            Descriptor::counter("config.update.refused", "Updates that were refused.");
        const SUBSCRIBERS: Descriptor = Descriptor::gauge("config.subscribers", "Who is told of updates.");
        let labels = [("config", config)];
        Self {
            duration: telemetry.histogram(&DURATION, &labels),
            refused: telemetry.counter(&REFUSED, &labels),
            subscribers: telemetry.gauge(&SUBSCRIBERS, &labels),
        }
    }
}

#[cfg(feature = "config")]
impl Sink for ConfigMeters {
    fn event(&self, _: &ConfigEvent) {}

    fn metric(&self, metric: Metric, value: f64) {
        match metric {
            Metric::UpdateSeconds => self.duration.record((value * Unit::Seconds.divisor()) as u64),
            Metric::Refused => self.refused.add(value as u64),
            Metric::Subscribers => self.subscribers.set(value),
        }
    }
}

/// The accounts of a store.
#[cfg(feature = "events")]
pub(super) fn watch_store(telemetry: &Telemetry, store: &EventStore) {
    let store = store.clone();
    telemetry.add_collector(&store_name(store.name()), move |sheet| write_store(&store, sheet));
}

#[cfg(feature = "events")]
fn write_store(store: &EventStore, sheet: &mut Sheet) {
    const STORED: Descriptor = Descriptor::counter("events.stored", "Events that were stored.");
    const GONE: Descriptor =
        Descriptor::counter("events.gone", "Events that were stored and are not there any more, by reason.");
    const UNSTORED: Descriptor =
        Descriptor::counter("events.unstored", "Events that were taken and not stored, by reason.");
    const CURRENT: Descriptor = Descriptor::gauge("events.current", "Events that are there.");
    const SIZE: Descriptor = Descriptor::gauge("events.size", "What these take in memory.").unit(Unit::Bytes);
    let (stats, name) = (store.stats(), store.name());
    let of = |reason| [("store", name), ("reason", reason)];
    sheet.counter(&STORED, &of("")[..1], stats.stored);
    let gone = [("pruned", stats.pruned), ("dropped", stats.dropped)];
    gone.into_iter().for_each(|(why, n)| sheet.counter(&GONE, &of(why), n));
    let unstored = [("shed", stats.shed), ("lost", stats.lost), ("refused", stats.refused)];
    unstored.into_iter().for_each(|(why, n)| sheet.counter(&UNSTORED, &of(why), n));
    sheet.gauge(&CURRENT, &of("")[..1], stats.current as f64);
    sheet.gauge(&SIZE, &of("")[..1], stats.bytes as f64);
    #[cfg(feature = "journal")]
    write_journal(store, sheet);
}

#[cfg(feature = "journal")]
fn write_journal(store: &EventStore, sheet: &mut Sheet) {
    const WRITTEN: Descriptor =
        Descriptor::counter("events.journal.written", "Events that were written to the journal.");
    const SYNCS: Descriptor =
        Descriptor::counter("events.journal.syncs", "How often the journal was synced.");
    const UNJOURNALED: Descriptor = Descriptor::counter(
        "events.journal.unjournaled",
        "Events that are in memory and not in the journal.",
    );
    const SIZE: Descriptor =
        Descriptor::gauge("events.journal.size", "What its files take.").unit(Unit::Bytes);
    const UP: Descriptor = Descriptor::gauge("events.journal.up", "1 if the journal takes what is stored.");
    let Some(journal) = store.journal() else { return };
    let labels = [("store", store.name())];
    sheet.counter(&WRITTEN, &labels, journal.written);
    sheet.counter(&SYNCS, &labels, journal.syncs);
    sheet.counter(&UNJOURNALED, &labels, journal.unjournaled);
    sheet.gauge(&SIZE, &labels, journal.bytes as f64);
    sheet.gauge(&UP, &labels, f64::from(u8::from(journal.trouble.is_none())));
}

/// What the health is, what mode follows from it, and which alerts are raised.
#[cfg(feature = "health")]
pub(super) fn watch_health(telemetry: &Telemetry, health: &HealthMonitor) {
    const STATE: Descriptor = Descriptor::gauge(
        "underpin.health.state",
        "1 for what the health is, with the label `state`; the others are 0.",
    );
    const MODE: Descriptor =
        Descriptor::gauge("underpin.health.mode", "1 for the mode, with the label `mode`; the others are 0.");
    const RAISED: Descriptor = Descriptor::gauge("underpin.alert.raised", "1 for each alert that is raised.");
    let (name, health) = (health.name().to_owned(), health.clone());
    telemetry.add_collector(&health_name(&name), move |sheet| {
        let (state, mode) = (health.health().health, health.mode());
        for one in Health::ALL {
            sheet.gauge(
                &STATE,
                &[("health", &name), ("state", one.as_str())],
                f64::from(u8::from(one == state)),
            );
        }
        for one in Mode::ALL {
            sheet.gauge(
                &MODE,
                &[("health", &name), ("mode", one.as_str())],
                f64::from(u8::from(one == mode)),
            );
        }
        let raised = health.raised_alerts();
        raised.iter().for_each(|alert| sheet.gauge(&RAISED, &[("health", &name), ("alert", alert)], 1.0));
    });
}

/// How a pool of tasks stands.
#[cfg(feature = "tasks")]
pub(super) fn watch_pool(telemetry: &Telemetry, pool: &TaskPool) {
    let pool = pool.clone();
    telemetry.add_collector(&pool_name(pool.name()), move |sheet| write_pool(&pool, sheet));
}

#[cfg(feature = "tasks")]
fn write_pool(pool: &TaskPool, sheet: &mut Sheet) {
    const THREADS: Descriptor =
        Descriptor::gauge("underpin.tasks.threads", "Threads of a pool of tasks, by what they do.");
    const QUEUED: Descriptor = Descriptor::gauge("underpin.tasks.queued", "Tasks that wait.");
    const ACCEPTED: Descriptor =
        Descriptor::counter("underpin.tasks.accepted", "Tasks that were taken into the queue.");
    const ENDED: Descriptor =
        Descriptor::counter("underpin.tasks.ended", "Tasks that have ended, by who ran them or why not.");
    const FAILED: Descriptor =
        Descriptor::counter("underpin.tasks.failed", "Tasks that ended without a value, by reason.");
    const REFUSED: Descriptor =
        Descriptor::counter("underpin.tasks.refused", "Tasks that were not taken, by reason.");
    let (now, name) = (pool.snapshot(), pool.name());
    let count = |sheet: &mut Sheet, what: &Descriptor, label, counts: &[(&str, u64)]| {
        counts.iter().for_each(|(why, n)| sheet.counter(what, &[("pool", name), (label, why)], *n));
    };
    for (state, threads) in [("busy", now.threads.saturating_sub(now.idle)), ("idle", now.idle)] {
        sheet.gauge(&THREADS, &[("pool", name), ("state", state)], threads as f64);
    }
    sheet.gauge(&QUEUED, &[("pool", name)], now.queued as f64);
    sheet.counter(&ACCEPTED, &[("pool", name)], now.accepted);
    let ended = [("pool", now.completed), ("joiner", now.joined), ("caller", now.caller_ran)];
    count(sheet, &ENDED, "by", &ended);
    count(sheet, &ENDED, "by", &[("cancelled", now.cancelled), ("stopped", now.stopped)]);
    count(sheet, &FAILED, "reason", &[("panicked", now.panicked), ("expired", now.expired)]);
    count(sheet, &REFUSED, "reason", &[("shed", now.shed), ("stopped", now.refused)]);
}

/// What becomes of the runs of a policy, and how its breaker stands.
#[cfg(feature = "resilience")]
pub(super) fn watch_policy(telemetry: &Telemetry, policy: &Policy) {
    let policy = policy.clone();
    telemetry.add_collector(&policy_name(policy.name()), move |sheet| write_policy(&policy, sheet));
}

#[cfg(feature = "resilience")]
fn write_policy(policy: &Policy, sheet: &mut Sheet) {
    const RUNS: Descriptor =
        Descriptor::counter("underpin.policy.runs", "Runs that have ended, by their end.");
    const ATTEMPTS: Descriptor = Descriptor::counter(
        "underpin.policy.attempts",
        "Attempts, those that were not the first among them.",
    );
    const RETRIED: Descriptor =
        Descriptor::counter("underpin.policy.retried", "Attempts that were not the first of their run.");
    const FALLBACKS: Descriptor =
        Descriptor::counter("underpin.policy.fallbacks", "Runs that did not succeed and had another value.");
    const LATE: Descriptor =
        Descriptor::counter("underpin.policy.late", "Runs that succeeded when their time was over.");
    let (now, name) = (policy.snapshot(), policy.name());
    let counts = now.counts;
    let ends = [
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("panicked", counts.panicked),
        ("shed", counts.shed),
        ("limited", counts.limited),
        ("full", counts.full),
        ("open", counts.open),
        ("stopped", counts.stopped),
        ("timed_out", counts.timed_out),
    ];
    ends.into_iter().for_each(|(end, n)| sheet.counter(&RUNS, &[("policy", name), ("end", end)], n));
    let labels = [("policy", &**name)];
    sheet.counter(&ATTEMPTS, &labels, counts.attempts);
    sheet.counter(&RETRIED, &labels, counts.retried);
    sheet.counter(&FALLBACKS, &labels, counts.fallback_served);
    sheet.counter(&LATE, &labels, counts.late);
    if let Some(breaker) = now.breaker {
        write_breaker(name, breaker.state, breaker.opened, sheet);
    }
}

#[cfg(feature = "resilience")]
fn write_breaker(policy: &str, state: BreakerState, opened: u64, sheet: &mut Sheet) {
    const STATE: Descriptor = Descriptor::gauge(
        "underpin.policy.breaker",
        "1 for the state of the breaker, with the label `state`; the others are 0.",
    );
    const OPENED: Descriptor =
        Descriptor::counter("underpin.policy.breaker.opened", "How often the breaker has opened.");
    for one in BreakerState::ALL {
        let labels = [("policy", policy), ("state", one.as_str())];
        sheet.gauge(&STATE, &labels, f64::from(u8::from(one == state)));
    }
    sheet.counter(&OPENED, &[("policy", policy)], opened);
}
