//! The names of the metrics that alerts look at: said here and nowhere else in this room.

/// Messages in a mailbox. A series for each service.
pub(crate) const MAILBOX_DEPTH: &str = "underpin.service.mailbox.depth";
/// Messages that a mailbox holds at most. With the labels of the depth.
pub(crate) const MAILBOX_CAPACITY: &str = "underpin.service.mailbox.capacity";
/// How often a service was restarted. A series for each service.
pub(crate) const RESTARTS: &str = "underpin.service.restarts";
/// How often a supervisor itself was restarted, and with it all below it. A series for each supervisor.
pub(crate) const SUPERVISOR_RESTARTS: &str = "underpin.supervisor.restarts";
/// Threads that were given up and still exist. A series for each supervisor.
pub(crate) const ABANDONED: &str = "underpin.supervisor.abandoned";
/// Memory of the process that is in memory, in bytes.
pub(crate) const RESIDENT_MEMORY: &str = "process.resident_memory";
/// Series that there are.
pub(crate) const SERIES: &str = "underpin.telemetry.series";
/// Series that there may be.
pub(crate) const SERIES_MAX: &str = "underpin.telemetry.series.max";
/// The label that tells services apart.
pub(crate) const SERVICE: &str = "service";
/// The label that tells supervisors apart.
pub(crate) const SUPERVISOR: &str = "supervisor";

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::telemetry::{Descriptor, Kind};

    #[test]
    fn these_are_the_names_that_are_expected_of_collectors() {
        let names =
            [MAILBOX_DEPTH, MAILBOX_CAPACITY, RESTARTS, ABANDONED, RESIDENT_MEMORY, SERIES, SERIES_MAX];
        let expected = [
            "underpin.service.mailbox.depth",
            "underpin.service.mailbox.capacity",
            "underpin.service.restarts",
            "underpin.supervisor.abandoned",
            "process.resident_memory",
            "underpin.telemetry.series",
            "underpin.telemetry.series.max",
        ];
        assert_eq!((names, SERVICE), (expected, "service"));
        names
            .iter()
            .for_each(|name| assert_eq!(Descriptor::named(*name, Kind::Gauge).check(), Ok(()), "{name}"));
    }
}
