//! What a rule reads from a snapshot of the metrics.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::names;
use super::settings::{CrashRule, ErrorRateRule, LatencyRule};
use crate::telemetry::{Distribution, Family, Labels, MetricsSnapshot, Value};

/// Looks of a window of time are kept one by one up to here; beyond that, the oldest two are taken together.
const MAX_LOOKS: usize = 1024;
/// Of so many series that are out of sight is known what they had come to.
const MAX_CARRIED: usize = 20_000;

/// What a rule reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// `None`: there is none.
    pub(crate) value: Option<f64>,
    /// Whose it is, where it is the worst of several.
    pub(crate) detail: String,
}

impl Reading {
    fn plain(value: Option<f64>) -> Self {
        Self { value, detail: String::new() }
    }
}

// ---- what there is -----------------------------------------------------------------------

/// The fullest of all mailboxes, 0 to 1.
pub(crate) fn fullest_mailbox(snapshot: &MetricsSnapshot) -> Reading {
    let (Some(depths), Some(capacities)) =
        (snapshot.family(names::MAILBOX_DEPTH), snapshot.family(names::MAILBOX_CAPACITY))
    else {
        return Reading::default();
    };
    let capacity_of = |labels: &Labels| {
        let at = capacities.series.binary_search_by(|series| series.labels.cmp(labels)).ok()?;
        number(&capacities.series[at].value).filter(|capacity| *capacity > 0.0)
    };
    let fills = depths.series.iter().filter_map(|series| {
        Some((number(&series.value)? / capacity_of(&series.labels)?, series.labels.get(names::SERVICE)))
    });
    let fullest = fills.max_by(|(one, _), (other, _)| one.total_cmp(other));
    fullest.map_or_else(Reading::default, |(fill, service)| Reading {
        value: Some(fill),
        detail: service.unwrap_or_default().to_owned(),
    })
}

/// The resident memory, as a share of a limit that is not 0.
pub(crate) fn memory(snapshot: &MetricsSnapshot, limit_bytes: u64) -> Reading {
    Reading::plain(only(snapshot, names::RESIDENT_MEMORY).map(|bytes| bytes / limit_bytes as f64))
}

/// All threads that were given up.
pub(crate) fn zombies(snapshot: &MetricsSnapshot) -> Reading {
    let family = snapshot.family(names::ABANDONED);
    let sum = |family: &Family| family.series.iter().filter_map(|series| number(&series.value)).sum();
    Reading::plain(family.map(sum))
}

/// The series that there are, as a share of those that there may be.
pub(crate) fn series(snapshot: &MetricsSnapshot) -> Reading {
    let most = only(snapshot, names::SERIES_MAX).filter(|most| *most > 0.0);
    let share = |most: f64| Some(only(snapshot, names::SERIES)? / most);
    Reading::plain(most.and_then(share))
}

fn only(snapshot: &MetricsSnapshot, name: &str) -> Option<f64> {
    number(&snapshot.series(name, &[])?.value)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Counter(total) => Some(*total as f64),
        Value::Gauge(value) => Some(*value),
        Value::Histogram(_) => None,
    }
}

// ---- what came ---------------------------------------------------------------------------

/// From where the next values of a histogram are counted, series by series.
#[derive(Clone, Debug, Default)]
pub(crate) struct LatencyBase(Option<BTreeMap<Labels, Distribution>>);

impl LatencyBase {
    /// The quantile of what a histogram got since the look before, in its base unit. `None` where it got nothing, and at
    /// the first look.
    pub(crate) fn read(&mut self, now: &MetricsSnapshot, rule: &LatencyRule) -> Reading {
        let values = distributions(now, rule);
        let Some(before) = &self.0 else {
            self.0 = Some(values);
            return Reading::default();
        };
        let mut came = Distribution::default();
        values.iter().for_each(|(labels, values)| came.merge(&since(values, before.get(labels))));
        self.0 = Some(carried(before, values));
        let Some(family) = now.family(&rule.metric) else { return Reading::default() };
        let quantile = came.quantile(rule.quantile).filter(|_| came.count() > 0);
        Reading::plain(quantile.map(|value| value as f64 / family.descriptor.of_unit().divisor()))
    }
}

fn distributions(snapshot: &MetricsSnapshot, rule: &LatencyRule) -> BTreeMap<Labels, Distribution> {
    let series = snapshot.family(&rule.metric).into_iter().flat_map(|family| &family.series);
    let series = series.filter(|series| has(&series.labels, &rule.labels));
    let values = |value: &Value| {
        if let Value::Histogram(values) = value { Some(Distribution::clone(values)) } else { None }
    };
    series.filter_map(|series| Some((series.labels.clone(), values(&series.value)?))).collect()
}

/// What there is now, and of those that are not there what there was: who was out of sight for a while is not new when it is
/// back. Where too many are gone, they are gone.
fn carried<T: Clone>(before: &BTreeMap<Labels, T>, now: BTreeMap<Labels, T>) -> BTreeMap<Labels, T> {
    let gone = before.iter().filter(|(labels, _)| !now.contains_key(labels));
    let gone: Vec<_> =
        gone.take(MAX_CARRIED + 1).map(|(labels, value)| (labels.clone(), value.clone())).collect();
    let mut all = now;
    if gone.len() <= MAX_CARRIED {
        all.extend(gone);
    }
    all
}

/// A histogram that has less than before has begun anew.
fn since(values: &Distribution, before: Option<&Distribution>) -> Distribution {
    match before.filter(|before| before.count() <= values.count()) {
        Some(before) => values.since(before),
        None => values.clone(),
    }
}

fn has(labels: &Labels, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// The totals of a counter, series by series.
type Totals = BTreeMap<Labels, u64>;

fn totals(snapshot: &MetricsSnapshot, name: &str, wanted: &BTreeMap<String, String>) -> Totals {
    let series = snapshot.family(name).into_iter().flat_map(|family| &family.series);
    let series = series.filter(|series| has(&series.labels, wanted));
    let total = |value: &Value| if let Value::Counter(total) = value { Some(*total) } else { None };
    series.filter_map(|series| Some((series.labels.clone(), total(&series.value)?))).collect()
}

/// How much came to each series. One that has less than before has begun anew, and so has one that was never there.
fn came<'a>(now: &'a Totals, before: &Totals) -> impl Iterator<Item = (&'a Labels, u64)> {
    let base = |labels: &Labels, total: u64| before.get(labels).copied().filter(|base| *base <= total);
    let each: Vec<_> =
        now.iter().map(|(labels, total)| (labels, total - base(labels, *total).unwrap_or(0))).collect();
    each.into_iter()
}

fn sum_of(now: &Totals, before: &Totals) -> u64 {
    came(now, before).fold(0, |sum, (_, came)| sum.saturating_add(came))
}

// ---- error rates -------------------------------------------------------------------------

/// From where the next rate is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateBase(Option<(Instant, Totals, Totals)>);

impl RateBase {
    /// The rate, once enough has come; `None` where it has not yet, and nothing is to be made of that.
    pub(crate) fn read(
        &mut self,
        at: Instant,
        now: &MetricsSnapshot,
        rule: &ErrorRateRule,
    ) -> Option<Reading> {
        let errors = totals(now, &rule.errors, &rule.error_labels);
        let all = totals(now, &rule.total, &rule.total_labels);
        let Some((since, errors_before, all_before)) = &self.0 else {
            self.0 = Some((at, errors, all));
            return None;
        };
        let (wrong, total) = (sum_of(&errors, errors_before), sum_of(&all, all_before));
        let is_enough = total >= rule.least_total.max(1);
        let waited = at.saturating_duration_since(*since);
        if !is_enough && waited < Duration::from_secs(rule.within_seconds) {
            return None;
        }
        self.0 = Some((at, carried(errors_before, errors), carried(all_before, all)));
        // The two are not read at one moment: an error may be counted whose total is not.
        Some(Reading::plain(is_enough.then(|| (wrong as f64 / total as f64).min(1.0))))
    }
}

// ---- crashes -----------------------------------------------------------------------------

/// The restarts of a window of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashWindow {
    before: Option<Totals>,
    /// How many each look found, if any.
    looks: VecDeque<(Instant, u64)>,
    /// Who crashed last, and most of those who did.
    last: String,
}

impl CrashWindow {
    /// How many restarts there were in the time of the rule. What was before the first look does not count.
    pub(crate) fn read(&mut self, at: Instant, now: &MetricsSnapshot, rule: &CrashRule) -> Reading {
        // Of services by their labels, and of supervisors by others.
        let mut totals = totals(now, names::RESTARTS, &BTreeMap::new());
        totals.extend(self::totals(now, names::SUPERVISOR_RESTARTS, &BTreeMap::new()));
        if totals.is_empty() && self.before.is_none() {
            return Reading::default();
        }
        if let Some(before) = &self.before {
            self.looks.push_back((at, sum_of(&totals, before)));
            self.note_last(&totals);
        }
        let before = self.before.take().unwrap_or_default();
        self.before = Some(carried(&before, totals));
        self.forget(at, Duration::from_secs(rule.within_seconds));
        let restarts: u64 = self.looks.iter().fold(0, |sum, (_, found)| sum.saturating_add(*found));
        let detail = if restarts > 0 { self.last.clone() } else { String::new() };
        Reading { value: Some(restarts as f64), detail }
    }

    fn note_last(&mut self, totals: &Totals) {
        let Some(before) = &self.before else { return };
        let most = came(totals, before).filter(|(_, came)| *came > 0).max_by_key(|(_, came)| *came);
        let of = |labels: &'_ Labels| {
            labels.get(names::SERVICE).or(labels.get(names::SUPERVISOR)).map(str::to_owned)
        };
        if let Some(who) = most.and_then(|(labels, _)| of(labels)) {
            self.last = who;
        }
    }

    fn forget(&mut self, at: Instant, within: Duration) {
        self.looks.retain(|(look, found)| *found > 0 && at.saturating_duration_since(*look) < within);
        if self.looks.len() > MAX_LOOKS
            && let (Some((_, oldest)), Some(next)) = (self.looks.pop_front(), self.looks.front_mut())
        {
            next.1 = next.1.saturating_add(oldest);
        }
    }
}
