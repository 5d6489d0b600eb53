//! What an incarnation is doing, as others may see it without asking.
//!
//! The thread of the incarnation writes, with plain stores and only when something changes; anyone
//! reads. A reader may see the label of one message with the time of the one before: what is shown
//! is for people, and nothing in the crate depends on it.

use std::sync::OnceLock;
use std::time::Duration;

use super::watch::Watch;
use crate::sync::Figure;

/// What an incarnation is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    /// The message in its handler, or the callback that runs.
    pub(crate) label: &'static str,
    /// For how long, at most: since its thread last looked at the clock.
    pub(crate) busy: Duration,
    /// It looks after each message: the time is that of this one.
    pub(crate) exact: bool,
}

/// What one incarnation shows of its work.
#[derive(Default)]
pub(crate) struct Trace {
    /// When its thread last looked at the clock while busy: nanoseconds of its life, plus one; doubled,
    /// and one more if it looks again only after several messages. 0 at rest.
    since: Figure,
    /// For how long it was busy until then, in nanoseconds.
    busy: Figure,
    /// Messages handled, by this and all earlier incarnations. Not beside what senders read.
    pub(crate) handled: Figure,
    /// Which of the labels.
    label: Figure,
    labels: Labels,
    /// Whether somebody looks after it.
    pub(crate) watch: Watch,
}

impl Trace {
    /// Busy from now on, and looks again after so many messages. `age` is that of the incarnation.
    pub(crate) fn begin(&self, age: Duration, stride: u32) {
        let since = nanos(age).saturating_add(1).min(u64::MAX >> 1);
        self.since.set(since << 1 | u64::from(stride > 1));
    }

    /// Still busy: `spent` has passed since the last look.
    pub(crate) fn look(&self, age: Duration, stride: u32, spent: Duration) {
        self.busy.set(self.busy.get().saturating_add(nanos(spent)));
        self.begin(age, stride);
    }

    /// At rest from now on.
    pub(crate) fn rest(&self, spent: Duration) {
        self.busy.set(self.busy.get().saturating_add(nanos(spent)));
        self.since.set(0);
    }

    /// What it is at, by the number that [`Labels::number`] gave.
    pub(crate) fn show(&self, label: u64) {
        self.label.set(label);
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What it is busy with at this age; `None` while it waits for messages.
    pub(crate) fn activity(&self, age: Duration) -> Option<Activity> {
        let since = self.since.get();
        let began = Duration::from_nanos((since >> 1).checked_sub(1)?);
        let label = self.labels.get(self.label.get()).unwrap_or("?");
        Some(Activity { label, busy: age.saturating_sub(began), exact: since & 1 == 0 })
    }

    /// How much of its life it was busy. Waits shorter than about a microsecond count as busy.
    pub(crate) fn busy(&self, age: Duration) -> Duration {
        let now = self.activity(age).map_or(Duration::ZERO, |activity| activity.busy);
        Duration::from_nanos(self.busy.get()).saturating_add(now)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many labels of one incarnation are told apart. A service has as many as its enum has
/// variants; the rest share the last number, which stands for none.
const MOST_LABELS: u64 = 256;

/// The labels that an incarnation has used: a list that only grows, so that it is read without a
/// lock.
#[derive(Default)]
pub(crate) struct Labels(OnceLock<Box<Link>>);

struct Link {
    label: &'static str,
    next: Labels,
}

impl Labels {
    /// The number of a label. One thread alone adds.
    pub(crate) fn number(&self, label: &'static str) -> u64 {
        let mut at = self;
        for number in 0..MOST_LABELS {
            let link = at.0.get_or_init(|| Box::new(Link { label, next: Labels::default() }));
            if link.label == label {
                return number;
            }
            at = &link.next;
        }
        MOST_LABELS
    }

    fn get(&self, number: u64) -> Option<&'static str> {
        let mut at = self.0.get()?;
        for _ in 0..number.min(MOST_LABELS) {
            at = at.next.0.get()?;
        }
        Some(at.label)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn labels_are_told_apart_up_to_a_limit() {
        let labels = Labels::default();
        let (a, b) = (labels.number("a"), labels.number("b"));
        assert_eq!((a, b, labels.number("a")), (0, 1, 0));
        assert_eq!((labels.get(a), labels.get(b), labels.get(2)), (Some("a"), Some("b"), None));
        let many: Vec<&'static str> =
            (0..300).map(|n| &*Box::leak(format!("{n}").into_boxed_str())).collect();
        let last = many.iter().map(|label| labels.number(label)).max();
        assert_eq!(last, Some(MOST_LABELS));
        assert_eq!(labels.get(MOST_LABELS), None);
    }

    #[test]
    fn it_is_at_rest_until_it_begins_and_again_after_it_rests() {
        let trace = Trace::default();
        assert_eq!(trace.activity(SECOND), None);
        trace.show(trace.labels().number("put"));
        trace.begin(SECOND, 1);
        let activity = Activity { label: "put", busy: 2 * SECOND, exact: true };
        assert_eq!(trace.activity(3 * SECOND), Some(activity));
        assert_eq!(trace.busy(3 * SECOND), 2 * SECOND);
        trace.look(3 * SECOND, 2, 2 * SECOND);
        let activity = Activity { label: "put", busy: SECOND, exact: false };
        assert_eq!(trace.activity(4 * SECOND), Some(activity));
        trace.rest(SECOND);
        assert_eq!((trace.activity(9 * SECOND), trace.busy(9 * SECOND)), (None, 3 * SECOND));
    }
}
