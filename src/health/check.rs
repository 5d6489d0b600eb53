//! A check: what is looked at, how often, and what it counts for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::Terms;
use super::verdict::Verdict;

/// How long after a run the next one begins, if nothing is said.
pub const DEFAULT_EVERY: Duration = Duration::from_secs(10);
/// How long a run may take, if nothing is said.
pub const DEFAULT_WITHIN: Duration = Duration::from_secs(3);
/// How long the thread of a check is waited for at a stop. It is then abandoned: nothing depends on it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The work of a check.
pub(crate) type Look = Arc<dyn Fn() -> Verdict + Send + Sync>;

/// A check: a closure that looks at something the program depends on, and says how well that does.
///
/// It has a thread of its own, for which nobody waits: however long it takes, all others go on. One that
/// takes longer than [`within`](Self::within) is unknown from then on, until it answers; a late answer counts. One
/// that panics is unhealthy, with what the panic said, and runs again when it is due. A thread that hangs is
/// abandoned at the stop of the program, after 1 s; several, one after the other.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::health::{Check, Verdict};
///
/// let database = Check::new("database", || Verdict::from(std::net::TcpStream::connect("127.0.0.1:5432")))
///     .every(Duration::from_secs(5))
///     .within(Duration::from_secs(2));
/// let cache = Check::new("cache", || Verdict::degraded("cold")).critical(false);
/// # drop((database, cache));
/// ```
#[derive(Clone)]
#[must_use = "a check does nothing before a monitor has it"]
pub struct Check {
    pub(crate) name: Arc<str>,
    pub(crate) look: Look,
    pub(crate) terms: Terms,
    pub(crate) aspects: Aspects,
    pub(crate) is_critical: bool,
}

/// What a check counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aspects {
    pub(crate) readiness: bool,
    pub(crate) liveness: bool,
}

impl Check {
    /// A check of this name. The name is not empty, has no `/` and no NUL, and no other check of the monitor has it;
    /// else the start is refused.
    pub fn new(name: impl Into<Arc<str>>, look: impl Fn() -> Verdict + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            look: Arc::new(look),
            terms: Terms { every: DEFAULT_EVERY, within: DEFAULT_WITHIN },
            aspects: Aspects::default(),
            is_critical: true,
        }
    }

    /// How long after the end of a run the next one begins. 10 s ([`DEFAULT_EVERY`]) if nothing is said; 0 is refused
    /// at the start.
    pub fn every(mut self, pause: Duration) -> Self {
        self.terms.every = pause;
        self
    }

    /// How long a run may take before nobody can say how things are. 3 s ([`DEFAULT_WITHIN`]) if nothing is said; 0 is
    /// refused at the start.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.terms.within = deadline;
        self
    }

    /// It counts for readiness: whether the program can take work. So it does if nothing is said; said together with
    /// [`liveness`](Self::liveness) it counts for both.
    pub fn readiness(mut self) -> Self {
        self.aspects.readiness = true;
        self
    }

    /// It counts for liveness: whether the program is better started again. What does not get better by that, as a
    /// database elsewhere, is no part of it.
    pub fn liveness(mut self) -> Self {
        self.aspects.liveness = true;
        self
    }

    /// Whether the program cannot go on without it. `true` if nothing is said. One that is not critical counts as
    /// degraded at most, also where it is unknown.
    pub fn critical(mut self, is_critical: bool) -> Self {
        self.is_critical = is_critical;
        self
    }

    /// What is wrong with it, as far as its child does not find that out.
    pub(crate) fn fault(&self) -> Option<String> {
        let name = &self.name;
        if self.terms.every.is_zero() {
            return Some(format!("check `{name}`: `every` is 0, more was expected"));
        }
        self.terms.within.is_zero().then(|| format!("check `{name}`: `within` is 0, more was expected"))
    }
}

impl Aspects {
    /// What was said, or what stands if nothing was.
    pub(crate) fn or_readiness(self) -> Self {
        if self == Self::default() { Self { readiness: true, liveness: false } } else { self }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("terms", &self.terms).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_check_counts_for_what_was_said_or_else_for_readiness() {
        let check = || Check::new("a", Verdict::healthy);
        let of = |check: Check| {
            let Aspects { readiness, liveness } = check.aspects.or_readiness();
            (readiness, liveness)
        };
        assert_eq!([of(check()), of(check().readiness())], [(true, false); 2]);
        assert_eq!(of(check().liveness()), (false, true));
        assert_eq!(of(check().liveness().readiness()), (true, true));
    }

    #[test]
    fn times_that_are_none_are_told() {
        let check = || Check::new("a", Verdict::healthy);
        assert_eq!(check().fault(), None);
        let never = check().every(Duration::ZERO).fault().expect("it never rests");
        assert_eq!(never, "check `a`: `every` is 0, more was expected");
        assert!(check().within(Duration::ZERO).fault().is_some());
    }
}
