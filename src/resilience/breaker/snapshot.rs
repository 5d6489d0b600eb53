//! What a breaker was at one moment.

use std::sync::Arc;
use std::time::Instant;

use super::machine::BreakerState;
use super::rates::Counts;

/// What a breaker was at one moment.
///
/// Time alone changes nothing in it: a breaker whose wait is over is open until somebody wants to call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its state.
    pub state: BreakerState,
    /// Since when it is in it.
    pub since: Instant,
    /// From when on, while it is open, a probe may be made; while it is half-open, when it opens unless its probes
    /// have decided. `None` if there is no such time.
    pub until: Option<Instant>,
    /// The calls in the window, of which the rates are made. None without rates.
    pub calls: Counts,
    /// How many in a hundred of them failed; `None` while they are fewer than the minimum number.
    pub failure_rate: Option<f64>,
    /// How many in a hundred of them were slow, in the same way.
    pub slow_call_rate: Option<f64>,
    /// How many failed one after the other since the last that went well. 0 with
    /// [`failures_within`](super::builder::BreakerBuilder::failures_within) alone, for which nobody counts it.
    pub consecutive_failures: u32,
    /// The probes that are under way.
    pub probes: u32,
    /// How often it has opened, by itself or because somebody asked.
    pub opened: u64,
    /// How many calls it has refused; with a [coarse clock](super::builder::BreakerBuilder::coarse_clock) about so many.
    pub refused: u64,
}
