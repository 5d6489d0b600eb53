//! What has happened and is to be told, until it has been.

use std::collections::VecDeque;

use super::alerts::AlertEvent;
use super::mode::ModeChange;
use super::verdict::{Health, HealthReport};

/// The health is another, or has other reasons.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HealthChange {
    /// What it was; [`Health::Unknown`] before the first look.
    pub from: Health,
    /// What it is, why, and since when.
    pub to: HealthReport,
}

/// One thing that has happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    Alert(AlertEvent),
    Mode(ModeChange),
    Health(HealthChange),
}

/// What is to be told, in order. It stays until it has been: a life that ends over it leaves it to the next.
///
/// It is bounded by who fills it: nothing is looked at before all has been told.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    news: VecDeque<(u64, News)>,
    added: u64,
    /// The life that tells. An older one, given up, tells nothing more.
    carrier: u64,
}

impl Outbox {
    pub(crate) fn add(&mut self, news: News) {
        self.added += 1;
        self.news.push_back((self.added, news));
    }

    /// From now on this life tells, and none before it.
    pub(crate) fn carried_by(&mut self, life: u64) {
        self.carrier = self.carrier.max(life);
    }

    /// Whether this life may look and tell.
    pub(crate) fn is_carried_by(&self, life: u64) -> bool {
        life >= self.carrier
    }

    /// The oldest, with its number.
    pub(crate) fn first(&self) -> Option<(u64, News)> {
        self.news.front().cloned()
    }

    /// It has been told. Once is enough: two lives may have told it.
    pub(crate) fn told(&mut self, number: u64) {
        if self.news.front().is_some_and(|(first, _)| *first == number) {
            self.news.pop_front();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;

    fn news(health: Health) -> News {
        News::Health(HealthChange { from: health, to: HealthReport::of(Clock::system().now(), []) })
    }

    #[test]
    fn what_is_not_told_stays_the_first() {
        let mut outbox = Outbox::default();
        outbox.add(news(Health::Degraded));
        outbox.add(news(Health::Unknown));
        let (number, first) = outbox.first().expect("there are two");
        assert_eq!(outbox.first(), Some((number, first)));
        outbox.told(number);
        outbox.told(number); // by another life
        let (last, _) = outbox.first().expect("one is left");
        assert_eq!(last, number + 1);
        outbox.told(last);
        assert!(outbox.is_empty());
    }

    #[test]
    fn of_two_lives_the_later_one_tells() {
        let mut outbox = Outbox::default();
        outbox.carried_by(2);
        outbox.carried_by(1);
        assert!(!outbox.is_carried_by(1) && outbox.is_carried_by(2) && outbox.is_carried_by(3));
    }
}
