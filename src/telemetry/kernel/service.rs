//! The figures of one service, from one look to the next.

use std::time::Duration;

use super::names::{
    BUSY, CAPACITY, DEPTH, DROPS, HANDLED, HIGH_WATER, LATENCY, RESTARTS, RUNNING, STATE, UPTIME, WAIT,
};
use super::rising::Rising;
use crate::service::drops::Drops;
use crate::service::exit::Lifecycle;
use crate::supervisor::inspect::NodeInfo;
use crate::telemetry::sheet::Sheet;

/// How many services are in each of the [states](Lifecycle).
pub(super) type States = [u32; Lifecycle::ALL.len()];

/// The reasons, in the order of [`by_reason`].
const REASONS: [&str; 7] =
    ["stopped", "cleared", "shed_newest", "shed_oldest", "calls", "rejected", "timed_out"];

fn by_reason(drops: &Drops) -> [u64; 7] {
    // All of them: a reason that is added does not compile here before it has its series.
    let Drops { stopped, cleared, shed_newest, shed_oldest, calls, rejected, timed_out } = *drops;
    [stopped, cleared, shed_newest, shed_oldest, calls, rejected, timed_out]
}

/// What only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    restarts: u64,
    handled: u64,
    drops: [u64; 7],
}

impl Totals {
    pub(super) fn add(&mut self, more: &Self) {
        self.restarts = self.restarts.saturating_add(more.restarts);
        self.handled = self.handled.saturating_add(more.handled);
        for (drops, more) in self.drops.iter_mut().zip(more.drops) {
            *drops = drops.saturating_add(more);
        }
    }
}

/// What came between two looks, in one and the same incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interval {
    /// Messages.
    handled: u64,
    /// Time in handlers, without the one that runs.
    completed: Duration,
    /// Time in handlers, with the one that runs.
    busy: Duration,
    /// Time.
    passed: Duration,
}

impl Interval {
    /// The mean time of a message.
    fn latency(&self) -> Option<Duration> {
        let nanos = self.completed.as_nanos().checked_div(u128::from(self.handled))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// The share of time that was busy.
    fn busy_ratio(&self) -> f64 {
        let ratio = self.busy.as_secs_f64() / self.passed.as_secs_f64();
        if self.passed.is_zero() { 0.0 } else { ratio.min(1.0) }
    }
}

/// What one service, or several together, are at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    states: States,
    depth: u64,
    capacity: u64,
    high_water: u64,
    /// `None` while no message has shown how long one takes.
    wait: Option<Duration>,
    running: Duration,
    interval: Interval,
    /// Of one service only.
    uptime: Option<Duration>,
}

impl Figures {
    /// Counts are added, of waits, marks and the like the greatest stands.
    pub(super) fn add(&mut self, more: &Self) {
        more.count_state(&mut self.states);
        self.depth += more.depth;
        self.capacity += more.capacity;
        self.high_water = self.high_water.max(more.high_water);
        self.wait = self.wait.max(more.wait);
        self.running = self.running.max(more.running);
        self.interval.handled = self.interval.handled.saturating_add(more.interval.handled);
        self.interval.completed = self.interval.completed.saturating_add(more.interval.completed);
        self.interval.busy = self.interval.busy.saturating_add(more.interval.busy);
        self.interval.passed = self.interval.passed.saturating_add(more.interval.passed);
    }

    /// Adds the state, or states, to others.
    pub(super) fn count_state(&self, states: &mut States) {
        states.iter_mut().zip(self.states).for_each(|(sum, more)| *sum += more);
    }

    /// Writes them, with the totals that belong to them.
    pub(super) fn write(&self, labels: &[(&str, &str)], totals: &Totals, sheet: &mut Sheet) {
        let counts = [(&DEPTH, self.depth), (&CAPACITY, self.capacity), (&HIGH_WATER, self.high_water)];
        counts.iter().for_each(|(descriptor, count)| sheet.gauge(descriptor, labels, *count as f64));
        let times = [
            (&WAIT, self.wait),
            (&LATENCY, self.interval.latency()),
            (&RUNNING, Some(self.running)),
            (&UPTIME, self.uptime),
        ];
        for (descriptor, time) in times {
            time.iter().for_each(|time| sheet.gauge(descriptor, labels, time.as_secs_f64()));
        }
        sheet.gauge(&BUSY, labels, self.interval.busy_ratio());
        self.write_states(labels, sheet);
        sheet.counter(&RESTARTS, labels, totals.restarts);
        sheet.counter(&HANDLED, labels, totals.handled);
        for (reason, total) in REASONS.iter().zip(totals.drops) {
            sheet.counter(&DROPS, &with(labels, ("reason", reason)), total);
        }
    }

    fn write_states(&self, labels: &[(&str, &str)], sheet: &mut Sheet) {
        for (state, count) in Lifecycle::ALL.iter().zip(self.states).filter(|(_, count)| *count > 0) {
            sheet.gauge(&STATE, &with(labels, ("state", state.as_str())), f64::from(count));
        }
    }
}

fn with<'a>(labels: &[(&'a str, &'a str)], more: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([more]).collect()
}

/// A service as it was at the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceSeen {
    epoch: u64,
    uptime: Duration,
    busy: Duration,
    completed: Duration,
    last_handled: u64,
    /// How long a message took when last some were handled.
    mean: Option<Duration>,
    restarts: Rising,
    handled: Rising,
    drops: [Rising; 7],
}

impl ServiceSeen {
    /// Looks at it again: what it is at, and what came since.
    pub(super) fn look(&mut self, node: &NodeInfo) -> (Figures, Totals) {
        let running = node.current.map_or(Duration::ZERO, |current| current.busy);
        let interval = self.interval(node, node.busy.saturating_sub(running));
        self.mean = interval.latency().or(self.mean);
        let mut states = States::default();
        Lifecycle::ALL
            .iter()
            .zip(&mut states)
            .for_each(|(state, count)| *count = u32::from(*state == node.state));
        let figures = Figures {
            states,
            depth: node.mailbox.queued as u64,
            capacity: node.mailbox.capacity as u64,
            high_water: node.mailbox.high_water as u64,
            wait: wait(node.mailbox.queued, interval.latency(), self.mean, running),
            running,
            interval,
            uptime: Some(node.uptime),
        };
        (figures, self.came(node))
    }

    /// All that came so far.
    pub(super) fn totals(&self) -> Totals {
        let drops = self.drops.map(|drops| drops.total());
        Totals { restarts: self.restarts.total(), handled: self.handled.total(), drops }
    }

    fn came(&mut self, node: &NodeInfo) -> Totals {
        let mut drops = by_reason(&node.drops);
        self.drops.iter_mut().zip(&mut drops).for_each(|(rising, drops)| *drops = rising.look(*drops));
        Totals {
            restarts: self.restarts.look(node.restarts),
            handled: self.handled.look(node.handled),
            drops,
        }
    }

    /// Time is the tree's own: that of its uptime. What an incarnation did between the last look and its end is not
    /// known, so at the first look at another the interval is its life, and no message of it is counted, for some are
    /// of the one before.
    fn interval(&mut self, node: &NodeInfo, completed: Duration) -> Interval {
        let is_same = node.epoch == self.epoch;
        if !is_same {
            (self.uptime, self.busy, self.completed) = Default::default();
        }
        let interval = Interval {
            handled: node.handled.saturating_sub(self.last_handled) * u64::from(is_same || node.epoch == 1),
            completed: completed.saturating_sub(self.completed),
            busy: node.busy.saturating_sub(self.busy),
            passed: node.uptime.saturating_sub(self.uptime),
        };
        (self.epoch, self.uptime, self.busy) = (node.epoch, node.uptime, node.busy);
        (self.completed, self.last_handled) = (completed, node.handled);
        interval
    }
}

/// How long a message that comes now will wait: the queued ones times the time of one. That is the mean since the last
/// look; where nothing was handled since, the mean that was known before or the time of the present message, whichever
/// is longer.
fn wait(
    queued: usize,
    latency: Option<Duration>,
    mean: Option<Duration>,
    running: Duration,
) -> Option<Duration> {
    let stuck = (!running.is_zero()).then_some(running);
    match (queued, latency.or(mean.max(stuck))) {
        (0, _) => Some(Duration::ZERO),
        (queued, each) => Some(each?.saturating_mul(u32::try_from(queued).unwrap_or(u32::MAX))),
    }
}
