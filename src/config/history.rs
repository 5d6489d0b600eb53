//! The last versions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The last of something that has versions, the newest at the end: at most so many, and, save for
/// the newest, not older than so long.
#[derive(Clone, Debug)]
pub(crate) struct History<T> {
    most: usize,
    age: Option<Duration>,
    kept: VecDeque<Version<T>>,
}

#[derive(Clone, Debug)]
struct Version<T> {
    version: u64,
    at: Instant,
    item: T,
}

impl<T> History<T> {
    /// Keeps `most`, at least one, for `age`.
    pub(crate) fn new(most: usize, age: Option<Duration>) -> Self {
        Self { most: most.max(1), age, kept: VecDeque::new() }
    }

    /// The newest, as of `now`. Returns what is too old by now or too many, for its drop may take long.
    #[must_use]
    pub(crate) fn add(&mut self, version: u64, item: T, now: Instant) -> Vec<T> {
        self.kept.push_back(Version { version, at: now, item });
        self.sweep(now)
    }

    /// Forgets what is too old by now or too many.
    #[must_use]
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<T> {
        let is_old = |at: Instant| self.age.is_some_and(|age| now.saturating_duration_since(at) > age);
        // A version is in force until the next one: its age counts from there.
        let replaced = self.kept.iter().skip(1).map(|next| next.at);
        let old = replaced.take_while(|at| is_old(*at)).count();
        let many = self.kept.len().saturating_sub(self.most);
        self.kept.drain(..old.max(many)).map(|version| version.item).collect()
    }

    pub(crate) fn find(&self, version: u64) -> Option<&T> {
        let first = self.kept.front()?.version;
        let at = usize::try_from(version.checked_sub(first)?).ok()?;
        self.kept.get(at).map(|version| &version.item)
    }

    /// The versions that are kept, the oldest and the newest.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        Some((self.kept.front()?.version, self.kept.back()?.version))
    }

    /// When the oldest will be too old, if no other comes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.kept.get(1)?.at.checked_add(self.age?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods)] // any moment will do
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn it_keeps_so_many_and_finds_them_by_version() {
        let (mut history, now) = (History::new(3, None), start());
        let gone: Vec<_> = (5..=10).flat_map(|version| history.add(version, version * 10, now)).collect();
        assert_eq!(gone, [50, 60, 70]);
        assert_eq!(history.range(), Some((8, 10)));
        let found: Vec<_> = (6..=11).map(|version| history.find(version).copied()).collect();
        assert_eq!(found, [None, None, Some(80), Some(90), Some(100), None]);
    }

    #[test]
    fn what_was_replaced_long_ago_goes_and_the_newest_stays() {
        let (mut history, now) = (History::new(10, Some(10 * SECOND)), start());
        for (second, version) in [(0, 1), (5, 2), (8, 3)] {
            assert!(history.add(version, version, now + second * SECOND).is_empty());
        }
        assert_eq!(history.next_deadline(), Some(now + 15 * SECOND));
        assert_eq!(history.sweep(now + 15 * SECOND), [0; 0]);
        assert_eq!(history.sweep(now + 16 * SECOND), [1]);
        assert_eq!(history.sweep(now + 1000 * SECOND), [2]);
        assert_eq!(history.range(), Some((3, 3)));
        assert_eq!(history.next_deadline(), None);
    }

    #[test]
    fn it_keeps_one_however_little_is_asked_for() {
        let (mut history, now) = (History::new(0, None), start());
        assert!(history.add(1, 'a', now).is_empty());
        assert_eq!(history.add(2, 'b', now), ['a']);
    }
}
