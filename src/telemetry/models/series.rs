//! A series that is looked up while old ones are swept away is seen.

use std::sync::Arc;
use std::time::Duration;

use super::super::catalog::{Caps, Catalog, Meter};
use super::super::descriptor::Descriptor;
use super::super::shards::Shards;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{Clock, Mutex};

const LINES: Descriptor = Descriptor::counter("a.lines", "");

struct World {
    catalog: Mutex<Catalog>,
    shards: Shards,
}

impl World {
    fn count(&self) -> u64 {
        let catalog = self.catalog.lock();
        let shown = catalog.select("", &[], &self.shards.look());
        let families = shown.into_iter().map(super::super::catalog::Selected::finish);
        let values = families.flat_map(|family| family.series).map(|series| series.value);
        values.map(|value| if let super::super::Value::Counter(n) = value { n } else { 0 }).sum()
    }
}

/// One thread looks a series up and adds to it, while another sweeps, for whom all is old.
fn a_series_is_swept_while_it_is_looked_up() {
    let caps = Caps { families: 2, series: 2, retention: Some(Duration::ZERO) };
    let world = Arc::new(World { catalog: Mutex::new(Catalog::new(caps)), shards: Shards::default() });
    let now = Clock::SYSTEM.now();
    let first = world.catalog.lock().meter(&LINES, &[], now).expect("it is one");
    drop(first);
    let sweeping = thread({
        let world = Arc::clone(&world);
        move || {
            let gone = {
                let mut catalog = world.catalog.lock();
                let look = world.shards.look();
                catalog.sweep(&look, now)
            };
            drop(gone);
        }
    });
    let Ok(Meter::Counter(counter)) = world.catalog.lock().meter(&LINES, &[], now) else {
        panic!("it is a counter")
    };
    counter.increment();
    joined(sweeping);
    let mut catalog = world.catalog.lock();
    drop(catalog.sweep(&world.shards.look(), now)); // sees that something was added; for this sweep too it is old
    let Ok(Meter::Counter(again)) = catalog.meter(&LINES, &[], now) else { panic!("it is a counter") };
    drop(catalog);
    again.increment();
    assert_eq!(world.count(), 2, "both count the same");
}

#[test]
fn a_series_that_somebody_has_is_never_swept_away() {
    holds("a series is swept while it is looked up", a_series_is_swept_while_it_is_looked_up);
    finds(Mutant::SweepHeld, a_series_is_swept_while_it_is_looked_up);
}
