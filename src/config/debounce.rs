//! When what was touched is looked at.

use std::time::{Duration, Instant};

/// Files settle before they are read: whoever saves one writes it in several steps.
///
/// A look is due when nothing was touched for as long as `quiet`, at the latest `longest` after the
/// first touch, so that a file that is written to all the time is read all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debounce {
    quiet: Duration,
    longest: Duration,
    touched: Option<Touched>,
}

#[derive(Clone, Copy, Debug)]
struct Touched {
    first: Instant,
    last: Instant,
}

impl Debounce {
    pub(crate) fn new(quiet: Duration, longest: Duration) -> Self {
        Self { quiet, longest, touched: None }
    }

    /// Something was touched.
    pub(crate) fn touch(&mut self, now: Instant) {
        let first = self.touched.map_or(now, |touched| touched.first);
        self.touched = Some(Touched { first, last: now });
    }

    /// When a look is due, if nothing more is touched.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let Touched { first, last } = self.touched?;
        Some((last + self.quiet).min(first + self.longest))
    }

    /// Whether a look is due, which is then taken.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next_deadline().is_some_and(|at| now >= at);
        if is_due {
            self.touched = None;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn debounce() -> (Debounce, Instant) {
        #[allow(clippy::disallowed_methods)] // any moment will do
        (Debounce::new(200 * MS, 2000 * MS), Instant::now())
    }

    #[test]
    fn a_look_is_due_when_it_was_quiet() {
        let (mut debounce, start) = debounce();
        assert_eq!(debounce.next_deadline(), None);
        debounce.touch(start);
        debounce.touch(start + 150 * MS);
        assert!(!debounce.is_due(start + 349 * MS));
        assert!(debounce.is_due(start + 350 * MS));
        assert!(!debounce.is_due(start + 351 * MS), "once");
        assert_eq!(debounce.next_deadline(), None);
    }

    #[test]
    fn what_is_never_quiet_is_looked_at_all_the_same() {
        let (mut debounce, start) = debounce();
        let touches = (0..30).map(|touch| start + touch * 100 * MS);
        let looks = touches.filter(|now| {
            debounce.touch(*now);
            debounce.is_due(*now)
        });
        assert_eq!(looks.map(|at| at - start).collect::<Vec<_>>(), [2000 * MS]);
    }
}
