//! The parts of a policy, and how they go over into others.

use std::sync::Arc;
use std::time::Duration;

use super::super::breaker::settings::Settings;
use super::super::breaker::{Changed, CircuitBreaker};
use super::super::bulkhead::Bulkhead;
use super::super::patience::Patience;
use super::super::rate_limiter::RateLimiter;
use super::super::retry::{Retry, RetryBudget, RetryBuilder, StopSignal};
use super::super::shed::LoadShedder;
use super::super::sink::Sink;
use super::check::Checked;
use super::settings::{
    BulkheadSettings, PolicySettings, RateSettings, RetryBudgetSettings, RetrySettings, SheddingSettings,
};
use crate::sync::Clock;

/// What a run goes through. It is replaced as a whole.
pub(super) struct Parts {
    pub(super) settings: PolicySettings,
    /// Whether a run needs to know when it began.
    pub(super) is_timed: bool,
    pub(super) shedder: Option<LoadShedder>,
    pub(super) limiter: Option<(RateLimiter, Duration)>,
    pub(super) bulkhead: Option<(Bulkhead, Patience)>,
    pub(super) breaker: Option<CircuitBreaker>,
    pub(super) time_budget: Option<Duration>,
    pub(super) retry: Option<Retry>,
}

/// What all parts are given.
pub(super) struct Means {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    pub(super) sink: Option<Arc<dyn Sink>>,
    pub(super) stop: StopSignal,
    pub(super) seed: Option<u64>,
}

/// Every part that a policy has ever had. What is taken out stays here, and is the same when it is put in again: its
/// permits that are out still count, and a limit cannot be had anew.
#[derive(Default)]
pub(super) struct Stock {
    shedder: Option<LoadShedder>,
    limiter: Option<RateLimiter>,
    bulkhead: Option<Bulkhead>,
    breaker: Option<CircuitBreaker>,
    budget: Option<RetryBudget>,
    retry: Option<(RetrySettings, Retry)>,
}

impl Stock {
    /// The parts by these settings: those that there are go over into them. What is to be told then, under no lock.
    pub(super) fn fit(&mut self, checked: Checked, means: &Means) -> (Parts, Option<Changed>) {
        let Checked { settings, breaker } = checked;
        let (breaker, changed) = breaker.map(|settings| self.breaker(settings, means)).unzip();
        let parts = Parts {
            is_timed: is_timed(&settings),
            shedder: settings.shedding.as_ref().map(|settings| self.shedder(settings, means)),
            limiter: settings.rate.as_ref().map(|settings| self.limiter(settings, means)),
            bulkhead: settings.bulkhead.as_ref().map(|settings| self.bulkhead(settings, means)),
            breaker,
            time_budget: settings.time_budget,
            retry: settings.retry.as_ref().map(|settings| self.retry(settings, means)),
            settings,
        };
        (parts, changed.flatten())
    }

    fn shedder(&mut self, settings: &SheddingSettings, means: &Means) -> LoadShedder {
        let new = || LoadShedder::builder(Arc::clone(&means.name)).clock(means.clock.clone());
        let shedder = self.shedder.get_or_insert_with(|| new().build());
        shedder.change(settings.max_in_progress, settings.max_age);
        shedder.clone()
    }

    fn limiter(&mut self, settings: &RateSettings, means: &Means) -> (RateLimiter, Duration) {
        let (limit, period) = (settings.limit_for_period, settings.limit_refresh_period);
        let burst = settings.burst.unwrap_or(limit);
        let new = || {
            let builder = RateLimiter::builder(Arc::clone(&means.name)).clock(means.clock.clone());
            builder.limit_for_period(limit).limit_refresh_period(period).burst(burst).build()
        };
        let limiter = self.limiter.get_or_insert_with(new);
        limiter.change(limit, period, burst);
        (limiter.clone(), settings.timeout)
    }

    fn bulkhead(&mut self, settings: &BulkheadSettings, means: &Means) -> (Bulkhead, Patience) {
        let most = settings.max_concurrent_calls;
        let new = || Bulkhead::builder(Arc::clone(&means.name)).clock(means.clock.clone());
        let bulkhead = self.bulkhead.get_or_insert_with(|| new().max_concurrent_calls(most).build());
        bulkhead.change_max_concurrent_calls(most);
        (bulkhead.clone(), settings.max_wait.into())
    }

    fn breaker(&mut self, settings: Settings, means: &Means) -> (CircuitBreaker, Option<Changed>) {
        if let Some(breaker) = &self.breaker {
            return (breaker.clone(), Some(breaker.change(settings)));
        }
        let builder = CircuitBreaker::builder(&means.name).clock(means.clock.clone());
        let builder = means.sink.iter().fold(builder, |builder, sink| builder.sink(Arc::clone(sink)));
        (self.breaker.insert(builder.build_with(settings)).clone(), None)
    }

    fn retry(&mut self, settings: &RetrySettings, means: &Means) -> Retry {
        let budget = settings.budget.as_ref().map(|settings| self.budget(settings));
        if let Some((same, retry)) = &self.retry
            && same == settings
        {
            return retry.clone();
        }
        let builder = retry_builder(settings, means);
        let builder = budget.into_iter().fold(builder, RetryBuilder::budget);
        let retry = match &self.retry {
            Some((_, before)) => builder.build_after(before),
            None => builder.build(),
        };
        self.retry = Some((settings.clone(), retry.clone()));
        retry
    }

    fn budget(&mut self, settings: &RetryBudgetSettings) -> RetryBudget {
        let (max_tokens, ratio) = (settings.max_tokens, settings.token_ratio);
        let budget = self.budget.get_or_insert_with(|| RetryBudget::new(max_tokens, ratio));
        budget.change(max_tokens, ratio);
        budget.clone()
    }
}

/// A bulkhead and a breaker alone get on without the time.
fn is_timed(settings: &PolicySettings) -> bool {
    let PolicySettings { shedding, rate, time_budget, retry, .. } = settings;
    shedding.is_some() || rate.is_some() || time_budget.is_some() || retry.is_some()
}

/// It has no sink: the run that it is part of tells.
fn retry_builder(settings: &RetrySettings, means: &Means) -> RetryBuilder {
    let builder = Retry::builder(Arc::clone(&means.name))
        .max_attempts(settings.max_attempts)
        .schedule(settings.schedule)
        .max_retry_after(settings.max_retry_after)
        .stop_on(&means.stop)
        .clock(means.clock.clone());
    means.seed.iter().fold(builder, |builder, seed| builder.seed(*seed))
}

/// Which parts are others, as `bulkhead, retry added, rate removed`.
pub(super) fn difference(before: &PolicySettings, after: &PolicySettings) -> String {
    let parts = [
        ("shedding", change(&before.shedding, &after.shedding)),
        ("rate", change(&before.rate, &after.rate)),
        ("bulkhead", change(&before.bulkhead, &after.bulkhead)),
        ("breaker", change(&before.breaker, &after.breaker)),
        ("time_budget", change(&before.time_budget, &after.time_budget)),
        ("retry", change(&before.retry, &after.retry)),
    ];
    let texts = parts.into_iter().filter_map(|(part, change)| Some(format!("{part}{}", change?)));
    texts.collect::<Vec<_>>().join(", ")
}

fn change<T: PartialEq>(before: &Option<T>, after: &Option<T>) -> Option<&'static str> {
    match (before, after) {
        (None, Some(_)) => Some(" added"),
        (Some(_), None) => Some(" removed"),
        _ => (before != after).then_some(""),
    }
}
