//! How long a supervisor waits before it restarts a child.

use std::time::Duration;

/// The delay between a crash and the restart that follows it.
///
/// It begins at a minimum, grows by a factor with every restart in a row and is capped at a
/// maximum, which is never exceeded. A child that stayed up for [`reset_after`](Self::reset_after)
/// begins at the minimum again.
///
/// While a restart is delayed, the supervisor answers as usual, the child's handle stays valid and
/// its mailbox goes on accepting. The delay slows restarts down; whether there may be one more is
/// decided by the supervisor's intensity alone. So with delays longer than its period a supervisor
/// never gives up: choose the period accordingly.
///
/// No value makes it panic: what is out of range is clamped, as each method says.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
/// let delays: Vec<u128> = (0..6).map(|attempt| backoff.delay(attempt, 0).as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
    reset_after: Duration,
}

impl Backoff {
    /// No delay: a child is restarted at once. This is the default, and OTP's way.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::Backoff;
    ///
    /// assert!(Backoff::none().delay(7, 0).is_zero());
    /// assert_eq!(Backoff::none(), Backoff::default());
    /// ```
    #[must_use]
    pub const fn none() -> Self {
        Self::exponential(Duration::ZERO, Duration::ZERO)
    }

    /// A delay of `min` that doubles with every restart in a row up to `max`.
    ///
    /// A `max` below `min` counts as `min`, which gives a constant delay. A `min` of zero cannot
    /// grow: there is no delay. The child counts as recovered once it has been up for `max`, unless
    /// [`reset_after`](Self::reset_after) says otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::Backoff;
    ///
    /// let constant = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(2));
    /// assert_eq!(constant.delay(0, 0), constant.delay(9, 0));
    /// ```
    #[must_use]
    pub const fn exponential(min: Duration, max: Duration) -> Self {
        let max = if max.as_nanos() < min.as_nanos() { min } else { max };
        Self { min, max, factor: 2.0, jitter: 0.0, reset_after: max }
    }

    /// How much each delay is longer than the one before it: 2 unless set.
    ///
    /// Below 1, or not a number, counts as 1: delays never shrink.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::Backoff;
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, second * 60).factor(3.0);
    /// assert_eq!(backoff.delay(2, 0), Duration::from_secs(9));
    /// ```
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = if factor > 1.0 { factor } else { 1.0 };
        self
    }

    /// Which part of a delay is left to chance, from 0 (none, the default) to 1 (all of it).
    ///
    /// Jitter only ever shortens: a delay `d` becomes something between `d * (1 - jitter)` and `d`.
    /// So the maximum holds, and many children that crashed together do not come back together. Out
    /// of range is clamped; not a number counts as 0.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::Backoff;
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, second).jitter(0.5);
    /// let delay = backoff.delay(0, 0x9E37_79B9_7F4A_7C15);
    /// assert!(delay >= Duration::from_millis(500) && delay <= Duration::from_secs(1));
    /// ```
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
        self
    }

    /// How long a child has to be up for its next crash to count as a first one: the maximum delay
    /// unless set.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::Backoff;
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, second * 8).reset_after(second * 30);
    /// # let _ = backoff;
    /// ```
    #[must_use]
    pub const fn reset_after(mut self, up: Duration) -> Self {
        self.reset_after = up;
        self
    }

    /// The delay before restart number `attempt`, counted from 0; `random` decides the jitter, so
    /// that equal arguments give equal delays.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::Backoff;
    ///
    /// let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
    /// assert_eq!(backoff.delay(3, 0), Duration::from_secs(8));
    /// assert_eq!(backoff.delay(u32::MAX, 0), Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        self.shortened(self.grown(attempt), random)
    }

    /// Does having been up for so long make the next crash a first one?
    pub(crate) fn forgives(&self, up: Duration) -> bool {
        up >= self.reset_after
    }

    fn grown(&self, attempt: u32) -> Duration {
        if self.min.is_zero() {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let seconds = self.min.as_secs_f64() * self.factor.powi(exponent);
        // Infinity and whatever does not fit into a Duration is over any maximum.
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }

    fn shortened(&self, delay: Duration, random: u64) -> Duration {
        if self.jitter == 0.0 {
            return delay;
        }
        // The upper 53 bits are as many as an f64 can hold: a fraction in 0..1.
        let chance = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let seconds = delay.as_secs_f64() * (1.0 - self.jitter * chance);
        Duration::try_from_secs_f64(seconds).unwrap_or(delay).min(delay)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn begins_at_min_doubles_and_is_capped() {
        let backoff = Backoff::exponential(MS * 10, MS * 65);
        let delays: Vec<_> = (0..5).map(|attempt| backoff.delay(attempt, u64::MAX)).collect();
        assert_eq!(delays, [MS * 10, MS * 20, MS * 40, MS * 65, MS * 65]);
    }

    #[test]
    fn weird_values_are_clamped() {
        assert_eq!(Backoff::exponential(MS * 5, MS).delay(9, 0), MS * 5);
        assert_eq!(Backoff::exponential(Duration::ZERO, MS).delay(9, 0), Duration::ZERO);
        for factor in [f64::NAN, f64::NEG_INFINITY, -3.0, 0.0, 0.5] {
            assert_eq!(Backoff::exponential(MS, MS * 9).factor(factor).delay(3, 0), MS);
        }
        assert_eq!(Backoff::exponential(MS, MS * 9).factor(f64::INFINITY).delay(0, 0), MS);
        assert_eq!(Backoff::exponential(MS, MS * 9).factor(f64::INFINITY).delay(1, 0), MS * 9);
        assert_eq!(Backoff::exponential(MS, MS).jitter(f64::NAN).delay(0, 77 << 40), MS);
        assert_eq!(Backoff::exponential(MS, MS).jitter(-1.0).delay(0, 77 << 40), MS);
    }

    #[test]
    fn is_reset_after_the_longest_delay_unless_said_otherwise() {
        let backoff = Backoff::exponential(MS, MS * 9);
        assert!(!backoff.forgives(MS * 8) && backoff.forgives(MS * 9));
        let patient = backoff.reset_after(MS * 20);
        assert!(!patient.forgives(MS * 19) && patient.forgives(MS * 20));
    }

    proptest! {
        #[test]
        fn never_over_max_and_never_panics(
            (min, max) in any::<(Duration, Duration)>(),
            (factor, jitter) in any::<(f64, f64)>(),
            (attempt, random) in any::<(u32, u64)>(),
        ) {
            let backoff = Backoff::exponential(min, max).factor(factor).jitter(jitter);
            prop_assert!(backoff.delay(attempt, random) <= max.max(min));
        }

        #[test]
        fn jitter_stays_within_its_bounds(
            jitter in 0.0..=1.0_f64, attempt in 0_u32..20, random in any::<u64>(),
        ) {
            let plain = Backoff::exponential(MS * 10, MS * 5000);
            let whole = plain.delay(attempt, 0);
            let delay = plain.jitter(jitter).delay(attempt, random);
            prop_assert!(delay <= whole);
            prop_assert!(delay.as_secs_f64() >= whole.as_secs_f64() * (1.0 - jitter) - 1e-6);
        }

        #[test]
        fn never_shrinks(factor in any::<f64>(), attempt in 0_u32..60) {
            let backoff = Backoff::exponential(MS, MS * 5000).factor(factor);
            prop_assert!(backoff.delay(attempt, 0) <= backoff.delay(attempt + 1, 0));
        }
    }
}
