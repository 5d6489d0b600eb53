//! How a breaker is described.

use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use super::settings::{BreakerSettingsError, Options, Settings};
use super::shared::Shared;
use super::window::CallWindow;
use crate::resilience::sink::{Sink, Voice};
use crate::sync::Clock;

/// Describes a [`CircuitBreaker`]. The options may be given in any order; the last of a kind counts.
///
/// # When it opens
///
/// At the first of the rules that is met:
///
/// - [`consecutive_failures`](Self::consecutive_failures) and [`failures_within`](Self::failures_within) count failures
///   alone. Calls that go well cost them next to nothing.
/// - Rates: [`failure_rate_threshold`](Self::failure_rate_threshold) and
///   [`slow_call_rate_threshold`](Self::slow_call_rate_threshold), over a [`sliding_window`](Self::sliding_window), with
///   a [`minimum_number_of_calls`](Self::minimum_number_of_calls). They are on when one of these options, or
///   [`slow_call_duration_threshold`](Self::slow_call_duration_threshold), is given, and when no rule by number is.
///
/// # Defaults
///
/// Those of resilience4j, save one: there a call is slow from 60 s on; here none is, unless
/// [`slow_call_duration_threshold`](Self::slow_call_duration_threshold) says so, for it costs two looks at the clock
/// for each call.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::CircuitBreaker;
///
/// let breaker = CircuitBreaker::builder("db")
///     .consecutive_failures(5)
///     .wait_duration_in_open_state(Duration::from_secs(1))
///     .wait_backoff(2.0, Duration::from_secs(60))
///     .permitted_number_of_calls_in_half_open_state(1)
///     .max_wait_duration_in_half_open_state(Duration::from_secs(10))
///     .build()?;
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct BreakerBuilder {
    name: Arc<str>,
    options: Options,
    clock: Clock,
    voice: Voice,
    is_coarse: bool,
}

impl BreakerBuilder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            options: Options::default(),
            clock: Clock::SYSTEM,
            voice: Voice::default(),
            is_coarse: false,
        }
    }

    /// Opens after so many failures, one after the other, without a success in between.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.options.consecutive = Some(failures);
        self
    }

    /// Opens after so many failures within this time, whatever else went well. At most
    /// [`MAX_COUNTED_FAILURES`](super::settings::MAX_COUNTED_FAILURES), for it remembers when each was.
    pub fn failures_within(mut self, failures: u32, time: Duration) -> Self {
        self.options.counted = Some((failures, time));
        self
    }

    /// Opens when so many in a hundred calls fail, or more. 50 by default. The probes in half-open are judged by it
    /// too.
    pub fn failure_rate_threshold(mut self, percent: f64) -> Self {
        self.options.failure_rate = Some(percent);
        self
    }

    /// Opens when so many in a hundred calls are slow, or more. 100 by default. The probes in half-open are judged by
    /// it too.
    pub fn slow_call_rate_threshold(mut self, percent: f64) -> Self {
        self.options.slow_rate = Some(percent);
        self
    }

    /// A call that takes longer is slow, well or not. Without it none is.
    pub fn slow_call_duration_threshold(mut self, time: Duration) -> Self {
        self.options.slow_after = Some(time);
        self
    }

    /// Which calls the rates are made of: by default the last 100.
    pub fn sliding_window(mut self, window: CallWindow) -> Self {
        self.options.window = Some(window);
        self
    }

    /// How many calls it takes for a rate: 100 by default, and never more than a window by count holds. If it was
    /// given, no more probes than this are needed in half-open.
    pub fn minimum_number_of_calls(mut self, calls: u32) -> Self {
        self.options.minimum = Some(calls);
        self
    }

    /// How long it stays open: 60 s by default.
    pub fn wait_duration_in_open_state(mut self, time: Duration) -> Self {
        self.options.wait = time;
        self
    }

    /// Stays open longer each time it opens again without having been closed: by `factor`, up to `longest`, or up to
    /// [`wait_duration_in_open_state`](Self::wait_duration_in_open_state) if that is longer.
    pub fn wait_backoff(mut self, factor: f64, longest: Duration) -> Self {
        self.options.backoff = Some((factor, longest));
        self
    }

    /// How many calls are let through in half-open, at once and in all: 10 by default. By their rates it closes or
    /// opens, unless there is a [`success_threshold`](Self::success_threshold).
    pub fn permitted_number_of_calls_in_half_open_state(mut self, calls: u32) -> Self {
        self.options.permitted = calls;
        self
    }

    /// In half-open it closes after so many that went well, and opens at the first that fails or is slow. Then
    /// [`permitted_number_of_calls_in_half_open_state`](Self::permitted_number_of_calls_in_half_open_state) says only how
    /// many are let through at once.
    pub fn success_threshold(mut self, successes: u32) -> Self {
        self.options.successes = Some(successes);
        self
    }

    /// How long it may be half-open before it opens again: no limit by default, nor with 0, as in resilience4j. Give
    /// one, for else a probe that hangs keeps out all others for as long.
    pub fn max_wait_duration_in_half_open_state(mut self, time: Duration) -> Self {
        self.options.max_half_open = Some(time);
        self
    }

    /// While it is open, refuses up to 15 calls in a row without a look at the clock, where they come more than a million
    /// in a second: it is the look that takes the time. When such a storm ends, up to 15 calls of each thread in it
    /// may still be refused after the wait is over; and of refusals at the same moment some may not be counted.
    pub fn coarse_clock(mut self) -> Self {
        self.is_coarse = true;
        self
    }

    /// Where it reads the time from: by default the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told of each change of its state: `breaker_opened`, `breaker_half_opened`, `breaker_closed`,
    /// `breaker_forced_open`, `breaker_disabled`, `breaker_metrics_only`.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.voice = Voice::new(Some(sink));
        self
    }

    /// The breaker, closed.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    pub fn build(self) -> Result<CircuitBreaker, BreakerSettingsError> {
        let settings = self.settings()?;
        Ok(self.made(Arc::clone(&self.name), settings))
    }

    /// The breaker of a key. The options are known to be good.
    pub(crate) fn made_for(&self, key: &str, settings: &Settings) -> CircuitBreaker {
        self.made(format!("{}/{key}", self.name).into(), settings.clone())
    }

    fn made(&self, name: Arc<str>, settings: Settings) -> CircuitBreaker {
        let shared = Shared::new(name, settings, self.clock.clone(), self.voice.clone(), self.is_coarse);
        CircuitBreaker { shared: Arc::new(shared) }
    }

    /// The breaker that goes by these settings, whatever the options are.
    pub(crate) fn build_with(self, settings: Settings) -> CircuitBreaker {
        self.made(Arc::clone(&self.name), settings)
    }

    /// What the options come to.
    pub(crate) fn settings(&self) -> Result<Settings, BreakerSettingsError> {
        self.options.settings(&self.name)
    }

    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn is_coarse(&self) -> bool {
        self.is_coarse
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn clock_of(&self) -> &Clock {
        &self.clock
    }
}
