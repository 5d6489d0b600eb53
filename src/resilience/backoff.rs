//! How long to wait before each further attempt.

use std::time::Duration;

/// The first delay if nothing else is said: 500 ms, resilience4j's.
pub const DEFAULT_WAIT: Duration = Duration::from_millis(500);
/// The longest delay if nothing else is said: 30 s. resilience4j has none.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(30);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The delays between the attempts of one call.
///
/// Chance is an argument: equal arguments give equal delays. No value makes it panic; what is out of range is
/// clamped, as each method says.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::Schedule;
///
/// let schedule = Schedule::exponential(Duration::from_millis(100), 2.0).max_wait(Duration::from_secs(1));
/// let mut delays = schedule.delays();
/// let first: Vec<u128> = (0..5).map(|_| delays.draw(0).as_millis()).collect();
/// assert_eq!(first, [100, 200, 400, 800, 1000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    shape: Shape,
    max: Duration,
    jitter: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Constant(Duration),
    Linear { first: Duration, step: Duration },
    Exponential { first: Duration, factor: f64 },
    Decorrelated { base: Duration },
}

impl Schedule {
    const fn new(shape: Shape) -> Self {
        Self { shape, max: DEFAULT_MAX_WAIT, jitter: 0.0 }
    }

    /// Always the same.
    pub const fn constant(wait: Duration) -> Self {
        Self::new(Shape::Constant(wait))
    }

    /// `first`, and longer by `step` each time.
    pub const fn linear(first: Duration, step: Duration) -> Self {
        Self::new(Shape::Linear { first, step })
    }

    /// `first`, and `factor` times as long each time: resilience4j has 1.5. Below 1, or not a number, counts as 1.
    pub const fn exponential(first: Duration, factor: f64) -> Self {
        let factor = if factor > 1.0 { factor } else { 1.0 };
        Self::new(Shape::Exponential { first, factor })
    }

    /// Anything between `base` and three times the delay before, that being `base` at first: the *decorrelated
    /// jitter* of the AWS Architecture Blog, "Exponential Backoff and Jitter". Those who failed together do not
    /// come back together.
    pub const fn decorrelated(base: Duration) -> Self {
        Self::new(Shape::Decorrelated { base })
    }

    /// The longest delay, which is never exceeded: 30 s unless set.
    #[must_use]
    pub const fn max_wait(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Which part of a delay is left to chance, from 0 (none, the default) to 1 (all of it). It only ever shortens,
    /// so that the longest delay holds; resilience4j's also lengthens. Out of range is clamped; not a number
    /// counts as 0.
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
        self
    }

    /// The delays of one call, from the first on.
    pub const fn delays(self) -> Delays {
        Delays { schedule: self, drawn: 0, before: None }
    }
}

/// Constant, 500 ms: resilience4j's `waitDuration`.
impl Default for Schedule {
    fn default() -> Self {
        Self::constant(DEFAULT_WAIT)
    }
}

/// The delays of one call. They do not end.
#[derive(Clone, Debug)]
pub struct Delays {
    schedule: Schedule,
    drawn: u32,
    /// The last one, before jitter.
    before: Option<Duration>,
}

impl Delays {
    /// The next one. `random` is any number, each as likely as the others.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::Schedule;
    ///
    /// let mut delays = Schedule::decorrelated(Duration::from_secs(1)).delays();
    /// assert_eq!(delays.draw(0), Duration::from_secs(1));
    /// assert_eq!(delays.draw(u64::MAX), Duration::from_secs(3));
    /// assert_eq!(delays.draw(u64::MAX), Duration::from_secs(9));
    /// ```
    pub fn draw(&mut self, random: u64) -> Duration {
        let whole = self.grown(random).min(self.schedule.max);
        self.drawn = self.drawn.saturating_add(1);
        self.before = Some(whole);
        // The same number twice would make short delays shorter still.
        shortened(whole, self.schedule.jitter, scramble(random))
    }

    fn grown(&self, random: u64) -> Duration {
        match self.schedule.shape {
            Shape::Constant(wait) => wait,
            Shape::Linear { first, step } => first.saturating_add(step.saturating_mul(self.drawn)),
            Shape::Exponential { first, factor } => multiplied(first, factor, self.drawn),
            Shape::Decorrelated { base } => {
                let most = self.before.unwrap_or(base).saturating_mul(3);
                between(base, most, random)
            }
        }
    }
}

fn multiplied(first: Duration, factor: f64, times: u32) -> Duration {
    if first.is_zero() {
        return Duration::ZERO; // also where the power is infinite
    }
    let seconds = first.as_secs_f64() * factor.powi(i32::try_from(times).unwrap_or(i32::MAX));
    // Infinity and whatever does not fit is over any maximum.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Any duration from `least` to `most`, in whole nanoseconds: at most 584 years more than the least.
fn between(least: Duration, most: Duration, random: u64) -> Duration {
    let room = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(random) * (u128::from(room) + 1)) >> 64;
    least.saturating_add(from_nanos(part))
}

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32)
}

fn shortened(delay: Duration, jitter: f64, random: u64) -> Duration {
    if jitter == 0.0 {
        return delay;
    }
    // The upper 53 bits are as many as an f64 holds: a fraction in 0..1.
    let chance = (random >> 11) as f64 / (1_u64 << 53) as f64;
    let seconds = delay.as_secs_f64() * (1.0 - jitter * chance);
    Duration::try_from_secs_f64(seconds).unwrap_or(delay).min(delay)
}

/// What is added to the state of the generator SplitMix64 for each number.
pub(crate) const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number that SplitMix64 makes of its state.
pub(crate) const fn scramble(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn first(schedule: Schedule, count: usize, random: u64) -> Vec<Duration> {
        let mut delays = schedule.delays();
        (0..count).map(|_| delays.draw(random)).collect()
    }

    #[test]
    fn the_default_is_resilience4js() {
        assert_eq!(first(Schedule::default(), 3, 7), [500 * MS; 3]);
    }

    #[test]
    fn each_shape_grows_in_its_way_up_to_the_longest() {
        let linear = Schedule::linear(100 * MS, 50 * MS).max_wait(220 * MS);
        assert_eq!(first(linear, 4, 0), [100 * MS, 150 * MS, 200 * MS, 220 * MS]);
        let exponential = Schedule::exponential(100 * MS, 1.5).max_wait(300 * MS);
        assert_eq!(first(exponential, 4, 0), [100 * MS, 150 * MS, 225 * MS, 300 * MS]);
        let decorrelated = Schedule::decorrelated(100 * MS).max_wait(2000 * MS);
        assert_eq!(first(decorrelated, 4, u64::MAX), [300 * MS, 900 * MS, 2000 * MS, 2000 * MS]);
        assert_eq!(first(decorrelated, 2, 0), [100 * MS; 2]);
        assert_eq!(first(Schedule::constant(9 * MS).max_wait(5 * MS), 2, 0), [5 * MS; 2]);
    }

    #[test]
    fn weird_factors_and_jitters_are_clamped() {
        for factor in [f64::NAN, f64::NEG_INFINITY, -3.0, 0.5] {
            assert_eq!(first(Schedule::exponential(MS, factor), 3, 0), [MS; 3]);
        }
        let endless = Schedule::exponential(MS, f64::INFINITY).max_wait(9 * MS);
        assert_eq!(first(endless, 3, 0), [MS, 9 * MS, 9 * MS]);
        assert_eq!(first(Schedule::exponential(Duration::ZERO, f64::INFINITY), 2, 0), [Duration::ZERO; 2]);
        assert_eq!(first(Schedule::constant(MS).jitter(f64::NAN), 1, 77), [MS]);
        assert_eq!(first(Schedule::constant(MS).jitter(-1.0), 1, 77), [MS]);
    }

    #[test]
    fn jitter_uses_all_of_its_part_and_no_more() {
        let mut delays = Schedule::constant(1000 * MS).jitter(0.5).delays();
        let drawn: Vec<_> = (0..1000_u64).map(|n| delays.draw(scramble(n.wrapping_mul(GAMMA)))).collect();
        let (least, most) = (drawn.iter().min().copied(), drawn.iter().max().copied());
        assert!((Some(500 * MS)..Some(510 * MS)).contains(&least), "{least:?}");
        assert!((Some(990 * MS)..=Some(1000 * MS)).contains(&most), "{most:?}");
    }

    #[test]
    fn jitter_does_not_go_along_with_what_decorrelated_draws() {
        let schedule = Schedule::decorrelated(1000 * MS).jitter(1.0);
        let small = (1..100_u64).map(|n| scramble(n.wrapping_mul(GAMMA)) >> 5);
        let drawn: Vec<_> = small.map(|random| schedule.delays().draw(random)).collect();
        let (least, most) = (drawn.iter().min().copied(), drawn.iter().max().copied());
        assert!(least < Some(200 * MS) && most > Some(800 * MS), "{least:?} {most:?}");
    }

    /// The schedules without chance, term by term in whole nanoseconds.
    fn naive(shape: Shape, max: u128, number: u32) -> u128 {
        let term = match shape {
            Shape::Constant(wait) => wait.as_nanos(),
            Shape::Linear { first, step } => first.as_nanos() + step.as_nanos() * u128::from(number),
            Shape::Exponential { first, factor } => (0..number)
                .fold(first.as_nanos(), |term, _| (term * factor as u128).min(u128::from(u64::MAX))),
            Shape::Decorrelated { .. } => unreachable!("that is all chance"),
        };
        term.min(max)
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let some = || (0..10_000_u64).prop_map(millis);
        prop_oneof![
            some().prop_map(Shape::Constant),
            (some(), some()).prop_map(|(first, step)| Shape::Linear { first, step }),
            (some(), 1..5_u8).prop_map(|(first, factor)| Shape::Exponential { first, factor: factor.into() }),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_naive_series(shape in shape(), max in 0..1_000_000_u64, count in 1..40_u32) {
            let max = millis(max);
            let mut delays = Schedule::new(shape).max_wait(max).delays();
            for number in 0..count {
                let (got, naive) = (delays.draw(0).as_nanos(), naive(shape, max.as_nanos(), number));
                prop_assert!(got.abs_diff(naive) <= naive >> 40, "{got} is not {naive}");
            }
        }

        #[test]
        fn decorrelated_jitter_is_the_formula(
            base in 0..10_000_u64, max in 0..100_000_u64, randoms in prop::collection::vec(any::<u64>(), 1..50),
        ) {
            let mut delays = Schedule::decorrelated(millis(base)).max_wait(millis(max)).delays();
            let (base, max) = (u128::from(base) * 1_000_000, u128::from(max) * 1_000_000);
            let mut sleep = base;
            for random in randoms {
                // sleep = min(cap, random_between(base, sleep * 3))
                let top = (sleep * 3).max(base);
                sleep = (base + u128::from(random) * (top - base + 1) / (1 << 64)).min(max);
                prop_assert_eq!(delays.draw(random).as_nanos(), sleep);
            }
        }

        #[test]
        fn any_values_will_do_and_the_longest_is_never_exceeded(
            (one, two, max) in any::<(Duration, Duration, Duration)>(),
            (factor, jitter) in any::<(f64, f64)>(),
            drawn in any::<u32>(), randoms in any::<[u64; 4]>(),
        ) {
            let shapes = [
                Schedule::constant(one), Schedule::linear(one, two),
                Schedule::exponential(one, factor), Schedule::decorrelated(one),
            ];
            for schedule in shapes {
                let mut delays = Delays { drawn, ..schedule.max_wait(max).jitter(jitter).delays() };
                prop_assert!(randoms.iter().all(|random| delays.draw(*random) <= max));
            }
        }
    }
}
