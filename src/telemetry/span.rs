//! Something that takes time.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Instant, SystemTime};

use super::dispatch::{Dispatch, Offer, Outcome};
use super::labels::MAX_LABELS;
use super::measurement::Measure;
use crate::error::{panic_text, text_of};
use crate::sync::wall_now;

/// Something that takes time, told when it begins and when it ends.
///
/// What is executed, for a span `db.query`:
///
/// | name | when | figures | words |
/// |---|---|---|---|
/// | `db.query.start` | it begins | `system_time` since 1970, `monotonic_time` since the telemetry began | `span`, a number |
/// | `db.query.stop` | it is dropped | `duration`, `monotonic_time` | `span`, perhaps `outcome` |
/// | `db.query.exception` | it [fails](Self::fail), or is dropped by a panic | `duration`, `monotonic_time` | `span`, `kind`: `error` or `panic`, and `reason` if it is known |
///
/// The words of the span itself stand before these. Where a panic drops it, what the panic said is not known; of one in
/// [`run`](Self::run) it is.
///
/// A start and its end belong together: whoever hears both is told of both or of neither, for the limit of `.start` is
/// that of the whole span. The limits of `.stop` and `.exception` count where nobody hears the start. A span that nobody
/// heard of when it began costs no look at the clock, and its end is not told.
#[derive(Debug)]
#[must_use = "it ends where it is dropped"]
pub struct Span<'a>(Option<Live<'a>>);

/// One that somebody hears.
struct Live<'a> {
    dispatch: &'a Dispatch,
    /// The name of the span, and room for what its events add.
    name: String,
    words: Vec<(String, String)>,
    number: String,
    began: Instant,
    start: Outcome,
    /// It began in a drop in a panic: that is not its own.
    was_panicking: bool,
}

impl fmt::Debug for Live<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("name", &self.name).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Dispatch {
    /// Begins a span.
    pub(crate) fn span(&self, name: &str) -> Span<'_> {
        self.span_with(name, &[])
    }

    /// Begins a span with words that its start has, too.
    pub(crate) fn span_with(&self, name: &str, metadata: &[(&str, &str)]) -> Span<'_> {
        Span(self.hears_below(name).then(|| Live::begin(self, name, metadata)))
    }

    /// Runs something as a span. See [`Span::run`].
    pub(crate) fn measure<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.span(name).run(work)
    }

    /// The same of what may fail: the stop has the word `outcome`, which is `ok` or `error`. An error is an end like
    /// others; an exception is a panic, and what was given to [`Span::fail`].
    pub(crate) fn measure_result<T, E>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.span(name).run_result(work)
    }
}

impl Span<'_> {
    /// Adds a word to the end; one of the same name is replaced. There are [`MAX_LABELS`] at most, others are left out.
    pub fn with(&mut self, name: &str, word: &str) -> &mut Self {
        if let Some(live) = &mut self.0 {
            live.put(name, word);
        }
        self
    }

    /// Ends it: with what went wrong. If the error panics where it is shown, that is its reason.
    pub fn fail(mut self, error: &(impl fmt::Display + ?Sized)) {
        if let Some(live) = self.0.take() {
            let shown = catch_unwind(AssertUnwindSafe(|| error.to_string()));
            let reason =
                shown.unwrap_or_else(|panic| format!("an error that panicked: {}", panic_text(panic)));
            live.end("exception", &[("kind", "error"), ("reason", &reason)]);
        }
    }

    /// Ends it as a drop does.
    pub fn finish(self) {}

    /// Runs something, and ends with it.
    ///
    /// # Panics
    ///
    /// When `work` does, with what it panicked with, after the exception was told.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.run_to(work, |_| None)
    }

    /// The same of what may fail. The stop has the word `outcome`, which is `ok` or `error`.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_result<T, E>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.run_to(work, |result| Some(if result.is_ok() { "ok" } else { "error" }))
    }

    fn run_to<T>(mut self, work: impl FnOnce() -> T, outcome: impl FnOnce(&T) -> Option<&'static str>) -> T {
        let Some(live) = self.0.take() else { return work() };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => {
                let outcome = outcome(&result).map(|outcome| ("outcome", outcome));
                live.end("stop", outcome.as_slice());
                result
            }
            Err(panic) => {
                live.end("exception", &[("kind", "panic"), ("reason", &text_of(&*panic))]);
                resume_unwind(panic)
            }
        }
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        let Some(live) = self.0.take() else { return };
        if std::thread::panicking() && !live.was_panicking {
            live.end("exception", &[("kind", "panic")]);
        } else {
            live.end("stop", &[]);
        }
    }
}

impl<'a> Live<'a> {
    fn begin(dispatch: &'a Dispatch, name: &str, metadata: &[(&str, &str)]) -> Self {
        let (number, began) = (dispatch.next_span().to_string(), dispatch.now());
        let mut full = String::with_capacity(name.len() + ".exception".len());
        full.push_str(name);
        let (words, start, was_panicking) = (Vec::new(), Outcome::Unheard, std::thread::panicking());
        let mut live = Self { dispatch, name: full, words, number, began, start, was_panicking };
        metadata.iter().for_each(|(name, word)| live.put(name, word));
        let since_1970 = wall_now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        live.start = live.tell("start", began, ("system_time", since_1970.into()), &[]);
        live
    }

    fn put(&mut self, name: &str, word: &str) {
        if let Some((_, old)) = self.words.iter_mut().find(|(other, _)| other == name) {
            word.clone_into(old);
        } else if self.words.len() < MAX_LABELS {
            self.words.push((name.into(), word.into()));
        } else {
            self.dispatch.left_out();
        }
    }

    fn end(mut self, event: &str, words: &[(&str, &str)]) {
        if self.start == Outcome::Refused {
            return;
        }
        let now = self.dispatch.now();
        let duration = now.saturating_duration_since(self.began);
        self.tell(event, now, ("duration", duration.into()), words);
    }

    /// Executes one of the span's events.
    fn tell(&mut self, event: &str, at: Instant, figure: (&str, Measure), words: &[(&str, &str)]) -> Outcome {
        let stem = self.name.len();
        self.name.push('.');
        self.name.push_str(event);
        let measurements = [figure, ("monotonic_time", self.dispatch.since_start(at).into())];
        let own = self.words.iter().map(|(name, word)| (&**name, &**word));
        let metadata: Vec<_> = own.chain([("span", &*self.number)]).chain(words.iter().copied()).collect();
        let offer = Offer {
            name: &self.name,
            measurements: &measurements,
            metadata: &metadata,
            at: Some(at),
            is_free: self.start == Outcome::Told,
        };
        let outcome = self.dispatch.offer(&offer);
        self.name.truncate(stem);
        outcome
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
