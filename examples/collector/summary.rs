//! The end of a run: what is said, and with which status it exits.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use underpin::config::Snapshot;
use underpin::{ShutdownReport, Unstopped};

use crate::archive::Archive;
use crate::forward::Forwarding;
use crate::parser;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tree::Tree;

/// The counts of a run that is over.
pub(crate) struct Summary<'a> {
    stats: &'a Stats,
    config: Snapshot<Settings>,
    archive: &'a Archive,
    forwarding: Option<&'a Forwarding>,
    lost: u64,
    took: Duration,
}

/// Writes a line to stdout at once. That nobody reads it is no reason to fail.
pub(crate) fn say(line: &dyn Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

impl<'a> Summary<'a> {
    /// To be called when everything has stopped.
    pub(crate) fn of(stats: &'a Stats, tree: &'a Tree, took: Duration) -> Self {
        tree.clear_desks();
        let lost = stats.lost.get() + stats.left.get();
        let forwarding = tree.forwarding.as_deref();
        Self { stats, config: tree.config.snapshot(), archive: &tree.archive, forwarding, lost, took }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Says what was counted, on stdout, and what went wrong, on stderr.
    pub(crate) fn finish(&self, report: &ShutdownReport) -> ExitCode {
        let wrong = self.went_wrong(report);
        for line in self.worth_knowing(report).iter().chain(&wrong) {
            eprintln!("collector: {line}");
        }
        say(&self.json(report.abandoned));
        if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn json(&self, abandoned: u64) -> String {
        let seconds = self.took.as_secs_f64();
        let stats = self.stats;
        format!(
            r#"{{"received":{},"parsed":{},"filtered":{},"malformed":{},"lost":{},"restarts":{},"hung":{},"abandoned":{abandoned},"stored":{},"recovered":{},"alerts_raised":{},"alerts_cleared":{},"matched":{},"forwarded":{},"shed":{},"failed":{},"retried":{},"breaker_opened":{},"config_version":{},"config_degraded":{},"seconds":{seconds:.3},"lines_per_s":{:.0}}}"#,
            stats.received.get(),
            stats.parsed.get(),
            stats.filtered.get(),
            stats.malformed.get(),
            self.lost,
            stats.crashes.get(),
            stats.hung.get(),
            self.archive.stored(stats),
            self.archive.recovered(),
            stats.alerts_raised.get(),
            stats.alerts_cleared.get(),
            stats.matched.get(),
            stats.forwarded.get(),
            stats.shed(),
            stats.forward_failed.get(),
            self.forwarding.map_or(0, Forwarding::retried),
            self.forwarding.map_or(0, Forwarding::breaker_opened),
            self.config.version(),
            self.config.degraded().is_some(),
            stats.received.get() as f64 / seconds.max(1e-9),
        )
    }

    /// Where load was shed, as it may be, and who still hangs as `--hang` told him to.
    fn worth_knowing(&self, report: &ShutdownReport) -> Vec<String> {
        let stats = self.stats;
        let said = [
            (&stats.refused, "connections were one too many and were closed"),
            (&stats.udp_dropped, "datagrams were dropped: the parsers were busy for a second"),
            (&stats.udp_overrun, "datagrams were dropped by the kernel: they came too fast"),
            (&stats.shed_full, "lines were not forwarded: as many waited as may"),
            (&stats.shed_old, "lines were not forwarded: they had waited too long"),
            (&stats.shed_late, "lines were not forwarded: the end came first"),
            (&stats.forward_failed, "lines were not forwarded: the sink did not take them"),
        ];
        let mut known = told(&said);
        known.extend(report.unstopped.iter().filter(|one| self.is_meant(one)).map(Unstopped::to_string));
        known
    }

    fn is_meant(&self, one: &Unstopped) -> bool {
        self.stats.hung.get() > 0 && one.child.starts_with(parser::NAME)
    }

    /// What must not happen.
    fn went_wrong(&self, report: &ShutdownReport) -> Vec<String> {
        let stats = self.stats;
        let said = [
            (&stats.left, "lines were left in a queue for good"),
            (&stats.unwritten, "records were not written"),
            (&stats.unread, "files were not read to their end"),
        ];
        let mut wrong = told(&said);
        wrong.extend(self.archive.went_wrong(stats));
        wrong.extend(report.unstopped.iter().filter(|one| !self.is_meant(one)).map(Unstopped::to_string));
        if !report.exit.is_calm() {
            wrong.push(report.to_string());
        }
        let is_forwarded_whole =
            stats.matched.get() == stats.forwarded.get() + stats.shed() + stats.forward_failed.get();
        let is_whole = stats.received.get() == stats.parsed.get() + stats.malformed.get() + self.lost;
        if !is_whole || !is_forwarded_whole {
            wrong.push("the counts do not add up".to_owned());
        }
        wrong
    }
}

fn told(said: &[(&crate::stats::Counter, &str)]) -> Vec<String> {
    let some = said.iter().filter(|(counter, _)| counter.get() > 0);
    some.map(|(counter, what)| format!("{} {what}", counter.get())).collect()
}
