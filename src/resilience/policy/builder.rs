//! How a policy is described.

use std::fmt;
use std::sync::Arc;

use super::super::retry::StopSignal;
use super::super::sink::{Relay, Sink, Voice};
use super::Policy;
use super::check::{Checked, PolicySettingsError};
use super::parts::Means;
use super::settings::PolicySettings;
use crate::sync::Clock;

/// Describes a [`Policy`].
///
/// # Example
///
/// ```
/// use underpin::Clock;
/// use underpin::resilience::{Policy, PolicySettings, StopSignal};
///
/// let (clock, _hand) = Clock::manual();
/// let shutdown = StopSignal::new();
/// let policy = Policy::builder("store")
///     .settings(PolicySettings::default())
///     .clock(clock)
///     .stop_on(&shutdown)
///     .seed(17)
///     .build()?;
/// assert_eq!(&**policy.name(), "store");
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct PolicyBuilder {
    means: Means,
    settings: PolicySettings,
}

impl PolicyBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let (clock, stop) = (Clock::system(), StopSignal::new());
        let means = Means { name, clock, sink: None, stop, seed: None };
        Self { means, settings: PolicySettings::default() }
    }

    /// Its parts. None if nothing is said: all is run, and counted.
    pub fn settings(mut self, settings: PolicySettings) -> Self {
        self.settings = settings;
        self
    }

    /// Where it and its parts read the time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.means.clock = clock;
        self
    }

    /// Who hears of its [events](Policy#events). Nobody, if nothing is said.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.means.sink = Some(sink);
        self
    }

    /// Ends waits when this signal is given.
    pub fn stop_on(mut self, signal: &StopSignal) -> Self {
        self.means.stop = signal.clone();
        self
    }

    /// Where chance begins, for the delays between attempts. Anywhere, if nothing is said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.means.seed = Some(seed);
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    pub fn build(self) -> Result<Policy, PolicySettingsError> {
        let Self { mut means, settings } = self;
        let checked = Checked::new(&means.name, settings)?;
        let relay = Arc::new(Relay::default());
        let sink = means.sink.get_or_insert_with(|| Arc::clone(&relay) as Arc<dyn Sink>);
        let voice = Voice::new(Some(Arc::clone(sink)));
        Ok(Policy::new(means, relay, voice, checked))
    }
}

impl fmt::Debug for PolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PolicyBuilder");
        debug.field("name", &self.means.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}
