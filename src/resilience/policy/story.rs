//! What is told of a run.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use super::Inside;
use super::end::End;
use super::error::PolicyError;
use super::trail::{NoFallback, PolicyTrail};

/// What is told of a run in which something happened, as one event. It is told when this is dropped, also by a panic of
/// what stands in for the value.
pub(super) struct Story<'a> {
    inside: &'a Inside,
    kind: &'static str,
    at: Instant,
    detail: String,
}

impl<'a> Story<'a> {
    /// Of a run that has no value of its own. `None` if nobody hears of it, or hears of others like it.
    pub(super) fn of<E>(inside: &'a Inside, error: &PolicyError<E>) -> Option<Self> {
        if !inside.voice.is_heard() {
            return None;
        }
        let (end, at) = (error.end(), inside.means.clock.now());
        let is_untried = error.trail().attempts == 0;
        let untold = if is_untried { inside.hush.tell(end, inside.age(at))? } else { 0 };
        let mut detail = fmt::from_fn(|f| error.cause(f)).to_string();
        if let Some(fault) = error.trail().fault {
            let _ = write!(detail, ": a fault of kind {:?}", fault.kind);
        }
        let _ = write!(detail, "; {}", error.trail());
        if untold > 0 {
            let _ = write!(detail, "; {untold} more were not told");
        }
        Some(Self { inside, kind: end.as_str(), at, detail })
    }

    /// Of a run that has succeeded, but not at once, or when its time budget was over.
    pub(super) fn of_success(
        inside: &'a Inside,
        trail: &PolicyTrail,
        late: Option<Duration>,
    ) -> Option<Self> {
        let kind = if trail.attempts > 1 { "retried" } else { "late" };
        let late = fmt::from_fn(|f| match late {
            Some(budget) => write!(f, ", after its time budget of {budget:?}"),
            None => Ok(()),
        });
        Self::new(inside, kind, format_args!("succeeded{late}; {trail}"))
    }

    /// Of a run that has panicked.
    pub(super) fn of_panic(inside: &'a Inside, trail: &PolicyTrail) -> Option<Self> {
        Self::new(inside, End::Panicked.as_str(), format_args!("it panicked; {trail}"))
    }

    fn new(inside: &'a Inside, kind: &'static str, detail: fmt::Arguments<'_>) -> Option<Self> {
        let is_heard = inside.voice.is_heard();
        is_heard.then(|| Self { inside, kind, at: inside.means.clock.now(), detail: detail.to_string() })
    }

    /// There was a value from elsewhere.
    pub(super) fn served(&mut self) {
        self.kind = "fallback_served";
        self.detail.push_str("; a fallback was served");
    }

    /// There was none from there either.
    pub(super) fn not_served(&mut self, why: NoFallback) {
        let _ = write!(self.detail, "; no fallback: {why}");
    }
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        let Inside { voice, means, .. } = self.inside;
        voice.tell(&means.name, self.kind, self.at, || std::mem::take(&mut self.detail));
    }
}
