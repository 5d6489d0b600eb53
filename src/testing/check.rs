//! A property, for many seeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::simulation::Simulation;

/// The variable that names the one seed to run.
const SEED: &str = "UNDERPIN_SEED";

/// Runs `property` in a [`Simulation`] of each seed. The first that panics fails the test, and its
/// seed is printed: `UNDERPIN_SEED=17 cargo test name_of_the_test` runs that one alone.
///
/// # Panics
///
/// As `property` does. When `UNDERPIN_SEED` is set, and no number.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::testing::{Crasher, Order, check};
/// use underpin::Supervisor;
///
/// check(0..20, |sim| {
///     let pair = ["a", "b"].map(|name| Crasher::new().child(name));
///     let handles = pair.each_ref().map(|spec| spec.handle());
///     let root = pair.into_iter().fold(Supervisor::new("app").intensity(100, Duration::from_secs(1)), Supervisor::child);
///     let app = sim.start(root).unwrap();
///     for _ in 0..10 {
///         handles[sim.below(2)].cast(Order::Panic).unwrap();
///         sim.turn();
///     }
///     // Whatever the order was, both serve in the end.
///     assert!(handles.iter().all(|handle| handle.call(Order::Epoch).is_ok()));
///     assert!(app.shutdown(Duration::from_secs(5)).is_clean());
/// });
/// ```
pub fn check(seeds: impl IntoIterator<Item = u64>, property: impl Fn(&Simulation)) {
    match std::env::var(SEED) {
        Err(_) => seeds.into_iter().for_each(|seed| run(seed, &property)),
        Ok(seed) => match seed.parse() {
            Ok(seed) => run(seed, &property),
            Err(_) => panic!("{SEED} is a number, not {seed:?}"),
        },
    }
}

fn run(seed: u64, property: &impl Fn(&Simulation)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| property(&Simulation::new(seed))));
    if let Err(panic) = outcome {
        eprintln!("the property does not hold for this seed; run it alone with {SEED}={seed}");
        resume_unwind(panic);
    }
}
