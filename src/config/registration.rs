//! That a service is told, or asked.

use std::fmt;
use std::sync::Arc;

use crate::sync::{AtomicBool, Ordering};

/// That a service is [told](super::Config::subscribe_service) or [asked](super::Config::ask_before).
/// It holds until the child is gone for good; dropping this changes nothing.
pub struct Registration {
    is_gone: Arc<AtomicBool>,
}

impl Registration {
    /// One that ends when the flag is set.
    pub(crate) fn new(is_gone: Arc<AtomicBool>) -> Self {
        Self { is_gone }
    }

    /// Ends it. What is under way may still arrive.
    pub fn cancel(self) {
        self.is_gone.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}
