//! Who hears of what becomes of the configuration.

use std::sync::Arc;

use super::diff::Change;
use super::proposal::Cause;

/// Hears of what becomes of the configuration. It is how a program turns that into events and
/// metrics: config knows neither.
///
/// Called on the thread of the config service while an update is made, event and duration of a version
/// between its publication and its notices: it must not block, and passes on what takes long. It can
/// ask the configuration for an update only without waiting for it. A panic in it is contained, logged each time, and
/// counted nowhere else.
///
/// # Example
///
/// ```
/// # use std::sync::Arc;
/// use underpin::config::{Config, ConfigEvent, Layers, Metric, Sink};
/// # use serde_json::{Value, json};
///
/// struct Printing;
///
/// impl Sink for Printing {
///     fn event(&self, event: &ConfigEvent) {
///         println!("{event:?}");
///     }
///     fn metric(&self, metric: Metric, value: f64) {
///         println!("{} {value}", metric.name());
///     }
/// }
///
/// let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
/// config.set_sink(Arc::new(Printing));
/// # Ok::<(), underpin::config::LoadError>(())
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &ConfigEvent);

    /// Something was measured: see [`Metric`] for the names and units.
    fn metric(&self, metric: Metric, value: f64) {
        let _ = (metric, value);
    }
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConfigEvent {
    /// A version was published.
    Updated {
        /// Its number.
        version: u64,
        /// Why.
        cause: Cause,
        /// What differs from the version before. May be nothing.
        changes: Arc<[Change]>,
    },
    /// A version was published that takes updates back, by a reset.
    Reset {
        /// Its number.
        version: u64,
        /// To what: [`Cause::Reset`] or [`Cause::Defaults`].
        cause: Cause,
        /// What differs from the version before. May be nothing.
        changes: Arc<[Change]>,
    },
    /// What the layers say now is no valid configuration: the one before stays in force.
    Degraded {
        /// What is wrong.
        reason: Arc<str>,
    },
    /// What the layers say is in force again.
    Recovered {
        /// The version.
        version: u64,
    },
    /// A service that was asked about an update did not answer.
    Unanswered {
        /// The service.
        by: Arc<str>,
        /// What came of the question.
        reason: Arc<str>,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// How long an update took, from its turn to its publication, in seconds.
    UpdateSeconds,
    /// An update was refused: 1 each time.
    Refused,
    /// How many subscribers there are, after a publication.
    Subscribers,
}

impl Metric {
    /// The name, dotted, with the unit last where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpdateSeconds => "config.update.duration.seconds",
            Self::Refused => "config.update.refused",
            Self::Subscribers => "config.subscribers",
        }
    }
}
