//! The figures of one supervisor.

use super::names::{
    ABANDONED, INTENSITY, RECENT_RESTARTS, SUPERVISOR_RESTARTS, SUPERVISOR_UP, SUPERVISOR_UPTIME,
};
use crate::supervisor::inspect::NodeInfo;
use crate::telemetry::sheet::Sheet;

/// What one supervisor, or several together, are at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SupervisorFigures {
    /// How many answer.
    up: u64,
    /// `None` where none answers.
    own: Option<Own>,
    /// In seconds; of one supervisor only.
    uptime_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Own {
    recent: u64,
    intensity: u64,
    abandoned: u64,
}

impl SupervisorFigures {
    pub(super) fn of(node: &NodeInfo) -> Self {
        let own = node.supervisor.map(|own| Own {
            recent: own.recent as u64,
            intensity: u64::from(own.intensity),
            abandoned: own.abandoned as u64,
        });
        Self { up: u64::from(own.is_some()), own, uptime_seconds: Some(node.uptime.as_secs_f64()) }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.up += more.up;
        let Some(more) = more.own else { return };
        let own = self.own.get_or_insert_default();
        own.recent += more.recent;
        own.intensity += more.intensity;
        own.abandoned += more.abandoned;
    }

    /// Writes them, with the restarts that belong to them.
    pub(super) fn write(&self, labels: &[(&str, &str)], restarts: u64, sheet: &mut Sheet) {
        sheet.gauge(&SUPERVISOR_UP, labels, self.up as f64);
        sheet.counter(&SUPERVISOR_RESTARTS, labels, restarts);
        if let Some(seconds) = self.uptime_seconds {
            sheet.gauge(&SUPERVISOR_UPTIME, labels, seconds);
        }
        let Some(Own { recent, intensity, abandoned }) = self.own else { return };
        for (descriptor, count) in
            [(&RECENT_RESTARTS, recent), (&INTENSITY, intensity), (&ABANDONED, abandoned)]
        {
            sheet.gauge(descriptor, labels, count as f64);
        }
    }
}
