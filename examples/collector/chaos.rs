//! Chaos: strikes a random parser, every so often, so that it crashes or hangs.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::parser::Place;

/// The only message: it is time.
pub(crate) struct Strike;

/// Where a place notes that it was struck.
type Mark = fn(&Place) -> &AtomicBool;

/// Strikes one parser after the other. It feels that while it handles its next line.
pub(crate) struct Chaos {
    places: Arc<[Arc<Place>]>,
    mark: Mark,
    every: Duration,
    dice: RandomState,
    strikes: u64,
}

/// Describes the crashes of `--chaos` among the parsers of these places.
pub(crate) fn crashes(places: &[Arc<Place>], every: Duration) -> ChildSpec<Chaos> {
    spec("chaos", places, |place| &place.crash, every)
}

/// Describes the hangs of `--hang`. A strike at a parser that hangs already is spent: its successor
/// begins unharmed.
pub(crate) fn hangs(places: &[Arc<Place>], every: Duration) -> ChildSpec<Chaos> {
    spec("hangs", places, |place| &place.hang, every)
}

fn spec(name: &str, places: &[Arc<Place>], mark: Mark, every: Duration) -> ChildSpec<Chaos> {
    let places: Arc<[_]> = places.into();
    let chaos =
        move || Chaos { places: Arc::clone(&places), mark, every, dice: RandomState::new(), strikes: 0 };
    child(name, chaos).capacity(1)
}

impl Service for Chaos {
    type Msg = Strike;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(self.every, Strike);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Strike: Strike, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.strikes += 1;
        let chosen = self.dice.hash_one(self.strikes) % self.places.len() as u64;
        (self.mark)(&self.places[chosen as usize]).store(true, Ordering::Relaxed);
        cx.send_after(self.every, Strike);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        for place in &*self.places {
            (self.mark)(place).store(false, Ordering::Relaxed);
        }
    }

    fn label(_: &Strike) -> &'static str {
        "strike"
    }
}
