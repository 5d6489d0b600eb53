//! A number that people look at.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is written to be looked at, and on which nothing else depends.
///
/// It is part of no protocol, so it is the real thing also in a model: there it adds no choices.
#[derive(Debug, Default)]
pub(crate) struct Figure(AtomicU64);

// ORDERING: Relaxed throughout. Whoever reads several of them may see them from different moments.
impl Figure {
    #[cfg(feature = "resilience")]
    pub(crate) fn of(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises it to `value`, with others who do so at the same time. One look where it is as high.
    #[inline]
    pub(crate) fn raise(&self, value: u64) {
        if self.get() < value {
            self.0.fetch_max(value, Ordering::Relaxed);
        }
    }
}
