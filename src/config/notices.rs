//! What a subscriber has not seen yet.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::diff::{Change, diff_at};
use super::path::Path;

/// What one or more updates changed, as a subscriber is told.
///
/// The notices of a subscription follow one another: each begins where the one before ended. Where
/// a subscriber is slow, several updates are one notice, from the first old to the last new value; of
/// what changed and changed back, nothing is left but the version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Notice {
    /// The version that the changes lead to.
    pub version: u64,
    /// How many updates of what is subscribed to are in it, at least 1.
    pub updates: u64,
    /// What changed, in the order of the paths.
    pub changes: Vec<Change>,
}

/// The notices for one subscriber: at most so many. One more is taken in by the newest.
#[derive(Debug)]
pub(crate) struct Notices {
    most: usize,
    queue: VecDeque<Waiting>,
    /// What the last notice that was taken led to.
    seen: Arc<Value>,
    merged: u64,
}

#[derive(Debug)]
struct Waiting {
    version: u64,
    updates: u64,
    document: Arc<Value>,
}

/// A notice that was taken out, and is to be compared where that holds up nobody.
#[derive(Debug)]
pub(crate) struct Taken {
    waiting: Waiting,
    from: Arc<Value>,
}

impl Notices {
    /// At most `most`, at least one, from `seen` on.
    pub(crate) fn new(most: usize, seen: Arc<Value>) -> Self {
        Self { most: most.max(1), queue: VecDeque::new(), seen, merged: 0 }
    }

    /// An update of what is subscribed to has led to `document`.
    pub(crate) fn add(&mut self, version: u64, document: Arc<Value>) {
        let is_full = self.queue.len() >= self.most;
        match self.queue.back_mut().filter(|_| is_full) {
            Some(newest) => {
                self.merged += 1;
                *newest = Waiting { version, updates: newest.updates + 1, document };
            }
            None => self.queue.push_back(Waiting { version, updates: 1, document }),
        }
    }

    /// The oldest.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        let waiting = self.queue.pop_front()?;
        let from = std::mem::replace(&mut self.seen, Arc::clone(&waiting.document));
        Some(Taken { waiting, from })
    }

    /// All of them, as one.
    pub(crate) fn take_all(&mut self) -> Option<Taken> {
        let updates = self.queue.iter().map(|waiting| waiting.updates).sum();
        let newest = self.queue.pop_back()?;
        self.merged += self.queue.len() as u64;
        self.queue.clear();
        let from = std::mem::replace(&mut self.seen, Arc::clone(&newest.document));
        Some(Taken { waiting: Waiting { updates, ..newest }, from })
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many updates had no notice of their own.
    pub(crate) fn merged(&self) -> u64 {
        self.merged
    }
}

impl Taken {
    /// Says what changed at `prefix` and below.
    pub(crate) fn notice(self, prefix: &Path) -> Notice {
        let Waiting { version, updates, document } = self.waiting;
        Notice { version, updates, changes: diff_at(prefix, &self.from, &document) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diff::tests::{apply, tables};
    use proptest::prelude::*;
    use serde_json::json;

    fn notices(most: usize) -> Notices {
        Notices::new(most, Arc::new(json!({"a": 0})))
    }

    #[test]
    fn each_begins_where_the_one_before_ended() {
        let mut notices = notices(8);
        (1..=3).for_each(|n| notices.add(n + 1, Arc::new(json!({"a": n}))));
        for n in 1..=3 {
            let notice = notices.take().expect("a notice").notice(&Path::TOP);
            let change = &notice.changes[0];
            assert_eq!((notice.version, notice.updates), (n + 1, 1));
            assert_eq!((&change.old, &change.new), (&Some(json!(n - 1)), &Some(json!(n))));
        }
        assert!(notices.take().is_none());
        assert_eq!(notices.merged(), 0);
    }

    #[test]
    fn the_newest_takes_in_what_there_is_no_room_for() {
        let mut notices = notices(2);
        (1..=5).for_each(|n| notices.add(n + 1, Arc::new(json!({"a": n % 5}))));
        assert_eq!((notices.len(), notices.merged()), (2, 3));
        assert_eq!(notices.take().map(|taken| taken.notice(&Path::TOP).version), Some(2));
        let last = notices.take().expect("the last always comes").notice(&Path::TOP);
        assert_eq!((last.version, last.updates), (6, 4));
        assert_eq!((&last.changes[0].old, &last.changes[0].new), (&Some(json!(1)), &Some(json!(0))));
    }

    #[test]
    fn what_changed_and_changed_back_leaves_the_version() {
        let mut notices = notices(1);
        [1, 0].iter().zip(2..).for_each(|(n, version)| notices.add(version, Arc::new(json!({"a": n}))));
        let notice = notices.take().expect("a notice").notice(&Path::TOP);
        assert_eq!((notice.version, notice.updates, notice.changes), (3, 2, vec![]));
    }

    #[test]
    fn all_can_be_taken_as_one() {
        let mut notices = notices(8);
        (1..=3).for_each(|n| notices.add(n + 1, Arc::new(json!({"a": n}))));
        let notice = notices.take_all().expect("a notice").notice(&Path::TOP);
        assert_eq!((notice.version, notice.updates, notices.merged()), (4, 3, 2));
        assert!(notices.take_all().is_none());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(Value),
        Take,
        TakeAll,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => tables().prop_map(Step::Add),
            2 => Just(Step::Take),
            1 => Just(Step::TakeAll),
        ];
        prop::collection::vec(step, 0..30)
    }

    proptest! {
        /// Whatever was merged: who makes each change he is told of arrives where the last update did.
        #[test]
        fn the_changes_of_all_notices_lead_to_the_last_version(most in 1..4_usize, steps in steps()) {
            let mut mine = json!({});
            let mut last = mine.clone();
            let (mut version, mut told, mut updates) = (1, 1, 0);
            let mut notices = Notices::new(most, Arc::new(mine.clone()));
            let mut hear = |taken: Option<Taken>| {
                if let Some(notice) = taken.map(|taken| taken.notice(&Path::TOP)) {
                    assert!(notice.version > told, "in order");
                    told = notice.version;
                    updates += notice.updates;
                    mine = apply(std::mem::take(&mut mine), &notice.changes);
                }
            };
            for step in steps {
                match step {
                    Step::Add(value) => {
                        version += 1;
                        last = value.clone();
                        notices.add(version, Arc::new(value));
                    }
                    Step::Take => hear(notices.take()),
                    Step::TakeAll => hear(notices.take_all()),
                }
                assert!(notices.len() <= most);
            }
            while let Some(taken) = notices.take() {
                hear(Some(taken));
            }
            prop_assert_eq!((mine, told, updates), (last, version, version - 1));
        }
    }
}
