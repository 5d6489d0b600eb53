//! A store as it was at one moment.

use std::sync::Arc;

use super::view::View;

/// A store as it was at one moment: nothing in it changes, and looking at it holds up nobody and waits
/// for nobody. It keeps in memory what it shows.
#[derive(Clone, Debug)]
pub struct EventSnapshot {
    views: Vec<Arc<View>>,
}

impl EventSnapshot {
    pub(crate) fn of(views: Vec<Arc<View>>) -> Self {
        Self { views }
    }

    pub(crate) fn views(&self) -> &[Arc<View>] {
        &self.views
    }

    /// What has a larger number is there.
    pub(crate) fn gone(&self) -> u64 {
        self.views.iter().map(|view| view.gone).max().unwrap_or(0)
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.views.iter().map(|view| view.current() as usize).sum()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
