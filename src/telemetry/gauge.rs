//! A gauge: what goes up and down.

use std::sync::Arc;

use crate::sync::{Ordering, SignalFlag, Tally};

/// Says how much there is of something. Clones are the same gauge.
///
/// # Example
///
/// ```
/// use underpin::telemetry::{Descriptor, Telemetry};
///
/// let telemetry = Telemetry::new();
/// let open = telemetry.gauge(&Descriptor::gauge("collector.connections", "Open connections."), &[]);
/// open.add(3.0);
/// open.subtract(1.0);
/// assert_eq!(open.value(), 2.0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<GaugeCell>);

#[derive(Debug, Default)]
struct GaugeCell {
    /// The bits of an `f64`.
    value: Tally,
    is_touched: SignalFlag,
}

impl Gauge {
    /// Sets it, in its [unit](super::Unit): seconds for times.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.value.store(value.to_bits(), Ordering::Relaxed);
        self.touch();
    }

    /// Adds `by`, which may be negative. None of what several threads add is lost.
    pub fn add(&self, by: f64) {
        let more = |bits| Some((f64::from_bits(bits) + by).to_bits());
        let _ = self.0.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        self.touch();
    }

    /// Takes `by` away.
    pub fn subtract(&self, by: f64) {
        self.add(-by);
    }

    /// What was set last.
    #[inline]
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.value.load(Ordering::Relaxed))
    }

    /// Looked at first: who sets it often does not take it from the others each time.
    #[inline]
    fn touch(&self) {
        if !self.0.is_touched.load(Ordering::Relaxed) {
            self.0.is_touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was set since this was asked last, be it to what it was.
    pub(crate) fn take_touched(&self) -> bool {
        self.0.is_touched.swap(false, Ordering::Relaxed)
    }

    /// Whether nobody else has it.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
