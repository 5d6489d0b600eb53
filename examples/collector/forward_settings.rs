//! The settings of forwarding: where to, what, and the numbers of the policy by which it is done.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use underpin::config::{Checks, Validate};
use underpin::resilience::{
    BreakerSettings, BulkheadSettings, PolicySettings, RateSettings, RetrySettings, Schedule,
    SheddingSettings,
};

use crate::settings::Severity;

/// Of so many connections each has a thread and a queue of its own.
pub(crate) const MAX_CONNECTIONS: usize = 16;
/// So many lines wait for one connection at most, whatever is set.
const MAX_DEPTH: usize = 1_000_000;
/// An hour: what is longer is a mistake.
const HOUR_MILLIS: u64 = 3_600_000;
/// What one attempt and one run may take. The end waits for them.
const LONGEST_MILLIS: u64 = 60_000;
/// How much of a delay between attempts is left to chance, so that not all come back at once.
const JITTER: f64 = 0.5;

/// What is forwarded where to, and how. All but the first two may change while the program runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Forward {
    /// Where the sink is. `None`: nothing is forwarded.
    #[serde(with = "address")]
    pub(crate) address: Option<SocketAddr>,
    /// How many connections there are to it.
    pub(crate) connections: usize,
    /// Of the lines that are written, those of this severity and more severe ones are forwarded.
    pub(crate) severity: Severity,
    /// How long a connection may take to come about.
    pub(crate) connect_timeout_millis: u64,
    /// How long an attempt to send a line may take.
    pub(crate) write_timeout_millis: u64,
    /// How long all attempts of a line may take together.
    pub(crate) time_budget_millis: u64,
    pub(crate) shedding: Shedding,
    pub(crate) rate: Rate,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) breaker: Breaker,
    pub(crate) retry: Retry,
}

/// How many lines wait, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Shedding {
    /// For each connection.
    pub(crate) max_depth: usize,
    pub(crate) max_age_millis: u64,
}

/// How many lines a second, over all connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    /// 0: as many as go.
    pub(crate) limit_per_second: u32,
    /// How many at once after a while of calm.
    pub(crate) burst: u32,
}

/// How many connections send at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Bulkhead {
    pub(crate) max_concurrent_calls: u32,
}

/// When the sink is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Breaker {
    pub(crate) consecutive_failures: u32,
    pub(crate) wait_millis: u64,
    pub(crate) wait_factor: f64,
    pub(crate) max_wait_millis: u64,
}

/// How often a line is tried, and after which delays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Retry {
    pub(crate) max_attempts: u32,
    pub(crate) wait_millis: u64,
    pub(crate) wait_factor: f64,
    pub(crate) max_wait_millis: u64,
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            address: None,
            connections: 1,
            severity: Severity::Debug,
            connect_timeout_millis: 1000,
            write_timeout_millis: 1000,
            time_budget_millis: 5000,
            shedding: Shedding::default(),
            rate: Rate::default(),
            bulkhead: Bulkhead::default(),
            breaker: Breaker::default(),
            retry: Retry::default(),
        }
    }
}

impl Default for Shedding {
    fn default() -> Self {
        Self { max_depth: 10_000, max_age_millis: 30_000 }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self { limit_per_second: 0, burst: 1000 }
    }
}

impl Default for Bulkhead {
    fn default() -> Self {
        Self { max_concurrent_calls: MAX_CONNECTIONS as u32 }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { consecutive_failures: 3, wait_millis: 500, wait_factor: 2.0, max_wait_millis: 5000 }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, wait_millis: 100, wait_factor: 2.0, max_wait_millis: 1000 }
    }
}

impl Validate for Forward {
    fn validate(&self, checks: &mut Checks) {
        checks.within("connections", self.connections, 1..=MAX_CONNECTIONS);
        checks.within("connect_timeout_millis", self.connect_timeout_millis, 1..=LONGEST_MILLIS);
        checks.within("write_timeout_millis", self.write_timeout_millis, 1..=LONGEST_MILLIS);
        checks.within("time_budget_millis", self.time_budget_millis, 1..=LONGEST_MILLIS);
        checks.nested("shedding", &self.shedding);
        checks.nested("rate", &self.rate);
        checks.nested("bulkhead", &self.bulkhead);
        checks.nested("breaker", &self.breaker);
        checks.nested("retry", &self.retry);
    }
}

impl Validate for Shedding {
    fn validate(&self, checks: &mut Checks) {
        checks.within("max_depth", self.max_depth, 1..=MAX_DEPTH);
        checks.within("max_age_millis", self.max_age_millis, 1..=HOUR_MILLIS);
    }
}

impl Validate for Rate {
    fn validate(&self, checks: &mut Checks) {
        checks.within("limit_per_second", self.limit_per_second, 0..=10_000_000);
        checks.within("burst", self.burst, 1..=10_000_000);
    }
}

impl Validate for Bulkhead {
    fn validate(&self, checks: &mut Checks) {
        checks.within("max_concurrent_calls", self.max_concurrent_calls, 1..=MAX_CONNECTIONS as u32);
    }
}

impl Validate for Breaker {
    fn validate(&self, checks: &mut Checks) {
        checks.within("consecutive_failures", self.consecutive_failures, 1..=1_000_000);
        checks.within("wait_millis", self.wait_millis, 1..=HOUR_MILLIS);
        growth(checks, self.wait_millis, self.wait_factor, self.max_wait_millis, HOUR_MILLIS);
    }
}

impl Validate for Retry {
    fn validate(&self, checks: &mut Checks) {
        checks.within("max_attempts", self.max_attempts, 1..=100);
        checks.within("wait_millis", self.wait_millis, 0..=LONGEST_MILLIS);
        growth(checks, self.wait_millis, self.wait_factor, self.max_wait_millis, LONGEST_MILLIS);
    }
}

/// A delay that grows by a factor, up to a longest one.
fn growth(checks: &mut Checks, wait: u64, factor: f64, max_wait: u64, longest: u64) {
    checks.within("wait_factor", factor, 1.0..=100.0);
    // Of a wait that is wrong itself nothing more is to be said.
    checks.within("max_wait_millis", max_wait, wait.min(longest)..=longest);
}

impl Forward {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_millis)
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_millis)
    }

    /// The same in the words of a policy. The depth of the queues is not the policy's affair: it knows what is run, and
    /// that are the lines that have their turn.
    pub(crate) fn policy(&self) -> PolicySettings {
        let time_budget = Duration::from_millis(self.time_budget_millis);
        PolicySettings {
            shedding: Some(SheddingSettings {
                max_in_progress: MAX_CONNECTIONS as u64,
                max_age: Duration::from_millis(self.shedding.max_age_millis),
            }),
            rate: self.rate.policy(),
            bulkhead: Some(BulkheadSettings {
                max_concurrent_calls: self.bulkhead.max_concurrent_calls,
                max_wait: time_budget,
            }),
            breaker: Some(self.breaker.policy()),
            time_budget: Some(time_budget),
            retry: Some(self.retry.policy()),
        }
    }
}

impl Rate {
    /// It does not wait: whoever asks comes back.
    fn policy(&self) -> Option<RateSettings> {
        (self.limit_per_second > 0).then(|| RateSettings {
            limit_for_period: self.limit_per_second,
            limit_refresh_period: Duration::from_secs(1),
            burst: Some(self.burst),
            timeout: Duration::ZERO,
        })
    }
}

impl Breaker {
    /// One line is the probe.
    fn policy(&self) -> BreakerSettings {
        let longest = Duration::from_millis(self.max_wait_millis);
        BreakerSettings {
            consecutive_failures: Some(self.consecutive_failures),
            wait_duration_in_open_state: Duration::from_millis(self.wait_millis),
            wait_backoff: Some((self.wait_factor, longest)),
            permitted_number_of_calls_in_half_open_state: 1,
            success_threshold: Some(1),
            ..Default::default()
        }
    }
}

impl Retry {
    fn policy(&self) -> RetrySettings {
        let schedule = Schedule::exponential(Duration::from_millis(self.wait_millis), self.wait_factor);
        let schedule = schedule.max_wait(Duration::from_millis(self.max_wait_millis)).jitter(JITTER);
        RetrySettings { max_attempts: self.max_attempts, schedule, ..Default::default() }
    }
}

/// An address, or an empty text for none: in a file of settings everything has a value.
mod address {
    use std::net::SocketAddr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        let expected =
            || format!("expected an address and a port, as 127.0.0.1:5514, or nothing, found {text:?}");
        let address: SocketAddr = text.parse().map_err(|_| D::Error::custom(expected()))?;
        if address.port() == 0 { Err(D::Error::custom(expected())) } else { Ok(Some(address)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use underpin::resilience::Policy;

    /// All that is wrong.
    fn faults(forward: &Forward) -> Vec<String> {
        Checks::of(forward).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_good_and_so_are_all_bounds() {
        let least = Forward {
            connections: 1,
            connect_timeout_millis: 1,
            write_timeout_millis: 1,
            time_budget_millis: 1,
            shedding: Shedding { max_depth: 1, max_age_millis: 1 },
            rate: Rate { limit_per_second: 1, burst: 1 },
            bulkhead: Bulkhead { max_concurrent_calls: 1 },
            breaker: Breaker {
                consecutive_failures: 1,
                wait_millis: 1,
                wait_factor: 1.0,
                max_wait_millis: 1,
            },
            retry: Retry { max_attempts: 1, wait_millis: 0, wait_factor: 1.0, max_wait_millis: 0 },
            ..Default::default()
        };
        let most = Forward {
            connections: MAX_CONNECTIONS,
            connect_timeout_millis: LONGEST_MILLIS,
            write_timeout_millis: LONGEST_MILLIS,
            time_budget_millis: LONGEST_MILLIS,
            shedding: Shedding { max_depth: MAX_DEPTH, max_age_millis: HOUR_MILLIS },
            rate: Rate { limit_per_second: 10_000_000, burst: 10_000_000 },
            bulkhead: Bulkhead { max_concurrent_calls: MAX_CONNECTIONS as u32 },
            breaker: Breaker {
                consecutive_failures: 1_000_000,
                wait_millis: HOUR_MILLIS,
                wait_factor: 100.0,
                max_wait_millis: HOUR_MILLIS,
            },
            retry: Retry {
                max_attempts: 100,
                wait_millis: LONGEST_MILLIS,
                wait_factor: 100.0,
                max_wait_millis: LONGEST_MILLIS,
            },
            ..Default::default()
        };
        for forward in [Forward::default(), least, most] {
            assert_eq!(faults(&forward), [""; 0]);
            assert!(Policy::builder("x").settings(forward.policy()).build().is_ok());
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_was_expected() {
        let wrong = Forward {
            connections: 0,
            connect_timeout_millis: 0,
            write_timeout_millis: 60_001,
            time_budget_millis: 0,
            shedding: Shedding { max_depth: 0, max_age_millis: 0 },
            rate: Rate { limit_per_second: 10_000_001, burst: 0 },
            bulkhead: Bulkhead { max_concurrent_calls: 17 },
            breaker: Breaker {
                consecutive_failures: 0,
                wait_millis: 500,
                wait_factor: 0.5,
                max_wait_millis: 499,
            },
            retry: Retry {
                max_attempts: 0,
                wait_millis: 70_000,
                wait_factor: f64::NAN,
                max_wait_millis: 60_001,
            },
            ..Default::default()
        };
        let expected = [
            "connections: expected 1 to 16, found 0",
            "connect_timeout_millis: expected 1 to 60000, found 0",
            "write_timeout_millis: expected 1 to 60000, found 60001",
            "time_budget_millis: expected 1 to 60000, found 0",
            "shedding.max_depth: expected 1 to 1000000, found 0",
            "shedding.max_age_millis: expected 1 to 3600000, found 0",
            "rate.limit_per_second: expected 0 to 10000000, found 10000001",
            "rate.burst: expected 1 to 10000000, found 0",
            "bulkhead.max_concurrent_calls: expected 1 to 16, found 17",
            "breaker.consecutive_failures: expected 1 to 1000000, found 0",
            "breaker.wait_factor: expected 1 to 100, found 0.5",
            "breaker.max_wait_millis: expected 500 to 3600000, found 499",
            "retry.max_attempts: expected 1 to 100, found 0",
            "retry.wait_millis: expected 0 to 60000, found 70000",
            "retry.wait_factor: expected 1 to 100, found NaN",
            "retry.max_wait_millis: expected 60000 to 60000, found 60001",
        ];
        assert_eq!(faults(&wrong), expected);
    }

    #[test]
    fn without_a_limit_there_is_no_rate() {
        assert_eq!(Forward::default().policy().rate, None);
        let rate = Rate { limit_per_second: 7, burst: 2 }.policy().expect("there is a limit");
        assert_eq!((rate.limit_for_period, rate.burst, rate.timeout), (7, Some(2), Duration::ZERO));
    }

    #[test]
    fn an_empty_address_is_none() {
        let read = |text: &str| serde_json::from_value::<Forward>(serde_json::json!({ "address": text }));
        assert_eq!(read("").expect("it is none").address, None);
        let given = read("[::1]:99").expect("it is one");
        assert_eq!(given.address, Some(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 99))));
        assert_eq!(serde_json::to_value(&given).expect("it is written")["address"], "[::1]:99");
        for wrong in ["localhost", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x"] {
            let told = read(wrong).expect_err("it is wrong").to_string();
            assert!(told.contains("expected an address and a port") && told.contains(wrong), "{told}");
        }
    }
}
