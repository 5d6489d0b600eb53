//! Chaos: crashes a random parser, every so often.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::parser::Place;

/// The only message: it is time.
pub(crate) struct Strike;

/// Dooms one parser after the other. The doomed one crashes while it handles its next line.
pub(crate) struct Chaos {
    places: Arc<[Arc<Place>]>,
    every: Duration,
    dice: RandomState,
    strikes: u64,
}

/// Describes the chaos among the parsers of these places.
pub(crate) fn spec(places: &[Arc<Place>], every: Duration) -> ChildSpec<Chaos> {
    let places: Arc<[_]> = places.into();
    child("chaos", move || Chaos { places: Arc::clone(&places), every, dice: RandomState::new(), strikes: 0 })
        .capacity(1)
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
        self.places[chosen as usize].doomed.store(true, Ordering::Relaxed);
        cx.send_after(self.every, Strike);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        for place in &*self.places {
            place.doomed.store(false, Ordering::Relaxed);
        }
    }

    fn label(_: &Strike) -> &'static str {
        "strike"
    }
}
