//! What the telemetry says about itself.

use std::time::Duration;

use super::catalog::{Caps, CatalogCounts};
use super::descriptor::Descriptor;
use super::dispatch::Dispatch;
use super::names::NameCounts;
use super::sheet::Sheet;
use super::unit::Unit;
use crate::sync::{Ordering, Tally};

const SERIES: Descriptor = Descriptor::gauge("underpin.telemetry.series", "Series that handles count into.");
const MAX_SERIES: Descriptor =
    Descriptor::gauge("underpin.telemetry.series.max", "How many series there may be.");
const OVERFLOWED: Descriptor = Descriptor::counter(
    "underpin.telemetry.overflowed",
    "Times that somebody was given a series of overflow, because there were too many.",
);
const REFUSED: Descriptor = Descriptor::counter(
    "underpin.telemetry.refused",
    "Handles that nobody sees, because of a fault in their name or labels, and figures of collectors that were left out.",
);
const EXPIRED: Descriptor = Descriptor::counter(
    "underpin.telemetry.expired",
    "Series that nothing was added to for the time of retention.",
);
const COLLECTED_AGE: Descriptor =
    Descriptor::gauge("underpin.telemetry.collected.age", "How old the figures of collectors are.")
        .unit(Unit::Seconds);
const PANICS: Descriptor = Descriptor::counter(
    "underpin.telemetry.panics",
    "Panics of collectors and exporters that were contained.",
);
const EXPORTS: Descriptor = Descriptor::counter("underpin.telemetry.exports", "Exports, by how they ended.");

const EXECUTED: Descriptor =
    Descriptor::counter("underpin.telemetry.executed", "Executions that handlers were told of, by name.");
const LIMITED: Descriptor =
    Descriptor::counter("underpin.telemetry.limited", "Executions beyond the limit of their name, by name.");
const UNTOLD: Descriptor = Descriptor::counter(
    "underpin.telemetry.untold",
    "Executions that handlers were not told of, or not of all, by reason: misnamed, too_deep, sampled, dropped, discarded, cut.",
);
const HANDLER_PANICS: Descriptor =
    Descriptor::counter("underpin.telemetry.handler.panics", "Panics of handlers that were contained.");
const DETACHED: Descriptor = Descriptor::counter(
    "underpin.telemetry.handler.detached",
    "Handlers that were detached because they panicked.",
);

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Own {
    collector_panics: Tally,
    exporter_panics: Tally,
    refused_figures: Tally,
    exported: Tally,
    failed: Tally,
}

impl Own {
    /// Returns how many there were.
    pub(crate) fn count_collector_panic(&self) -> u64 {
        self.collector_panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn count_exporter_panic(&self) {
        self.exporter_panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_refused_figures(&self, figures: u64) {
        self.refused_figures.fetch_add(figures, Ordering::Relaxed);
    }

    pub(crate) fn count_export(&self, is_done: bool) {
        let count = if is_done { &self.exported } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, sheet: &mut Sheet, collected: Option<Duration>) {
        let load = |count: &Tally| count.load(Ordering::Relaxed);
        sheet.counter(&PANICS, &[("of", "collector")], load(&self.collector_panics));
        sheet.counter(&PANICS, &[("of", "exporter")], load(&self.exporter_panics));
        sheet.counter(&REFUSED, &[("what", "figure")], load(&self.refused_figures));
        sheet.counter(&EXPORTS, &[("outcome", "done")], load(&self.exported));
        sheet.counter(&EXPORTS, &[("outcome", "failed")], load(&self.failed));
        collected.into_iter().for_each(|age| sheet.gauge(&COLLECTED_AGE, &[], age.as_secs_f64()));
    }
}

pub(crate) fn write_catalog(sheet: &mut Sheet, counts: CatalogCounts, caps: Caps) {
    sheet.gauge(&SERIES, &[], counts.series as f64);
    sheet.gauge(&MAX_SERIES, &[], caps.series as f64);
    sheet.counter(&OVERFLOWED, &[], counts.overflowed);
    sheet.counter(&REFUSED, &[("what", "handle")], counts.refused);
    sheet.counter(&EXPIRED, &[], counts.expired);
}

pub(crate) fn write_dispatch(sheet: &mut Sheet, dispatch: &Dispatch) {
    for NameCounts { name, executed, limited } in dispatch.names() {
        let name: &str = if name.is_empty() { "(others)" } else { &name };
        for (descriptor, count) in [(&EXECUTED, executed), (&LIMITED, limited)] {
            if count > 0 {
                sheet.counter(descriptor, &[("name", name)], count);
            }
        }
    }
    let counts = dispatch.counts();
    let reasons = [
        ("misnamed", counts.misnamed),
        ("too_deep", counts.too_deep),
        ("sampled", counts.sampled),
        ("dropped", counts.dropped),
        ("discarded", counts.discarded),
        ("cut", counts.cut),
    ];
    reasons.into_iter().for_each(|(reason, count)| sheet.counter(&UNTOLD, &[("reason", reason)], count));
    sheet.counter(&HANDLER_PANICS, &[], counts.panicked);
    sheet.counter(&DETACHED, &[], counts.detached);
}
