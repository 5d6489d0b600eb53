//! How much may be done at once, learnt from how long it takes.

/// What is seen in so long is taken together.
pub(crate) const WINDOW_NANOS: u64 = 100_000_000;
/// So many times as long as usual is not slow yet.
const TOLERANCE: f64 = 1.5;
/// Never less than this share of the limit after one window, before it is smoothed.
const STEEPEST: f64 = 0.5;
/// So many may wait for the thing that is limited: by so many the limit grows in a window in which all is well, before
/// it is smoothed.
const QUEUE: f64 = 4.0;
/// The share of what one window says in the next limit.
const SMOOTHING: f64 = 0.2;
/// What remains of the limit after a window in which it was too much.
const BACKOFF: f64 = 0.9;
/// What is usual is the mean of so many windows, the later ones weighing more: a minute.
const USUAL_WINDOWS: u32 = 600;
/// At first it is the plain mean.
const WARM_UP: u32 = 10;
/// When usual is more than so many times as long as now, it is over, and forgotten by this share in each window.
const OVER: f64 = 2.0;
const FORGOTTEN: f64 = 0.05;

/// How much may be done at once, learnt from how long it takes: the gradient of Netflix's concurrency-limits
/// (`Gradient2Limit`, with its constants), over windows of 100 ms.
///
/// After each window in which work was done the limit is multiplied by how much longer work usually takes than it did
/// now, between a half and one, and 4 are added; a fifth of the difference is taken. So it falls while work takes more
/// than one and a half times as long as usual, but never below 8 by that alone, and rises by 0.8 in each window
/// otherwise, whatever was before: there is no limit at which it stays. After a window in which something was said to be
/// too much it is a tenth less. It is left as it is while not even half of it is used, for then nothing is learnt.
#[derive(Debug)]
pub(crate) struct Gradient {
    least: f64,
    most: f64,
    limit: f64,
    usual: Usual,
    window: Window,
}

/// What was seen in a window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// When it ends; 0 before the first.
    ends: u64,
    count: u32,
    sum_nanos: f64,
    most_in_flight: u32,
    was_too_much: bool,
}

/// How long it usually takes.
#[derive(Clone, Copy, Debug, Default)]
struct Usual {
    nanos: f64,
    windows: u32,
}

impl Gradient {
    /// From `least`, 1 if that is none, to `most`, `least` if that is more; first `initial`.
    pub(crate) fn new(least: u32, initial: u32, most: u32) -> Self {
        let least = f64::from(least.max(1));
        let most = f64::from(most).max(least);
        let limit = f64::from(initial).clamp(least, most);
        Self { least, most, limit, usual: Usual::default(), window: Window::default() }
    }

    /// The limit now.
    pub(crate) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// How long it usually takes, in nanoseconds. 0 as long as that is not known.
    pub(crate) fn usual_nanos(&self) -> u64 {
        self.usual.nanos as u64
    }

    /// Something has been done at `now`, after so long, with so many at once: all is well, or it was too much.
    pub(crate) fn sample(&mut self, now: u64, took_nanos: u64, in_flight: u32, was_too_much: bool) {
        if self.window.ends == 0 {
            self.window.ends = now.saturating_add(WINDOW_NANOS);
        }
        self.window.add(took_nanos, in_flight, was_too_much);
        if now >= self.window.ends {
            let window = std::mem::take(&mut self.window);
            self.window.ends = now.saturating_add(WINDOW_NANOS);
            self.learn(window);
        }
    }

    fn learn(&mut self, window: Window) {
        let next = if window.was_too_much {
            self.limit * BACKOFF
        } else {
            let short = window.sum_nanos / f64::from(window.count);
            let slope = (TOLERANCE * self.usual.learn(short) / short).clamp(STEEPEST, 1.0);
            if f64::from(window.most_in_flight) * 2.0 < self.limit.floor() {
                return;
            }
            self.limit + SMOOTHING * (self.limit * slope + QUEUE - self.limit)
        };
        self.limit = next.clamp(self.least, self.most);
    }
}

impl Window {
    fn add(&mut self, took_nanos: u64, in_flight: u32, was_too_much: bool) {
        self.count = self.count.saturating_add(1);
        self.sum_nanos += took_nanos.max(1) as f64;
        self.most_in_flight = self.most_in_flight.max(in_flight);
        self.was_too_much |= was_too_much;
    }
}

impl Usual {
    /// What is usual, with this.
    fn learn(&mut self, nanos: f64) -> f64 {
        self.windows = self.windows.saturating_add(1).min(USUAL_WINDOWS);
        let share = if self.windows <= WARM_UP {
            1.0 / f64::from(self.windows)
        } else {
            2.0 / f64::from(USUAL_WINDOWS + 1)
        };
        self.nanos += share * (nanos - self.nanos);
        if self.nanos > OVER * nanos {
            self.nanos -= FORGOTTEN * self.nanos;
        }
        self.nanos
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// So many windows with one sample each, all that is allowed at once.
    struct Run(Gradient, u64);

    impl Run {
        fn new(least: u32, initial: u32, most: u32) -> Self {
            let mut run = Self(Gradient::new(least, initial, most), 1);
            run.0.sample(1, 10 * MS, 0, false);
            run
        }

        fn windows(&mut self, count: u32, took: u64, was_too_much: bool) -> u32 {
            for _ in 0..count {
                self.1 += WINDOW_NANOS;
                let in_flight = self.0.limit();
                self.0.sample(self.1, took, in_flight, was_too_much);
            }
            self.0.limit()
        }
    }

    #[test]
    fn it_falls_while_all_is_slow_and_recovers_after() {
        let mut run = Run::new(1, 20, 200);
        assert_eq!(run.windows(300, 10 * MS, false), 200, "it rises while all is well");
        let slow = run.windows(60, 1000 * MS, false);
        assert!((8..=12).contains(&slow), "{slow}");
        let after = run.windows(24, 10 * MS, false);
        assert!(after >= slow + 18, "{after}: 0.8 in each window");
        assert_eq!(run.windows(300, 10 * MS, false), 200);
    }

    #[test]
    fn a_minute_of_too_much_leaves_the_least_and_it_recovers_in_seconds() {
        let mut run = Run::new(1, 20, 200);
        run.windows(10, 10 * MS, false);
        assert_eq!(run.windows(600, 5000 * MS, true), 1);
        assert!((19..=21).contains(&run.windows(24, 10 * MS, false)), "{}", run.0.limit());
    }

    #[test]
    fn what_stays_slow_becomes_usual() {
        let mut run = Run::new(1, 20, 50);
        run.windows(100, 10 * MS, false);
        assert!(run.windows(20, 100 * MS, false) < 25);
        assert_eq!(run.windows(1000, 100 * MS, false), 50);
        assert!(run.0.usual_nanos() > 80 * MS);
        run.windows(60, 10 * MS, false);
        assert!(run.0.usual_nanos() <= 20 * MS, "what is over is forgotten soon");
    }

    #[test]
    fn nothing_is_learnt_from_a_limit_that_is_not_used() {
        let mut gradient = Gradient::new(1, 20, 200);
        for window in 0..100 {
            gradient.sample(1 + window * WINDOW_NANOS, 10 * MS, 9, false);
        }
        assert_eq!(gradient.limit(), 20);
        gradient.sample(1 + 100 * WINDOW_NANOS, 10 * MS, 10, false);
        gradient.sample(1 + 101 * WINDOW_NANOS, 10 * MS, 10, false);
        assert_eq!(gradient.limit(), 21);
    }

    #[test]
    fn a_window_counts_once_however_much_is_in_it() {
        let mut gradient = Gradient::new(1, 20, 200);
        for at in 1..=WINDOW_NANOS {
            if at % MS == 1 {
                gradient.sample(at, 10 * MS, 20, true);
            }
        }
        assert_eq!(gradient.limit(), 20);
        gradient.sample(1 + WINDOW_NANOS, 10 * MS, 20, false);
        assert_eq!(gradient.limit(), 18);
    }

    proptest! {
        #[test]
        fn it_is_within_its_bounds_and_recovers_from_whatever_was(
            (least, initial, most) in (0..300_u32, any::<u32>(), 0..300_u32),
            steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>()), 0..50),
            took in 1..10_000_000_000_u64,
        ) {
            let mut run = Run::new(least, initial, most);
            let (least, most) = (least.max(1), most.max(least.max(1)));
            for (step, took, in_flight, was_too_much) in steps {
                run.1 = run.1.saturating_add(step % (3 * WINDOW_NANOS));
                run.0.sample(run.1, took, in_flight, was_too_much);
                prop_assert!((least..=most).contains(&run.0.limit()));
            }
            let soon = run.windows(60, took, false);
            prop_assert!(soon >= most.min(7), "{soon} of {most}");
            prop_assert_eq!(run.windows(6000, took, false), most);
        }
    }
}
