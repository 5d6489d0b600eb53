//! What is known of one check, and what that is worth at a moment.

use std::time::{Duration, Instant};

use super::verdict::Verdict;

/// How often a check runs, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Between the end of one run and the beginning of the next.
    pub(crate) every: Duration,
    /// For one run.
    pub(crate) within: Duration,
}

/// What is known of one check. Whoever looks judges it by the present moment: nobody has to wait for a run that
/// hangs to be told so.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The life of the check that wrote last. An older one, given up, has no say any more.
    epoch: u64,
    /// When the run that is under way began.
    begun: Option<Instant>,
    said: Option<Said>,
}

#[derive(Clone, Debug)]
struct Said {
    verdict: Verdict,
    at: Instant,
    /// Since when it has been so well or so bad.
    since: Instant,
}

/// What a check is worth at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) since: Instant,
}

impl Record {
    /// A run begins.
    pub(crate) fn begin(&mut self, epoch: u64, now: Instant) {
        if epoch >= self.epoch {
            (self.epoch, self.begun) = (epoch, Some(now));
        }
    }

    /// It has come to this. A late answer counts as any other.
    pub(crate) fn end(&mut self, epoch: u64, now: Instant, verdict: Verdict) {
        if epoch < self.epoch {
            return;
        }
        let before = self.said.as_ref().filter(|said| said.verdict.health() == verdict.health());
        let since = before.map_or(now, |said| said.since);
        self.said = Some(Said { verdict, at: now, since });
        (self.epoch, self.begun) = (epoch, None);
    }

    pub(crate) fn judged(&self, now: Instant, terms: Terms) -> Judgement {
        let passed = |since: Instant| now.saturating_duration_since(since);
        if let Some(begun) = self.begun.filter(|begun| passed(*begun) >= terms.within) {
            let why = format!("has not answered for {}", said_short(passed(begun)));
            return unknown(why, begun.checked_add(terms.within).unwrap_or(now));
        }
        let Some(said) = &self.said else { return unknown("has not answered yet".into(), now) };
        let fresh_for = terms.every.saturating_add(terms.within);
        if self.begun.is_none() && passed(said.at) > fresh_for {
            let why = format!("has not run for {}", said_short(passed(said.at)));
            return unknown(why, said.at.checked_add(fresh_for).unwrap_or(now));
        }
        Judgement { verdict: said.verdict.clone(), since: said.since }
    }
}

fn unknown(why: String, since: Instant) -> Judgement {
    Judgement { verdict: Verdict::unknown(why), since }
}

/// A time as people say it: `3 s`, `250 ms`.
pub(crate) fn said_short(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::health::verdict::Health;
    use crate::sync::Clock;

    const SECOND: Duration = Duration::from_secs(1);
    const TERMS: Terms = Terms { every: Duration::from_secs(10), within: Duration::from_secs(3) };

    fn said(record: &Record, now: Instant) -> (Health, String) {
        let judged = record.judged(now, TERMS);
        (judged.verdict.health(), judged.verdict.why().to_owned())
    }

    #[test]
    fn before_the_first_answer_nobody_can_say() {
        let (now, mut record) = (Clock::system().now(), Record::default());
        assert_eq!(said(&record, now), (Health::Unknown, "has not answered yet".into()));
        record.begin(1, now);
        assert_eq!(said(&record, now + SECOND * 2), (Health::Unknown, "has not answered yet".into()));
        assert_eq!(said(&record, now + SECOND * 3), (Health::Unknown, "has not answered for 3 s".into()));
    }

    #[test]
    fn a_run_that_takes_too_long_is_unknown_until_it_answers() {
        let (now, mut record) = (Clock::system().now(), Record::default());
        record.begin(1, now);
        record.end(1, now, Verdict::healthy());
        record.begin(1, now + SECOND * 10);
        assert_eq!(said(&record, now + SECOND * 13 - Duration::from_nanos(1)).0, Health::Healthy);
        assert_eq!(said(&record, now + SECOND * 13).1, "has not answered for 3 s");
        assert_eq!(record.judged(now + SECOND * 99, TERMS).since, now + SECOND * 13);
        record.end(1, now + SECOND * 99, Verdict::degraded("slow"));
        assert_eq!(said(&record, now + SECOND * 99), (Health::Degraded, "slow".into()));
    }

    #[test]
    fn an_answer_that_nobody_renews_goes_stale() {
        let (now, mut record) = (Clock::system().now(), Record::default());
        record.end(1, now, Verdict::healthy());
        assert_eq!(said(&record, now + SECOND * 13).0, Health::Healthy);
        let stale = now + SECOND * 14;
        assert_eq!(said(&record, stale), (Health::Unknown, "has not run for 14 s".into()));
        record.begin(2, stale);
        assert_eq!(said(&record, stale).0, Health::Healthy, "it is being renewed");
    }

    #[test]
    fn a_life_that_was_given_up_has_no_say() {
        let (now, mut record) = (Clock::system().now(), Record::default());
        record.begin(1, now);
        record.begin(2, now);
        record.end(1, now, Verdict::unhealthy("late"));
        assert_eq!(said(&record, now).1, "has not answered yet");
        record.end(2, now, Verdict::healthy());
        record.begin(1, now);
        assert_eq!(said(&record, now + SECOND * 5).0, Health::Healthy);
    }

    #[test]
    fn since_is_that_of_the_state_and_not_of_the_text() {
        let (now, mut record) = (Clock::system().now(), Record::default());
        record.end(1, now, Verdict::degraded("1"));
        record.end(1, now + SECOND, Verdict::degraded("2"));
        assert_eq!(record.judged(now + SECOND, TERMS).since, now);
        record.end(1, now + SECOND * 2, Verdict::unhealthy("3"));
        assert_eq!(record.judged(now + SECOND * 2, TERMS).since, now + SECOND * 2);
    }

    #[test]
    fn a_time_is_said_short() {
        let said = [0, 999, 1000, 61_900].map(|millis| said_short(Duration::from_millis(millis)));
        assert_eq!(said, ["0 ms", "999 ms", "1 s", "61 s"]);
    }
}
