//! The bell: who hears what a policy does, and passes on that its breaker opens and closes.

use std::sync::atomic::{AtomicBool, Ordering};

use underpin::Handle;
use underpin::resilience::{Event, Sink};

use crate::alarms;

/// A change of a breaker, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BreakerTurn {
    /// The name of the breaker.
    pub(crate) breaker: String,
    pub(crate) is_open: bool,
    /// Why.
    pub(crate) detail: String,
}

impl BreakerTurn {
    /// `opened` or `closed`.
    pub(crate) fn word(&self) -> &'static str {
        if self.is_open { "opened" } else { "closed" }
    }
}

/// Tells the [alarms] when a breaker has opened, and when it is closed again. That it opens again after a probe is no
/// news: a sink that is down for a day would fill the journal.
pub(crate) struct Bell {
    alarms: Handle<alarms::Msg>,
    is_open: AtomicBool,
}

impl Bell {
    pub(crate) fn new(alarms: Handle<alarms::Msg>) -> Self {
        Self { alarms, is_open: AtomicBool::new(false) }
    }
}

impl Sink for Bell {
    fn event(&self, event: &Event) {
        let is_open = match event.kind {
            "breaker_opened" => true,
            "breaker_closed" => false,
            _ => return,
        };
        if self.is_open.swap(is_open, Ordering::Relaxed) != is_open {
            let turn =
                BreakerTurn { breaker: event.source.to_string(), is_open, detail: event.detail.clone() };
            alarms::send(&self.alarms, alarms::Msg::Breaker(turn));
        }
    }
}
