//! Who executes, and who hears of it.

use super::counts::DispatchCounts;
use super::handlers::{AttachError, HandlerInfo};
use super::limits::LimitError;
use super::measurement::{Execution, Measure};
use super::names::NameCounts;
use super::span::Span;
use super::telemetry::Telemetry;

impl Telemetry {
    /// Tells whoever hears `name`: each handler that is attached to it or to a name above it, on this thread or, if it is
    /// [deferred](Self::attach_deferred), on the telemetry's.
    ///
    /// Where nobody hears it, this is one look. Each name has a [limit](Self::limit); what is beyond it is counted and not told.
    /// A handler may execute too, to a depth of 8. A name that is none is counted, and nothing else happens. After the end nothing does.
    ///
    /// # Blocking
    ///
    /// For as long as the handlers on this thread take; on nothing else.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::new();
    /// telemetry.attach("slow-queries", "db.query", |query| {
    ///     let took = query.measurement("took").map_or(0.0, |took| took.as_f64());
    ///     if took > 1.0 {
    ///         println!("{}: {took} s", query.word("table").unwrap_or("?"));
    ///     }
    /// })?;
    /// telemetry.execute("db.query", &[("took", Duration::from_secs(2).into())], &[("table", "users")]);
    /// # Ok::<(), underpin::telemetry::AttachError>(())
    /// ```
    #[inline]
    pub fn execute(&self, name: &str, measurements: &[(&str, Measure)], metadata: &[(&str, &str)]) {
        self.0.dispatch.execute(name, measurements, metadata);
    }

    /// Attaches a handler, which is called on the thread of who executes; so it is to be quick. It hears `prefix` and all
    /// names below it; the empty prefix is above all.
    ///
    /// One that panics is detached, which is logged and counted. It may be called by several threads at once, and attach and
    /// detach others or itself.
    ///
    /// # Errors
    ///
    /// When the id or the prefix is none, the id is taken, there are too many, or the telemetry has ended.
    pub fn attach(
        &self,
        id: &str,
        prefix: &str,
        handler: impl Fn(&Execution<'_>) + Send + Sync + 'static,
    ) -> Result<(), AttachError> {
        self.0.dispatch.attach(id, prefix, handler)
    }

    /// Attaches a handler that is called on a thread of the telemetry's, with copies: for what takes its time. Nobody waits
    /// for it. If it is behind, it is told of a part only: of one in two from half of the [queue](super::DEFAULT_DEFERRED) on, of one in eight
    /// from three quarters on, of nothing when the queue is full. What it is not told of is counted, as `sampled` and `dropped`.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub fn attach_deferred(
        &self,
        id: &str,
        prefix: &str,
        handler: impl Fn(&Execution<'_>) + Send + Sync + 'static,
    ) -> Result<(), AttachError> {
        self.0.dispatch.attach_deferred(id, prefix, handler)
    }

    /// Detaches a handler; `false` if there is none. No execution that begins after this calls it; one that is under way on
    /// another thread still may.
    pub fn detach(&self, id: &str) -> bool {
        self.0.dispatch.detach(id)
    }

    /// The handlers with this prefix or one below it, in the order of their prefixes.
    pub fn list(&self, prefix: &str) -> Vec<HandlerInfo> {
        self.0.dispatch.list(prefix)
    }

    /// How often a name may be executed: `per_second`, evenly, and `burst` at once.
    /// [`DEFAULT_PER_SECOND`](super::DEFAULT_PER_SECOND) and [`DEFAULT_BURST`](super::DEFAULT_BURST) if nothing is said.
    ///
    /// # Errors
    ///
    /// When the name is none, or there are too many.
    pub fn limit(&self, name: &str, per_second: u32, burst: u32) -> Result<(), LimitError> {
        self.0.dispatch.limit(name, per_second, burst)
    }

    /// Begins a span: `name.start` is executed now, and `name.stop` when it is dropped, or `name.exception` if that is by a
    /// panic. See [`Span`].
    pub fn span(&self, name: &str) -> Span<'_> {
        self.0.dispatch.span(name)
    }

    /// The same, with words that its start has, too.
    pub fn span_with(&self, name: &str, metadata: &[(&str, &str)]) -> Span<'_> {
        self.0.dispatch.span_with(name, metadata)
    }

    /// Runs something as a span. See [`Span::run`].
    ///
    /// # Panics
    ///
    /// When `work` does, with what it panicked with, after `name.exception` was told.
    ///
    /// # Example
    ///
    /// ```
    /// # let telemetry = underpin::telemetry::Telemetry::new();
    /// let answer = telemetry.measure("deep.thought", || 6 * 7);
    /// assert_eq!(answer, 42);
    /// ```
    pub fn measure<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.0.dispatch.measure(name, work)
    }

    /// Runs something that may fail as a span: its stop has the word `outcome`, which is `ok` or `error`.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    ///
    /// # Panics
    ///
    /// As [`measure`](Self::measure).
    pub fn measure_result<T, E>(&self, name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.dispatch.measure_result(name, work)
    }

    /// What has come of all that was executed.
    pub fn dispatch_counts(&self) -> DispatchCounts {
        self.0.dispatch.counts()
    }

    /// What has come of each name that is known, in their order; first, under no name, of all for which there was no room.
    pub fn name_counts(&self) -> Vec<NameCounts> {
        self.0.dispatch.names()
    }
}
