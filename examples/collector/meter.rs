//! The meter of a parser: lines by severity, host and outcome, and how long each takes.

use std::collections::HashMap;
use std::time::Instant;

use syslog_loose::SyslogSeverity;
use underpin::telemetry::{Counter, Descriptor, Histogram, MAX_LABEL_BYTES, Telemetry, Unit};

use crate::deed::cut_to;

/// What became of lines.
const LINES: Descriptor = Descriptor::counter("collector.lines", "Lines, by severity, host and outcome.");
/// How long a parser has a line in its hands.
const HANDLING: Descriptor =
    Descriptor::histogram("collector.handling", "From a parser's taking a line to its handing it on.")
        .unit(Unit::Seconds);
/// What stands for a severity or a host that nobody knows: the line was lost before it was read.
const UNKNOWN: &str = "unknown";
/// What stands for the severity of a line without a priority.
const NONE: &str = "none";
/// Of so many hosts one parser keeps the counters at hand. Anybody can make up names of hosts, so there is an end.
const MOST_HOSTS: usize = 1024;

/// What becomes of a line, as the metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Parsed,
    Filtered,
    Malformed,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Filtered => "filtered",
            Self::Malformed => "malformed",
        }
    }
}

/// Which series a line counts into.
#[derive(Debug)]
pub(crate) enum Mark {
    /// One that is at hand.
    Kept { host: usize, series: usize },
    /// One of a host beyond those.
    Fetched(Counter),
}

/// Counts the lines of one parser. To look a counter up takes a lock of the telemetry's, so those of the first 1,024
/// hosts are kept; for the others they are looked up each time. How many series there may be at all is up to the
/// telemetry, which has an overflow series for the rest.
#[derive(Debug)]
pub(crate) struct Meter {
    telemetry: Telemetry,
    handling: Histogram,
    hosts: HashMap<Box<str>, usize>,
    /// The series of each host: a few, for there are nine severities and three fates.
    series: Vec<Vec<Series>>,
}

#[derive(Debug)]
struct Series {
    severity: Option<SyslogSeverity>,
    fate: Fate,
    lines: Counter,
}

/// The counter of lines that were lost: in the hands of a service that crashed or was abandoned, or left in a queue.
pub(crate) fn lost(telemetry: &Telemetry) -> Counter {
    telemetry.counter(&LINES, &[("severity", UNKNOWN), ("host", UNKNOWN), ("outcome", "lost")])
}

impl Meter {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let handling = telemetry.histogram(&HANDLING, &[]);
        Self { telemetry: telemetry.clone(), handling, hosts: HashMap::new(), series: Vec::new() }
    }

    /// Which series a line of this severity, from this host, counts into.
    pub(crate) fn mark(&mut self, severity: Option<SyslogSeverity>, host: &str, fate: Fate) -> Mark {
        let host = cut_to(host, MAX_LABEL_BYTES);
        let Some(at) = self.place_of(host) else {
            return Mark::Fetched(self.fetch(severity, host, fate));
        };
        let is_it = |series: &Series| series.severity == severity && series.fate == fate;
        let series = self.series[at].iter().position(is_it).unwrap_or_else(|| {
            let lines = self.fetch(severity, host, fate);
            self.series[at].push(Series { severity, fate, lines });
            self.series[at].len() - 1
        });
        Mark::Kept { host: at, series }
    }

    /// The line is handed on, and has come to that.
    pub(crate) fn count(&self, mark: &Mark) {
        match mark {
            Mark::Kept { host, series } => self.series[*host][*series].lines.increment(),
            Mark::Fetched(lines) => lines.increment(),
        }
    }

    /// The line that was taken then is done.
    pub(crate) fn time(&self, taken: Instant) {
        self.handling.record_duration(taken.elapsed());
    }

    /// Where the series of a host are. `None`: there are too many hosts.
    fn place_of(&mut self, host: &str) -> Option<usize> {
        if let Some(at) = self.hosts.get(host) {
            return Some(*at);
        }
        let at = self.series.len();
        (at < MOST_HOSTS).then(|| {
            self.hosts.insert(host.into(), at);
            self.series.push(Vec::new());
            at
        })
    }

    fn fetch(&self, severity: Option<SyslogSeverity>, host: &str, fate: Fate) -> Counter {
        let severity = severity.map_or(NONE, |severity| severity.as_str());
        self.telemetry.counter(&LINES, &[("severity", severity), ("host", host), ("outcome", fate.name())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SyslogSeverity::{SEV_ERR, SEV_INFO};

    fn count(meter: &mut Meter, severity: Option<SyslogSeverity>, host: &str, fate: Fate) -> Mark {
        let mark = meter.mark(severity, host, fate);
        meter.count(&mark);
        mark
    }

    fn lines(telemetry: &Telemetry, severity: &str, host: &str, outcome: &str) -> Option<u64> {
        let labels = [("severity", severity), ("host", host), ("outcome", outcome)];
        telemetry.metrics("collector", &[]).counter("collector.lines", &labels)
    }

    #[test]
    fn each_severity_host_and_fate_is_a_series_of_its_own() {
        let telemetry = Telemetry::new();
        let mut meter = Meter::new(&telemetry);
        for times in 1..=3 {
            (0..times).for_each(|_| _ = count(&mut meter, Some(SEV_ERR), "a", Fate::Parsed));
            count(&mut meter, Some(SEV_INFO), "a", Fate::Filtered);
            count(&mut meter, Some(SEV_INFO), "a", Fate::Parsed);
            count(&mut meter, None, "b", Fate::Malformed);
        }
        let of = |severity, host, outcome| lines(&telemetry, severity, host, outcome);
        assert_eq!(of("err", "a", "parsed"), Some(6));
        assert_eq!((of("info", "a", "filtered"), of("info", "a", "parsed")), (Some(3), Some(3)));
        assert_eq!((of("none", "b", "malformed"), of("none", "a", "malformed")), (Some(3), None));
    }

    #[test]
    fn two_parsers_count_into_the_same_series() {
        let telemetry = Telemetry::new();
        let mut meters = [Meter::new(&telemetry), Meter::new(&telemetry)];
        meters.iter_mut().for_each(|meter| _ = count(meter, None, "a", Fate::Parsed));
        assert_eq!(lines(&telemetry, "none", "a", "parsed"), Some(2));
    }

    #[test]
    fn hosts_beyond_those_that_are_kept_are_counted_and_not_kept() {
        let telemetry = Telemetry::new();
        let mut meter = Meter::new(&telemetry);
        for host in 0..MOST_HOSTS + 10 {
            let mark = count(&mut meter, None, &host.to_string(), Fate::Parsed);
            assert_eq!(matches!(mark, Mark::Kept { .. }), host < MOST_HOSTS, "{host}");
        }
        assert!(matches!(count(&mut meter, None, "1029", Fate::Parsed), Mark::Fetched(_)));
        assert!(matches!(count(&mut meter, None, "1023", Fate::Malformed), Mark::Kept { .. }));
        assert_eq!((meter.hosts.len(), meter.series.len()), (MOST_HOSTS, MOST_HOSTS));
        assert_eq!(lines(&telemetry, "none", "1029", "parsed"), Some(2));
        assert_eq!(lines(&telemetry, "none", "1023", "parsed"), Some(1));
        assert_eq!(lines(&telemetry, "none", "1023", "malformed"), Some(1));
    }

    #[test]
    fn what_the_telemetry_has_no_room_for_goes_into_its_overflow_series() {
        let telemetry = Telemetry::builder().max_series(10).build();
        let mut meter = Meter::new(&telemetry);
        (0..100).for_each(|host| _ = count(&mut meter, None, &host.to_string(), Fate::Parsed));
        let metrics = telemetry.metrics("collector", &[]);
        let rest = metrics.counter("collector.lines", &[("overflow", "true")]).expect("a series");
        let own: u64 =
            (0..100).filter_map(|host: u64| lines(&telemetry, "none", &host.to_string(), "parsed")).sum();
        assert!(own > 0 && rest > 0 && own + rest == 100, "{own} and {rest}");
    }

    #[test]
    fn a_long_host_is_kept_as_long_as_a_label_may_be() {
        let telemetry = Telemetry::new();
        let mut meter = Meter::new(&telemetry);
        let long = "é".repeat(1 << 16);
        count(&mut meter, None, &long, Fate::Parsed);
        count(&mut meter, None, &format!("{long}, and more"), Fate::Parsed);
        let kept = meter.hosts.keys().next().expect("a host");
        assert_eq!((kept.len(), meter.hosts.len()), (MAX_LABEL_BYTES, 1));
        assert_eq!(lines(&telemetry, "none", kept, "parsed"), Some(2));
    }

    #[test]
    fn each_line_is_timed_once() {
        let telemetry = Telemetry::new();
        let meter = Meter::new(&telemetry);
        (0..3).for_each(|_| meter.time(Instant::now()));
        let metrics = telemetry.metrics("collector", &[]);
        assert_eq!(metrics.histogram("collector.handling", &[]).map(|times| times.count()), Some(3));
    }
}
