//! What is to be said to whoever started the program, and when.

use std::time::{Duration, Instant};

/// A text about the status has so many bytes at most: it is one line of a list.
const MAX_STATUS_BYTES: usize = 512;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Ready,
    Status(String),
    /// It is alive.
    Watchdog,
}

/// What has been said, and what is to be said next.
#[derive(Debug)]
pub(crate) struct Herald {
    /// How often it is said that the program is alive; `None`: never.
    every: Option<Duration>,
    said_alive: Option<Instant>,
    said_ready: bool,
    said_status: String,
}

impl Herald {
    /// Who does not hear that the program is alive for as long as `patience` ends it. It is said twice in that
    /// time, as sd_watchdog_enabled(3) has it.
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        let every = patience.map(|patience| patience / 2);
        Self { every, said_alive: None, said_ready: false, said_status: String::new() }
    }

    /// What is to be said now.
    pub(crate) fn step(&mut self, now: Instant, is_ready: bool, is_alive: bool, status: &str) -> Vec<Word> {
        let mut words = Vec::new();
        if is_ready && !std::mem::replace(&mut self.said_ready, true) {
            words.push(Word::Ready);
        }
        let status = one_line(status);
        if status != self.said_status {
            words.push(Word::Status(status.clone()));
            self.said_status = status;
        }
        if is_alive && self.is_due(now) {
            words.push(Word::Watchdog);
            self.said_alive = Some(now);
        }
        words
    }

    fn is_due(&self, now: Instant) -> bool {
        let passed = self.said_alive.map(|said| now.saturating_duration_since(said));
        self.every.is_some_and(|every| passed.is_none_or(|passed| passed >= every))
    }

    /// By when it has to be said again that the program is alive.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.said_alive?.checked_add(self.every?)
    }
}

/// What is said is lines: a text must not be able to say more than itself.
fn one_line(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_STATUS_BYTES)];
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ready_is_said_once_and_the_status_when_it_is_another() {
        let (now, mut herald) = (Clock::system().now(), Herald::new(None));
        assert_eq!(herald.step(now, false, true, "starts"), [Word::Status("starts".into())]);
        assert_eq!(herald.step(now, true, true, "starts"), [Word::Ready]);
        assert_eq!(herald.step(now, false, true, "starts"), []);
        assert_eq!(herald.step(now, true, true, "a\nREADY=1"), [Word::Status("a READY=1".into())]);
        assert_eq!(herald.next_deadline(), None);
    }

    #[test]
    fn that_it_is_alive_is_said_twice_in_the_time_of_the_watchdog_while_it_is() {
        let (now, mut herald) = (Clock::system().now(), Herald::new(Some(SECOND * 10)));
        assert_eq!(herald.step(now, false, true, ""), [Word::Watchdog]);
        assert_eq!(herald.next_deadline(), Some(now + SECOND * 5));
        assert_eq!(herald.step(now + SECOND * 4, false, true, ""), []);
        assert_eq!(herald.step(now + SECOND * 5, false, false, ""), []);
        assert_eq!(herald.step(now + SECOND * 6, false, true, ""), [Word::Watchdog], "it is again");
        assert_eq!(herald.next_deadline(), Some(now + SECOND * 11));
    }

    #[test]
    fn a_long_status_is_cut() {
        assert_eq!(one_line(&"é".repeat(MAX_STATUS_BYTES)).len(), MAX_STATUS_BYTES);
    }
}
